//! Task management functions, and everything else that waits for tasks to end. RFC 7143 sections 4.2.3, 11.5, 11.6.

use crate::link::TaskId;
use crate::session::ConnId;
use crate::wire::{
    CmdSn, Itt, Lun, TaskManagementFunction as Function, TaskManagementRequest, TaskManagementResponse,
    TaskManagementResult as Answer,
};
use crate::{Instant, Misuse};

use super::event::{AbortId, AbortScope, EndReason, Event, TaskManagement};
use super::output::Numbering;
use super::task::{Body, Place, Task};
use super::{LATER, Target};

/// Something that may happen only when certain tasks have ended.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) what: WaitFor,
    /// Those that have not ended.
    tasks: Vec<TaskId>,
    /// When payload that the initiator owes to those tasks is no longer waited for.
    pub(super) give_up: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WaitFor {
    Management(TaskId),
    Logout(TaskId),
    Other(AbortId),
}

impl Target {
    /// A task management request. One for a set of tasks acts once all commands numbered before it are here
    /// (RFC 7143 section 4.2.3.3 b).
    pub(super) fn on_task_management(&mut self, now: Instant, conn: ConnId, pdu: &TaskManagementRequest) {
        self.counters.task_management += 1;
        if pdu.immediate {
            self.immediate_management += 1;
        }
        let request = self.tasks.insert(Task {
            conn,
            itt: pdu.itt,
            lun: pdu.lun,
            cmd_sn: pdu.cmd_sn,
            place: if pdu.immediate { Place::ImmediateManagement } else { Place::Window },
            body: Body::Management { function: pdu.function, answer: None },
        });
        let answer = match pdu.function {
            Function::AbortTask => Some(self.abort_referenced(now, request, pdu)),
            Function::AbortTaskSet
            | Function::ClearTaskSet
            | Function::LogicalUnitReset
            | Function::TargetWarmReset
            | Function::TargetColdReset => {
                if pdu.cmd_sn.is_after(self.window.expected()) && pdu.immediate {
                    self.delayed.push(request);
                } else {
                    self.start_management(now, request);
                }
                None
            }
            // RFC 7143 section 11.5.1: only SCSI commands could be reassigned at all.
            Function::TaskReassign => match self.is_other_task(conn, pdu.referenced_itt) {
                true => Some(Answer::Rejected),
                false => Some(Answer::TaskAllegianceReassignmentNotSupported),
            },
            _ => Some(Answer::NotSupported),
        };
        if let Some(answer) = answer {
            // The request is ours, so this cannot be misuse.
            let _ = self.store_management_answer(request, answer);
        }
    }

    /// Starts functions that waited for earlier commands which have arrived by now.
    pub(super) fn release_management(&mut self, now: Instant) {
        if self.delayed.is_empty() {
            return;
        }
        let expected = self.window.expected();
        let tasks = &self.tasks;
        let due = |id: &TaskId| tasks.get(*id).is_none_or(|t| !t.cmd_sn.is_after(expected));
        let (ready, waiting) = core::mem::take(&mut self.delayed).into_iter().partition(due);
        self.delayed = waiting;
        let ready: Vec<TaskId> = ready;
        for request in ready {
            self.start_management(now, request);
        }
    }

    fn start_management(&mut self, now: Instant, request: TaskId) {
        let Some(Task { body: Body::Management { function, .. }, lun, .. }) = self.tasks.get(request) else {
            return;
        };
        let (function, lun) = (*function, *lun);
        // Resets concern all there is, the others what came before them (RFC 7143 section 11.5.1).
        let scope = match function {
            Function::TargetWarmReset | Function::TargetColdReset => AbortScope::All,
            Function::AbortTaskSet | Function::ClearTaskSet => AbortScope::Before { request, lun },
            _ => AbortScope::LogicalUnit(lun),
        };
        let concerned = self.concerned(scope);
        self.abort_selected(&concerned);
        self.wait(now, WaitFor::Management(request), |_, task| concerned(task));
        self.events.push_back(Event::TaskManagement(TaskManagement { request, function, lun }));
    }

    /// ABORT TASK, RFC 7143 sections 11.5.1 and 11.6.1.
    fn abort_referenced(&mut self, now: Instant, request: TaskId, pdu: &TaskManagementRequest) -> Answer {
        let Some(id) = self.tasks.find(pdu.referenced_itt).filter(|t| *t != request) else {
            return self.abort_missing(pdu);
        };
        let Some(task) = self.tasks.get(id) else { return Answer::TaskDoesNotExist };
        match &task.body {
            Body::Scsi(_) if !same_unit(task.lun, pdu.lun) => Answer::LunDoesNotExist,
            Body::Scsi(scsi) if scsi.aborted => Answer::TaskDoesNotExist,
            Body::Scsi(_) => {
                self.abort_task(id);
                // What the initiator still sends is discarded when it comes. Only functions on sets of tasks have to
                // wait for it (section 4.2.3.3), and many initiators do not send it.
                if let Ok((scsi, ..)) = self.tasks.scsi_mut(id) {
                    scsi.incoming.silence();
                }
                self.wait(now, WaitFor::Management(request), |task, _| task == id);
                self.end_if_over(id);
                Answer::Complete
            }
            // RFC 7143 section 11.5.1: never a task management request; nor what has no SCSI task.
            _ => Answer::Rejected,
        }
    }

    /// Whether the tag is of something that is no SCSI command.
    fn is_other_task(&mut self, conn: ConnId, itt: Itt) -> bool {
        let task = self.tasks.find(itt).and_then(|id| self.tasks.get(id));
        task.is_some_and(|task| !matches!(task.body, Body::Scsi(_))) || self.is_text_tag(conn, itt)
    }

    /// The referenced task is not here: it was answered, or it has not arrived (RFC 7143 section 7.11).
    fn abort_missing(&mut self, pdu: &TaskManagementRequest) -> Answer {
        if self.window.find_early(|held| held.itt() == Some(pdu.referenced_itt)).is_some() {
            return Answer::Rejected;
        }
        let missing = pdu.ref_cmd_sn;
        match missing.is_before(pdu.cmd_sn) && self.window.plug(missing) {
            true => Answer::Complete,
            false => Answer::TaskDoesNotExist,
        }
    }

    pub(super) fn store_management_answer(&mut self, request: TaskId, result: Answer) -> Result<(), Misuse> {
        match self.tasks.get_mut(request) {
            Some(Task { body: Body::Management { answer, .. }, .. }) if answer.is_none() => {
                *answer = Some(result);
                self.settle();
                Ok(())
            }
            _ => Err(Misuse::UnknownTask),
        }
    }

    pub(super) fn abort_for_other(&mut self, now: Instant, scope: AbortScope) -> AbortId {
        let id = AbortId(self.next_abort);
        self.next_abort = self.next_abort.wrapping_add(1);
        let concerned = self.concerned(scope);
        self.abort_selected(&concerned);
        self.wait(now, WaitFor::Other(id), |_, task| concerned(task));
        self.settle();
        id
    }

    /// Picks the tasks of `scope` out of those that there are now.
    fn concerned(&self, scope: AbortScope) -> impl Fn(&Task) -> bool + use<> {
        let before = match scope {
            // A request that is gone went with its connection and with all that came on that.
            AbortScope::Before { request, .. } => self.tasks.get(request).map(|request| request.cmd_sn),
            _ => None,
        };
        move |task| task.is_in(scope) && before.is_none_or(|sn| task.is_older_than(sn))
    }

    /// Has `what` happen when the tasks that `concerns` have ended.
    pub(super) fn wait(&mut self, now: Instant, what: WaitFor, concerns: impl Fn(TaskId, &Task) -> bool) {
        let scsi = self.tasks.iter().filter(|(_, t)| matches!(t.body, Body::Scsi(_)));
        let tasks: Vec<_> = scsi.filter(|(id, t)| concerns(*id, t)).map(|(id, _)| id).collect();
        let give_up = (!tasks.is_empty()).then(|| now + self.limits.abort_data_timeout);
        self.waits.push(Wait { what, tasks, give_up });
    }

    /// A task has ended: nobody waits for it any more.
    #[inline]
    pub(super) fn task_ended(&mut self, id: TaskId) {
        for wait in &mut self.waits {
            wait.tasks.retain(|t| *t != id);
        }
    }

    /// Lets happen what no longer waits for a task.
    #[inline]
    pub(super) fn settle(&mut self) {
        if !self.waits.is_empty() || self.tasks.management() > 0 {
            self.settle_waits();
        }
    }

    fn settle_waits(&mut self) {
        while let Some(at) = self.waits.iter().position(|w| w.tasks.is_empty()) {
            match self.waits.swap_remove(at).what {
                WaitFor::Management(_) => {}
                WaitFor::Logout(task) => self.finish_logout(task),
                WaitFor::Other(id) => self.events.push_back(Event::TasksAborted(id)),
            }
        }
        if self.tasks.management() > 0 {
            self.answer_settled_management();
        }
    }

    fn answer_settled_management(&mut self) {
        let waits = &self.waits;
        let settled = |id: TaskId| !waits.iter().any(|w| w.what == WaitFor::Management(id));
        let due: Vec<_> = self
            .tasks
            .iter()
            .filter_map(|(id, task)| match task.body {
                Body::Management { answer: Some(answer), .. } if settled(id) => Some((id, answer)),
                _ => None,
            })
            .collect();
        let mut power_on = false;
        for (id, result) in due {
            let Some(task) = self.tasks.remove(id) else { continue };
            self.leave(task.place);
            let cold = Function::TargetColdReset;
            power_on |= result == Answer::Complete
                && matches!(task.body, Body::Management { function, .. } if function == cold);
            let response = TaskManagementResponse {
                result,
                additional: [0; 3],
                itt: task.itt,
                stat_sn: LATER,
                exp_cmd_sn: CmdSn(0),
                max_cmd_sn: CmdSn(0),
            };
            if let Some(conn) = self.conn(task.conn).filter(|c| !c.closing) {
                conn.push(response.emit(), Numbering::Advance);
            }
        }
        if power_on {
            // RFC 7143 section 11.6.1. The other sessions are the caller's.
            self.end_session(EndReason::Terminated);
        }
    }

    /// Stops waiting for payload that has not come in time. What the caller runs is still waited for.
    pub(super) fn give_up_waiting(&mut self, now: Instant) {
        let mut silent = Vec::new();
        for wait in self.waits.iter_mut().filter(|w| w.give_up.is_some_and(|t| t <= now)) {
            wait.give_up = None;
            silent.extend_from_slice(&wait.tasks);
        }
        for id in silent {
            if let Ok((scsi, ..)) = self.tasks.scsi_mut(id) {
                scsi.incoming.silence();
                self.end_if_over(id);
            }
        }
        self.settle();
    }

    pub(super) fn abort_everything(&mut self) {
        self.abort_selected(|_| true);
    }

    pub(super) fn abort_connection_tasks(&mut self, conn: ConnId) {
        self.abort_selected(|t| t.conn == conn);
    }

    fn abort_selected(&mut self, selected: impl Fn(&Task) -> bool) {
        let ids: Vec<_> = self.tasks.iter().filter(|(_, t)| selected(t)).map(|(id, _)| id).collect();
        for id in &ids {
            self.abort_task(*id);
        }
        for id in ids {
            self.end_if_over(id);
        }
    }

    /// Nothing more will come on `conn`, and nothing can be answered there.
    pub(super) fn silence_connection(&mut self, conn: ConnId) {
        let of_conn = self.tasks.iter().filter(|(_, t)| t.conn == conn);
        let ids: Vec<_> = of_conn.map(|(id, t)| (id, matches!(t.body, Body::Scsi(_)))).collect();
        for (id, is_scsi) in ids {
            if is_scsi {
                if let Ok((scsi, ..)) = self.tasks.scsi_mut(id) {
                    scsi.incoming.silence();
                }
                self.end_if_over(id);
            } else if let Some(task) = self.tasks.remove(id) {
                self.leave(task.place);
                self.waits
                    .retain(|w| !matches!(w.what, WaitFor::Management(t) | WaitFor::Logout(t) if t == id));
            }
        }
    }
}

impl Task {
    /// Whether this task is in `scope`, whenever it came.
    fn is_in(&self, scope: AbortScope) -> bool {
        let Body::Scsi(scsi) = &self.body else { return false };
        !scsi.is_over()
            && match scope {
                AbortScope::All => true,
                AbortScope::LogicalUnit(lun) | AbortScope::Before { lun, .. } => same_unit(lun, self.lun),
            }
    }

    /// Whether the task came before a request numbered `sn`. An immediate one bears the number of the next.
    fn is_older_than(&self, sn: CmdSn) -> bool {
        self.cmd_sn.is_before(sn) || self.place == Place::Immediate && self.cmd_sn == sn
    }
}

/// Whether two LUNs name one logical unit: the encodings of a small number differ (SAM-5 clause 4.7).
fn same_unit(a: Lun, b: Lun) -> bool {
    a == b || a.number().is_some() && a.number() == b.number()
}
