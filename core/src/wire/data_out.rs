//! SCSI Data-Out, RFC 7143 section 11.7.

use super::{DataSn, Itt, Lun, StatSn, Ttt};

/// Payload from the initiator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataOut {
    ///
    pub final_: bool,
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub ttt: Ttt,
    ///
    pub exp_stat_sn: StatSn,
    ///
    pub data_sn: DataSn,
    ///
    pub offset: u32,
}
