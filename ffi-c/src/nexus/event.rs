//! What a nexus tells, as C sees it.

use core::ffi::c_char;

use super::outcome::{iscsicore_cause, iscsicore_completed_event};
use crate::codes::iscsicore_target_record;

/// What an event is about.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_nexus_event_kind {
    /// `dial`: open a transport, then call iscsicore_nexus_connected or iscsicore_nexus_dial_failed.
    Dial = 1,
    /// Close the transport, or stop dialing, and free the receiver and the transmitter of the connection. Nothing that still
    /// waits in them matters, and nothing is to be told back: neither that it was lost, nor the answer of a dial that was
    /// stopped.
    HangUp = 2,
    /// `up`: logged in.
    Up = 3,
    /// `down`: the connection is gone. Commands that may not be repeated have ended; the others wait.
    Down = 4,
    /// `attempt_failed`: an attempt to get a connection has failed; another one follows.
    AttemptFailed = 5,
    /// `redirected`: the target sent this end elsewhere during the login; the attempt goes on there.
    Redirected = 6,
    /// `completed`: a command has ended. Its buffer is the program's again.
    Completed = 7,
    /// `task_management_done`: a task management function was answered, or will not be.
    TaskManagementDone = 8,
    /// `targets`: the answer to iscsicore_nexus_send_targets.
    Targets = 9,
    /// `pong`: the answer to iscsicore_nexus_ping.
    Pong = 10,
    /// iscsicore_nexus_submit has answered ISCSICORE_STATUS_QUEUE_FULL, and would take a command now.
    RoomAgain = 11,
    /// `unit_attention`: a unit attention condition was told, and the command that met it was sent again.
    UnitAttention = 12,
    /// `async_message`: the target sent an Asynchronous Message; what it means for the session has been acted on.
    AsyncMessage = 13,
    /// `rejected`: the target rejected a PDU that belongs to no command.
    Rejected = 14,
    /// `ended`: the nexus is over; every command has ended before. Nothing follows.
    Ended = 15,
}

/// Open a transport to `address`. It never comes while another transport or dial is in use:
/// ISCSICORE_NEXUS_EVENT_KIND_HANG_UP stands before it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_dial_event {
    /// "host:port", as configured, or where a redirect leads. To find the addresses of a host, and to try them, is the
    /// program's part.
    pub address: *const c_char,
    /// 1 for the first attempt after the nexus was up, or began. Redirects do not count.
    pub attempt: u32,
}

/// Logged in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_up_event {
    /// Where to, in the end.
    pub address: *const c_char,
    /// Whether it is not the first time.
    pub again: bool,
}

/// Why a connection that was up is gone.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_down_reason {
    /// iscsicore_nexus_lost said so.
    Lost = 1,
    /// The target broke the protocol.
    Peer = 2,
    /// The target has said nothing for longer than the limits allow.
    Silent = 3,
    /// A task management function, a text request or a logout was not answered in time.
    Unresponsive = 4,
    /// The target dropped the session or the connection, or asked for a logout.
    AskedByTarget = 5,
    /// It was logged out.
    LoggedOut = 6,
    /// The program wanted it.
    Wanted = 7,
    /// Another reason, which this version of the library has no name for.
    Other = 8,
}

/// The connection is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_down_event {
    /// Why.
    pub reason: iscsicore_down_reason,
    /// Why, in words.
    pub text: *const c_char,
    /// When it dials again; ISCSICORE_NEVER when it does not.
    pub retry_at: u64,
}

/// An attempt to get a connection has failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_attempt_failed_event {
    /// Why, in words, and what to do about it.
    pub text: *const c_char,
    /// When it dials again, unless it gives up before.
    pub retry_at: u64,
    /// Status-Class and Status-Detail of the Login Response (RFC 7143 section 11.13.5) when the target refused the login;
    /// else 0.
    pub login_status: u16,
}

/// The target sent this end elsewhere.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_redirected_event {
    /// Where to, "host:port".
    pub address: *const c_char,
    /// The name of another target there; NULL for the same one.
    pub target: *const c_char,
    /// Whether it is for good.
    pub permanent: bool,
}

/// The end of a task management function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_task_management_done_event {
    /// The request: what iscsicore_nexus_task_management gave.
    pub request: u64,
    /// Why there is no answer; ISCSICORE_CAUSE_NONE when there is one.
    pub cause: iscsicore_cause,
    /// What goes with the cause, or 0.
    pub detail: u8,
    /// What the target says, if it does: an iscsicore_task_management_result, or a code that no RFC defines.
    pub result: u8,
}

/// The answer to iscsicore_nexus_send_targets.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_targets_event {
    /// The request.
    pub request: u64,
    /// Why there is no answer; ISCSICORE_CAUSE_NONE when there is one.
    pub cause: iscsicore_cause,
    /// What goes with the cause, or 0.
    pub detail: u8,
    /// The targets: `target_count` of them.
    pub targets: *const iscsicore_target_record,
    /// How many.
    pub target_count: usize,
}

/// The answer to iscsicore_nexus_ping.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_pong_event {
    /// The request.
    pub request: u64,
    /// Why there is no answer; ISCSICORE_CAUSE_NONE when there is one.
    pub cause: iscsicore_cause,
    /// What goes with the cause, or 0.
    pub detail: u8,
    /// The payload as it came back: `data_len` bytes.
    pub data: *const u8,
    /// How many.
    pub data_len: usize,
}

/// A unit attention condition.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_unit_attention_event {
    /// The logical unit.
    pub lun: u64,
    /// Sense data, as sent: `sense_len` bytes.
    pub sense: *const u8,
    /// How many.
    pub sense_len: usize,
}

/// An Asynchronous Message (RFC 7143 section 11.9).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_async_message_event {
    /// The logical unit, where the event is about one.
    pub lun: u64,
    /// AsyncEvent: its code.
    pub event: u8,
    /// AsyncVCode.
    pub vendor_code: u8,
    /// Parameter1.
    pub parameter1: u16,
    /// Parameter2.
    pub parameter2: u16,
    /// Parameter3.
    pub parameter3: u16,
    /// The data segment: `data_len` bytes. Of a SCSI event, sense data after two bytes of their length.
    pub data: *const u8,
    /// How many.
    pub data_len: usize,
}

/// A PDU that the target rejected.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_rejected_event {
    /// Why: the code of RFC 7143 section 11.17.1.
    pub reason: u8,
    /// Why, in words.
    pub text: *const c_char,
    /// The 48 bytes of the header of what it rejected; NULL when it did not send them back.
    pub header: *const u8,
}

/// Why a nexus is over.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_nexus_end_reason {
    /// It was logged out: the target has answered.
    LoggedOut = 1,
    /// No connection could be had: `text` is the last failure.
    Failed = 2,
    /// The connection was lost, and is not to be dialed again.
    Lost = 3,
    /// iscsicore_nexus_end was called, or iscsicore_nexus_logout without a connection.
    Wanted = 4,
    /// Another reason, which this version of the library has no name for.
    Other = 5,
}

/// The nexus is over.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_ended_event {
    /// Why.
    pub reason: iscsicore_nexus_end_reason,
    /// Status-Class and Status-Detail of the Login Response (RFC 7143 section 11.13.5) when the target refused the login;
    /// else 0.
    pub login_status: u16,
    /// Why, in words.
    pub text: *const c_char,
}

/// What an event says; its kind says which of them it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub union iscsicore_nexus_event_body {
    /// Of ISCSICORE_NEXUS_EVENT_KIND_DIAL.
    pub dial: iscsicore_dial_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_UP.
    pub up: iscsicore_up_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_DOWN.
    pub down: iscsicore_down_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_ATTEMPT_FAILED.
    pub attempt_failed: iscsicore_attempt_failed_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_REDIRECTED.
    pub redirected: iscsicore_redirected_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_COMPLETED.
    pub completed: iscsicore_completed_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE.
    pub task_management_done: iscsicore_task_management_done_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_TARGETS.
    pub targets: iscsicore_targets_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_PONG.
    pub pong: iscsicore_pong_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_UNIT_ATTENTION.
    pub unit_attention: iscsicore_unit_attention_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_ASYNC_MESSAGE.
    pub async_message: iscsicore_async_message_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_REJECTED.
    pub rejected: iscsicore_rejected_event,
    /// Of ISCSICORE_NEXUS_EVENT_KIND_ENDED.
    pub ended: iscsicore_ended_event,
}

/// What a nexus tells: `kind`, and what goes with it in `u`. It is the library's, with all that its pointers name, and lives
/// until the next call of the function that gave it on the same handle.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iscsicore_nexus_event {
    /// What it is about.
    pub kind: iscsicore_nexus_event_kind,
    /// What it says.
    pub u: iscsicore_nexus_event_body,
}

impl core::fmt::Debug for iscsicore_nexus_event {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("iscsicore_nexus_event").field("kind", &self.kind).finish_non_exhaustive()
    }
}
