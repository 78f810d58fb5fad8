//! SCSI Response, RFC 7143 section 11.4.

use super::{CmdSn, DataSn, Itt, StatSn};

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

/// The end of a SCSI command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiResponse {
    ///
    pub response: u8,
    ///
    pub status: u8,
    ///
    pub residual: Residual,
    ///
    pub bidi_read_residual: Residual,
    ///
    pub itt: Itt,
    ///
    pub snack_tag: u32,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
    ///
    pub exp_data_sn: DataSn,
    ///
    pub status_qualifier: u16,
}
