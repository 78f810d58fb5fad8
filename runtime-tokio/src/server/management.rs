//! What a session does for more than itself: discovery, and task management over all sessions of a unit.

use iscsicore::disk::ResetCause;
use iscsicore::link::TaskId;
use iscsicore::login::SessionType;
use iscsicore::node::{Asker, Asking, UnitId};
use iscsicore::serve::Units;
use iscsicore::target::{SendTargets, TaskManagement};
use iscsicore::wire::{TaskManagementFunction as Function, TaskManagementResult as Answer};
use tokio::sync::oneshot;

use super::hub::Control;
use super::session::{Finished, Session};

impl Session {
    pub(super) fn send_targets(&mut self, request: TaskId, which: &SendTargets) {
        let hello = self.target.hello();
        let target = hello.target.as_deref();
        let session = match (hello.session_type, target) {
            (SessionType::Normal, Some(target)) => Asking::Normal(target),
            _ => Asking::Discovery(target),
        };
        let asker =
            Asker { initiator: &hello.initiator, user: self.target.user(), session, local: self.local };
        let records = self.hub.node.send_targets(&asker, which);
        // The request can only be gone together with its connection.
        let _ = self.target.answer_send_targets(request, &records.unwrap_or_default());
    }

    /// Carries out a function on the units and the other sessions. This session's own tasks are being aborted by the
    /// core, which holds the response back until they have ended.
    pub(super) fn task_management(&mut self, request: TaskManagement) {
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
        if request.function == Function::AbortTaskSet {
            let _ = self.target.answer_task_management(request.request, Answer::Complete);
            return;
        }
        tracing::info!(function = ?request.function, initiator = %self.target.hello().initiator, "task management");
        let others = self.hub.others(self.id, |peer| peer.units.iter().any(|u| units.contains(u)));
        let mut waits = Vec::new();
        for (_, peer) in &others {
            for unit in peer.units.iter().filter(|u| units.contains(u)) {
                let (done, ended) = oneshot::channel();
                // A session that is ending aborts its tasks by itself.
                let _ = peer.control.send(Control::AbortTasks { unit: *unit, done });
                waits.push(ended);
            }
        }
        let (hub, own, function) = (self.hub.clone(), self.service.nexus(), request.function);
        let others: Vec<_> = others.into_iter().map(|(id, _)| id).collect();
        self.pending.push(Box::pin(async move {
            for ended in waits {
                let _ = ended.await;
            }
            let nexuses: Vec<_> = {
                let sessions = hub.sessions();
                others.iter().filter_map(|id| sessions.get(*id)?.nexus()).collect()
            };
            for unit in units {
                (&hub.units).with_unit(unit, |unit| match function {
                    Function::ClearTaskSet => nexuses.iter().for_each(|of| unit.tasks_cleared(own, *of)),
                    Function::TargetColdReset => unit.reset(ResetCause::PowerOn),
                    Function::TargetWarmReset => unit.reset(ResetCause::Target),
                    _ => unit.reset(ResetCause::LogicalUnit),
                });
            }
            if function == Function::TargetColdReset {
                return Finished::ColdReset(request.request);
            }
            Finished::Management(request.request, Answer::Complete)
        }));
    }

    pub(super) fn management_done(&mut self, request: TaskId, result: Answer) {
        let _ = self.target.answer_task_management(request, result);
    }

    /// TARGET COLD RESET ends every session of the target, RFC 7143 section 11.5.1.
    pub(super) fn cold_reset_done(&mut self, request: TaskId) {
        let own = self.target.hello().target.clone();
        for (_, peer) in self.hub.others(self.id, |peer| peer.target == own) {
            let (done, _) = oneshot::channel();
            let _ = peer.control.send(Control::Terminate { done });
        }
        let _ = self.target.answer_task_management(request, Answer::Complete);
        self.end_when_idle = true;
    }
}
