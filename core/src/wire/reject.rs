//! Reject, RFC 7143 section 11.17.

use super::{CmdSn, DataSn, StatSn};

/// Why a PDU was rejected, RFC 7143 section 11.17.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RejectReason {
    /// 0x02
    DataDigestError,
    /// 0x03
    SnackReject,
    /// 0x04
    ProtocolError,
    /// 0x05
    CommandNotSupported,
    /// 0x06
    TooManyImmediateCommands,
    /// 0x07
    TaskInProgress,
    /// 0x08
    InvalidDataAck,
    /// 0x09
    InvalidPduField,
    /// 0x0a
    LongOperationReject,
    /// 0x0c
    WaitingForLogout,
    /// Not defined.
    Unknown(u8),
}

/// A PDU was not accepted; its header follows in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    ///
    pub reason: RejectReason,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
    ///
    pub data_sn: DataSn,
}
