//! The CRC32C of header and data digests, RFC 7143 section 13.1.

/// Length of a digest on the wire, in bytes.
pub(super) const DIGEST_LEN: usize = 4;

/// The CRC of what gave `crc` followed by `bytes`; the CRC of nothing is 0.
pub(super) fn append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

/// The digest word. Section 13.1 maps the coefficient of x^31 to bit 7 of the first byte; the usual
/// CRC32C value is bit-reversed, so its least significant byte travels first.
pub(super) const fn to_wire(crc: u32) -> [u8; DIGEST_LEN] {
    crc.to_le_bytes()
}

/// The CRC that a digest word stands for.
pub(super) const fn from_wire(word: [u8; DIGEST_LEN]) -> u32 {
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7143 appendix A.4: bytes, and the digest as it travels.
    fn examples() -> [(Vec<u8>, [u8; 4]); 5] {
        let read_command = [
            0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0,
            0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
        ];
        [
            (vec![0; 32], [0xaa, 0x36, 0x91, 0x8a]),
            (vec![0xff; 32], [0x43, 0xab, 0xa8, 0x62]),
            ((0..32).collect(), [0x4e, 0x79, 0xdd, 0x46]),
            ((0..32).rev().collect(), [0x5c, 0xdb, 0x3f, 0x11]),
            (read_command.to_vec(), [0x56, 0x3a, 0x96, 0xd9]),
        ]
    }

    // covers: 7143-13.1-4
    #[test]
    fn the_examples_of_the_rfc_at_every_cut() {
        for (bytes, wire) in examples() {
            assert_eq!(from_wire(wire), append(0, &bytes));
            for cut in 0..=bytes.len() {
                let (a, b) = bytes.split_at(cut);
                assert_eq!(to_wire(append(append(0, a), b)), wire, "cut at {cut}");
            }
        }
    }

    /// Section 13.1 defines the CRC by polynomial division over bits. This does that division, bit by bit, and
    /// compares; it also checks the remainder that the section states for a segment followed by its digest.
    // covers: 7143-13.1-4
    #[test]
    fn equals_the_division_that_the_rfc_describes() {
        fn remainder(bytes: &[u8]) -> u32 {
            // Each byte enters from its bit 0 in the reflected picture that the examples imply.
            let mut r = 0xffff_ffffu32;
            for byte in bytes {
                for bit in 0..8 {
                    let top = r >> 31 ^ u32::from(byte >> bit & 1);
                    r = r << 1 ^ if top == 1 { 0x1edc_6f41 } else { 0 };
                }
            }
            r
        }
        for (mut bytes, wire) in examples() {
            assert_eq!((!remainder(&bytes)).reverse_bits(), append(0, &bytes));
            bytes.extend(wire);
            assert_eq!(remainder(&bytes), 0x1c2d_19ed);
        }
    }
}
