//! Text Request and Text Response, RFC 7143 sections 11.10 and 11.11.

use super::{CmdSn, Itt, Lun, StatSn, Ttt};

/// Keys from the initiator in the full-feature phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextRequest {
    ///
    pub immediate: bool,
    ///
    pub final_: bool,
    ///
    pub continued: bool,
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

/// The answer of the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextResponse {
    ///
    pub final_: bool,
    ///
    pub continued: bool,
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
