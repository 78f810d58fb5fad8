//! Vital product data pages, SPC-4 clause 7.8 and SBC-3 clause 6.6.

use super::inquiry::printable;

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

/// What a designation descriptor names (ASSOCIATION, SPC-4 table 533).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Association {
    /// The logical unit.
    LogicalUnit,
    /// The target port that received the command.
    TargetPort,
}

/// One name in the Device Identification page (SPC-4 clause 7.8.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Designator<'a> {
    /// Type 1: T10 vendor identification and an identifier that is unique for that vendor.
    T10Vendor {
        /// T10 VENDOR IDENTIFICATION.
        vendor: [u8; 8],
        /// VENDOR SPECIFIC IDENTIFIER.
        specific: &'a [u8],
    },
    /// Type 3: an NAA identifier of 8 or 16 bytes.
    Naa(&'a [u8]),
    /// Type 4: the relative target port identifier.
    RelativeTargetPort(u16),
    /// Type 8: a SCSI name string.
    NameString(&'a str),
}

impl Designator<'_> {
    /// Appends the descriptor to `out`, for a transport of type iSCSI where that matters.
    pub fn emit(&self, association: Association, out: &mut Vec<u8>) {
        let (code_set, kind, body) = match *self {
            Designator::T10Vendor { vendor, specific } => {
                let tail = specific.iter().copied().map(printable);
                (2, 1, vendor.into_iter().chain(tail).collect::<Vec<u8>>())
            }
            Designator::Naa(id) => (1, 3, id.to_vec()),
            Designator::RelativeTargetPort(port) => {
                (1, 4, [0, 0].into_iter().chain(port.to_be_bytes()).collect())
            }
            Designator::NameString(name) => (3, 8, padded_name(name)),
        };
        let len = body.len().min(252);
        let (protocol, piv) = match association {
            Association::LogicalUnit => (0x00, 0x00),
            Association::TargetPort => (0x50, 0x90), // PIV, ASSOCIATION 01b, protocol 5h: iSCSI
        };
        out.extend([protocol | code_set, piv | kind, 0, len as u8]);
        out.extend(&body[..len]);
    }
}

/// A SCSI name string ends with one to four zeros, to a multiple of four bytes (SPC-4 clause 7.8.6.11).
fn padded_name(name: &str) -> Vec<u8> {
    let mut cut = name.len().min(248);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut body = name.as_bytes()[..cut].to_vec();
    body.resize(cut / 4 * 4 + 4, 0);
    body
}

/// The Block Limits page (SBC-3 clause 6.6.4). Lengths in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockLimits {
    /// OPTIMAL TRANSFER LENGTH GRANULARITY.
    pub optimal_granularity: u16,
    /// MAXIMUM TRANSFER LENGTH.
    pub max_transfer: u32,
    /// OPTIMAL TRANSFER LENGTH.
    pub optimal_transfer: u32,
    /// MAXIMUM UNMAP LBA COUNT; zero without UNMAP.
    pub max_unmap_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT; zero without UNMAP.
    pub max_unmap_descriptors: u32,
    /// OPTIMAL UNMAP GRANULARITY.
    pub unmap_granularity: u32,
    /// MAXIMUM WRITE SAME LENGTH.
    pub max_write_same: u64,
}

impl BlockLimits {
    /// The page. WSNZ is set: a WRITE SAME of zero blocks is refused.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = [0; 0x3c];
        body[0] = 0x01;
        body[2..4].copy_from_slice(&self.optimal_granularity.to_be_bytes());
        body[4..8].copy_from_slice(&self.max_transfer.to_be_bytes());
        body[8..12].copy_from_slice(&self.optimal_transfer.to_be_bytes());
        body[16..20].copy_from_slice(&self.max_unmap_blocks.to_be_bytes());
        body[20..24].copy_from_slice(&self.max_unmap_descriptors.to_be_bytes());
        body[24..28].copy_from_slice(&self.unmap_granularity.to_be_bytes());
        if self.max_unmap_blocks != 0 {
            body[28] = 0x80; // UGAVALID, alignment 0
        }
        body[32..40].copy_from_slice(&self.max_write_same.to_be_bytes());
        page(BLOCK_LIMITS, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn designators_bytes() {
        let mut out = Vec::new();
        Designator::T10Vendor { vendor: *b"VENDOR  ", specific: b"ab" }
            .emit(Association::LogicalUnit, &mut out);
        Designator::Naa(&[0x30, 1, 2, 3, 4, 5, 6, 7]).emit(Association::LogicalUnit, &mut out);
        Designator::RelativeTargetPort(0x0102).emit(Association::TargetPort, &mut out);
        Designator::NameString("iqn.").emit(Association::TargetPort, &mut out);
        let want = [
            &[0x02, 0x01, 0, 10][..],
            b"VENDOR  ab",
            &[0x01, 0x03, 0, 8, 0x30, 1, 2, 3, 4, 5, 6, 7],
            &[0x51, 0x94, 0, 4, 0, 0, 1, 2],
            &[0x53, 0x98, 0, 8],
            b"iqn.\0\0\0\0",
        ]
        .concat();
        assert_eq!(out, want);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        for letters in 0..4 {
            let name = "x".repeat(letters) + &"\u{20ac}".repeat(200);
            let body = padded_name(&name);
            assert!(body.len() <= 252 && body.len().is_multiple_of(4));
            let text = core::str::from_utf8(&body).unwrap().trim_end_matches('\0');
            assert!(name.starts_with(text) && text.len() > 240);
        }
    }
}
