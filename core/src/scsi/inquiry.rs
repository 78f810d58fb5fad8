//! Standard INQUIRY data, SPC-4 clause 6.6.2.

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
}
