//! Reading big-endian fields of data that another made: what is not there reads as zero.

/// Bytes that may be shorter than they should be.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Whether bit `bit` of the byte at `at` is one.
    pub(super) fn bit(self, at: usize, bit: u8) -> bool {
        self.byte(at) >> bit & 1 == 1
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> [u8; N] {
        core::array::from_fn(|i| at.checked_add(i).map_or(0, |at| self.byte(at)))
    }

    pub(super) fn u16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    pub(super) fn u32(self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    pub(super) fn u64(self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }

    /// The bytes from `at` on; none beyond the end.
    pub(super) fn from(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or(&[])
    }

    /// The `len` bytes from `at` on, or as many of them as there are.
    pub(super) fn part(self, at: usize, len: usize) -> &'a [u8] {
        let rest = self.from(at);
        &rest[..len.min(rest.len())]
    }
}

/// A left-aligned ASCII field without the padding, with `?` for what is not printable ASCII.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|b| !matches!(b, b' ' | 0)).map_or(0, |last| last + 1);
    bytes[..end].iter().map(|&b| if matches!(b, 0x20..=0x7e) { char::from(b) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_reads_as_zero() {
        let fields = Fields(&[1, 2, 3]);
        assert_eq!((fields.u16(1), fields.u16(2), fields.u32(0)), (0x0203, 0x0300, 0x0102_0300));
        assert_eq!((fields.u64(usize::MAX), fields.byte(3)), (0, 0));
        assert_eq!((fields.from(2), fields.from(4), fields.part(1, 9)), (&[3][..], &[][..], &[2, 3][..]));
    }

    #[test]
    fn text_is_trimmed_and_printable() {
        assert_eq!(text(b" a\x1bb\xff  \0\0"), " a?b?");
        assert_eq!(text(b"    "), "");
    }
}
