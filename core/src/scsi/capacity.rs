//! What READ CAPACITY says, SBC-3 clauses 5.15 and 5.16.

use super::fields::Fields;

/// The size of a logical unit and how its blocks are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Logical blocks. After READ CAPACITY(10), [`ASK_16`](Self::ASK_16) says that it could not tell.
    pub blocks: u64,
    /// Bytes of a logical block; never zero.
    pub block_size: u32,
    /// Bytes of a physical block.
    pub physical_block_size: u32,
    /// LOWEST ALIGNED LOGICAL BLOCK ADDRESS: the first logical block that begins a physical one.
    pub lowest_aligned: u16,
    /// LBPME: logical blocks may be unmapped.
    pub thin: bool,
    /// LBPRZ: unmapped blocks read as zeros.
    pub read_zeroes: bool,
    /// The type of protection information in use: 1 to 3, or 0 when there is none.
    pub protection: u8,
}

impl Capacity {
    /// The number of blocks that READ CAPACITY(10) tells of a unit that is too large for it.
    pub const ASK_16: u64 = 1 << 32;

    /// The answer to READ CAPACITY(10); `None` when it is too short or has blocks of no bytes.
    pub fn decode_10(data: &[u8]) -> Option<Capacity> {
        let fields = Fields(data.get(..8)?);
        let block_size = fields.u32(4);
        (block_size != 0).then_some(Capacity {
            blocks: u64::from(fields.u32(0)) + 1,
            block_size,
            physical_block_size: block_size,
            lowest_aligned: 0,
            thin: false,
            read_zeroes: false,
            protection: 0,
        })
    }

    /// The answer to READ CAPACITY(16); `None` when it ends before the block size or has blocks of no bytes.
    pub fn decode_16(data: &[u8]) -> Option<Capacity> {
        let block_size = Fields(data.get(..12)?).u32(8);
        let fields = Fields(data);
        // A physical block of 4 GiB and more is a mistake: then the exponent counts as not told.
        let physical = u64::from(block_size) << (fields.byte(13) & 0x0f);
        (block_size != 0).then_some(Capacity {
            blocks: fields.u64(0).saturating_add(1),
            block_size,
            physical_block_size: u32::try_from(physical).unwrap_or(block_size),
            lowest_aligned: fields.u16(14) & 0x3fff,
            thin: fields.bit(14, 7),
            read_zeroes: fields.bit(14, 6),
            protection: if fields.bit(12, 0) { (fields.byte(12) >> 1 & 7).saturating_add(1) } else { 0 },
        })
    }

    /// Bytes of the whole unit.
    pub const fn bytes(&self) -> u128 {
        self.blocks as u128 * self.block_size as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bytes() {
        let capacity = Capacity::decode_10(&[0, 0x1f, 0xff, 0xff, 0, 0, 2, 0]).unwrap();
        assert_eq!((capacity.blocks, capacity.block_size, capacity.bytes()), (0x20_0000, 512, 1 << 30));
        let large = Capacity::decode_10(&[0xff, 0xff, 0xff, 0xff, 0, 0, 16, 0]).unwrap();
        assert_eq!((large.blocks, large.block_size), (Capacity::ASK_16, 4096));
        assert_eq!(Capacity::decode_10(&[0; 8]), None);
        assert_eq!(Capacity::decode_10(&[0, 0, 0, 1, 0, 0, 2]), None);
    }

    #[test]
    fn sixteen_bytes() {
        let mut data = [0; 32];
        data[..16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0x03, 0x13, 0xc0, 0x07]);
        let want = Capacity {
            blocks: (1 << 32) + 1,
            block_size: 512,
            physical_block_size: 4096,
            lowest_aligned: 7,
            thin: true,
            read_zeroes: true,
            protection: 2,
        };
        assert_eq!(Capacity::decode_16(&data), Some(want));
        for len in 0..32 {
            assert_eq!(Capacity::decode_16(&data[..len]).is_some(), len >= 12);
        }
        // As SBC-2 has it: nothing after the block size.
        let short = Capacity::decode_16(&data[..12]).unwrap();
        assert_eq!((short.physical_block_size, short.thin, short.protection), (512, false, 0));
    }

    #[test]
    fn numbers_that_cannot_be() {
        let mut data = [0xff; 32];
        let capacity = Capacity::decode_16(&data).unwrap();
        assert_eq!((capacity.blocks, capacity.physical_block_size), (u64::MAX, u32::MAX));
        assert_eq!(capacity.bytes(), u128::from(u64::MAX) * u128::from(u32::MAX));
        data[8..12].fill(0);
        assert_eq!(Capacity::decode_16(&data), None);
    }
}
