//! What a session of a target tells.

use core::ffi::c_char;

use super::send_targets::iscsicore_send_targets;
use crate::codes::{iscsicore_task_attribute, iscsicore_task_management_function};
use crate::payload::iscsicore_iovec;

/// What happened. The kind says which member of the union means something; kinds without one are complete by themselves.
/// Later versions may have more kinds: let programs pass over those that they do not know.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_target_event_kind {
    /// `u.login`: somebody wants to log in. Answer with iscsicore_target_admit, iscsicore_target_refuse or
    /// iscsicore_target_redirect.
    Login = 1,
    /// `u.ready`: the login is complete but for its last answer. Answer with iscsicore_target_establish,
    /// iscsicore_target_reinstate, iscsicore_target_refuse or iscsicore_target_redirect.
    Ready = 2,
    /// `u.command`: a SCSI command, in the order in which the initiator numbered them. End it with
    /// iscsicore_target_complete or iscsicore_target_complete_with.
    Command = 3,
    /// `u.data`: the payload that iscsicore_target_accept asked for; iscsicore_target_keep_data makes it outlive the event.
    Data = 4,
    /// `u.abort`: the command is over for the initiator. If its payload was asked for and has not come, forget it: it has
    /// ended. In any other case end it, as soon as nothing of it can touch the medium any more; the answer is dropped, but
    /// the abort waits for it.
    Abort = 5,
    /// `u.task_management`: a function that concerns more than the commands of this session, which are being aborted
    /// already. Carry it out on the logical units and the other sessions, then call
    /// iscsicore_target_answer_task_management.
    TaskManagement = 6,
    /// `u.send_targets`: the initiator asks for targets. Call iscsicore_target_answer_send_targets.
    SendTargets = 7,
    /// `u.tasks_aborted`: all commands of a call of iscsicore_target_abort_tasks have ended.
    TasksAborted = 8,
    /// The connection has come to its end: transmit, write what the transmitter holds, then close it. To call
    /// iscsicore_target_lost after that is harmless.
    Close = 9,
    /// `u.ended`: nothing is left of the session, or the login has failed: free it. Nothing follows.
    Ended = 10,
}

/// Who wants to log in, and where to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_login_event {
    /// InitiatorName, checked, in the form in which names are compared byte for byte.
    pub initiator: *const c_char,
    /// InitiatorAlias, or NULL.
    pub initiator_alias: *const c_char,
    /// TargetName, in the same form; NULL in a discovery session that names none.
    pub target: *const c_char,
    /// Whether it is a discovery session: SendTargets, and nothing else.
    pub discovery: bool,
    /// ISID: with `initiator`, `target` and the portal group it names the session. A second login of the same name, with
    /// `tsih` 0, takes the place of the first: terminate that session, wait for its end, then establish the new one
    /// (RFC 7143 section 6.3.5).
    pub isid: [u8; 6],
    /// 0 asks for a new session; any other number is the session that the connection wants to join, which is the occasion
    /// for iscsicore_target_reinstate.
    pub tsih: u16,
    /// The connection within the session.
    pub cid: u16,
}

/// A login that is complete but for its last answer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_ready_event {
    /// The CHAP name that was proved; NULL where nothing had to be.
    pub user: *const c_char,
}

/// A SCSI command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_command_event {
    /// Names the command in every call about it, until it is ended.
    pub task: u64,
    /// The logical unit, as the initiator wrote it: see iscsicore_lun_number.
    pub lun: u64,
    /// The CDB.
    pub cdb: *const u8,
    /// How many bytes: 16, which shorter CDBs are padded to with zeros, to 260.
    pub cdb_len: usize,
    /// How it is to be ordered among others.
    pub attribute: iscsicore_task_attribute,
    /// Bytes that the initiator takes.
    pub data_in: u32,
    /// Bytes that the initiator is ready to send.
    pub data_out: u32,
}

/// The payload of a command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_data_event {
    /// The command.
    pub task: u64,
    /// All of it, as it arrived, uncopied: as much as was asked for, or as the initiator said that it would send, whichever
    /// is less.
    pub data: *const iscsicore_iovec,
    /// How many slices.
    pub data_count: usize,
    /// How many bytes in all.
    pub data_len: usize,
}

/// The end of a command that was not waited for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_abort_event {
    /// The command.
    pub task: u64,
}

/// A task management function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_task_management_event {
    /// Names the request in the answer.
    pub request: u64,
    /// What is asked for: ABORT TASK SET, CLEAR TASK SET or a reset. The library answers the others by itself.
    pub function: iscsicore_task_management_function,
    /// The logical unit, for the functions that concern one.
    pub lun: u64,
}

/// A question for targets.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_send_targets_event {
    /// Names the request in the answer.
    pub request: u64,
    /// Which targets are asked for.
    pub which: iscsicore_send_targets,
    /// The name that is asked for, with ISCSICORE_SEND_TARGETS_NAMED; else NULL.
    pub target: *const c_char,
}

/// The end of what iscsicore_target_abort_tasks began.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_tasks_aborted_event {
    /// The call.
    pub abort: u64,
}

/// Why a session is over, or a login.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_end_reason {
    /// The initiator logged out.
    LoggedOut = 1,
    /// The connection was lost, and not restored in time.
    ConnectionLost = 2,
    /// The initiator broke the protocol.
    ProtocolError = 3,
    /// The initiator did not answer in time.
    TimedOut = 4,
    /// The program ended it.
    Terminated = 5,
    /// The login failed, was refused, or was sent elsewhere.
    LoginFailed = 6,
    /// Another reason, which this version of the library has no name for.
    Other = 255,
}

/// The end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_target_ended_event {
    /// Why.
    pub reason: iscsicore_end_reason,
    /// With ISCSICORE_END_REASON_LOGIN_FAILED what the initiator was told: an iscsicore_login_status; else 0.
    pub login_status: u16,
    /// With ISCSICORE_END_REASON_LOGIN_FAILED what was wrong, for the log; it holds no secrets. Else NULL.
    pub text: *const c_char,
}

/// What belongs to an event: the member that its kind names.
#[repr(C)]
#[derive(Clone, Copy)]
pub union iscsicore_target_event_body {
    /// Of ISCSICORE_TARGET_EVENT_KIND_LOGIN.
    pub login: iscsicore_target_login_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_READY.
    pub ready: iscsicore_target_ready_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_COMMAND.
    pub command: iscsicore_target_command_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_DATA.
    pub data: iscsicore_target_data_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_ABORT.
    pub abort: iscsicore_target_abort_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT.
    pub task_management: iscsicore_target_task_management_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS.
    pub send_targets: iscsicore_target_send_targets_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED.
    pub tasks_aborted: iscsicore_target_tasks_aborted_event,
    /// Of ISCSICORE_TARGET_EVENT_KIND_ENDED.
    pub ended: iscsicore_target_ended_event,
}

/// Something that the program has to act on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iscsicore_target_event {
    /// What happened.
    pub kind: iscsicore_target_event_kind,
    /// What belongs to it.
    pub u: iscsicore_target_event_body,
}
