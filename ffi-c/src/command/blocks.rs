//! Reading, writing, comparing and flushing blocks.

use iscsicore::initiator::commands;
use iscsicore::wire::Lun;

use super::{iscsicore_command, make, make_with};
use crate::payload::iscsicore_payload;
use crate::status::iscsicore_status;

/// READ(10), or READ(16) where that is too small, of `blocks` blocks of `block_size` bytes from `lba` on.
///
/// Ownership: the caller's, until iscsicore_command_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or more than 2^32 - 1 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_read(
    lun: u64,
    lba: u64,
    blocks: u32,
    block_size: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::read(Lun(lun), lba, blocks, block_size)?)) }
}

/// WRITE(10), or WRITE(16) where that is too small, of `data`, which are whole blocks of `block_size` bytes, from `lba` on.
///
/// Ownership: the caller's, until iscsicore_command_free; lent data are given back when the command was freed and all its
/// submissions have ended.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `data` are not one or more whole blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_write(
    lun: u64,
    lba: u64,
    data: *const iscsicore_payload,
    block_size: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make_with(command, data, |data| commands::write(Lun(lun), lba, data, block_size)) }
}

/// SYNCHRONIZE CACHE(10) of the whole unit: writes that were answered are on the medium when it ends with GOOD. See also
/// `coverage` of iscsicore_completed_event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_flush(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::flush(Lun(lun)))) }
}

/// SYNCHRONIZE CACHE(10), or (16) where that is too small, of `blocks` blocks from `lba` on; 0 for all up to the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_flush_range(
    lun: u64,
    lba: u64,
    blocks: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::flush_range(Lun(lun), lba, blocks))) }
}

/// VERIFY(10), or (16) where that is too small: the unit is to see whether it can read the blocks.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_verify(
    lun: u64,
    lba: u64,
    blocks: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::verify(Lun(lun), lba, blocks)?)) }
}

/// VERIFY with BYTCHK 01b: the unit compares its blocks with `data`, and answers MISCOMPARE when they differ.
///
/// Ownership and errors: as iscsicore_command_write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_verify_data(
    lun: u64,
    lba: u64,
    data: *const iscsicore_payload,
    block_size: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make_with(command, data, |data| commands::verify_data(Lun(lun), lba, data, block_size)) }
}

/// COMPARE AND WRITE: when the `blocks` blocks at `lba` are the first half of `data`, the second half takes their place, in
/// one step; else the unit answers MISCOMPARE. Its outcome is unknown when the connection is lost.
///
/// Ownership: as iscsicore_command_write.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `data` are not two halves of that many blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_compare_and_write(
    lun: u64,
    lba: u64,
    data: *const iscsicore_payload,
    blocks: u8,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make_with(command, data, |data| commands::compare_and_write(Lun(lun), lba, data, blocks)) }
}
