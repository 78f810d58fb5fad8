//! Answers that are lists.

use iscsicore::scsi::reservation::{Keys, Reservation};
use iscsicore::scsi::{ProvisioningStatus, decode_lba_status, decode_luns};

use super::none;
use crate::boundary::guard;
use crate::handle::null;
use crate::pointer::{out, slice};
use crate::status::{Failure, iscsicore_status};

/// Blocks in a row, and whether they have storage: an entry of GET LBA STATUS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_lba_status {
    /// The first block.
    pub lba: u64,
    /// How many.
    pub blocks: u32,
    /// PROVISIONING STATUS: 0 mapped or unknown, 1 deallocated, 2 anchored; other codes as they came.
    pub status: u8,
}

/// A persistent reservation, as READ RESERVATION tells it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_reservation {
    /// The key of the holder; 0 when all registrants hold it, or nobody.
    pub key: u64,
    /// PRGENERATION: counts changes of registrations.
    pub generation: u32,
    /// Whether there is a reservation.
    pub held: bool,
    /// TYPE: an iscsicore_reservation_type, or another code as it came.
    pub reservation_type: u8,
}

/// Copies a list into the caller's array; tells how many there are, whether they fit or not.
///
/// # Safety
/// `array` is NULL or has room for `capacity` values; `count` is NULL or has room for a number.
unsafe fn fill_list<T: Copy>(
    list: &[T],
    array: *mut T,
    capacity: usize,
    count: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let place = unsafe { out(count, "count") }?;
    place.set(list.len());
    if list.len() > capacity {
        let message = format!("there are {} entries, and room for {capacity}", list.len());
        return Err(Failure::new(iscsicore_status::BufferTooSmall, message));
    }
    if list.is_empty() {
        return Ok(());
    }
    if array.is_null() {
        return Err(null("the array"));
    }
    // SAFETY: the caller's promise, and all of it fits.
    unsafe { array.copy_from_nonoverlapping(list.as_ptr(), list.len()) };
    Ok(())
}

/// Reads the answer to REPORT LUNS: the LUNs in it, as 64 bits each. `*count` is their number, whether they fit or not. That
/// there are more than the answer had room for, iscsicore_command_stated_len tells. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_luns_decode(
    bytes: *const u8,
    len: usize,
    luns: *mut u64,
    capacity: usize,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let bytes = unsafe { slice(bytes, len, "bytes") }?;
        let listed = decode_luns(bytes).ok_or_else(|| none("this is no answer to REPORT LUNS"))?;
        let list: Vec<u64> = listed.entries.iter().map(|lun| lun.0).collect();
        // SAFETY: as above.
        unsafe { fill_list(&list, luns, capacity, count) }
    })
}

/// Reads the answer to GET LBA STATUS. `*count` is the number of entries, whether they fit or not. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_lba_status_decode(
    bytes: *const u8,
    len: usize,
    entries: *mut iscsicore_lba_status,
    capacity: usize,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let bytes = unsafe { slice(bytes, len, "bytes") }?;
        let listed = decode_lba_status(bytes).ok_or_else(|| none("this is no answer to GET LBA STATUS"))?;
        let list: Vec<_> = listed
            .entries
            .iter()
            .map(|entry| {
                let status = provisioning_status(entry.status);
                iscsicore_lba_status { lba: entry.lba, blocks: entry.blocks, status }
            })
            .collect();
        // SAFETY: as above.
        unsafe { fill_list(&list, entries, capacity, count) }
    })
}

/// Reads the answer to PERSISTENT RESERVE IN (READ KEYS): the keys, and PRGENERATION. `*count` is their number, whether they
/// fit or not. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_pr_keys_decode(
    bytes: *const u8,
    len: usize,
    generation: *mut u32,
    keys: *mut u64,
    capacity: usize,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, generation) = unsafe { (slice(bytes, len, "bytes")?, out(generation, "generation")?) };
        let decoded = Keys::decode(bytes).ok_or_else(|| none("this is no answer to READ KEYS"))?;
        // SAFETY: as above.
        unsafe { fill_list(&decoded.keys, keys, capacity, count) }?;
        generation.set(decoded.generation);
        Ok(())
    })
}

/// Reads the answer to PERSISTENT RESERVE IN (READ RESERVATION). Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when it is too short.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_pr_reservation_decode(
    bytes: *const u8,
    len: usize,
    reservation: *mut iscsicore_reservation,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(reservation, "reservation")?) };
        let decoded =
            Reservation::decode(bytes).ok_or_else(|| none("this is no answer to READ RESERVATION"))?;
        let held = decoded.held;
        place.set(iscsicore_reservation {
            key: held.map_or(0, |held| held.key),
            generation: decoded.generation,
            held: held.is_some(),
            reservation_type: held.map_or(0, |held| held.kind.map_or_else(|code| code, |kind| kind.code())),
        });
        Ok(())
    })
}

fn provisioning_status(status: ProvisioningStatus) -> u8 {
    match status {
        ProvisioningStatus::Mapped => 0,
        ProvisioningStatus::Deallocated => 1,
        ProvisioningStatus::Anchored => 2,
        ProvisioningStatus::Other(code) => code,
        // One that the core has learned since: unknown in SBC-4.
        _ => 4,
    }
}
