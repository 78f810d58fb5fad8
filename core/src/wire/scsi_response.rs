//! SCSI Response, RFC 7143 section 11.4 and RFC 7144 section 5.2.

use core::fmt;

use super::fields::{Counters, Segments, bad};
use super::{Bhs, CmdSn, DataSn, Itt, Opcode, StatSn};
use crate::FrameError;

/// How much less or more data a command moved than the initiator expected, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Residual {
    /// Exactly what was expected.
    #[default]
    None,
    /// So much less (U bit).
    Underflow(u32),
    /// So much more would have been (O bit).
    Overflow(u32),
}

impl Residual {
    /// What is to be reported for a command that had `presented` bytes to move where the initiator expected
    /// `expected` (RFC 7143 section 11.4.5.2: SPDTL and EDTL). More than 32 bits of overflow are cut to 2^32 - 1.
    #[must_use]
    pub fn between(presented: u64, expected: u32) -> Residual {
        let expected = u64::from(expected);
        let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        match presented {
            p if p < expected => Residual::Underflow(clamp(expected - p)),
            p if p > expected => Residual::Overflow(clamp(p - expected)),
            _ => Residual::None,
        }
    }

    /// Reads two flags and the count that they give a meaning; without a flag the count is ignored.
    pub(super) fn parse(overflow: bool, underflow: bool, count: u32) -> Result<Residual, FrameError> {
        match (overflow, underflow) {
            (false, false) => Ok(Residual::None),
            (true, false) => Ok(Residual::Overflow(count)),
            (false, true) => Ok(Residual::Underflow(count)),
            (true, true) => Err(bad("O and U", "overflow and underflow exclude each other")),
        }
    }

    /// The count for the wire, and which of the two masks its flag has.
    pub(super) const fn emit(self, overflow: u8, underflow: u8) -> (u8, u32) {
        match self {
            Residual::None => (0, 0),
            Residual::Overflow(count) => (overflow, count),
            Residual::Underflow(count) => (underflow, count),
        }
    }
}

/// The end of a SCSI command. Sense data, where there is any, travels in the data segment behind two bytes of
/// its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiResponse {
    /// iSCSI service response: 0 completed at target, 1 target failure, 0x80 and up vendor specific. Where it
    /// is not 0, status, residuals and ExpDataSN do not exist: zero here and on the wire.
    pub response: u8,
    /// SCSI status.
    pub status: u8,
    /// Residual of the command; of its write part where it is bidirectional.
    pub residual: Residual,
    /// Residual of the read part of a bidirectional command.
    pub bidi_read_residual: Residual,
    /// The task that ends.
    pub itt: Itt,
    /// Tag of the last R-Data SNACK that the target accepted for the task; 0 where there was none.
    pub snack_tag: u32,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// How many Data-In (and, if bidirectional, R2T) PDUs the target sent for the task.
    pub exp_data_sn: DataSn,
    /// Additional status information (SAM-5). To be zero, and of no meaning on receipt, unless
    /// iSCSIProtocolLevel is 2 or more (RFC 7144 section 5.2.1).
    pub status_qualifier: u16,
}

impl ScsiResponse {
    /// Value of `response`: the command was executed, `status` says how it ended.
    pub const COMPLETED: u8 = 0x00;
    /// Value of `response`: the target failed to execute the command.
    pub const TARGET_FAILURE: u8 = 0x01;

    /// Reads a SCSI Response.
    ///
    /// # Errors
    /// Another opcode, additional headers, or flags that exclude each other (section 11.4.1).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::ScsiResponse, Segments::Data)?;
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        let mut response = ScsiResponse {
            response: bhs.0[2],
            status: 0,
            residual: Residual::None,
            bidi_read_residual: Residual::None,
            itt: bhs.itt(),
            snack_tag: bhs.get_u32(20),
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            exp_data_sn: DataSn(0),
            status_qualifier: 0,
        };
        // Section 11.4.3: in any other response the flags and the status are noise.
        if response.response == Self::COMPLETED {
            response.status = bhs.0[3];
            response.status_qualifier = bhs.get_u16(8);
            response.residual = Residual::parse(bhs.flag(OVERFLOW), bhs.flag(UNDERFLOW), bhs.get_u32(44))?;
            response.bidi_read_residual =
                Residual::parse(bhs.flag(BIDI_OVERFLOW), bhs.flag(BIDI_UNDERFLOW), bhs.get_u32(40))?;
            response.exp_data_sn = DataSn(bhs.get_u32(36));
        }
        Ok(response)
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::ScsiResponse, true);
        bhs.0[2] = self.response;
        bhs.put_itt(self.itt);
        bhs.put_u32(20, self.snack_tag);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        if self.response == Self::COMPLETED {
            let (flag, count) = self.residual.emit(OVERFLOW, UNDERFLOW);
            let (bidi_flag, bidi_count) = self.bidi_read_residual.emit(BIDI_OVERFLOW, BIDI_UNDERFLOW);
            bhs.0[1] |= flag | bidi_flag;
            bhs.0[3] = self.status;
            bhs.put_u16(8, self.status_qualifier);
            bhs.put_u32(36, self.exp_data_sn.0);
            bhs.put_u32(40, bidi_count);
            bhs.put_u32(44, count);
        }
        bhs
    }
}

impl fmt::Display for ScsiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCSI Response itt={:#x} response={:#04x} status={:#04x} residual={:?} stat_sn={} window={}..={}",
            self.itt.0,
            self.response,
            self.status,
            self.residual,
            self.stat_sn.0,
            self.exp_cmd_sn.0,
            self.max_cmd_sn.0
        )
    }
}

pub(super) const OVERFLOW: u8 = 0x04;
pub(super) const UNDERFLOW: u8 = 0x02;
const BIDI_OVERFLOW: u8 = 0x10;
const BIDI_UNDERFLOW: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_the_difference_of_what_was_presented_and_expected() {
        assert_eq!(Residual::between(4096, 4096), Residual::None);
        assert_eq!(Residual::between(4096, 512), Residual::Overflow(3584));
        assert_eq!(Residual::between(36, 255), Residual::Underflow(219));
        assert_eq!(Residual::between(0, u32::MAX), Residual::Underflow(u32::MAX));
        assert_eq!(Residual::between(u64::MAX, 0), Residual::Overflow(u32::MAX));
    }
}
