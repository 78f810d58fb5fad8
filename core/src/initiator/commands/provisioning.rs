//! Blocks that have no storage, and many blocks of the same bytes: the clauses of SBC-3 that are named after the
//! commands.

use bytes::Bytes;

use super::{cdb, change, query, range_cdb, some_blocks};
use crate::initiator::{Command, Repeat};
use crate::scsi::opcode;
use crate::wire::Lun;
use crate::{DataList, Misuse};

/// What a WRITE SAME may do with the storage of its blocks, as long as they read as asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Deallocate {
    /// Write it.
    #[default]
    No,
    /// UNMAP: give it back.
    Allowed,
    /// UNMAP and ANCHOR: keep it set aside without anything in it.
    Anchored,
}

impl Deallocate {
    const fn bits(self) -> u8 {
        match self {
            Deallocate::No => 0,
            Deallocate::Allowed => 0x08,
            Deallocate::Anchored => 0x18,
        }
    }
}

/// UNMAP: the unit may give the storage of `ranges` back, each an address and a number of blocks.
///
/// What the blocks read as afterwards, the Logical Block Provisioning page says. The Block Limits page says how many
/// ranges and blocks a unit takes at a time.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for no ranges, and for more than the 4095 that the parameter list can hold.
pub fn unmap(lun: Lun, ranges: &[(u64, u32)]) -> Result<Command, Misuse> {
    const HEADER: usize = 8;
    const DESCRIPTOR: usize = 16;
    const MOST: usize = (u16::MAX as usize - HEADER) / DESCRIPTOR;
    if ranges.is_empty() || ranges.len() > MOST {
        return Err(Misuse::InvalidArgument("UNMAP takes 1 to 4095 ranges"));
    }
    let descriptors = DESCRIPTOR * ranges.len();
    let mut list = Vec::with_capacity(HEADER + descriptors);
    // UNMAP DATA LENGTH counts what follows it.
    list.extend(((HEADER + descriptors - 2) as u16).to_be_bytes());
    list.extend((descriptors as u16).to_be_bytes());
    list.extend([0; 4]);
    for (lba, blocks) in ranges {
        list.extend(lba.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    let cdb = cdb(opcode::UNMAP, &[(7, &(list.len() as u16).to_be_bytes())]);
    Ok(change(lun, cdb, list.into(), Repeat::Safe))
}

/// WRITE SAME(10) or (16): every one of the `blocks` blocks from `lba` on becomes `block`.
///
/// (16) is used where (10) is too small, and always with UNMAP, which more units support there.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for no blocks (some units take that for all up to the end), and for a block of no bytes.
pub fn write_same(
    lun: Lun,
    lba: u64,
    blocks: u32,
    block: Bytes,
    deallocate: Deallocate,
) -> Result<Command, Misuse> {
    some_blocks(blocks)?;
    if block.is_empty() || u32::try_from(block.len()).is_err() {
        return Err(Misuse::InvalidArgument("the data are not a block"));
    }
    let short = (deallocate == Deallocate::No).then_some(opcode::WRITE_SAME_10);
    let cdb = range_cdb(short, opcode::WRITE_SAME_16, deallocate.bits(), lba, blocks);
    Ok(change(lun, cdb, block.into(), Repeat::Safe))
}

/// WRITE SAME(16) with NDOB: zeros without sending any. Units of older standards refuse it with
/// INVALID FIELD IN CDB; [`write_same`] with a block of zeros does the same.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for no blocks.
pub fn write_zeroes(lun: Lun, lba: u64, blocks: u32, deallocate: Deallocate) -> Result<Command, Misuse> {
    const NDOB: u8 = 0x01;
    some_blocks(blocks)?;
    let cdb = range_cdb(None, opcode::WRITE_SAME_16, deallocate.bits() | NDOB, lba, blocks);
    Ok(change(lun, cdb, DataList::new(), Repeat::Safe))
}

/// GET LBA STATUS (SBC-3 clause 5.4): which blocks from `lba` on have storage.
/// [`decode_lba_status`](crate::scsi::decode_lba_status) reads the answer; it need not go up to the last block.
///
/// `allocation_len` bytes have room for a header of 8 bytes and 16 for every run.
///
/// # Errors
/// [`Misuse::InvalidArgument`] when there is no room for a run: less than 24 bytes.
pub fn get_lba_status(lun: Lun, lba: u64, allocation_len: u32) -> Result<Command, Misuse> {
    if allocation_len < 24 {
        return Err(Misuse::InvalidArgument("GET LBA STATUS needs room for a run: 24 bytes"));
    }
    let fields: [(usize, &[u8]); 3] =
        [(1, &[opcode::SA_GET_LBA_STATUS]), (2, &lba.to_be_bytes()), (10, &allocation_len.to_be_bytes())];
    Ok(query(lun, cdb(opcode::SERVICE_ACTION_IN_16, &fields), allocation_len))
}
