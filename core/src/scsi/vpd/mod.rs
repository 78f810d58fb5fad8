//! Vital product data pages, SPC-4 clause 7.8 and SBC-3 clause 6.6.

mod block_limits;
mod characteristics;
mod designator;

use super::fields::{Fields, text};

pub use block_limits::{Atomic, BlockLimits};
pub use characteristics::{BlockDeviceCharacteristics, ExtendedInquiry, LogicalBlockProvisioning, Rotation};
pub use designator::{Association, Designation, Designator, decode_designations, protocol_name};

/// Supported VPD Pages.
pub const SUPPORTED_PAGES: u8 = 0x00;
/// Unit Serial Number.
pub const UNIT_SERIAL_NUMBER: u8 = 0x80;
/// Device Identification.
pub const DEVICE_IDENTIFICATION: u8 = 0x83;
/// Extended INQUIRY Data.
pub const EXTENDED_INQUIRY: u8 = 0x86;
/// Block Limits.
pub const BLOCK_LIMITS: u8 = 0xb0;
/// Block Device Characteristics.
pub const BLOCK_DEVICE_CHARACTERISTICS: u8 = 0xb1;
/// Logical Block Provisioning.
pub const LOGICAL_BLOCK_PROVISIONING: u8 = 0xb2;

/// The page `code` of a disk, with `payload` after the four bytes of header.
pub fn page(code: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len().min(usize::from(u16::MAX));
    let mut out = Vec::with_capacity(4 + len);
    out.extend([0, code]);
    out.extend((len as u16).to_be_bytes());
    out.extend(&payload[..len]);
    out
}

/// A page as another end laid it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page<'a> {
    /// PERIPHERAL QUALIFIER and PERIPHERAL DEVICE TYPE.
    pub peripheral: u8,
    /// PAGE CODE.
    pub code: u8,
    /// What follows the header, as much of it as there is.
    pub payload: &'a [u8],
    /// Bytes of the whole page: more than there are when the allocation length was too small.
    pub whole_len: usize,
}

impl<'a> Page<'a> {
    /// The page in `data`; `None` when there is no whole header.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let fields = Fields(data);
        let len = usize::from(Fields(data.get(..4)?).u16(2));
        let payload = fields.part(4, len);
        Some(Page { peripheral: fields.byte(0), code: fields.byte(1), payload, whole_len: 4 + len })
    }

    /// The payload of the page, if it is the one with this code: some targets answer with standard INQUIRY data.
    pub(super) fn payload_of(data: &'a [u8], code: u8) -> Option<&'a [u8]> {
        Page::decode(data).filter(|page| page.code == code).map(|page| page.payload)
    }

    /// Whether the page is there to its end.
    pub fn is_complete(&self) -> bool {
        self.payload.len() + 4 == self.whole_len
    }
}

/// The codes in the Supported VPD Pages page; `None` when `data` are another page.
pub fn decode_supported_pages(data: &[u8]) -> Option<&[u8]> {
    Page::payload_of(data, SUPPORTED_PAGES)
}

/// The serial number in the Unit Serial Number page, without padding; `None` when `data` are another page.
pub fn decode_serial(data: &[u8]) -> Option<String> {
    let serial = text(Page::payload_of(data, UNIT_SERIAL_NUMBER)?);
    Some(serial.trim_start().to_owned())
}

/// The standard's name of a page.
pub const fn page_name(code: u8) -> Option<&'static str> {
    Some(match code {
        SUPPORTED_PAGES => "Supported VPD Pages",
        UNIT_SERIAL_NUMBER => "Unit Serial Number",
        DEVICE_IDENTIFICATION => "Device Identification",
        0x84 => "Software Interface Identification",
        0x85 => "Management Network Addresses",
        EXTENDED_INQUIRY => "Extended INQUIRY Data",
        0x87 => "Mode Page Policy",
        0x88 => "SCSI Ports",
        0x89 => "ATA Information",
        0x8a => "Power Condition",
        0x8d => "Power Consumption",
        0x8f => "Third-party Copy",
        0x90 => "Protocol Specific Logical Unit Information",
        0x91 => "Protocol Specific Port Information",
        0x92 => "SCSI Feature Sets",
        BLOCK_LIMITS => "Block Limits",
        BLOCK_DEVICE_CHARACTERISTICS => "Block Device Characteristics",
        LOGICAL_BLOCK_PROVISIONING => "Logical Block Provisioning",
        0xb3 => "Referrals",
        0xb4 => "Supported Block Lengths And Protection Types",
        0xb5 => "Block Device Characteristics Extension",
        0xb6 => "Zoned Block Device Characteristics",
        0xb7 => "Block Limits Extension",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_pages_and_serial() {
        let pages = [0, 0, 0, 3, 0, 0x80, 0xb0, 9];
        assert_eq!(decode_supported_pages(&pages), Some(&[0, 0x80, 0xb0][..]));
        assert_eq!(decode_supported_pages(&pages[..5]), Some(&[0][..]));
        assert_eq!(decode_supported_pages(&pages[..3]), None);
        assert_eq!(decode_serial(b"\0\x80\0\x08  ab-1  rest"), Some("ab-1".into()));
        assert_eq!(decode_serial(&pages), None, "another page");
    }

    #[test]
    fn a_page_that_was_cut_off_says_so() {
        let whole = page(0x83, &[1, 2, 3]);
        assert!(Page::decode(&whole).unwrap().is_complete());
        let cut = Page::decode(&whole[..6]).unwrap();
        assert_eq!((cut.payload, cut.whole_len, cut.is_complete()), (&[1, 2][..], 7, false));
        assert_eq!(Page::decode(&whole[..3]), None);
        assert_eq!(page_name(0xb0), Some("Block Limits"));
    }
}
