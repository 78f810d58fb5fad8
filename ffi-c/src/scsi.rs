//! What SCSI answers say: sense data, capacities, INQUIRY and VPD pages, lists.

mod lists;
mod sense;
mod unit;
mod vpd;

use core::ffi::{CStr, c_char, c_int};

use iscsicore::scsi::Cdb;

use crate::boundary::guard;
use crate::handle::null;
use crate::pointer::{out, slice};
use crate::status::{Failure, iscsicore_status};

pub use lists::*;
pub use sense::*;
pub use unit::*;
pub use vpd::*;

/// What people call a SCSI status, such as "CHECK CONDITION"; for a code that has no name, "unknown status". The string lives
/// for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn iscsicore_scsi_status_text(status: c_int) -> *const c_char {
    let text: &CStr = match status {
        0x00 => c"GOOD",
        0x02 => c"CHECK CONDITION",
        0x04 => c"CONDITION MET",
        0x08 => c"BUSY",
        0x18 => c"RESERVATION CONFLICT",
        0x28 => c"TASK SET FULL",
        0x30 => c"ACA ACTIVE",
        0x40 => c"TASK ABORTED",
        _ => c"unknown status",
    };
    text.as_ptr()
}

/// Writes what people call a command, such as "READ(10)" or "PERSISTENT RESERVE OUT (REGISTER)", into `buffer`, and a NUL
/// behind it. `*len` is the length without the NUL, whether it fits or not; 128 bytes are always enough. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no or more than 260 bytes, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_cdb_name(
    cdb: *const u8,
    cdb_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let bytes = unsafe { slice(cdb, cdb_len, "cdb") }?;
        let cdb = Cdb::from_slice(bytes).filter(|_| !bytes.is_empty());
        let cdb = cdb.ok_or_else(|| Failure::invalid("a CDB has 1 to 260 bytes"))?;
        // SAFETY: as above.
        unsafe { fill_text(&cdb.name(), buffer, capacity, len) }
    })
}

/// Copies a text into the caller's buffer, with a NUL behind it; tells its length without that, whether it fits or not.
///
/// # Safety
/// `buffer` is NULL or has room for `capacity` bytes; `len` is NULL or has room for a number.
unsafe fn fill_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let place = unsafe { out(len, "the place for the length") }?;
    place.set(text.len());
    if text.len() >= capacity {
        let message = format!("the text has {} bytes and a NUL, the buffer {capacity}", text.len());
        return Err(Failure::new(iscsicore_status::BufferTooSmall, message));
    }
    if buffer.is_null() {
        return Err(null("the buffer"));
    }
    // SAFETY: the caller's promise, and text and NUL fit.
    unsafe {
        buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}

/// Text as an array of C: cut to its length, and zeros behind it.
fn text_array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    // The decoders leave nothing but ASCII.
    for (to, from) in array[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    array
}

fn none(what: &'static str) -> Failure {
    Failure::invalid(what)
}
