//! Blocks that have no storage, and many blocks of the same bytes.

use core::ffi::c_int;

use iscsicore::initiator::commands::{self, Deallocate};
use iscsicore::wire::Lun;

use super::{CommandState, iscsicore_command, make};
use crate::boundary::guard;
use crate::handle::Opaque;
use crate::payload::{self, iscsicore_payload};
use crate::pointer::{Context, out_handle, slice};
use crate::status::{Failure, iscsicore_status};

/// What a WRITE SAME may do with the storage of its blocks, as long as they read as asked for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_deallocate {
    /// Write it.
    No = 0,
    /// UNMAP: give it back.
    Allowed = 1,
    /// UNMAP and ANCHOR: keep it set aside without anything in it.
    Anchored = 2,
}

/// Logical blocks in a row.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_blocks {
    /// The first.
    pub lba: u64,
    /// How many.
    pub blocks: u32,
    /// Not used; 0.
    pub reserved: u32,
}

fn deallocate(value: c_int) -> Result<Deallocate, Failure> {
    match value {
        0 => Ok(Deallocate::No),
        1 => Ok(Deallocate::Allowed),
        2 => Ok(Deallocate::Anchored),
        _ => Err(Failure::invalid(format!("{value} is no iscsicore_deallocate"))),
    }
}

/// UNMAP: the unit may give the storage of `count` ranges back.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no ranges, and for more than 4095.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_unmap(
    lun: u64,
    ranges: *const iscsicore_blocks,
    count: usize,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        // SAFETY: the rules at the head of the header.
        let ranges = unsafe { slice(ranges, count, "ranges") }?;
        // No more are looked at than there can be, and one.
        let ranges: Vec<(u64, u32)> =
            ranges.iter().take(4096).map(|range| (range.lba, range.blocks)).collect();
        Ok(commands::unmap(Lun(lun), &ranges)?)
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// WRITE SAME(10) or (16): every one of the `blocks` blocks from `lba` on becomes `block`, the bytes of one block.
/// `deallocate` is an iscsicore_deallocate.
///
/// Ownership: as iscsicore_command_write.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, a block of no bytes, or another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_write_same(
    lun: u64,
    lba: u64,
    blocks: u32,
    block: *const iscsicore_payload,
    deallocate_: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, payload) = unsafe { (out_handle(command)?, payload::read(block)?) };
        let block = payload.data().to_bytes();
        let command = commands::write_same(Lun(lun), lba, blocks, block, deallocate(deallocate_)?)?;
        payload.keep();
        place.set(iscsicore_command::boxed(CommandState {
            command,
            buffer: None,
            context: Context::default(),
        }));
        Ok(())
    })
}

/// WRITE SAME(16) with NDOB: zeros without sending any. Units of older standards refuse it; iscsicore_command_write_same with
/// a block of zeros does the same. `deallocate` is an iscsicore_deallocate.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_write_zeroes(
    lun: u64,
    lba: u64,
    blocks: u32,
    deallocate_: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || Ok(commands::write_zeroes(Lun(lun), lba, blocks, deallocate(deallocate_)?)?);
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// GET LBA STATUS: which blocks from `lba` on have storage. `allocation_len` bytes have room for 8 and 16 for every run.
/// iscsicore_lba_status_decode reads the answer; it need not go up to the last block.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 24 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_get_lba_status(
    lun: u64,
    lba: u64,
    allocation_len: u32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::get_lba_status(Lun(lun), lba, allocation_len)?)) }
}
