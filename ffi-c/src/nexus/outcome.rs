//! How commands and other requests end, as C is told.

use core::ffi::c_void;

use iscsicore::initiator::{Cause, FlushCoverage};
use iscsicore::wire::Residual;

use crate::payload::iscsicore_iovec;

/// How a command ended.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_outcome {
    /// The target answered: `status` and what follows it say what.
    Answered = 1,
    /// It was never sent, or the target refused it unread: it was certainly not carried out.
    NotSent = 2,
    /// It was sent, and nobody knows whether it was carried out, wholly or in part.
    Unknown = 3,
    /// It was aborted, by iscsicore_nexus_abort or a task management function; it may have been carried out in part.
    Aborted = 4,
}

/// Why a command or a request has no answer.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_cause {
    /// It has one, or was aborted.
    None = 0,
    /// The connection was lost.
    ConnectionLost = 1,
    /// Its time was over.
    TimedOut = 2,
    /// The target answered with a Reject PDU; `detail` is the reason (RFC 7143 section 11.17.1).
    Rejected = 3,
    /// The target could not carry it out at the iSCSI level; `detail` is the response code (RFC 7143 section 11.4.3).
    TargetFailure = 4,
    /// The target refuses it in words of the protocol.
    Refused = 5,
    /// The answer to it broke the protocol.
    BadAnswer = 6,
    /// The program aborted it.
    Wanted = 7,
    /// The session has ended.
    SessionEnded = 8,
    /// Another one, which this version of the library has no name for.
    Other = 9,
}

/// What a SYNCHRONIZE CACHE that ended with GOOD says about writes that were acknowledged before it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_flush_coverage {
    /// All of them are on stable storage.
    All = 0,
    /// The session was interrupted between some of them and this flush: those are on stable storage only if the target kept
    /// its cache meanwhile. Write them again, or read them back, to be sure.
    OnlySinceReconnect = 1,
}

/// The end of a command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_completed_event {
    /// The command: what iscsicore_nexus_submit gave. It names nothing any more.
    pub task: u64,
    /// What iscsicore_command_set_context gave the command; else NULL.
    pub context: *mut c_void,
    /// How it ended.
    pub outcome: iscsicore_outcome,
    /// Why it has no answer.
    pub cause: iscsicore_cause,
    /// What goes with the cause, or 0.
    pub detail: u8,
    /// The SCSI status, when answered; 0 is GOOD, 2 is CHECK CONDITION (iscsicore_scsi_status_text has the names).
    pub status: u8,
    /// The status qualifier (RFC 7144 section 5.2.1); 0 when there is none.
    pub status_qualifier: u16,
    /// Of a flush with status GOOD: which writes it covers.
    pub coverage: iscsicore_flush_coverage,
    /// Bytes of payload received, wherever they are.
    pub received: u32,
    /// Sense data, as sent: iscsicore_sense_decode reads them. NULL when there are none.
    pub sense: *const u8,
    /// How many bytes.
    pub sense_len: usize,
    /// Payload received by a command without a buffer: `data_count` slices.
    pub data: *const iscsicore_iovec,
    /// How many.
    pub data_count: usize,
    /// How many bytes they have: `received`, or 0 for a command with a buffer.
    pub data_len: usize,
    /// How many bytes less than expected the target moved (below 0), or more it would have (above 0); of a command that sends
    /// and receives, about what it sends.
    pub residual: i64,
    /// The same about what a command that sends and receives receives.
    pub read_residual: i64,
}

pub(crate) fn cause(cause: Cause) -> (iscsicore_cause, u8) {
    use iscsicore_cause as C;
    match cause {
        Cause::ConnectionLost => (C::ConnectionLost, 0),
        Cause::TimedOut => (C::TimedOut, 0),
        Cause::Rejected(reason) => (C::Rejected, reason.code()),
        Cause::TargetFailure(code) => (C::TargetFailure, code),
        Cause::Refused => (C::Refused, 0),
        Cause::BadAnswer => (C::BadAnswer, 0),
        Cause::Wanted => (C::Wanted, 0),
        Cause::SessionEnded => (C::SessionEnded, 0),
        _ => (C::Other, 0),
    }
}

pub(crate) fn residual(residual: Residual) -> i64 {
    match residual {
        Residual::None => 0,
        Residual::Underflow(bytes) => -i64::from(bytes),
        Residual::Overflow(bytes) => bytes.into(),
    }
}

impl From<FlushCoverage> for iscsicore_flush_coverage {
    fn from(coverage: FlushCoverage) -> Self {
        match coverage {
            FlushCoverage::All => Self::All,
            FlushCoverage::OnlySinceReconnect => Self::OnlySinceReconnect,
        }
    }
}
