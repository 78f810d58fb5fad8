//! Task management, RFC 7143 sections 11.5 and 11.6: what is asked of the target, and what it means here.

use crate::link::TaskId;
use crate::wire::{
    CmdSn, DataSn, Itt, Lun, StatSn, TaskManagementFunction, TaskManagementRequest, TaskManagementResponse,
    TaskManagementResult,
};
use crate::{DataList, Instant, Misuse};

use super::Initiator;
use super::command::{Cause, Outcome};
use super::event::Event;
use super::receive::Fault;
use super::task::{Body, Phase, Scsi, Task, tag};

impl Initiator {
    pub(super) fn abort_command(&mut self, now: Instant, id: TaskId, silent: bool) -> Result<(), Misuse> {
        let Some(scsi) = self.tasks.scsi_mut(id).filter(|s| !s.silent) else {
            return Err(Misuse::UnknownTask);
        };
        if scsi.phase != Phase::Sent {
            let doubtful = scsi.doubtful;
            scsi.silent = silent;
            let outcome = match doubtful {
                true => Outcome::Unknown(Cause::Wanted),
                false => Outcome::NotSent(Cause::Wanted),
            };
            self.finish(id, outcome);
            return Ok(());
        }
        scsi.silent = silent;
        if !core::mem::replace(&mut scsi.aborting, true) {
            self.send_abort(now, id);
        }
        Ok(())
    }

    /// Sends ABORT TASK for a command that is with the target.
    pub(super) fn send_abort(&mut self, now: Instant, id: TaskId) {
        let Some(scsi) = self.tasks.scsi(id) else { return };
        let (lun, cmd_sn) = (scsi.command.lun, scsi.cmd_sn);
        self.send_management(now, TaskManagementFunction::AbortTask, lun, Some((id, cmd_sn)));
    }

    /// Fills the gap that a rejected command leaves: its CmdSN counts as not received, and an abort that names it as
    /// received (RFC 7143 sections 7.3 and 7.11).
    pub(super) fn plug(&mut self, now: Instant, id: TaskId, cmd_sn: CmdSn) {
        let Some(scsi) = self.tasks.scsi(id) else { return };
        let lun = scsi.command.lun;
        self.send_management(now, TaskManagementFunction::AbortTask, lun, Some((id, cmd_sn)));
    }

    pub(super) fn request_management(
        &mut self,
        now: Instant,
        function: TaskManagementFunction,
        lun: Lun,
    ) -> Result<TaskId, Misuse> {
        use TaskManagementFunction::{ITNexusReset, QueryAsynchronousEvent, QueryTaskSet};
        let is_new = matches!(function, ITNexusReset | QueryTaskSet | QueryAsynchronousEvent);
        // RFC 7144 section 6.3: those need its protocol level.
        if function.names_a_task() || !function.is_defined() || (is_new && self.protocol_level() < 2) {
            return Err(Misuse::InvalidArgument(
                "task_management: not a function that can be asked for here",
            ));
        }
        self.check_requests("task_management: no connection, or too many requests are open")?;
        Ok(self.send_management(now, function, lun, None))
    }

    fn send_management(
        &mut self,
        now: Instant,
        function: TaskManagementFunction,
        lun: Lun,
        victim: Option<(TaskId, CmdSn)>,
    ) -> TaskId {
        let deadline = Some(now + self.limits.management_timeout);
        let cmd_sn = self.cmd_sn;
        let body = Body::Management { function, lun, victim: victim.map(|(id, _)| id), cmd_sn };
        let id = self.tasks.insert(Task { deadline, body });
        self.note_deadline(deadline);
        let request = TaskManagementRequest {
            immediate: true,
            function,
            lun: if function.names_a_unit() { lun } else { Lun::ZERO },
            itt: tag(id),
            referenced_itt: victim.map_or(Itt::RESERVED, |(id, _)| tag(id)),
            cmd_sn: CmdSn(0),
            exp_stat_sn: StatSn(0),
            ref_cmd_sn: victim.map_or(CmdSn(0), |(_, cmd_sn)| cmd_sn),
            exp_data_sn: DataSn(0),
        };
        if let Some(conn) = &mut self.conn {
            conn.push(request.emit(), DataList::new());
        }
        id
    }

    pub(super) fn on_task_management_response(
        &mut self,
        now: Instant,
        pdu: &TaskManagementResponse,
    ) -> Result<(), Fault> {
        let request = self.tasks.find(pdu.itt);
        let request =
            request.ok_or(Fault::protocol("Task Management Response for a task that is not there"))?;
        let Some(Body::Management { function, lun, victim, cmd_sn }) =
            self.tasks.get(request).map(|t| &t.body)
        else {
            return Err(Fault::protocol("Task Management Response for a task of another kind"));
        };
        let (function, lun, victim, cmd_sn) = (*function, *lun, *victim, *cmd_sn);
        self.tasks.remove(request);
        let done = pdu.result == TaskManagementResult::Complete;
        match victim {
            // The responses of a connection are in order: a task that the target does not know any more, and whose answer
            // has not come, will have none.
            Some(victim) if done || pdu.result == TaskManagementResult::TaskDoesNotExist => {
                self.finish(victim, Outcome::Aborted);
            }
            Some(victim) => self.abort_refused(now, victim),
            None => {
                if done {
                    self.end_commands_of(function, lun, cmd_sn);
                }
                self.events.push_back(Event::TaskManagementDone { request, result: Ok(pdu.result) });
            }
        }
        Ok(())
    }

    /// The target does not abort a command: it runs on. One that nobody waits for any more may take so long, and
    /// then the connection ends it.
    pub(super) fn abort_refused(&mut self, now: Instant, victim: TaskId) {
        let deadline = now + self.limits.management_timeout;
        if let Some(scsi) = self.tasks.scsi_mut(victim) {
            scsi.aborting = false;
            if scsi.silent {
                if let Some(task) = self.tasks.get_mut(victim) {
                    task.deadline = Some(deadline);
                }
                self.note_deadline(Some(deadline));
            }
        }
    }

    /// Commands that a function has ended at the target: no answer to them follows (RFC 7143 section 11.5.1).
    /// `next` is the CmdSN of the first command that was sent after it.
    fn end_commands_of(&mut self, function: TaskManagementFunction, lun: Lun, next: CmdSn) {
        use TaskManagementFunction::*;
        let is_hit = |scsi: &Scsi| match function {
            AbortTaskSet | ClearTaskSet => scsi.command.lun == lun && scsi.cmd_sn.is_before(next),
            LogicalUnitReset => scsi.command.lun == lun,
            TargetWarmReset | TargetColdReset | ITNexusReset => true,
            _ => false,
        };
        let sent = |id| self.tasks.scsi(id).is_some_and(|scsi| scsi.phase == Phase::Sent && is_hit(scsi));
        let hit: Vec<TaskId> = self.tasks.iter().map(|(id, _)| id).filter(|id| sent(*id)).collect();
        for id in hit {
            self.finish(id, Outcome::Aborted);
        }
    }
}
