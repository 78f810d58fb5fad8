//! Task management over all sessions, and the end of a session.

use crate::Instant;
use crate::disk::{NexusId, ResetCause};
use crate::node::{Seat, SessionId, UnitId};
use crate::serve::Units;
use crate::target::{AbortId, AbortScope, TaskManagement};
use crate::wire::{Lun, TaskManagementFunction as Function, TaskManagementResult as Answer};

use super::{Host, Session};

/// A function that waits for tasks of other sessions to end.
#[derive(Debug)]
pub(super) struct Reset {
    session: SessionId,
    request: TaskManagement,
    units: Vec<UnitId>,
    /// The nexuses whose tasks are aborted.
    nexuses: Vec<NexusId>,
    /// The aborts that have not ended.
    others: Vec<(SessionId, AbortId)>,
}

impl Session {
    fn sees(&self, units: &[UnitId]) -> bool {
        self.service.luns().iter().any(|(_, mapped)| units.contains(&mapped.unit))
    }
}

/// Aborts what the session that asks has under way by other LUNs of the same unit: the task set is the unit's.
///
/// The tasks of the LUN that the request names are the session's own business.
fn own_tasks(
    session: &mut Session,
    now: Instant,
    TaskManagement { request, function, lun }: TaskManagement,
    units: &[UnitId],
) -> impl Iterator<Item = AbortId> {
    let luns = session.service.luns().iter();
    let concerned = |unit, other: Lun| units.contains(&unit) && other.number() != lun.number();
    let others: Vec<Lun> =
        luns.filter(|(lun, mapped)| concerned(mapped.unit, *lun)).map(|(lun, _)| lun).collect();
    // A function that concerns the whole target has them all aborted.
    let others = if concerns_target(function) { Vec::new() } else { others };
    others.into_iter().map(move |lun| {
        let scope = match function {
            // Commands behind it that came in with it are not concerned.
            Function::AbortTaskSet | Function::ClearTaskSet => AbortScope::Before { request, lun },
            _ => AbortScope::LogicalUnit(lun),
        };
        session.target.abort_tasks(now, scope)
    })
}

impl Host {
    /// Begins a function: the tasks of the LUN that it names are being aborted by the session itself, all others of the
    /// unit are aborted here. Returns the sessions that have events.
    pub(super) fn begin_reset(
        &mut self,
        now: Instant,
        id: SessionId,
        request: TaskManagement,
    ) -> Vec<SessionId> {
        let Some(session) = self.live.get_mut(&id) else { return Vec::new() };
        let luns = session.service.luns();
        let units: Vec<UnitId> = match luns.get(request.lun) {
            _ if concerns_target(request.function) => luns.iter().map(|(_, mapped)| mapped.unit).collect(),
            Some(mapped) => vec![mapped.unit],
            None => {
                // The request can only have gone together with its connection.
                let _ = session.target.answer_task_management(request.request, Answer::LunDoesNotExist);
                return Vec::new();
            }
        };
        let others = own_tasks(session, now, request, &units).map(|abort| (id, abort)).collect();
        let mut reset = Reset { session: id, request, units, nexuses: Vec::new(), others };
        if request.function != Function::AbortTaskSet {
            for (other, session) in self.live.iter_mut().filter(|(other, _)| **other != id) {
                if !session.sees(&reset.units) {
                    continue;
                }
                reset.nexuses.push(session.service.nexus());
                let luns = session.service.luns().iter();
                for (lun, _) in luns.filter(|(_, mapped)| reset.units.contains(&mapped.unit)) {
                    let abort = session.target.abort_tasks(now, AbortScope::LogicalUnit(lun));
                    reset.others.push((*other, abort));
                }
            }
        }
        let aborting = reset.others.iter().map(|(other, _)| *other);
        // Whoever asks is being settled already.
        let mut disturbed: Vec<_> = aborting.filter(|other| *other != id).collect();
        self.resets.push(reset);
        disturbed.extend(self.no_longer_wait(|_| false));
        disturbed
    }

    /// Strikes out aborts that have ended, and ends the functions that wait for none any more. Returns the sessions
    /// that have events.
    pub(super) fn no_longer_wait(&mut self, ended: impl Fn(&(SessionId, AbortId)) -> bool) -> Vec<SessionId> {
        self.resets.iter_mut().for_each(|reset| reset.others.retain(|other| !ended(other)));
        let (over, waiting) =
            core::mem::take(&mut self.resets).into_iter().partition(|reset| reset.others.is_empty());
        self.resets = waiting;
        let over: Vec<Reset> = over;
        over.into_iter().flat_map(|reset| self.end_reset(&reset)).collect()
    }

    fn end_reset(&mut self, reset: &Reset) -> Vec<SessionId> {
        let Some(session) = self.live.get_mut(&reset.session) else { return Vec::new() };
        let (own, function) = (session.service.nexus(), reset.request.function);
        for unit in &reset.units {
            self.units.with_unit(*unit, |unit| match function {
                Function::ClearTaskSet => reset.nexuses.iter().for_each(|of| unit.tasks_cleared(own, *of)),
                Function::LogicalUnitReset => unit.reset(ResetCause::LogicalUnit),
                Function::TargetWarmReset => unit.reset(ResetCause::Target),
                Function::TargetColdReset => unit.reset(ResetCause::PowerOn),
                _ => {}
            });
        }
        let _ = session.target.answer_task_management(reset.request.request, Answer::Complete);
        let link = session.link;
        self.wake(link);
        if function != Function::TargetColdReset {
            return vec![reset.session];
        }
        // RFC 7143 section 11.5.1: all sessions of the target end.
        let target_of = |id| self.registry.get(id).and_then(|known| Some(&known.target()?.name));
        let of_target = |id: &SessionId| target_of(*id) == target_of(reset.session);
        let ending: Vec<_> = self.live.keys().copied().filter(of_target).collect();
        self.live.iter_mut().filter(|(id, _)| ending.contains(id)).for_each(|(_, s)| s.end_when_idle = true);
        ending
    }

    /// Forgets a session of which nothing is left. Returns the sessions that have events.
    pub(super) fn end_session(&mut self, now: Instant, id: SessionId) -> Vec<SessionId> {
        let Some(session) = self.live.remove(&id) else { return Vec::new() };
        let nexus = Some(session.service.nexus()).filter(|_| !session.service.luns().is_empty());
        self.forget(Seat { session: id, tsih: session.target.tsih(), nexus });
        if let Some(link) = self.links.get_mut(&session.link) {
            link.closing = true;
            self.wakes.insert(session.link);
        }
        self.resets.retain(|reset| reset.session != id);
        let disturbed = self.no_longer_wait(|(other, _)| *other == id);
        self.open_behind(now, id);
        disturbed
    }
}

fn concerns_target(function: Function) -> bool {
    matches!(function, Function::TargetWarmReset | Function::TargetColdReset)
}
