//! The basic header segment as 48 bytes, RFC 7143 section 11.2.1.

use super::{Itt, Lun};

/// Length of a basic header segment.
pub const BHS_LEN: usize = 48;

/// A view over the bytes of a basic header segment: the fields that all PDUs share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bhs(pub [u8; BHS_LEN]);

/// What a PDU is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Opcode {
    /// Not defined.
    Unknown(u8),
}
