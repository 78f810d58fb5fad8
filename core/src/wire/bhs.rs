//! The basic header segment as 48 bytes, RFC 7143 section 11.2.1.

use core::fmt;

use super::{CmdSn, Itt, Lun, StatSn};

/// Length of a basic header segment.
pub const BHS_LEN: usize = 48;

/// A view over the bytes of a basic header segment: the fields that all PDUs share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bhs(pub [u8; BHS_LEN]);

impl Bhs {
    /// A header of zeroes but for the opcode.
    pub const fn new(opcode: Opcode) -> Self {
        let mut bytes = [0; BHS_LEN];
        bytes[0] = opcode.code();
        Bhs(bytes)
    }

    /// What the PDU is.
    pub const fn opcode(&self) -> Opcode {
        Opcode::from_code(self.0[0])
    }

    /// Whether the I bit is set: a request for immediate delivery.
    pub const fn is_immediate(&self) -> bool {
        self.0[0] & 0x40 != 0
    }

    /// Sets the I bit.
    pub const fn set_immediate(&mut self) {
        self.0[0] |= 0x40;
    }

    /// Whether the F bit is set.
    pub const fn is_final(&self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// Length of the additional header segments, in bytes.
    pub const fn total_ahs_len(&self) -> usize {
        self.0[4] as usize * 4
    }

    /// Sets TotalAHSLength from a number of bytes, which must be a multiple of four below 1024.
    pub const fn set_total_ahs_len(&mut self, bytes: usize) {
        debug_assert!(bytes.is_multiple_of(4) && bytes <= 1020);
        self.0[4] = (bytes / 4) as u8;
    }

    /// Length of the data segment without padding, in bytes.
    pub const fn data_segment_len(&self) -> u32 {
        u32::from_be_bytes([0, self.0[5], self.0[6], self.0[7]])
    }

    /// Sets DataSegmentLength, which must be below 2^24.
    pub const fn set_data_segment_len(&mut self, len: u32) {
        debug_assert!(len < 1 << 24);
        let b = len.to_be_bytes();
        self.0[5] = b[1];
        self.0[6] = b[2];
        self.0[7] = b[3];
    }

    /// The LUN field (or what an opcode puts in its place).
    pub const fn lun(&self) -> Lun {
        Lun(self.get_u64(8))
    }

    /// The Initiator Task Tag.
    pub const fn itt(&self) -> Itt {
        Itt(self.get_u32(16))
    }

    /// Sets the three counters that stand at the same place in every PDU of a target: StatSN, ExpCmdSN, MaxCmdSN.
    pub fn set_counters(&mut self, stat_sn: StatSn, exp_cmd_sn: CmdSn, max_cmd_sn: CmdSn) {
        self.put_u32(24, stat_sn.0);
        self.put_u32(28, exp_cmd_sn.0);
        self.put_u32(32, max_cmd_sn.0);
    }

    pub(super) const fn get_u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    pub(super) const fn get_u32(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    pub(super) const fn get_u64(&self, at: usize) -> u64 {
        (self.get_u32(at) as u64) << 32 | self.get_u32(at + 4) as u64
    }

    pub(super) fn put_u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    pub(super) fn put_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(super) fn put_u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
}

impl fmt::Debug for Bhs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bhs({:?}, ", self.opcode())?;
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str(")")
    }
}

macro_rules! opcodes {
    ($($code:literal $name:ident $text:literal),* $(,)?) => {
        /// What a PDU is, RFC 7143 section 11.2.1.2.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum Opcode {
            $(#[doc = $text] $name,)*
            /// Not defined by the RFC.
            Unknown(u8),
        }

        impl Opcode {
            /// The opcode in the low six bits of the first byte of a header.
            pub const fn from_code(byte: u8) -> Self {
                match byte & 0x3f {
                    $($code => Opcode::$name,)*
                    other => Opcode::Unknown(other),
                }
            }

            /// The six bits.
            pub const fn code(self) -> u8 {
                match self {
                    $(Opcode::$name => $code,)*
                    Opcode::Unknown(code) => code & 0x3f,
                }
            }

            /// The name that the RFC uses.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Opcode::$name => $text,)*
                    Opcode::Unknown(_) => "PDU of unknown opcode",
                }
            }
        }
    };
}

opcodes! {
    0x00 NopOut "NOP-Out",
    0x01 ScsiCommand "SCSI Command",
    0x02 TaskManagementRequest "Task Management Function Request",
    0x03 LoginRequest "Login Request",
    0x04 TextRequest "Text Request",
    0x05 DataOut "SCSI Data-Out",
    0x06 LogoutRequest "Logout Request",
    0x10 SnackRequest "SNACK Request",
    0x20 NopIn "NOP-In",
    0x21 ScsiResponse "SCSI Response",
    0x22 TaskManagementResponse "Task Management Function Response",
    0x23 LoginResponse "Login Response",
    0x24 TextResponse "Text Response",
    0x25 DataIn "SCSI Data-In",
    0x26 LogoutResponse "Logout Response",
    0x31 R2t "R2T",
    0x32 AsyncMessage "Asynchronous Message",
    0x3f Reject "Reject",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_eighteen_are_known() {
        let known = (0..64u8).filter(|c| !matches!(Opcode::from_code(*c), Opcode::Unknown(_))).count();
        assert_eq!(known, 18);
        for byte in 0..=255u8 {
            assert_eq!(Opcode::from_code(byte).code(), byte & 0x3f);
        }
    }

    #[test]
    fn lengths_use_their_own_bits() {
        let mut bhs = Bhs::new(Opcode::ScsiCommand);
        bhs.set_data_segment_len(0x01_0203);
        bhs.set_total_ahs_len(12);
        assert_eq!(bhs.0[4..8], [3, 1, 2, 3]);
        assert_eq!((bhs.data_segment_len(), bhs.total_ahs_len()), (0x01_0203, 12));
    }
}
