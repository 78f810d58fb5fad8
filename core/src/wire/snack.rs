//! SNACK Request, RFC 7143 section 11.16.

use super::{Itt, Lun, StatSn, Ttt};

/// What a SNACK asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SnackKind {
    /// 0
    DataOrR2t,
    /// 1
    Status,
    /// 2
    DataAck,
    /// 3
    RData,
    /// Not defined.
    Unknown(u8),
}

/// A request to send something again, or an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnackRequest {
    ///
    pub kind: SnackKind,
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub ttt: Ttt,
    ///
    pub exp_stat_sn: StatSn,
    ///
    pub beg_run: u32,
    ///
    pub run_length: u32,
}
