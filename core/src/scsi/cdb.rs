//! Command descriptor blocks, SPC-4 clause 4.3.

use bytes::Bytes;

use super::opcode;

/// The most bytes that a CDB has (SPC-4 clause 4.3.4).
pub const MAX_CDB_LEN: usize = 260;

/// A CDB as a transport carries it: 16 bytes, and for the rare longer ones the rest.
///
/// Shorter CDBs are padded with zeros. Every reader of a field yields zeros beyond the end.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cdb {
    first: [u8; 16],
    /// Never empty. Behind a pointer, as every command carries a CDB through several hands and next to none has this.
    rest: Option<Box<Bytes>>,
}

impl Cdb {
    /// A CDB of at most 16 bytes, padded with zeros.
    pub const fn new(first: [u8; 16]) -> Self {
        Cdb { first, rest: None }
    }

    /// A CDB whose bytes from the 17th on are `rest`; `None` when it would be longer than [`MAX_CDB_LEN`].
    pub fn with_rest(first: [u8; 16], rest: Bytes) -> Option<Self> {
        let fits = rest.len() <= MAX_CDB_LEN - 16;
        fits.then(|| Cdb { first, rest: (!rest.is_empty()).then(|| Box::new(rest)) })
    }

    /// The CDB in `bytes`; `None` when there are more than [`MAX_CDB_LEN`].
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut first = [0; 16];
        let (head, tail) = bytes.split_at(bytes.len().min(16));
        first[..head.len()].copy_from_slice(head);
        Cdb::with_rest(first, Bytes::copy_from_slice(tail))
    }

    /// The first 16 bytes.
    pub const fn first(&self) -> &[u8; 16] {
        &self.first
    }

    /// The bytes from the 17th on; empty for nearly every command.
    pub fn rest(&self) -> &Bytes {
        static NOTHING: Bytes = Bytes::new();
        self.rest.as_deref().unwrap_or(&NOTHING)
    }

    /// OPERATION CODE.
    pub const fn opcode(&self) -> u8 {
        self.first[0]
    }

    /// SERVICE ACTION where a 12 or 16 byte CDB has it: the low five bits of byte 1.
    pub const fn service_action(&self) -> u8 {
        self.first[1] & 0x1f
    }

    /// The length in bytes that the group of the operation code says (SPC-4 clause 4.2.5.1); for variable length
    /// CDBs the length they state; `None` for vendor specific and reserved groups.
    pub fn stated_len(&self) -> Option<usize> {
        match self.opcode() {
            opcode::EXTENDED_CDB | opcode::VARIABLE_LENGTH_CDB => Some(8 + usize::from(self.byte(7))),
            code => opcode::cdb_len(code),
        }
    }

    /// The byte at `at`.
    pub fn byte(&self, at: usize) -> u8 {
        match at.checked_sub(16) {
            None => self.first[at],
            Some(at) => self.rest().get(at).copied().unwrap_or(0),
        }
    }

    /// The big-endian 16 bits at `at`.
    pub fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    /// The big-endian 24 bits at `at`.
    pub fn u24_at(&self, at: usize) -> u32 {
        let [a, b, c] = self.array(at);
        u32::from_be_bytes([0, a, b, c])
    }

    /// The big-endian 32 bits at `at`.
    pub fn u32_at(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    /// The big-endian 64 bits at `at`.
    pub fn u64_at(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        match self.first.get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => *bytes,
            None => core::array::from_fn(|i| self.byte(at + i)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_big_endian_and_zero_beyond_the_end() {
        let cdb = Cdb::from_slice(&(0..20).collect::<Vec<u8>>()).unwrap();
        assert_eq!(cdb.u16_at(2), 0x0203);
        assert_eq!(cdb.u24_at(5), 0x05_0607);
        assert_eq!(cdb.u32_at(14), 0x0e0f_1011, "across the inline part");
        assert_eq!(cdb.u64_at(15), 0x0f10_1112_1300_0000);
        assert_eq!(cdb.u64_at(4000), 0);
        assert_eq!(cdb.byte(259), 0);
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(Cdb::from_slice(&[0x7f; 260]).is_some());
        assert!(Cdb::from_slice(&[0x7f; 261]).is_none());
        assert_eq!(Cdb::from_slice(&[]).unwrap().opcode(), 0);
        assert_eq!(Cdb::from_slice(&[0x7f, 0, 0, 0, 0, 0, 0, 24]).unwrap().stated_len(), Some(32));
        assert_eq!(Cdb::from_slice(&[0x28]).unwrap().stated_len(), Some(10));
        assert_eq!(Cdb::from_slice(&[0xc1]).unwrap().stated_len(), None);
    }
}
