//! Errors, named after the guilty party: the caller, the peer, or the wire.

use thiserror::Error;

/// The caller used the interface wrongly. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The task has ended, or never was.
    #[error("no such task: it was answered, aborted, or never started")]
    UnknownTask,
    /// The connection has ended, or never was.
    #[error("no such connection")]
    UnknownConnection,
    /// The call does not fit the state that the object is in.
    #[error("not now: {0}")]
    WrongState(&'static str),
    /// An argument is out of its range.
    #[error("invalid argument: {0}")]
    InvalidArgument(&'static str),
}

/// Bytes from the peer are not a PDU that this connection can go on after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header digest does not match (RFC 7143 section 7.8).
    #[error("header digest mismatch: computed {computed:#010x}, received {received:#010x}")]
    HeaderDigest {
        /// Computed over what was received.
        computed: u32,
        /// As received.
        received: u32,
    },
    /// The data segment is longer than what this end declared.
    #[error("data segment of {len} bytes exceeds the {max} bytes that this end accepts")]
    SegmentTooLong {
        /// As the header says.
        len: u32,
        /// As declared.
        max: u32,
    },
    /// The additional header segments are longer than any valid request has.
    #[error("additional header segments of {len} bytes exceed the limit of {max}")]
    AhsTooLong {
        /// As the header says.
        len: usize,
        /// As configured in [`Limits`](crate::Limits).
        max: usize,
    },
    /// An additional header segment does not fit into TotalAHSLength, or has a wrong length for its type.
    #[error("malformed additional header segment: {0}")]
    MalformedAhs(&'static str),
    /// A PDU of another opcode was handed to a parser.
    #[error("opcode {got:#04x} where {want:#04x} was expected")]
    Opcode {
        /// The opcode found.
        got: u8,
        /// The opcode that the parser takes.
        want: u8,
    },
    /// A field has a value that the RFC does not allow.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as the RFC names it.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More bytes were reported than were asked for.
    #[error("{0}")]
    Accounting(&'static str),
}

/// The peer broke the protocol. The answer to it, where there is one, is queued: flush, then close.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Not a PDU.
    #[error("bad PDU: {0}")]
    Frame(#[from] FrameError),
    /// The data digest of a PDU does not match, and this error recovery level cannot go on after it.
    #[error("data digest mismatch in a {pdu}")]
    DataDigest {
        /// The kind of PDU.
        pdu: &'static str,
    },
    /// A PDU that does not belong here.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The login was refused or failed.
    #[error("login failed with status {status:#06x}: {why}")]
    Login {
        /// Status-Class and Status-Detail, as sent.
        status: u16,
        /// What was wrong.
        why: String,
    },
    /// The peer did not act in time.
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    /// The peer exceeded a bound in [`Limits`](crate::Limits).
    #[error("limit exceeded: {0}")]
    Limit(&'static str),
}

/// What ended a transport connection, as the adapter saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection failed")]
    Failed,
}
