//! Logout Request and Logout Response, RFC 7143 sections 11.14 and 11.15.

use super::{Cid, CmdSn, Itt, StatSn};

/// Why a logout is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LogoutReason {
    /// 0
    CloseSession,
    /// 1
    CloseConnection,
    /// 2
    RemoveConnectionForRecovery,
    /// Not defined.
    Unknown(u8),
}

/// What became of a logout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LogoutResult {
    /// 0
    Closed,
    /// 1
    CidNotFound,
    /// 2
    RecoveryNotSupported,
    /// 3
    CleanupFailed,
    /// Not defined.
    Unknown(u8),
}

/// A request to close the session or a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutRequest {
    ///
    pub immediate: bool,
    ///
    pub reason: LogoutReason,
    ///
    pub itt: Itt,
    ///
    pub cid: Cid,
    ///
    pub cmd_sn: CmdSn,
    ///
    pub exp_stat_sn: StatSn,
}

/// The answer. Times in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutResponse {
    ///
    pub result: LogoutResult,
    ///
    pub itt: Itt,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
    ///
    pub time2wait: u16,
    ///
    pub time2retain: u16,
}
