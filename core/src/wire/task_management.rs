//! Task Management Function Request and Response, RFC 7143 sections 11.5 and 11.6, RFC 7144 section 6.

use core::fmt;

use super::codes::codes;
use super::fields::{Counters, Segments, bad};
use super::{Bhs, CmdSn, DataSn, Itt, Lun, Opcode, StatSn};
use crate::FrameError;

codes! {
    /// Functions of RFC 7143 section 11.5.1 and RFC 7144 section 6.3 (9 to 12).
    pub enum TaskManagementFunction {
        1 AbortTask "ABORT TASK",
        2 AbortTaskSet "ABORT TASK SET",
        3 ClearAca "CLEAR ACA",
        4 ClearTaskSet "CLEAR TASK SET",
        5 LogicalUnitReset "LOGICAL UNIT RESET",
        6 TargetWarmReset "TARGET WARM RESET",
        7 TargetColdReset "TARGET COLD RESET",
        8 TaskReassign "TASK REASSIGN",
        9 QueryTask "QUERY TASK",
        10 QueryTaskSet "QUERY TASK SET",
        11 ITNexusReset "I_T NEXUS RESET",
        12 QueryAsynchronousEvent "QUERY ASYNCHRONOUS EVENT",
    }
}

codes! {
    /// Responses of RFC 7143 section 11.6.1 and RFC 7144 section 6.4.2 (7).
    pub enum TaskManagementResult {
        0 Complete "Function complete",
        1 TaskDoesNotExist "Task does not exist",
        2 LunDoesNotExist "LUN does not exist",
        3 TaskStillAllegiant "Task still allegiant",
        4 TaskAllegianceReassignmentNotSupported "Task allegiance reassignment not supported",
        5 NotSupported "Task management function not supported",
        6 AuthorizationFailed "Function authorization failed",
        /// What was found is told by the additional response information.
        7 Succeeded "Function succeeded",
        255 Rejected "Function rejected",
    }
}

impl TaskManagementFunction {
    /// Whether the function acts on one task, named by the Referenced Task Tag (RFC 7144 section 6.3.2).
    #[must_use]
    pub const fn names_a_task(self) -> bool {
        matches!(self, Self::AbortTask | Self::TaskReassign | Self::QueryTask)
    }

    /// Whether the LUN field is of meaning (RFC 7144 section 6.3.1). It is kept for undefined functions.
    #[must_use]
    pub const fn names_a_unit(self) -> bool {
        !matches!(
            self,
            Self::TargetWarmReset | Self::TargetColdReset | Self::TaskReassign | Self::ITNexusReset
        )
    }

    /// Whether RefCmdSN is of meaning (RFC 7144 section 6.3.3).
    const fn has_ref_cmd_sn(self) -> bool {
        matches!(self, Self::AbortTask | Self::QueryTask)
    }
}

/// A request to act on other tasks. Fields that are reserved for the function read as zero, or as the reserved
/// tag, and are written so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementRequest {
    /// The I bit; always set for TASK REASSIGN.
    pub immediate: bool,
    /// What is to be done.
    pub function: TaskManagementFunction,
    /// The logical unit, for functions that act on one.
    pub lun: Lun,
    /// The name of this request; never reserved.
    pub itt: Itt,
    /// The task to act on, for functions that act on one; otherwise reserved.
    pub referenced_itt: Itt,
    /// The number of this request in its session.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
    /// CmdSN of the referenced task, for ABORT TASK and QUERY TASK; that of this request where the task was
    /// created by an immediate command.
    pub ref_cmd_sn: CmdSn,
    /// For TASK REASSIGN: the first Data-In that the initiator has not acknowledged, 0 where that is unchanged.
    pub exp_data_sn: DataSn,
}

impl TaskManagementRequest {
    /// Reads a Task Management Function Request.
    ///
    /// # Errors
    /// Another opcode, any further segment (section 11.5.2), a reserved Initiator Task Tag, or a TASK REASSIGN
    /// that is not immediate (section 11.5.1).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::TaskManagementRequest, Segments::None)?;
        let function = TaskManagementFunction::from_code(bhs.0[1] & CODE);
        let reassign = function == TaskManagementFunction::TaskReassign;
        if reassign && !bhs.is_immediate() {
            return Err(bad("I", "must be set in a TASK REASSIGN"));
        }
        Ok(TaskManagementRequest {
            immediate: bhs.is_immediate(),
            function,
            lun: if function.names_a_unit() { bhs.lun() } else { Lun::ZERO },
            itt: bhs.task_itt()?,
            referenced_itt: if function.names_a_task() { Itt(bhs.get_u32(20)) } else { Itt::RESERVED },
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
            ref_cmd_sn: CmdSn(if function.has_ref_cmd_sn() { bhs.get_u32(32) } else { 0 }),
            exp_data_sn: DataSn(if reassign { bhs.get_u32(36) } else { 0 }),
        })
    }

    /// Writes the header; the I bit is set also where TASK REASSIGN demands it.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let function = self.function;
        let reassign = function == TaskManagementFunction::TaskReassign;
        let mut bhs = Bhs::with_final(Opcode::TaskManagementRequest, true);
        bhs.set_immediate_if(self.immediate || reassign);
        bhs.0[1] |= function.code() & CODE;
        if function.names_a_unit() {
            bhs.put_lun(self.lun);
        }
        bhs.put_itt(self.itt);
        bhs.put_u32(20, if function.names_a_task() { self.referenced_itt.0 } else { Itt::RESERVED.0 });
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        if function.has_ref_cmd_sn() {
            bhs.put_u32(32, self.ref_cmd_sn.0);
        }
        if reassign {
            bhs.put_u32(36, self.exp_data_sn.0);
        }
        bhs
    }
}

impl fmt::Display for TaskManagementRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Task Management Function Request itt={:#x} {} {:?} referenced_itt={:#x} ref_cmd_sn={} cmd_sn={}",
            self.itt.0, self.function, self.lun, self.referenced_itt.0, self.ref_cmd_sn.0, self.cmd_sn.0
        )
    }
}

/// What became of a task management function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementResponse {
    /// The outcome.
    pub result: TaskManagementResult,
    /// Additional response information (SAM-5) of QUERY TASK and QUERY ASYNCHRONOUS EVENT; reserved, hence
    /// zero, unless `result` is `Succeeded` (RFC 7144 section 6.4).
    pub additional: [u8; 3],
    /// The request that this answers.
    pub itt: Itt,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
}

impl TaskManagementResponse {
    /// Reads a Task Management Function Response.
    ///
    /// # Errors
    /// Another opcode, or any further segment (section 11.6.2).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::TaskManagementResponse, Segments::None)?;
        let result = TaskManagementResult::from_code(bhs.0[2]);
        let additional = match result {
            TaskManagementResult::Succeeded => [bhs.0[8], bhs.0[9], bhs.0[10]],
            _ => [0; 3],
        };
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(TaskManagementResponse { result, additional, itt: bhs.itt(), stat_sn, exp_cmd_sn, max_cmd_sn })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::TaskManagementResponse, true);
        bhs.0[2] = self.result.code();
        if self.result == TaskManagementResult::Succeeded {
            bhs.0[8..11].copy_from_slice(&self.additional);
        }
        bhs.put_itt(self.itt);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs
    }
}

impl fmt::Display for TaskManagementResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Task Management Function Response itt={:#x} {} stat_sn={} window={}..={}",
            self.itt.0, self.result, self.stat_sn.0, self.exp_cmd_sn.0, self.max_cmd_sn.0
        )
    }
}

const CODE: u8 = 0x7f;
