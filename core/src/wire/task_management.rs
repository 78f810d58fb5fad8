//! Task Management Function Request and Response, RFC 7143 sections 11.5 and 11.6.

use super::{CmdSn, DataSn, Itt, Lun, StatSn};

/// Functions of RFC 7143 section 11.5.1 and RFC 7144 section 4.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TaskManagementFunction {
    /// 1
    AbortTask,
    /// 2
    AbortTaskSet,
    /// 3
    ClearAca,
    /// 4
    ClearTaskSet,
    /// 5
    LogicalUnitReset,
    /// 6
    TargetWarmReset,
    /// 7
    TargetColdReset,
    /// 8
    TaskReassign,
    /// 9
    QueryTask,
    /// 10
    QueryTaskSet,
    /// 11
    ITNexusReset,
    /// 12
    QueryAsynchronousEvent,
    /// Not defined.
    Unknown(u8),
}

/// Responses of RFC 7143 section 11.6.1 and RFC 7144 section 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TaskManagementResult {
    /// 0
    Complete,
    /// 1
    TaskDoesNotExist,
    /// 2
    LunDoesNotExist,
    /// 3
    TaskStillAllegiant,
    /// 4
    TaskAllegianceReassignmentNotSupported,
    /// 5
    NotSupported,
    /// 6
    AuthorizationFailed,
    /// 7: RFC 7144, with additional response information.
    Succeeded,
    /// 255
    Rejected,
    /// Not defined.
    Unknown(u8),
}

/// A request to act on other tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementRequest {
    ///
    pub immediate: bool,
    ///
    pub function: TaskManagementFunction,
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub referenced_itt: Itt,
    ///
    pub cmd_sn: CmdSn,
    ///
    pub exp_stat_sn: StatSn,
    ///
    pub ref_cmd_sn: CmdSn,
    ///
    pub exp_data_sn: DataSn,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementResponse {
    ///
    pub result: TaskManagementResult,
    ///
    pub itt: Itt,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
}
