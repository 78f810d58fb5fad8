//! What both roles speak of: codes of the protocol, and what discovery finds.

use core::ffi::{c_char, c_int};

use iscsicore::wire::{TaskAttribute, TaskManagementFunction};

use crate::status::Failure;

/// How the target is to order a command among others (RFC 7143 section 11.3.1).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_task_attribute {
    /// The target chooses.
    Untagged = 0,
    /// In any order.
    Simple = 1,
    /// After all earlier commands, before all later ones.
    Ordered = 2,
    /// Before all commands that wait.
    HeadOfQueue = 3,
    /// Auto contingent allegiance.
    Aca = 4,
    /// A code that no RFC defines. A target is told of it; nobody sends it.
    Unknown = 255,
}

/// A task management function (RFC 7143 section 11.5.1, RFC 7144 section 6.3).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_task_management_function {
    /// ABORT TASK: ends one command.
    AbortTask = 1,
    /// ABORT TASK SET: ends the commands of this nexus on the logical unit.
    AbortTaskSet = 2,
    /// CLEAR ACA.
    ClearAca = 3,
    /// CLEAR TASK SET: ends all commands on the logical unit.
    ClearTaskSet = 4,
    /// LOGICAL UNIT RESET.
    LogicalUnitReset = 5,
    /// TARGET WARM RESET.
    TargetWarmReset = 6,
    /// TARGET COLD RESET: the session ends, too.
    TargetColdReset = 7,
    /// TASK REASSIGN.
    TaskReassign = 8,
    /// QUERY TASK (RFC 7144).
    QueryTask = 9,
    /// QUERY TASK SET (RFC 7144).
    QueryTaskSet = 10,
    /// I_T NEXUS RESET (RFC 7144).
    NexusReset = 11,
    /// QUERY ASYNCHRONOUS EVENT (RFC 7144).
    QueryAsynchronousEvent = 12,
    /// A code that no RFC defines. A target is told of it; nobody sends it.
    Unknown = 255,
}

/// What became of a task management function (RFC 7143 section 11.6.1, RFC 7144 section 6.4.2).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_task_management_result {
    /// It is carried out.
    Complete = 0,
    /// There is no such task.
    TaskDoesNotExist = 1,
    /// There is no such LUN.
    LunDoesNotExist = 2,
    /// The task is still allegiant.
    TaskStillAllegiant = 3,
    /// Reassignment of task allegiance is not supported.
    ReassignmentNotSupported = 4,
    /// The function is not supported.
    NotSupported = 5,
    /// The initiator may not do this.
    AuthorizationFailed = 6,
    /// A query found something (RFC 7144).
    Succeeded = 7,
    /// It was rejected.
    Rejected = 255,
}

/// A network portal of a target.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_address {
    /// "host:port", an IPv6 address in brackets.
    pub address: *const c_char,
    /// The portal group that it belongs to.
    pub portal_group_tag: u16,
}

/// A target that an initiator may use.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_record {
    /// The iSCSI name.
    pub name: *const c_char,
    /// Where it can be reached: `address_count` addresses. None says: where the question was asked.
    pub addresses: *const iscsicore_target_address,
    /// How many addresses.
    pub address_count: usize,
}

pub(crate) fn task_attribute(value: c_int) -> Result<TaskAttribute, Failure> {
    let attribute = u8::try_from(value).map(TaskAttribute::from_code).ok();
    attribute
        .filter(|attribute| attribute.is_defined())
        .ok_or_else(|| Failure::invalid(format!("{value} is no iscsicore_task_attribute")))
}

pub(crate) fn task_management_function(value: c_int) -> Result<TaskManagementFunction, Failure> {
    let function = u8::try_from(value).map(TaskManagementFunction::from_code).ok();
    function
        .filter(|function| function.is_defined())
        .ok_or_else(|| Failure::invalid(format!("{value} is no iscsicore_task_management_function")))
}
