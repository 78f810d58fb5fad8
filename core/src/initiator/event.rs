//! What an initiator session tells its caller.

use bytes::Bytes;

use crate::link::TaskId;
use crate::session::{ConnId, TargetRecord};
use crate::wire::{AsyncMessage, Bhs, Lun, RejectReason, TaskManagementResult};
use crate::{PeerError, TransportError};

use super::command::{Cause, Outcome};

/// Something that the caller of an [`Initiator`](super::Initiator) may act on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A command has ended. Its memory is the caller's again: bytes for a slot of a task that has ended are to be read
    /// into a bin.
    Completed {
        /// The command.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Payload of a command with [`Sink::Slots`](super::Sink::Slots) that did not arrive in a slot: copy it.
    DataIn {
        /// The command.
        task: TaskId,
        /// Where in its memory the bytes belong.
        offset: u32,
        /// The bytes.
        data: Bytes,
    },
    /// A task management function was answered, or will not be.
    TaskManagementDone {
        /// The request.
        request: TaskId,
        /// What the target says.
        result: Result<TaskManagementResult, Cause>,
    },
    /// The answer to [`Initiator::send_targets`](super::Initiator::send_targets).
    Targets {
        /// The request.
        request: TaskId,
        /// What the target says.
        result: Result<Vec<TargetRecord>, Cause>,
    },
    /// The answer to [`Initiator::ping`](super::Initiator::ping).
    Pong {
        /// The request.
        request: TaskId,
        /// The payload as it came back.
        result: Result<Bytes, Cause>,
    },
    /// [`Initiator::submit`](super::Initiator::submit) has refused a command, and would take one now.
    RoomAgain,
    /// The target told of a unit attention condition, and the command that met it was sent again.
    UnitAttention {
        /// The logical unit.
        lun: Lun,
        /// Sense data, as sent.
        sense: Bytes,
    },
    /// The target sent an Asynchronous Message; what it means for the session has been acted on.
    Async {
        /// The message.
        message: AsyncMessage,
        /// Its data segment: sense data and parameters.
        data: Bytes,
    },
    /// The target rejected a PDU that belongs to no task.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// The header of what it rejected, if it was sent back whole.
        header: Option<Bhs>,
    },
    /// The connection is over: flush the transmitter, then close the transport. Its tasks wait for another
    /// connection, or have ended.
    Down {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: DownReason,
        /// Seconds to wait before another login (Time2Wait), as negotiated or as the target said last.
        time2wait: u16,
        /// Seconds after that for which the target keeps the session.
        time2retain: u16,
    },
    /// The session was logged out, or [ended](super::Initiator::end): nothing of it is left.
    Ended,
}

/// Why a connection is over.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DownReason {
    /// The adapter said so.
    Lost(TransportError),
    /// The target broke the protocol.
    Peer(PeerError),
    /// The target has said nothing for longer than `Limits` allows.
    Silent,
    /// A task management function or a logout was not answered in time.
    Unresponsive,
    /// The target dropped the session or the connection, or asked for a logout, with an Asynchronous Message.
    AskedByTarget,
    /// It was logged out.
    LoggedOut,
    /// The caller wanted it.
    Wanted,
}
