//! Mode data as another end laid them out: SPC-4 clauses 7.5.4 to 7.5.7, SBC-3 clause 6.5.

use super::{CACHING, CONTROL};
use crate::scsi::fields::Fields;

/// The answer to MODE SENSE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModeData<'a> {
    /// MEDIUM TYPE: 0 for a disk.
    pub medium_type: u8,
    /// WP: the unit takes no writes.
    pub write_protected: bool,
    /// DPOFUA: the unit takes the DPO and FUA bits.
    pub dpo_fua: bool,
    /// The first block descriptor, if there is one.
    pub block_descriptor: Option<BlockDescriptor>,
    /// The pages that arrived whole, in order.
    pub pages: Vec<PageView<'a>>,
    /// Bytes that the whole answer has: more than arrived when the allocation length was too small.
    pub whole_len: usize,
}

/// A mode parameter block descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockDescriptor {
    /// NUMBER OF LOGICAL BLOCKS; in the short form 2^32 - 1 says that there are more.
    pub blocks: u64,
    /// LOGICAL BLOCK LENGTH.
    pub block_size: u32,
}

impl<'a> ModeData<'a> {
    /// The answer to MODE SENSE(6); `None` when it has no whole header.
    pub fn decode_6(data: &'a [u8]) -> Option<Self> {
        let fields = Fields(data.get(..4)?);
        let whole = 1 + usize::from(fields.byte(0));
        Some(Self::read(data, whole, (fields.byte(1), fields.byte(2)), 4, usize::from(fields.byte(3)), false))
    }

    /// The answer to MODE SENSE(10); `None` when it has no whole header.
    pub fn decode_10(data: &'a [u8]) -> Option<Self> {
        let fields = Fields(data.get(..8)?);
        let whole = 2 + usize::from(fields.u16(0));
        let long_lba = fields.bit(4, 0);
        let descriptors = usize::from(fields.u16(6));
        Some(Self::read(data, whole, (fields.byte(2), fields.byte(3)), 8, descriptors, long_lba))
    }

    fn read(
        data: &'a [u8],
        whole_len: usize,
        (medium_type, specific): (u8, u8),
        header: usize,
        descriptors: usize,
        long_lba: bool,
    ) -> Self {
        let there = Fields(Fields(data).part(0, whole_len));
        let descriptor = Fields(there.part(header, descriptors));
        let block_descriptor = match (long_lba, descriptor.0.len()) {
            (true, 16..) => {
                Some(BlockDescriptor { blocks: descriptor.u64(0), block_size: descriptor.u32(12) })
            }
            (false, 8..) => Some(BlockDescriptor {
                blocks: u64::from(descriptor.u32(0)),
                // The byte before is part of the number of blocks, or reserved.
                block_size: descriptor.u32(4) & 0x00ff_ffff,
            }),
            _ => None,
        };
        ModeData {
            medium_type,
            write_protected: specific & 0x80 != 0,
            dpo_fua: specific & 0x10 != 0,
            block_descriptor,
            pages: pages(there.from(header + descriptors)),
            whole_len,
        }
    }

    /// The page with this code and subpage, if it is there.
    pub fn page(&self, code: u8, subpage: u8) -> Option<&PageView<'a>> {
        self.pages.iter().find(|page| (page.code, page.subpage) == (code, subpage))
    }
}

fn pages(mut rest: &[u8]) -> Vec<PageView<'_>> {
    let mut out = Vec::new();
    while let Some(&first) = rest.first() {
        let fields = Fields(rest);
        // SPF: a subpage code, and a length of two bytes.
        let (subpage, len) = match first & 0x40 {
            0 => (0, 2 + usize::from(fields.byte(1))),
            _ => (fields.byte(1), 4 + usize::from(fields.u16(2))),
        };
        let Some((bytes, next)) = rest.split_at_checked(len) else { break };
        rest = next;
        out.push(PageView { code: first & 0x3f, subpage, savable: first & 0x80 != 0, bytes });
    }
    out
}

/// A mode page in the data of MODE SENSE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageView<'a> {
    /// PAGE CODE.
    pub code: u8,
    /// SUBPAGE CODE; 0 for a page without.
    pub subpage: u8,
    /// PS: the page can be saved.
    pub savable: bool,
    /// The whole page, header included.
    pub bytes: &'a [u8],
}

/// The Caching page (SBC-3 clause 6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CachingPage {
    /// WCE: GOOD may come before the medium has the data.
    pub write_cache: bool,
    /// RCD: reads do not come from a cache.
    pub read_cache_disabled: bool,
    /// DISC: prefetch goes on over discontinuities.
    pub discontinuity: bool,
    /// DRA: nothing is read ahead.
    pub read_ahead_disabled: bool,
    /// NV_DIS: the non-volatile cache is not used.
    pub non_volatile_disabled: bool,
}

impl CachingPage {
    /// The page; `None` when `page` is another one, or ends before its flags.
    pub fn decode(page: &PageView<'_>) -> Option<Self> {
        let fields = Fields(page.bytes);
        ((page.code, page.subpage) == (CACHING, 0) && page.bytes.len() > 2).then(|| CachingPage {
            write_cache: fields.bit(2, 2),
            read_cache_disabled: fields.bit(2, 0),
            discontinuity: fields.bit(2, 4),
            read_ahead_disabled: fields.bit(12, 5),
            non_volatile_disabled: fields.bit(13, 0),
        })
    }
}

/// The Control page (SPC-4 clause 7.5.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ControlPage {
    /// TST: 0 when the nexuses share a task set, 1 when each has its own.
    pub task_sets: u8,
    /// D_SENSE: sense data come in descriptor format.
    pub descriptor_sense: bool,
    /// QUEUE ALGORITHM MODIFIER: 0 for order of arrival, 1 for unrestricted reordering.
    pub queue_algorithm: u8,
    /// QERR: what CHECK CONDITION does to other commands: 0 nothing, 1 aborts all, 3 aborts those of the nexus.
    pub queue_error: u8,
    /// UA_INTLCK_CTRL: how long a unit attention stays.
    pub attention_interlock: u8,
    /// SWP: software write protect.
    pub software_write_protect: bool,
    /// TAS: commands that another nexus aborts end with TASK ABORTED.
    pub task_aborted_status: bool,
    /// BUSY TIMEOUT PERIOD in 100 milliseconds; 0xffff is unlimited.
    pub busy_timeout: u16,
}

impl ControlPage {
    /// The page; `None` when `page` is another one, or ends before its flags.
    pub fn decode(page: &PageView<'_>) -> Option<Self> {
        let fields = Fields(page.bytes);
        ((page.code, page.subpage) == (CONTROL, 0) && page.bytes.len() > 5).then(|| ControlPage {
            task_sets: fields.byte(2) >> 5,
            descriptor_sense: fields.bit(2, 2),
            queue_algorithm: fields.byte(3) >> 4,
            queue_error: fields.byte(3) >> 1 & 3,
            attention_interlock: fields.byte(4) >> 4 & 3,
            software_write_protect: fields.bit(4, 3),
            task_aborted_status: fields.bit(5, 6),
            busy_timeout: fields.u16(8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [u8; 40] = [
        0x88, 0x12, 0x15, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0x01, 0, 0, 0, 0, 0,
        0, // caching
        0x0a, 0x0a, 0x24, 0x16, 0x38, 0x40, 0, 0, 0x01, 0x02, 0, 0, // control
        0x4a, 0x05, 0, 4, 1, 2, 3, 4, // control, subpage 5
    ];

    #[test]
    fn six() {
        let mut data = vec![51, 0, 0x90, 8, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x02, 0x00];
        data.extend(PAGES);
        data.push(0x55);
        let mode = ModeData::decode_6(&data).unwrap();
        assert!(mode.write_protected && mode.dpo_fua);
        assert_eq!(mode.block_descriptor, Some(BlockDescriptor { blocks: 4096, block_size: 512 }));
        assert_eq!((mode.pages.len(), mode.whole_len), (3, 52));
        let caching = CachingPage::decode(mode.page(0x08, 0).unwrap()).unwrap();
        let want = CachingPage {
            write_cache: true,
            read_cache_disabled: true,
            discontinuity: true,
            read_ahead_disabled: true,
            non_volatile_disabled: true,
        };
        assert_eq!(caching, want);
        let control = ControlPage::decode(mode.page(0x0a, 0).unwrap()).unwrap();
        let want = ControlPage {
            task_sets: 1,
            descriptor_sense: true,
            queue_algorithm: 1,
            queue_error: 3,
            attention_interlock: 3,
            software_write_protect: true,
            task_aborted_status: true,
            busy_timeout: 0x0102,
        };
        assert_eq!(control, want);
        let sub = mode.page(0x0a, 5).unwrap();
        assert_eq!((sub.bytes.len(), sub.savable, mode.pages[0].savable), (8, false, true));
        assert_eq!(ControlPage::decode(sub), None);
        assert_eq!(CachingPage::decode(sub), None);
    }

    #[test]
    fn ten_with_the_long_descriptor() {
        let mut data = vec![0, 62, 0, 0, 1, 0, 0, 16];
        data.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0]);
        data.extend(PAGES);
        let mode = ModeData::decode_10(&data).unwrap();
        assert_eq!(mode.block_descriptor, Some(BlockDescriptor { blocks: 1 << 33, block_size: 4096 }));
        assert!(!mode.write_protected && !mode.dpo_fua && mode.pages.len() == 3);
        for len in 0..data.len() {
            let cut = ModeData::decode_10(&data[..len]);
            assert_eq!(cut.is_some(), len >= 8);
            assert!(cut.is_none_or(|cut| cut.pages.len() < 3 && mode.pages.starts_with(&cut.pages)));
        }
    }

    #[test]
    fn lying_lengths() {
        assert_eq!(ModeData::decode_6(&[0xff, 0, 0, 0xff, 8, 0]).unwrap().pages, []);
        assert_eq!(ModeData::decode_10(&[0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 8, 0]).unwrap().pages, []);
        // Descriptors of 256 bytes are passed over, though nobody has so many.
        let many = [&[1, 10, 0, 0, 0, 0, 1, 0][..], &[0; 256], &[0x1c, 0]].concat();
        assert_eq!(ModeData::decode_10(&many).unwrap().pages[0].code, 0x1c);
        // MODE DATA LENGTH ends the data, whatever follows.
        assert_eq!(ModeData::decode_6(&[3, 0, 0, 0, 0x08, 0x01, 0x04]).unwrap().pages, []);
    }
}
