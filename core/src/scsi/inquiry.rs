//! Standard INQUIRY data, SPC-4 clause 6.6.2.

use core::fmt;

use super::fields::{Fields, text};

/// What standard INQUIRY data says of a direct access block device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandardInquiry {
    /// PERIPHERAL QUALIFIER (three bits) and PERIPHERAL DEVICE TYPE (five bits).
    pub peripheral: u8,
    /// T10 VENDOR IDENTIFICATION.
    pub vendor: [u8; 8],
    /// PRODUCT IDENTIFICATION.
    pub product: [u8; 16],
    /// PRODUCT REVISION LEVEL.
    pub revision: [u8; 4],
}

impl StandardInquiry {
    /// Bytes of the whole data, up to the end of the reserved bytes after the version descriptors.
    pub const LEN: usize = 96;

    /// PERIPHERAL byte of a disk that is there.
    pub const DISK: u8 = 0x00;
    /// PERIPHERAL byte for a LUN behind which no unit can be: qualifier 011b, type 1Fh.
    pub const ABSENT: u8 = 0x7f;

    /// SAM-5, SPC-4 and SBC-3, none with a claim to a certain version (SPC-4 clause 6.6.2, table 148). The transport is
    /// not among them: RFC 7144 section 4.2 has its descriptor follow what each session negotiated, and a disk knows
    /// no sessions.
    const VERSION_DESCRIPTORS: [u16; 3] = [0x00a0, 0x0460, 0x04c0];

    /// The bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = self.peripheral;
        out[2] = 0x06; // VERSION: SPC-4
        out[3] = 0x12; // HISUP, RESPONSE DATA FORMAT 2
        out[4] = (Self::LEN - 5) as u8;
        out[7] = 0x02; // CMDQUE
        out[8..16].copy_from_slice(&self.vendor);
        out[16..32].copy_from_slice(&self.product);
        out[32..36].copy_from_slice(&self.revision);
        if self.peripheral == Self::DISK {
            for (slot, version) in out[58..74].chunks_exact_mut(2).zip(Self::VERSION_DESCRIPTORS) {
                slot.copy_from_slice(&version.to_be_bytes());
            }
        }
        out
    }
}

/// Standard INQUIRY data as another end laid them out. What they are too short for reads as zero or empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inquiry {
    /// PERIPHERAL QUALIFIER: 0 when a unit is there, 1 when one could be, 3 when none can be.
    pub peripheral_qualifier: u8,
    /// PERIPHERAL DEVICE TYPE: 0 for a direct access block device.
    pub device_type: DeviceType,
    /// RMB: the medium can be taken out.
    pub removable: bool,
    /// LU_CONG: a logical unit conglomerate, which subsidiary units are bound to (SPC-5).
    pub conglomerate: bool,
    /// VERSION: 6 for SPC-4, 7 for SPC-5, 0 for no standard.
    pub version: u8,
    /// HISUP: LUNs are assigned hierarchically.
    pub hierarchical: bool,
    /// RESPONSE DATA FORMAT: 2.
    pub response_data_format: u8,
    /// SCCS: an embedded storage array controller.
    pub array_controller: bool,
    /// TPGS: bit 0 for implicit, bit 1 for explicit asymmetric access.
    pub tpgs: u8,
    /// 3PC: third-party copies.
    pub third_party_copy: bool,
    /// PROTECT: protection information.
    pub protect: bool,
    /// ENCSERV: an embedded enclosure.
    pub enclosure_services: bool,
    /// MULTIP: several target ports.
    pub multi_port: bool,
    /// CMDQUE: several commands at a time.
    pub command_queuing: bool,
    /// T10 VENDOR IDENTIFICATION, without padding.
    pub vendor: String,
    /// PRODUCT IDENTIFICATION, without padding.
    pub product: String,
    /// PRODUCT REVISION LEVEL, without padding.
    pub revision: String,
    /// The version descriptors that are not zero: standards that the unit claims to follow.
    pub version_descriptors: Vec<u16>,
}

impl Inquiry {
    /// The data; `None` when not even the bytes up to ADDITIONAL LENGTH are there.
    pub fn decode(data: &[u8]) -> Option<Inquiry> {
        let length = usize::from(*data.get(4)?);
        let fields = Fields(&data[..data.len().min(5 + length)]);
        Some(Inquiry {
            peripheral_qualifier: fields.byte(0) >> 5,
            device_type: DeviceType(fields.byte(0) & 0x1f),
            removable: fields.bit(1, 7),
            conglomerate: fields.bit(1, 6),
            version: fields.byte(2),
            hierarchical: fields.bit(3, 4),
            response_data_format: fields.byte(3) & 0x0f,
            array_controller: fields.bit(5, 7),
            tpgs: fields.byte(5) >> 4 & 3,
            third_party_copy: fields.bit(5, 3),
            protect: fields.bit(5, 0),
            enclosure_services: fields.bit(6, 6),
            multi_port: fields.bit(6, 4),
            command_queuing: fields.bit(7, 1),
            vendor: text(fields.part(8, 8)),
            product: text(fields.part(16, 16)),
            revision: text(fields.part(32, 4)),
            version_descriptors: fields
                .part(58, 16)
                .chunks_exact(2)
                .map(|two| u16::from_be_bytes([two[0], two[1]]))
                .filter(|&version| version != 0)
                .collect(),
        })
    }

    /// Whether there is a logical unit, ready or not.
    pub const fn is_present(&self) -> bool {
        self.peripheral_qualifier == 0
    }

    /// The standard that VERSION names.
    pub const fn version_name(&self) -> Option<&'static str> {
        Some(match self.version {
            0x03 => "SPC",
            0x04 => "SPC-2",
            0x05 => "SPC-3",
            0x06 => "SPC-4",
            0x07 => "SPC-5",
            0x08 => "SPC-6",
            _ => return None,
        })
    }
}

/// PERIPHERAL DEVICE TYPE (SPC-4 clause 6.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeviceType(pub u8);

impl DeviceType {
    /// A direct access block device: a disk.
    pub const DISK: DeviceType = DeviceType(0x00);
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x00 => "disk",
            0x01 => "tape",
            0x02 => "printer",
            0x03 => "processor",
            0x04 => "write-once disk",
            0x05 => "CD or DVD",
            0x07 => "optical memory",
            0x08 => "medium changer",
            0x0c => "storage array controller",
            0x0d => "enclosure services",
            0x0e => "simplified disk",
            0x11 => "object storage",
            0x12 => "automation drive interface",
            0x14 => "host managed zoned disk",
            0x1e => "well known logical unit",
            0x1f => "no device",
            other => return write!(f, "device type {other:02X}h"),
        })
    }
}

/// `text` as a left-aligned ASCII data field (SPC-4 clause 4.4.1): cut to `N` bytes, padded with spaces, and `_` for
/// every byte that is not printable ASCII.
pub fn ascii_field<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [b' '; N];
    for (slot, byte) in out.iter_mut().zip(text.bytes()) {
        *slot = printable(byte);
    }
    out
}

/// `byte` if ASCII data fields may hold it, else `_`.
pub(crate) const fn printable(byte: u8) -> u8 {
    if matches!(byte, 0x20..=0x7e) { byte } else { b'_' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_bytes() {
        let data = StandardInquiry {
            peripheral: StandardInquiry::DISK,
            vendor: ascii_field("VENDOR"),
            product: ascii_field("A product of many letters"),
            revision: ascii_field("1\u{e9}"),
        }
        .encode();
        let mut want = vec![0, 0, 6, 0x12, 91, 0, 0, 2];
        want.extend(b"VENDOR  A product of man1__ ");
        want.resize(58, 0);
        want.extend([0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0]);
        want.resize(96, 0);
        assert_eq!(&data[..], &want[..]);
    }

    #[test]
    fn another_targets_bytes() {
        // The layout of a common Linux target: SPC-3, implicit and explicit ALUA, third-party copy.
        let mut data = vec![0x00, 0x80, 0x05, 0x02, 31, 0x38, 0x10, 0x02];
        data.extend(b"LIO-ORG disk0           4.0 ");
        let inquiry = Inquiry::decode(&data).unwrap();
        assert_eq!((&*inquiry.vendor, &*inquiry.product, &*inquiry.revision), ("LIO-ORG", "disk0", "4.0"));
        assert!(inquiry.is_present() && inquiry.removable && inquiry.third_party_copy && inquiry.multi_port);
        assert!(inquiry.command_queuing && !inquiry.protect && !inquiry.hierarchical);
        assert_eq!((inquiry.tpgs, inquiry.version_name()), (3, Some("SPC-3")));
        assert_eq!(inquiry.version_descriptors, [0u16; 0]);
        // ADDITIONAL LENGTH ends the data before the revision.
        data[4] = 27;
        assert_eq!(Inquiry::decode(&data).unwrap().revision, "");
        assert_eq!(Inquiry::decode(&data[..12]).unwrap().vendor, "LIO-");
        assert_eq!(Inquiry::decode(&data[..4]), None);
    }

    #[test]
    fn version_descriptors_and_no_unit() {
        let mut data = [0; 96];
        data[0] = 0x7f;
        data[4] = 91;
        data[58..64].copy_from_slice(&[0x00, 0xa0, 0x00, 0x00, 0x09, 0x60]);
        let inquiry = Inquiry::decode(&data).unwrap();
        assert_eq!(inquiry.version_descriptors, [0x00a0, 0x0960]);
        assert!(!inquiry.is_present() && inquiry.version_name().is_none());
        assert_eq!(inquiry.device_type.to_string(), "no device");
    }
}
