//! Ready To Transfer, RFC 7143 section 11.8.

use core::num::NonZeroU32;

use super::{CmdSn, Itt, Lun, R2tSn, StatSn, Ttt};

/// The target asks for payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct R2t {
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
    ///
    pub r2t_sn: R2tSn,
    ///
    pub offset: u32,
    ///
    pub len: NonZeroU32,
}
