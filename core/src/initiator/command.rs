//! A SCSI command on its way to a target, and what came of it.

use core::time::Duration;

use bytes::Bytes;

use crate::DataList;
use crate::scsi::{Cdb, Status};
use crate::wire::{Lun, RejectReason, Residual, TaskAttribute};

/// A SCSI command to be sent.
///
/// Constructors for the usual ones are in [`commands`](super::commands).
#[derive(Clone, Debug)]
pub struct Command {
    /// The logical unit.
    pub lun: Lun,
    /// The command itself.
    pub cdb: Cdb,
    /// How the target is to order it among others.
    pub attribute: TaskAttribute,
    /// PRI, 0 to 15 (RFC 7144 section 5.1.1); 0 says nothing. Sent at iSCSIProtocolLevel 2 only.
    pub priority: u8,
    /// What it sends; empty when it sends nothing.
    pub data_out: DataList,
    /// The most bytes that it receives; 0 when it receives nothing. With `data_out`, the command is bidirectional.
    pub data_in: u32,
    /// Where received payload goes.
    pub sink: Sink,
    /// What happens when the connection is lost before the answer.
    pub repeat: Repeat,
    /// What happens when the target answers "not now".
    pub transient: Transient,
    /// Time from its submission to its end; with `None` the core waits for as long as it takes. (A client may put a limit of
    /// its own in its place.)
    pub timeout: Option<Duration>,
}

impl Command {
    /// A command that moves no data, is not repeated, and whose answer is delivered as it is.
    pub fn new(lun: Lun, cdb: Cdb) -> Self {
        Command {
            lun,
            cdb,
            attribute: TaskAttribute::Simple,
            priority: 0,
            data_out: DataList::new(),
            data_in: 0,
            sink: Sink::Collect,
            repeat: Repeat::Never,
            transient: Transient::Deliver,
            timeout: None,
        }
    }
}

/// Where the payload that a command receives goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sink {
    /// Into [`Answer::data`]: slices of the read buffer where that is sensible.
    #[default]
    Collect,
    /// Into memory of the caller, named by [`Slot`](crate::link::Slot)s. What is read into staging before the slot is
    /// known, and short data segments, come as [`Event::DataIn`](super::Event::DataIn) and are to be copied there.
    Slots,
}

/// Whether a command may be sent again when its connection was lost and nobody knows whether it was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Repeat {
    /// Doing it twice is as good as once: READ, WRITE, SYNCHRONIZE CACHE, UNMAP, INQUIRY.
    Safe,
    /// It is not: COMPARE AND WRITE, PERSISTENT RESERVE OUT. It ends with [`Outcome::Unknown`].
    #[default]
    Never,
}

/// What happens when a command was not carried out for a passing reason: UNIT ATTENTION, BUSY, TASK SET FULL, and, a few
/// times, ABORTED COMMAND where [`Repeat::Safe`] allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transient {
    /// It is sent again: at once after a unit attention that says no more than that something happened (reset, I_T
    /// nexus loss, changed parameters, capacity or LUNs, thresholds, predicted failures; each is told as an event), after
    /// a growing pause otherwise. A unit that is becoming ready, or changes its access state, counts as busy.
    Retry,
    /// The caller gets the answer as it is.
    #[default]
    Deliver,
}

/// How a command ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The target answered.
    Answered(Answer),
    /// It was never sent, or the target refused it unread: it was certainly not carried out.
    NotSent(Cause),
    /// It was sent and nobody knows whether it was carried out, wholly or in part.
    Unknown(Cause),
    /// It was aborted, by [`abort`](super::Initiator::abort) or a task management function of this session; it may
    /// have been carried out in part.
    Aborted,
}

/// Why a command has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The connection was lost.
    ConnectionLost,
    /// Its time was over.
    TimedOut,
    /// The target answered with a Reject PDU.
    Rejected(RejectReason),
    /// The target says that it could not carry the command out at the iSCSI level: the response code (RFC 7143
    /// section 11.4.3).
    TargetFailure(u8),
    /// The target refuses it in words of the protocol: a text answer of "Reject".
    Refused,
    /// The answer to it broke the protocol; it is not repeated, since the next answer would be no better.
    BadAnswer,
    /// The caller aborted it.
    Wanted,
    /// The session has ended: logout, or no more reconnects.
    SessionEnded,
}

/// What the target answered to a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// SCSI status.
    pub status: Status,
    /// Status qualifier (RFC 7144 section 5.2.1), 0 when the target says none or iSCSIProtocolLevel is below 2.
    pub status_qualifier: u16,
    /// Sense data, as sent; empty when there is none.
    pub sense: Bytes,
    /// Payload received, for [`Sink::Collect`].
    pub data: DataList,
    /// Bytes of payload received.
    pub received: u32,
    /// How much less or more the target moved, or would have, than was expected: the write part of a bidirectional
    /// command.
    pub residual: Residual,
    /// The same for the read part of a bidirectional command.
    pub read_residual: Residual,
    /// Of a SYNCHRONIZE CACHE with status GOOD: which writes it covers.
    pub coverage: FlushCoverage,
}

/// What a flush that succeeded says about writes that were acknowledged before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlushCoverage {
    #[default]
    /// All of them are on stable storage.
    All,
    /// The session was interrupted between some of them and this flush: those are on stable storage only if the target
    /// kept its cache meanwhile (a target that restarted may not have). Write them again, or read them back, to be sure.
    OnlySinceReconnect,
}
