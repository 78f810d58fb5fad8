//! What a target session tells its caller.

use bytes::Bytes;

use crate::DataList;
use crate::link::TaskId;
use crate::scsi::Cdb;
use crate::session::{ConnId, SendTargets};
use crate::wire::{Lun, TaskAttribute, TaskManagementFunction};

/// Something that the caller of a [`Target`](super::Target) has to act on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A command, in the order of CmdSN. End it with [`Target::complete`](super::Target::complete).
    Command(Command),
    /// The payload that [`Target::accept`](super::Target::accept) asked for.
    Data {
        /// The command that it belongs to.
        task: TaskId,
        /// All of it: as much as was asked for, or as the initiator said it would send, whichever is less.
        data: DataList,
    },
    /// The task is over for the initiator: stop what can be stopped, and forget what waits for data.
    ///
    /// A command that was handed out and whose payload is not being waited for must still be ended with
    /// [`Target::complete`](super::Target::complete) once nothing of it can touch the medium any more; its answer
    /// is dropped. That is what an abort waits for.
    Abort {
        /// The task.
        task: TaskId,
    },
    /// A task management function that concerns more than this session's own tasks, which are being aborted already.
    /// Carry it out on the logical units and the other sessions, then call
    /// [`Target::answer_task_management`](super::Target::answer_task_management).
    TaskManagement(TaskManagement),
    /// The initiator asks for targets. Call
    /// [`Target::answer_send_targets`](super::Target::answer_send_targets).
    SendTargets {
        /// Names the request in the answer.
        request: TaskId,
        /// Which targets.
        which: SendTargets,
    },
    /// All tasks of a call to [`Target::abort_tasks`](super::Target::abort_tasks) have ended.
    TasksAborted(AbortId),
    /// Everything has been sent: flush the transmitter, then close the transport.
    Close(ConnId),
    /// The session is over, nothing of it is left: drop it.
    Ended(EndReason),
}

/// A SCSI command as it came from the initiator.
#[derive(Clone, Debug)]
pub struct Command {
    /// Names the command in calls to the session.
    pub task: TaskId,
    /// The logical unit, as addressed by the initiator.
    pub lun: Lun,
    /// The command itself.
    pub cdb: Cdb,
    /// How it is to be ordered among others.
    pub attribute: TaskAttribute,
    /// Bytes that the initiator takes.
    pub data_in: u32,
    /// Bytes that the initiator is ready to send.
    pub data_out: u32,
}

/// A task management function that the caller has to carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagement {
    /// Names the request in the answer.
    pub request: TaskId,
    /// What is asked for.
    pub function: TaskManagementFunction,
    /// The logical unit, for the functions that concern one.
    pub lun: Lun,
}

/// Names a call of [`Target::abort_tasks`](super::Target::abort_tasks).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortId(pub(crate) u32);

impl AbortId {
    /// The name as a number, for those who pass it through another language.
    pub const fn to_bits(self) -> u32 {
        self.0
    }
}

/// Which tasks an abort concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AbortScope {
    /// Those of one logical unit.
    LogicalUnit(Lun),
    /// Those of one logical unit that came before a task management request: what ABORT TASK SET and CLEAR TASK SET
    /// concern where the unit has another LUN than the one that the request names.
    Before {
        /// The request, as [`Event::TaskManagement`] names it.
        request: TaskId,
        /// The logical unit.
        lun: Lun,
    },
    /// All.
    All,
}

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EndReason {
    /// The initiator logged out.
    LoggedOut,
    /// The transport was lost and not restored in time.
    ConnectionLost,
    /// The initiator broke the protocol.
    ProtocolError,
    /// The initiator did not answer in time.
    TimedOut,
    /// The caller ended it.
    Terminated,
}

/// An unasked message to the initiator, RFC 7143 section 11.9.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A SCSI asynchronous event: sense data about a logical unit.
    Scsi {
        /// The logical unit.
        lun: Lun,
        /// Encoded sense data.
        sense: Bytes,
    },
    /// The session is about to be dropped; times in seconds.
    SessionDropped {
        /// Time to wait before a new login.
        time2wait: u16,
        /// Time until which the tasks are kept.
        time2retain: u16,
    },
}

/// Counts since the session began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// SCSI commands received.
    pub commands: u64,
    /// Payload bytes received for commands.
    pub bytes_out: u64,
    /// Payload bytes sent for commands.
    pub bytes_in: u64,
    /// Task management functions received.
    pub task_management: u64,
    /// Reject PDUs sent.
    pub rejects: u64,
    /// PDUs with a wrong data digest received.
    pub digest_errors: u64,
}
