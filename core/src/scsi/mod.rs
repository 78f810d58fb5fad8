//! SCSI as both roles speak it: command descriptor blocks, status, sense data, INQUIRY, VPD and mode data (SPC-4, SBC-3).
//!
//! Everything here is a value or a conversion between a value and bytes. What a logical unit does with a command
//! stands in [`crate::disk`]; commands that an initiator sends are made by [`crate::initiator::commands`].
//!
//! Decoders take what another end sent as it is: lengths inside that exceed the data are cut to them, fields that are
//! missing read as zero where the standard allows for that, and `None` says that the data are not what they should be.

mod additional_sense;
mod additional_sense_names;
mod capacity;
mod cdb;
mod command_name;
mod fields;
mod inquiry;
mod lists;
pub mod mode;
pub mod opcode;
pub mod reservation;
mod response;
mod sense;
mod sense_decode;
mod status;
pub mod vpd;

pub use additional_sense::AdditionalSense;
pub use capacity::Capacity;
pub use cdb::{Cdb, MAX_CDB_LEN};
pub use inquiry::{DeviceType, Inquiry, StandardInquiry, ascii_field};
pub use lists::{
    CommandSupport, LbaStatus, Listed, ProvisioningStatus, Support, SupportedCommand, decode_command_support,
    decode_lba_status, decode_luns, decode_supported_commands,
};
pub use response::Response;
pub use sense::{FieldPointer, FieldPointerIn, Sense, SenseFormat, SenseKey};
pub use status::Status;
