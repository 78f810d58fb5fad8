//! Reading, writing, comparing and flushing blocks: the clauses of SBC-3 that are named after the commands.

use super::{blocks_of, cdb, change, query, range_cdb, some_blocks};
use crate::initiator::{Command, Repeat};
use crate::scsi::opcode;
use crate::wire::Lun;
use crate::{DataList, Misuse};

/// How blocks are to pass the caches of the unit. Units take these bits when mode data say DPOFUA
/// ([`ModeData::dpo_fua`](crate::scsi::mode::ModeData::dpo_fua)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// FUA, force unit access: the blocks are on the medium, or come from it, before the command ends.
    pub fua: bool,
    /// DPO, disable page out: the blocks will not be needed again soon.
    pub dpo: bool,
}

impl Access {
    /// Force unit access.
    pub const FUA: Access = Access { fua: true, dpo: false };

    const fn bits(self) -> u8 {
        (self.dpo as u8) << 4 | (self.fua as u8) << 3
    }
}

/// READ(10), or READ(16) where that is too small.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for no blocks, or for more than 2^32 - 1 bytes.
pub fn read(lun: Lun, lba: u64, blocks: u32, block_size: u32) -> Result<Command, Misuse> {
    read_with(lun, lba, blocks, block_size, Access::default())
}

/// [`read`] with FUA or DPO.
///
/// # Errors
/// As [`read`].
pub fn read_with(
    lun: Lun,
    lba: u64,
    blocks: u32,
    block_size: u32,
    access: Access,
) -> Result<Command, Misuse> {
    some_blocks(blocks)?;
    let len = blocks
        .checked_mul(block_size)
        .filter(|&len| len > 0)
        .ok_or(Misuse::InvalidArgument("the blocks have no bytes, or more than a command can carry"))?;
    let cdb = range_cdb(Some(opcode::READ_10), opcode::READ_16, access.bits(), lba, blocks);
    Ok(query(lun, cdb, len))
}

/// WRITE(10), or WRITE(16) where that is too small.
///
/// # Errors
/// [`Misuse::InvalidArgument`] when `data` are not one or more whole blocks, or more than 2^32 - 1 bytes.
pub fn write(lun: Lun, lba: u64, data: impl Into<DataList>, block_size: u32) -> Result<Command, Misuse> {
    write_with(lun, lba, data, block_size, Access::default())
}

/// [`write()`] with FUA or DPO.
///
/// # Errors
/// As [`write()`].
pub fn write_with(
    lun: Lun,
    lba: u64,
    data: impl Into<DataList>,
    block_size: u32,
    access: Access,
) -> Result<Command, Misuse> {
    let data = data.into();
    let blocks = blocks_of(&data, block_size)?;
    let cdb = range_cdb(Some(opcode::WRITE_10), opcode::WRITE_16, access.bits(), lba, blocks);
    Ok(change(lun, cdb, data, Repeat::Safe))
}

/// SYNCHRONIZE CACHE(10) of the whole unit: writes that were answered are on the medium when it ends with GOOD.
pub fn flush(lun: Lun) -> Command {
    flush_range(lun, 0, 0)
}

/// SYNCHRONIZE CACHE(10), or (16) where that is too small, of the blocks from `lba` on; of all up to the
/// end when `blocks` is zero.
pub fn flush_range(lun: Lun, lba: u64, blocks: u32) -> Command {
    let (short, long) = (opcode::SYNCHRONIZE_CACHE_10, opcode::SYNCHRONIZE_CACHE_16);
    change(lun, range_cdb(Some(short), long, 0, lba, blocks), DataList::new(), Repeat::Safe)
}

/// VERIFY(10), or (16) where that is too small, with BYTCHK 00b: the unit is to see whether it can read the
/// blocks. Some targets answer without having looked.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for no blocks.
pub fn verify(lun: Lun, lba: u64, blocks: u32) -> Result<Command, Misuse> {
    some_blocks(blocks)?;
    Ok(query(lun, range_cdb(Some(opcode::VERIFY_10), opcode::VERIFY_16, 0, lba, blocks), 0))
}

/// VERIFY with BYTCHK 01b: the unit compares its blocks with `data`, and answers MISCOMPARE when they
/// differ.
///
/// # Errors
/// As [`write()`].
pub fn verify_data(
    lun: Lun,
    lba: u64,
    data: impl Into<DataList>,
    block_size: u32,
) -> Result<Command, Misuse> {
    let data = data.into();
    let blocks = blocks_of(&data, block_size)?;
    let cdb = range_cdb(Some(opcode::VERIFY_10), opcode::VERIFY_16, 1 << 1, lba, blocks);
    Ok(change(lun, cdb, data, Repeat::Safe))
}

/// COMPARE AND WRITE (SBC-3 clause 5.2): when the `blocks` blocks at `lba` are the first half of `data`, the second half
/// takes their place, in one step; else the unit answers MISCOMPARE.
///
/// Its outcome is unknown when the connection is lost: once it was carried out, a repetition would miscompare.
///
/// # Errors
/// [`Misuse::InvalidArgument`] when `data` are not two halves of `blocks` blocks each.
pub fn compare_and_write(
    lun: Lun,
    lba: u64,
    data: impl Into<DataList>,
    blocks: u8,
) -> Result<Command, Misuse> {
    compare_and_write_with(lun, lba, data, blocks, Access::default())
}

/// [`compare_and_write`] with FUA or DPO.
///
/// # Errors
/// As [`compare_and_write`].
pub fn compare_and_write_with(
    lun: Lun,
    lba: u64,
    data: impl Into<DataList>,
    blocks: u8,
    access: Access,
) -> Result<Command, Misuse> {
    let data = data.into();
    some_blocks(u32::from(blocks))?;
    if data.is_empty() || !data.len().is_multiple_of(2 * usize::from(blocks)) {
        return Err(Misuse::InvalidArgument("the data are not two halves of that many blocks"));
    }
    if u32::try_from(data.len()).is_err() {
        return Err(Misuse::InvalidArgument("the data are more than a command can carry: 2^32 - 1 bytes"));
    }
    let cdb =
        cdb(opcode::COMPARE_AND_WRITE, &[(1, &[access.bits()]), (2, &lba.to_be_bytes()), (13, &[blocks])]);
    Ok(change(lun, cdb, data, Repeat::Never))
}
