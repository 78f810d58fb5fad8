//! What a session does for more than itself: discovery, and task management over all sessions of a unit.

use std::sync::Arc;

use iscsicore::Instant;
use iscsicore::disk::ResetCause;
use iscsicore::link::TaskId;
use iscsicore::login::SessionType;
use iscsicore::node::{Asker, Asking, UnitId};
use iscsicore::serve::Units;
use iscsicore::target::{AbortId, AbortScope, SendTargets, TaskManagement};
use iscsicore::wire::{TaskManagementFunction as Function, TaskManagementResult as Answer};
use tokio::sync::oneshot;

use super::hub::Control;
use super::job::Kind;
use super::session::{Finished, Session};
use crate::Runtime;

impl<R: Runtime> Session<R> {
    pub(super) fn send_targets(&mut self, request: TaskId, which: &SendTargets) {
        let hello = self.target.hello();
        let target = hello.target.as_deref();
        let session = match (hello.session_type, target) {
            (SessionType::Normal, Some(target)) => Asking::Normal(target),
            _ => Asking::Discovery(target),
        };
        let asker =
            Asker { initiator: &hello.initiator, user: self.target.user(), session, local: self.local };
        let records = self.place.hub.node.send_targets(&asker, which);
        // The request can only be gone together with its connection.
        let _ = self.target.answer_send_targets(request, &records.unwrap_or_default());
    }

    /// Carries out a function on the units and the other sessions. This session's own tasks on the LUN are being
    /// aborted by the core, which holds the response back until they have ended.
    pub(super) fn task_management(&mut self, now: Instant, request: TaskManagement) {
        let all_units = || self.service.luns().iter().map(|(_, mapped)| mapped.unit).collect();
        let whole_target = matches!(request.function, Function::TargetWarmReset | Function::TargetColdReset);
        let units: Vec<UnitId> = match self.service.luns().get(request.lun) {
            _ if whole_target => all_units(),
            Some(mapped) => vec![mapped.unit],
            None => {
                let _ = self.target.answer_task_management(request.request, Answer::LunDoesNotExist);
                return;
            }
        };
        let mut waits = Vec::new();
        if !whole_target {
            // The task set is the unit's, whichever LUN of this session a task came by.
            let (done, ended) = oneshot::channel();
            self.abort_tasks(now, units[0], Some(request), done);
            waits.push(ended);
        }
        tracing::info!(function = ?request.function, initiator = ?self.target.hello().initiator, "task management");
        let others = match request.function {
            Function::AbortTaskSet => Vec::new(),
            _ => self.place.hub.others(self.place.id, |peer| peer.units.iter().any(|u| units.contains(u))),
        };
        for (_, peer) in &others {
            for unit in peer.units.iter().filter(|u| units.contains(u)) {
                let (done, ended) = oneshot::channel();
                // A session that is ending aborts its tasks by itself.
                peer.control.send(Control::AbortTasks { unit: *unit, done });
                waits.push(ended);
            }
        }
        let (hub, own, function) = (self.place.hub.clone(), self.service.nexus(), request.function);
        let others: Vec<_> = others.into_iter().map(|(id, _)| id).collect();
        let (finished, work) = oneshot::channel();
        // A task of its own: what has begun in other sessions is carried through although this one may end.
        self.place.hub.spawn(Kind::Work(Box::pin(async move {
            for ended in waits {
                let _ = ended.await;
            }
            let nexuses: Vec<_> = {
                let sessions = hub.sessions();
                others.iter().filter_map(|id| sessions.get(*id)?.nexus()).collect()
            };
            for unit in units {
                (&hub.units).with_unit(unit, |unit| match function {
                    Function::AbortTaskSet => {}
                    Function::ClearTaskSet => nexuses.iter().for_each(|of| unit.tasks_cleared(own, *of)),
                    Function::TargetColdReset => unit.reset(ResetCause::PowerOn),
                    Function::TargetWarmReset => unit.reset(ResetCause::Target),
                    _ => unit.reset(ResetCause::LogicalUnit),
                });
            }
            let _ = finished.send(());
        })));
        self.pending.push(Box::pin(async move {
            match work.await {
                Err(_) => Finished::Management(request.request, Answer::Rejected),
                Ok(()) if function == Function::TargetColdReset => Finished::ColdReset(request.request),
                Ok(()) => Finished::Management(request.request, Answer::Complete),
            }
        }));
    }

    pub(super) fn management_done(&mut self, request: TaskId, result: Answer) {
        let _ = self.target.answer_task_management(request, result);
    }

    /// TARGET COLD RESET ends every session of the target, RFC 7143 section 11.5.1.
    pub(super) fn cold_reset_done(&mut self, now: Instant, request: TaskId) {
        let own = self.target.hello().target.clone();
        for (_, peer) in self.place.hub.others(self.place.id, |peer| peer.target == own) {
            let (done, _) = oneshot::channel();
            peer.control.send(Control::Terminate { done });
        }
        let _ = self.target.answer_task_management(request, Answer::Complete);
        // The response leaves when the tasks have ended that the reset aborted; no later than those ended by this.
        self.end_after = Some(self.target.abort_tasks(now, AbortScope::All));
    }

    /// Aborts the tasks of every LUN that the unit stands behind; `done` is dropped with the last of them. Where that is
    /// for a request of this session, those of the LUN that it names are the core's business, and those of the other
    /// LUNs that it concerns are aborted here. The core knows a LUN in all of its encodings.
    pub(super) fn abort_tasks(
        &mut self,
        now: Instant,
        unit: UnitId,
        own: Option<TaskManagement>,
        done: oneshot::Sender<()>,
    ) {
        let done = Arc::new(done);
        let luns = self.service.luns().iter().filter(|(_, mapped)| mapped.unit == unit);
        for (lun, _) in luns.filter(|(lun, _)| own.is_none_or(|own| own.lun.number() != lun.number())) {
            let scope = match own {
                // Commands behind it that came in with it are not concerned.
                Some(TaskManagement {
                    request,
                    function: Function::AbortTaskSet | Function::ClearTaskSet,
                    ..
                }) => AbortScope::Before { request, lun },
                _ => AbortScope::LogicalUnit(lun),
            };
            let id = self.target.abort_tasks(now, scope);
            self.aborts.push((id, done.clone()));
        }
    }

    pub(super) fn tasks_aborted(&mut self, now: Instant, id: AbortId) {
        self.aborts.retain(|(abort, _)| *abort != id);
        if let Some(link) = self.link.as_mut().filter(|l| l.held == Some(id)) {
            link.held = None;
        }
        if self.end_after == Some(id) {
            self.target.terminate(now);
        }
    }
}
