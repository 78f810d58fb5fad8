//! NOP-Out and NOP-In, RFC 7143 sections 11.18 and 11.19.

use super::{CmdSn, Itt, Lun, StatSn, Ttt};

/// A ping from the initiator, or its answer to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopOut {
    ///
    pub immediate: bool,
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub ttt: Ttt,
    ///
    pub cmd_sn: CmdSn,
    ///
    pub exp_stat_sn: StatSn,
}

/// A ping from the target, or its answer to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopIn {
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub ttt: Ttt,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
}
