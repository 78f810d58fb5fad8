//! SCSI as both roles speak it: command descriptor blocks, status, sense data, INQUIRY, VPD and mode data (SPC-4, SBC-3).
//!
//! Everything here is a value or a conversion between a value and bytes. What a logical unit does with a command
//! stands in [`crate::disk`].

mod additional_sense;
mod cdb;
mod inquiry;
pub mod mode;
pub mod opcode;
mod response;
mod sense;
mod status;
pub mod vpd;

pub use additional_sense::AdditionalSense;
pub use cdb::{Cdb, MAX_CDB_LEN};
pub use inquiry::{StandardInquiry, ascii_field};
pub use response::Response;
pub use sense::{FieldPointer, FieldPointerIn, Sense, SenseFormat, SenseKey};
pub use status::Status;
