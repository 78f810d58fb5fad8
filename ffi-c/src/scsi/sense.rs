//! Sense data.

use core::ffi::{c_char, c_int};

use iscsicore::scsi::{AdditionalSense, FieldPointer, FieldPointerIn, Sense, SenseFormat, SenseKey};

use super::{fill_text, none};
use crate::boundary::guard;
use crate::handle::null;
use crate::pointer::{fill, flag, out, slice};
use crate::status::{Failure, iscsicore_status};

/// What sense data say: SENSE KEY, ADDITIONAL SENSE CODE and its qualifier, and what is told besides. A field without its
/// `has_` is 0.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct iscsicore_sense {
    /// SENSE KEY: 5 is ILLEGAL REQUEST, 6 UNIT ATTENTION, and so on.
    pub key: u8,
    /// ADDITIONAL SENSE CODE.
    pub asc: u8,
    /// ADDITIONAL SENSE CODE QUALIFIER.
    pub ascq: u8,
    /// The bit of the field in error, 7 to 0.
    pub field_bit: u8,
    /// The byte of the field in error.
    pub field_byte: u16,
    /// How far an operation has come, in 65536ths.
    pub progress: u16,
    /// INFORMATION: for medium errors and addresses out of range a logical block address.
    pub information: u64,
    /// COMMAND-SPECIFIC INFORMATION.
    pub command_specific: u64,
    /// Not 0 when this is about an earlier command that was answered already.
    pub deferred: c_int,
    /// ILI: not 0 when a block is not as long as the command says.
    pub incorrect_length: c_int,
    /// Not 0 when `information` is told.
    pub has_information: c_int,
    /// Not 0 when `command_specific` is told.
    pub has_command_specific: c_int,
    /// Not 0 when `progress` is told.
    pub has_progress: c_int,
    /// Not 0 when `field_byte` is told.
    pub has_field: c_int,
    /// Not 0 when the field stands in the parameter list, 0 when in the CDB.
    pub field_in_data: c_int,
    /// Not 0 when `field_bit` is told.
    pub has_field_bit: c_int,
}

impl From<Sense> for iscsicore_sense {
    fn from(sense: Sense) -> Self {
        let field = sense.field;
        let bit = field.and_then(|field| field.bit);
        iscsicore_sense {
            key: sense.key.code(),
            asc: sense.additional.code,
            ascq: sense.additional.qualifier,
            field_bit: bit.unwrap_or(0),
            field_byte: field.map_or(0, |field| field.byte),
            progress: sense.progress.unwrap_or(0),
            information: sense.information.unwrap_or(0),
            command_specific: sense.command_specific.unwrap_or(0),
            deferred: sense.deferred.into(),
            incorrect_length: sense.incorrect_length.into(),
            has_information: sense.information.is_some().into(),
            has_command_specific: sense.command_specific.is_some().into(),
            has_progress: sense.progress.is_some().into(),
            has_field: field.is_some().into(),
            field_in_data: field.is_some_and(|field| field.within == FieldPointerIn::Data).into(),
            has_field_bit: bit.is_some().into(),
        }
    }
}

impl iscsicore_sense {
    fn to_core(self) -> Result<Sense, Failure> {
        if self.key > 15 || self.field_bit > 7 {
            return Err(Failure::invalid("a sense key is 0 to 15, the bit of a field 0 to 7"));
        }
        let within = if flag(self.field_in_data) { FieldPointerIn::Data } else { FieldPointerIn::Cdb };
        let bit = flag(self.has_field_bit).then_some(self.field_bit);
        let additional = AdditionalSense { code: self.asc, qualifier: self.ascq };
        Ok(Sense {
            information: flag(self.has_information).then_some(self.information),
            command_specific: flag(self.has_command_specific).then_some(self.command_specific),
            field: flag(self.has_field).then_some(FieldPointer { within, byte: self.field_byte, bit }),
            progress: flag(self.has_progress).then_some(self.progress),
            incorrect_length: flag(self.incorrect_length),
            deferred: flag(self.deferred),
            ..Sense::new(SenseKey::from_code(self.key), additional)
        })
    }
}

/// # Safety
/// `bytes` is NULL or has `len` bytes.
unsafe fn decode(bytes: *const u8, len: usize) -> Result<Sense, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice(bytes, len, "bytes") }?;
    Sense::decode(bytes).ok_or_else(|| none("these are no sense data"))
}

/// Reads sense data, fixed or descriptor format. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the bytes end before the sense key, or have another response code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_sense_decode(
    bytes: *const u8,
    len: usize,
    sense: *mut iscsicore_sense,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, decoded) = unsafe { (out(sense, "sense")?, decode(bytes, len)?) };
        place.set(decoded.into());
        Ok(())
    })
}

/// Writes sense data, in descriptor format unless `descriptor` is 0, else fixed, which leaves out INFORMATION of more than 32
/// bits. `*len` is their length, whether they fit or not; 64 bytes are always enough. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a sense key above 15 or a bit above 7, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_sense_encode(
    sense: *const iscsicore_sense,
    descriptor: c_int,
    buffer: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let sense = unsafe { sense.as_ref() }.ok_or_else(|| null("sense"))?.to_core()?;
        let format = if flag(descriptor) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
        // SAFETY: as above.
        unsafe { fill(&sense.encode(format), buffer, capacity, len) }
    })
}

/// Writes sense data as people read them, "ILLEGAL REQUEST: INVALID FIELD IN CDB (5/24/00), byte 1 of the CDB", into `buffer`,
/// and a NUL behind it. `*len` is the length without the NUL, whether it fits or not; 512 bytes are always enough. Any
/// thread.
///
/// Errors: as iscsicore_sense_decode, and ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_sense_text(
    bytes: *const u8,
    bytes_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let sense = unsafe { decode(bytes, bytes_len) }?;
        // SAFETY: as above.
        unsafe { fill_text(&sense.to_string(), buffer, capacity, len) }
    })
}
