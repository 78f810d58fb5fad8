//! Block ranges of CDBs and the checks on them.

use super::View;
use crate::scsi::{AdditionalSense, Cdb, FieldPointer, Sense};

/// A range of blocks as a CDB of the common layout states it, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub(super) lba: u64,
    pub(super) count: u32,
    /// The byte of the CDB with which the count starts, for field pointers.
    pub(super) count_at: u16,
}

impl Extent {
    /// LOGICAL BLOCK ADDRESS and the count where all block commands of the CDB's length have them.
    #[inline]
    pub(super) fn of(cdb: &Cdb) -> Self {
        match cdb.opcode() >> 5 {
            0 => {
                let count = match cdb.byte(4) {
                    0 => 256,
                    n => u32::from(n),
                };
                Extent { lba: u64::from(cdb.u24_at(1) & 0x1f_ffff), count, count_at: 4 }
            }
            4 => Extent { lba: cdb.u64_at(2), count: cdb.u32_at(10), count_at: 10 },
            5 => Extent { lba: u64::from(cdb.u32_at(2)), count: cdb.u32_at(6), count_at: 6 },
            _ => Extent { lba: u64::from(cdb.u32_at(2)), count: u32::from(cdb.u16_at(7)), count_at: 7 },
        }
    }
}

impl View {
    /// Refuses a range that does not lie within the capacity; INFORMATION is the first block that is not there.
    ///
    /// An empty range must begin at a block that exists.
    #[inline]
    pub(super) fn check_range(&self, lba: u64, count: u64) -> Result<(), Sense> {
        if lba < self.blocks() && count <= self.blocks() - lba {
            return Ok(());
        }
        Err(out_of_range(lba.max(self.blocks())))
    }

    /// [`check_range`](Self::check_range), and refuses more than MAXIMUM TRANSFER LENGTH.
    #[inline]
    pub(super) fn check_transfer(&self, extent: Extent) -> Result<(), Sense> {
        self.check_range(extent.lba, u64::from(extent.count))?;
        if extent.count > self.max_transfer_blocks() {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(extent.count_at)));
        }
        Ok(())
    }

    /// Blocks as bytes, for counts within MAXIMUM TRANSFER LENGTH.
    #[inline]
    pub(super) fn transfer_bytes(&self, count: u32) -> u32 {
        count.saturating_mul(self.config().block_size.bytes())
    }

    /// The byte offset of a block within the capacity.
    #[inline]
    pub(super) fn offset(&self, lba: u64) -> u64 {
        lba << self.config().block_size.shift()
    }
}

pub(super) fn out_of_range(first: u64) -> Sense {
    Sense::illegal(AdditionalSense::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE).with_information(first)
}
