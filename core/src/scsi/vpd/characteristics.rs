//! Extended INQUIRY Data (SPC-4 clause 7.8.7), Block Device Characteristics and Logical Block Provisioning (SBC-3
//! clauses 6.6.2 and 6.6.5).

use core::fmt;

use super::{BLOCK_DEVICE_CHARACTERISTICS, EXTENDED_INQUIRY, LOGICAL_BLOCK_PROVISIONING, Page};
use crate::scsi::fields::Fields;

/// What the Extended INQUIRY Data page says that a disk's user may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtendedInquiry {
    /// SIMPSUP: simple task attributes.
    pub simple: bool,
    /// ORDSUP: ordered task attributes.
    pub ordered: bool,
    /// HEADSUP: head of queue task attributes.
    pub head_of_queue: bool,
    /// V_SUP: there is a volatile cache.
    pub volatile_cache: bool,
    /// NV_SUP: there is a non-volatile cache.
    pub non_volatile_cache: bool,
    /// WU_SUP: WRITE LONG can mark blocks as unrecoverable.
    pub write_uncorrectable: bool,
    /// LUICLR: unit attentions of a LUN inventory change are cleared for the whole nexus.
    pub lun_attention_cleared: bool,
    /// EXTENDED SELF-TEST COMPLETION MINUTES.
    pub self_test_minutes: u16,
    /// MAXIMUM SUPPORTED SENSE DATA LENGTH; zero when it is not told.
    pub max_sense_len: u8,
}

impl ExtendedInquiry {
    /// The page; `None` when `data` are another one.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let body = Fields(Page::payload_of(data, EXTENDED_INQUIRY)?);
        Some(ExtendedInquiry {
            simple: body.bit(1, 0),
            ordered: body.bit(1, 1),
            head_of_queue: body.bit(1, 2),
            volatile_cache: body.bit(2, 0),
            non_volatile_cache: body.bit(2, 1),
            write_uncorrectable: body.bit(2, 3),
            lun_attention_cleared: body.bit(3, 0),
            self_test_minutes: body.u16(6),
            max_sense_len: body.byte(9),
        })
    }
}

/// MEDIUM ROTATION RATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Rotation {
    /// It is not told.
    Unknown,
    /// Nothing rotates.
    None,
    /// Turns a minute.
    Rpm(u16),
    /// A reserved value.
    Other(u16),
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rotation::Unknown => f.write_str("not told"),
            Rotation::None => f.write_str("non-rotating"),
            Rotation::Rpm(rpm) => write!(f, "{rpm} rpm"),
            Rotation::Other(value) => write!(f, "reserved {value:04X}h"),
        }
    }
}

/// The Block Device Characteristics page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockDeviceCharacteristics {
    /// MEDIUM ROTATION RATE.
    pub rotation: Rotation,
    /// PRODUCT TYPE; zero when it is not told.
    pub product_type: u8,
    /// NOMINAL FORM FACTOR as its code: 1 for 5.25 inch, 2 for 3.5, 3 for 2.5, 4 for 1.8, 5 for less; else not told.
    pub form_factor: u8,
    /// ZONED: 1 for host aware, 2 for device managed.
    pub zoned: u8,
    /// FUAB: SYNCHRONIZE CACHE and FUA mean what SBC-3 says, not what SBC-2 says.
    pub fua_behaviour: bool,
    /// VBULS: unmapped blocks can be compared with data.
    pub verifies_unmapped: bool,
}

impl BlockDeviceCharacteristics {
    /// The page; `None` when `data` are another one.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let body = Fields(Page::payload_of(data, BLOCK_DEVICE_CHARACTERISTICS)?);
        Some(BlockDeviceCharacteristics {
            rotation: match body.u16(0) {
                0 => Rotation::Unknown,
                1 => Rotation::None,
                rpm @ 0x0401..=0xfffe => Rotation::Rpm(rpm),
                other => Rotation::Other(other),
            },
            product_type: body.byte(2),
            form_factor: body.byte(3) & 0x0f,
            zoned: body.byte(4) >> 4 & 3,
            fua_behaviour: body.bit(4, 1),
            verifies_unmapped: body.bit(4, 0),
        })
    }

    /// The form factor in inches.
    pub const fn form_factor_name(&self) -> Option<&'static str> {
        Some(match self.form_factor {
            1 => "5.25 inch",
            2 => "3.5 inch",
            3 => "2.5 inch",
            4 => "1.8 inch",
            5 => "less than 1.8 inch",
            _ => return None,
        })
    }
}

/// The Logical Block Provisioning page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogicalBlockProvisioning {
    /// THRESHOLD EXPONENT: a threshold counts sets of two to this power of blocks; zero without thresholds.
    pub threshold_exponent: u8,
    /// LBPU: UNMAP.
    pub unmap: bool,
    /// LBPWS: WRITE SAME(16) with UNMAP.
    pub write_same_16: bool,
    /// LBPWS10: WRITE SAME(10) with UNMAP.
    pub write_same_10: bool,
    /// LBPRZ: what unmapped blocks read as: 0 for nothing certain, 1 for zeros, 2 for the provisioning initialization
    /// pattern. Three bits in SBC-4; SBC-3 knows the lowest.
    pub read_zeroes: u8,
    /// ANC_SUP: blocks can be anchored.
    pub anchor: bool,
    /// PROVISIONING TYPE: 1 for resource provisioned, 2 for thin; else not told.
    pub provisioning_type: u8,
    /// MINIMUM PERCENTAGE of what is unmapped that is reserved.
    pub minimum_percentage: u8,
    /// THRESHOLD PERCENTAGE.
    pub threshold_percentage: u8,
}

impl LogicalBlockProvisioning {
    /// The page; `None` when `data` are another one.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let body = Fields(Page::payload_of(data, LOGICAL_BLOCK_PROVISIONING)?);
        Some(LogicalBlockProvisioning {
            threshold_exponent: body.byte(0),
            unmap: body.bit(1, 7),
            write_same_16: body.bit(1, 6),
            write_same_10: body.bit(1, 5),
            read_zeroes: body.byte(1) >> 2 & 7,
            anchor: body.bit(1, 1),
            provisioning_type: body.byte(2) & 7,
            minimum_percentage: body.byte(2) >> 3,
            threshold_percentage: body.byte(3),
        })
    }

    /// Whether unmapped blocks read as zeros.
    pub const fn reads_zeroes(&self) -> bool {
        self.read_zeroes & 1 == 1
    }

    /// Whether the unit has less storage than blocks.
    pub const fn is_thin(&self) -> bool {
        self.provisioning_type == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_inquiry() {
        let page = ExtendedInquiry::decode(&[0, 0x86, 0, 10, 0, 0x07, 0x0b, 0x01, 0, 0, 0, 90, 0, 252]);
        let want = ExtendedInquiry {
            simple: true,
            ordered: true,
            head_of_queue: true,
            volatile_cache: true,
            non_volatile_cache: true,
            write_uncorrectable: true,
            lun_attention_cleared: true,
            self_test_minutes: 90,
            max_sense_len: 252,
        };
        assert_eq!(page, Some(want));
        assert_eq!(ExtendedInquiry::decode(&[0, 0x86, 0, 10]), Some(ExtendedInquiry::default()));
        assert_eq!(ExtendedInquiry::decode(&[0, 0x83, 0, 0]), None);
    }

    #[test]
    fn characteristics() {
        let decode = |body: [u8; 5]| {
            let page = [&[0, 0xb1, 0, 0x3c][..], &body].concat();
            BlockDeviceCharacteristics::decode(&page).unwrap()
        };
        let disk = decode([0x1c, 0x20, 2, 0xf3, 0x13]);
        assert_eq!(
            (disk.rotation.to_string().as_str(), disk.form_factor_name()),
            ("7200 rpm", Some("2.5 inch"))
        );
        assert_eq!((disk.product_type, disk.zoned), (2, 1));
        assert!(disk.fua_behaviour && disk.verifies_unmapped);
        assert_eq!(decode([0, 1, 0, 0, 0]).rotation, Rotation::None);
        assert_eq!(decode([0, 0, 0, 0, 0]).rotation, Rotation::Unknown);
        assert_eq!(decode([0xff, 0xff, 0, 0, 0]).rotation, Rotation::Other(0xffff));
        assert_eq!(decode([0, 1, 0, 0, 0]).form_factor_name(), None);
    }

    #[test]
    fn provisioning() {
        let page = LogicalBlockProvisioning::decode(&[0, 0xb2, 0, 4, 9, 0xe6, 0x52, 80]).unwrap();
        let want = LogicalBlockProvisioning {
            threshold_exponent: 9,
            unmap: true,
            write_same_16: true,
            write_same_10: true,
            read_zeroes: 1,
            anchor: true,
            provisioning_type: 2,
            minimum_percentage: 10,
            threshold_percentage: 80,
        };
        assert_eq!(page, want);
        assert!(page.is_thin() && page.reads_zeroes());
        let pattern = LogicalBlockProvisioning::decode(&[0, 0xb2, 0, 4, 0, 0x88]).unwrap();
        assert!(!pattern.is_thin() && !pattern.reads_zeroes() && pattern.unmap);
    }
}
