//! How a command ended: status, and sense data with CHECK CONDITION.

use bytes::Bytes;

use super::{Sense, SenseFormat, Status};

/// The end of a command as the transport delivers it (autosense, SAM-5 clause 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The SCSI status.
    pub status: Status,
    /// Sense data, laid out; present exactly with CHECK CONDITION.
    pub sense: Option<Bytes>,
}

impl Response {
    /// GOOD.
    pub const fn good() -> Self {
        Response { status: Status::GOOD, sense: None }
    }

    /// CHECK CONDITION with `sense` laid out in `format`.
    pub fn check_condition(sense: &Sense, format: SenseFormat) -> Self {
        Response { status: Status::CHECK_CONDITION, sense: Some(sense.encode(format)) }
    }

    /// A status that has no sense data, such as BUSY or RESERVATION CONFLICT.
    pub const fn with_status(status: Status) -> Self {
        Response { status, sense: None }
    }

    /// Whether the status is GOOD.
    pub fn is_good(&self) -> bool {
        self.status == Status::GOOD
    }
}
