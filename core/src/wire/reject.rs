//! Reject, RFC 7143 section 11.17.

use core::fmt;

use super::codes::codes;
use super::fields::{Counters, Segments};
use super::{Bhs, CmdSn, DataSn, Itt, Opcode, StatSn};
use crate::FrameError;

codes! {
    /// Why a PDU was rejected, RFC 7143 section 11.17.1.
    pub enum RejectReason {
        0x02 DataDigestError "data digest error",
        0x03 SnackReject "SNACK reject",
        0x04 ProtocolError "protocol error",
        0x05 CommandNotSupported "command not supported",
        0x06 TooManyImmediateCommands "too many immediate commands",
        0x07 TaskInProgress "task in progress",
        0x08 InvalidDataAck "invalid data ack",
        0x09 InvalidPduField "invalid PDU field",
        /// The target has no resources for a Target Transfer Tag.
        0x0a LongOperationReject "long operation reject",
        0x0c WaitingForLogout "waiting for logout",
    }
}

/// A PDU was not accepted; its header follows in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// The DataSN or R2TSN that the target would send next for the task, if the PDU was a Data/R2T SNACK and the
    /// reason is a protocol error; otherwise of no meaning.
    pub data_sn: DataSn,
}

impl Reject {
    /// Reads a Reject.
    ///
    /// # Errors
    /// Another opcode, or additional headers.
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::Reject, Segments::Data)?;
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(Reject {
            reason: RejectReason::from_code(bhs.0[2]),
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            data_sn: DataSn(bhs.get_u32(36)),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::Reject, true);
        bhs.0[2] = self.reason.code();
        bhs.put_itt(Itt::RESERVED);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.put_u32(36, self.data_sn.0);
        bhs
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reject: {} stat_sn={} window={}..={}",
            self.reason, self.stat_sn.0, self.exp_cmd_sn.0, self.max_cmd_sn.0
        )
    }
}
