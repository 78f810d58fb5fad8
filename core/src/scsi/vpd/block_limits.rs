//! The Block Limits page, SBC-3 clause 6.6.4 and SBC-4.

use super::{BLOCK_LIMITS, Page, page};
use crate::scsi::fields::Fields;

/// The Block Limits page (SBC-3 clause 6.6.4, and what SBC-4 added). Lengths in blocks; zero means that nothing is told,
/// but where it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockLimits {
    /// WSNZ: a WRITE SAME of zero blocks is refused.
    pub write_same_non_zero: bool,
    /// MAXIMUM COMPARE AND WRITE LENGTH; zero without COMPARE AND WRITE.
    pub max_compare_and_write: u8,
    /// OPTIMAL TRANSFER LENGTH GRANULARITY.
    pub optimal_granularity: u16,
    /// MAXIMUM TRANSFER LENGTH.
    pub max_transfer: u32,
    /// OPTIMAL TRANSFER LENGTH.
    pub optimal_transfer: u32,
    /// MAXIMUM PREFETCH LENGTH.
    pub max_prefetch: u32,
    /// MAXIMUM UNMAP LBA COUNT; zero without UNMAP.
    pub max_unmap_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT; zero without UNMAP.
    pub max_unmap_descriptors: u32,
    /// OPTIMAL UNMAP GRANULARITY.
    pub unmap_granularity: u32,
    /// UNMAP GRANULARITY ALIGNMENT, where it is valid.
    pub unmap_alignment: Option<u32>,
    /// MAXIMUM WRITE SAME LENGTH.
    pub max_write_same: u64,
    /// What atomic writes are bound to.
    pub atomic: Atomic,
}

/// The limits of atomic writes (SBC-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Atomic {
    /// MAXIMUM ATOMIC TRANSFER LENGTH; zero without atomic writes.
    pub max_transfer: u32,
    /// ATOMIC ALIGNMENT.
    pub alignment: u32,
    /// ATOMIC TRANSFER LENGTH GRANULARITY.
    pub granularity: u32,
    /// MAXIMUM ATOMIC TRANSFER LENGTH WITH ATOMIC BOUNDARY.
    pub max_transfer_with_boundary: u32,
    /// MAXIMUM ATOMIC BOUNDARY SIZE.
    pub max_boundary: u32,
}

impl BlockLimits {
    /// The page.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = [0; 0x3c];
        body[0] = u8::from(self.write_same_non_zero);
        body[1] = self.max_compare_and_write;
        body[2..4].copy_from_slice(&self.optimal_granularity.to_be_bytes());
        let words = [
            (4, self.max_transfer),
            (8, self.optimal_transfer),
            (12, self.max_prefetch),
            (16, self.max_unmap_blocks),
            (20, self.max_unmap_descriptors),
            (24, self.unmap_granularity),
            (28, self.unmap_alignment.map_or(0, |alignment| UGAVALID | alignment)),
            (40, self.atomic.max_transfer),
            (44, self.atomic.alignment),
            (48, self.atomic.granularity),
            (52, self.atomic.max_transfer_with_boundary),
            (56, self.atomic.max_boundary),
        ];
        for (at, value) in words {
            body[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        body[32..40].copy_from_slice(&self.max_write_same.to_be_bytes());
        page(BLOCK_LIMITS, &body)
    }

    /// The page as another end laid it out; `None` when `data` are another page. Earlier standards have shorter pages:
    /// what is missing is not told.
    pub fn decode(data: &[u8]) -> Option<BlockLimits> {
        let body = Fields(Page::payload_of(data, BLOCK_LIMITS)?);
        let alignment = body.u32(28);
        Some(BlockLimits {
            write_same_non_zero: body.bit(0, 0),
            max_compare_and_write: body.byte(1),
            optimal_granularity: body.u16(2),
            max_transfer: body.u32(4),
            optimal_transfer: body.u32(8),
            max_prefetch: body.u32(12),
            max_unmap_blocks: body.u32(16),
            max_unmap_descriptors: body.u32(20),
            unmap_granularity: body.u32(24),
            unmap_alignment: (alignment & UGAVALID != 0).then_some(alignment & !UGAVALID),
            max_write_same: body.u64(32),
            atomic: Atomic {
                max_transfer: body.u32(40),
                alignment: body.u32(44),
                granularity: body.u32(48),
                max_transfer_with_boundary: body.u32(52),
                max_boundary: body.u32(56),
            },
        })
    }
}

/// UNMAP GRANULARITY ALIGNMENT is valid.
const UGAVALID: u32 = 0x8000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_by_hand() {
        let mut data = vec![0, 0xb0, 0, 0x3c, 1, 2, 0, 3];
        for word in [4u32, 5, 6, 7, 8, 9, 0x8000_000a, 0, 11, 12, 13, 14, 15, 16] {
            data.extend(word.to_be_bytes());
        }
        let want = BlockLimits {
            write_same_non_zero: true,
            max_compare_and_write: 2,
            optimal_granularity: 3,
            max_transfer: 4,
            optimal_transfer: 5,
            max_prefetch: 6,
            max_unmap_blocks: 7,
            max_unmap_descriptors: 8,
            unmap_granularity: 9,
            unmap_alignment: Some(10),
            max_write_same: 11,
            atomic: Atomic {
                max_transfer: 12,
                alignment: 13,
                granularity: 14,
                max_transfer_with_boundary: 15,
                max_boundary: 16,
            },
        };
        assert_eq!(BlockLimits::decode(&data), Some(want));
        assert_eq!(want.encode(), data);
        // A page of SBC-2, and one that claims to be longer than it is.
        data[3] = 0x0c;
        let short = BlockLimits::decode(&data).unwrap();
        assert_eq!((short.optimal_transfer, short.max_prefetch, short.unmap_alignment), (5, 0, None));
        data[2] = 0xff;
        assert_eq!(BlockLimits::decode(&data), Some(want));
        data[1] = 0xb1;
        assert_eq!(BlockLimits::decode(&data), None);
    }
}
