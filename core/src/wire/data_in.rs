//! SCSI Data-In, RFC 7143 section 11.7.

use super::{CmdSn, DataSn, Itt, Lun, Residual, StatSn, Ttt};

/// Payload from the target, with the status of the command in the last one where it is good. `status` present means the S bit; `residual` and `stat_sn` are meaningful only then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataIn {
    ///
    pub final_: bool,
    ///
    pub acknowledge: bool,
    ///
    pub status: Option<u8>,
    ///
    pub residual: Residual,
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
    pub data_sn: DataSn,
    ///
    pub offset: u32,
}
