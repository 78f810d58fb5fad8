//! The Device Identification page, SPC-4 clause 7.8.6.

use core::fmt;

use super::{DEVICE_IDENTIFICATION, Page};
use crate::scsi::fields::{Fields, text};
use crate::scsi::inquiry::printable;

/// What a designation descriptor names (ASSOCIATION, SPC-4 table 533).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Association {
    /// The logical unit.
    LogicalUnit,
    /// The target port that received the command.
    TargetPort,
    /// The target device that the unit is in.
    TargetDevice,
    /// The reserved code.
    Reserved,
}

impl Association {
    const fn code(self) -> u8 {
        match self {
            Association::LogicalUnit => 0,
            Association::TargetPort => 1,
            Association::TargetDevice => 2,
            Association::Reserved => 3,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code & 3 {
            0 => Association::LogicalUnit,
            1 => Association::TargetPort,
            2 => Association::TargetDevice,
            _ => Association::Reserved,
        }
    }
}

impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Association::LogicalUnit => "logical unit",
            Association::TargetPort => "target port",
            Association::TargetDevice => "target device",
            Association::Reserved => "reserved association",
        })
    }
}

/// One name in the Device Identification page (SPC-4 clause 7.8.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Designator<'a> {
    /// Type 0: whatever the vendor likes.
    VendorSpecific(&'a [u8]),
    /// Type 1: T10 vendor identification and an identifier that is unique for that vendor.
    T10Vendor {
        /// T10 VENDOR IDENTIFICATION.
        vendor: [u8; 8],
        /// VENDOR SPECIFIC IDENTIFIER.
        specific: &'a [u8],
    },
    /// Type 2: an EUI-64 based identifier of 8, 12 or 16 bytes.
    Eui64(&'a [u8]),
    /// Type 3: an NAA identifier of 8 or 16 bytes.
    Naa(&'a [u8]),
    /// Type 4: the relative target port identifier.
    RelativeTargetPort(u16),
    /// Type 5: the target port group.
    TargetPortGroup(u16),
    /// Type 6: the logical unit group.
    LogicalUnitGroup(u16),
    /// Type 7: an MD5 logical unit identifier.
    Md5(&'a [u8; 16]),
    /// Type 8: a SCSI name string.
    NameString(&'a str),
    /// Type 9: an identifier that the transport defines.
    ProtocolSpecific(&'a [u8]),
    /// Type Ah: a UUID.
    Uuid(&'a [u8; 16]),
    /// A reserved type, or one whose identifier has not the form that its type demands.
    Other {
        /// DESIGNATOR TYPE, four bits.
        kind: u8,
        /// The identifier.
        id: &'a [u8],
    },
}

impl Designator<'_> {
    /// Appends the descriptor to `out`, for a transport of type iSCSI where that matters.
    pub fn emit(&self, association: Association, out: &mut Vec<u8>) {
        let port = |number: u16| [0, 0].into_iter().chain(number.to_be_bytes()).collect();
        let (code_set, kind, body): (u8, u8, Vec<u8>) = match *self {
            Designator::VendorSpecific(id) => (1, 0, id.to_vec()),
            Designator::T10Vendor { vendor, specific } => {
                let tail = specific.iter().copied().map(printable);
                (2, 1, vendor.into_iter().chain(tail).collect())
            }
            Designator::Eui64(id) => (1, 2, id.to_vec()),
            Designator::Naa(id) => (1, 3, id.to_vec()),
            Designator::RelativeTargetPort(number) => (1, 4, port(number)),
            Designator::TargetPortGroup(number) => (1, 5, port(number)),
            Designator::LogicalUnitGroup(number) => (1, 6, port(number)),
            Designator::Md5(id) => (1, 7, id.to_vec()),
            Designator::NameString(name) => (3, 8, padded_name(name)),
            Designator::ProtocolSpecific(id) => (1, 9, id.to_vec()),
            Designator::Uuid(id) => (1, 0xa, [0x10, 0].into_iter().chain(*id).collect()),
            Designator::Other { kind, id } => (1, kind & 0xf, id.to_vec()),
        };
        let len = body.len().min(252);
        let (protocol, piv) = match association {
            Association::TargetPort | Association::TargetDevice => (0x50, 0x80), // PIV, protocol 5h: iSCSI
            Association::LogicalUnit | Association::Reserved => (0x00, 0x00),
        };
        out.extend([protocol | code_set, piv | association.code() << 4 | kind, 0, len as u8]);
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

impl<'a> Designator<'a> {
    fn decode(kind: u8, id: &'a [u8]) -> Self {
        let other = Designator::Other { kind, id };
        let number = || Fields(id).u16(2);
        match (kind, id.len()) {
            (0, _) => Designator::VendorSpecific(id),
            (1, 8..) => Designator::T10Vendor { vendor: Fields(id).array(0), specific: &id[8..] },
            (2, 8 | 12 | 16) => Designator::Eui64(id),
            (3, 8 | 16) => Designator::Naa(id),
            (4, 4) => Designator::RelativeTargetPort(number()),
            (5, 4) => Designator::TargetPortGroup(number()),
            (6, 4) => Designator::LogicalUnitGroup(number()),
            (7, _) => id.try_into().map_or(other, Designator::Md5),
            (8, _) => name_string(id).map_or(other, Designator::NameString),
            (9, _) => Designator::ProtocolSpecific(id),
            // One UUID of the RFC 4122 kind, after two bytes that say so.
            (0xa, 18) if id[0] >> 4 == 1 => id[2..].try_into().map_or(other, Designator::Uuid),
            _ => other,
        }
    }
}

/// Up to the first zero; `None` when that is not UTF-8.
fn name_string(id: &[u8]) -> Option<&str> {
    let end = id.iter().position(|&b| b == 0).unwrap_or(id.len());
    core::str::from_utf8(&id[..end]).ok()
}

impl fmt::Display for Designator<'_> {
    /// `naa.600140500000000000000001`, `eui.0011223344556677`, `iqn.2003-01.org.example:disk`,
    /// `relative target port 1`, hexadecimal digits for what has no form of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, id: &[u8]| id.iter().try_for_each(|b| write!(f, "{b:02x}"));
        let (word, id): (&str, &[u8]) = match *self {
            Designator::T10Vendor { vendor, specific } => {
                return write!(f, "t10.{} {}", text(&vendor), text(specific));
            }
            Designator::RelativeTargetPort(number) => return write!(f, "relative target port {number}"),
            Designator::TargetPortGroup(number) => return write!(f, "target port group {number}"),
            Designator::LogicalUnitGroup(number) => return write!(f, "logical unit group {number}"),
            Designator::NameString(name) => {
                return name.chars().filter(|c| !c.is_control()).try_for_each(|c| write!(f, "{c}"));
            }
            Designator::Uuid(id) => {
                f.write_str("uuid.")?;
                return id.iter().enumerate().try_for_each(|(at, byte)| {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")
                });
            }
            Designator::Other { kind, id } => {
                write!(f, "type {kind:X}h ")?;
                return hex(f, id);
            }
            Designator::VendorSpecific(id) => ("vendor ", id),
            Designator::Eui64(id) => ("eui.", id),
            Designator::Naa(id) => ("naa.", id),
            Designator::Md5(id) => ("md5.", id),
            Designator::ProtocolSpecific(id) => ("protocol specific ", id),
        };
        f.write_str(word)?;
        hex(f, id)
    }
}

/// A designator with what it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Designation<'a> {
    /// What it names.
    pub association: Association,
    /// PROTOCOL IDENTIFIER of a port or device, where it is told; 5 is iSCSI.
    pub protocol: Option<u8>,
    /// CODE SET: 1 for binary, 2 for ASCII, 3 for UTF-8.
    pub code_set: u8,
    /// The name.
    pub designator: Designator<'a>,
}

/// The descriptors of a Device Identification page, in order; `None` when `data` are another page.
///
/// A last descriptor that is cut off is left out.
pub fn decode_designations(data: &[u8]) -> Option<Vec<Designation<'_>>> {
    let mut rest = Page::payload_of(data, DEVICE_IDENTIFICATION)?;
    let mut out = Vec::new();
    while let [first, second, _, len, after @ ..] = rest {
        let Some((id, next)) = after.split_at_checked(usize::from(*len)) else { break };
        rest = next;
        out.push(Designation {
            association: Association::from_code(second >> 4),
            protocol: (second & 0x80 != 0).then_some(first >> 4),
            code_set: first & 0x0f,
            designator: Designator::decode(second & 0x0f, id),
        });
    }
    Some(out)
}

/// What a PROTOCOL IDENTIFIER stands for (SPC-4 clause 7.6).
pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        0x0 => "Fibre Channel",
        0x1 => "parallel SCSI",
        0x3 => "IEEE 1394",
        0x4 => "SRP",
        0x5 => "iSCSI",
        0x6 => "SAS",
        0x7 => "ADT",
        0x8 => "ATA",
        0x9 => "UAS",
        0xa => "SCSI over PCI Express",
        _ => return None,
    })
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

    #[test]
    fn every_type_by_hand() {
        let bytes: Vec<(Vec<u8>, &str)> = vec![
            (vec![0x01, 0x00, 0, 2, 0xca, 0xfe], "vendor cafe"),
            ([&[0x02, 0x01, 0, 12][..], b"VENDOR  ab c"].concat(), "t10.VENDOR ab c"),
            (vec![0x01, 0x02, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7], "eui.0001020304050607"),
            (vec![0x01, 0x03, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7], "naa.5001020304050607"),
            (vec![0x51, 0x94, 0, 4, 0, 0, 1, 2], "relative target port 258"),
            (vec![0x51, 0x95, 0, 4, 0, 0, 0, 3], "target port group 3"),
            (vec![0x01, 0x06, 0, 4, 0, 0, 0, 4], "logical unit group 4"),
            ([&[0x01, 0x07, 0, 16][..], &[0xab; 16]].concat(), "md5.abababababababababababababababab"),
            ([&[0x53, 0xa8, 0, 12][..], b"iqn.a:b\0\0\0\0\0"].concat(), "iqn.a:b"),
            (vec![0x61, 0x99, 0, 1, 7], "protocol specific 07"),
            (
                [&[0x01, 0x0a, 0, 18, 0x10, 0][..], &(0..16).collect::<Vec<u8>>()].concat(),
                "uuid.00010203-0405-0607-0809-0a0b0c0d0e0f",
            ),
            (vec![0x01, 0x03, 0, 2, 0x50, 1], "type 3h 5001"),
            (vec![0x03, 0x08, 0, 4, 0xff, 0xfe, 0, 0], "type 8h fffe0000"),
            (vec![0x01, 0x0f, 0, 0], "type Fh "),
        ];
        let payload: Vec<u8> = bytes.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let page = super::super::page(DEVICE_IDENTIFICATION, &payload);
        let found = decode_designations(&page).unwrap();
        assert_eq!(
            found.iter().map(|d| d.designator.to_string()).collect::<Vec<_>>(),
            bytes.iter().map(|(_, text)| *text).collect::<Vec<_>>()
        );
        assert_eq!((found[0].association, found[0].protocol), (Association::LogicalUnit, None));
        assert_eq!((found[4].association, found[4].protocol), (Association::TargetPort, Some(5)));
        assert_eq!((found[8].association, found[8].code_set), (Association::TargetDevice, 3));
        // Cut at every byte: what is there is the beginning of the whole.
        for len in 4..page.len() {
            let cut = decode_designations(&page[..len]).unwrap();
            assert!(cut.len() < found.len() && found.starts_with(&cut));
        }
    }

    #[test]
    fn what_is_emitted_reads_back() {
        let (id, long) = ([7; 16], [0x60; 16]);
        let all = [
            Designator::VendorSpecific(&id),
            Designator::T10Vendor { vendor: *b"VENDOR  ", specific: b"x" },
            Designator::Eui64(&id[..8]),
            Designator::Naa(&long),
            Designator::RelativeTargetPort(1),
            Designator::TargetPortGroup(2),
            Designator::LogicalUnitGroup(3),
            Designator::Md5(&id),
            Designator::NameString("eui.0011223344556677"),
            Designator::ProtocolSpecific(&id),
            Designator::Uuid(&id),
            Designator::Other { kind: 0xb, id: &id },
        ];
        let associations = [
            Association::LogicalUnit,
            Association::TargetPort,
            Association::TargetDevice,
            Association::Reserved,
        ];
        for association in associations {
            let mut payload = Vec::new();
            all.iter().for_each(|designator| designator.emit(association, &mut payload));
            let page = super::super::page(DEVICE_IDENTIFICATION, &payload);
            let found = decode_designations(&page).unwrap();
            assert_eq!(found.iter().map(|d| d.designator).collect::<Vec<_>>(), all);
            assert!(found.iter().all(|d| d.association == association));
        }
    }
}
