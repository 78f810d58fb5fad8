//! SCSI Command, RFC 7143 section 11.3.

use super::{CmdSn, Itt, Lun, StatSn};

/// How a command is to be ordered among others (SAM-5 clause 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum TaskAttribute {
    /// 0: the target chooses.
    #[default]
    Untagged,
    /// 1: any order.
    Simple,
    /// 2: after all earlier ones, before all later ones.
    Ordered,
    /// 3: first.
    HeadOfQueue,
    /// 4: auto contingent allegiance.
    Aca,
    /// Not defined.
    Unknown(u8),
}

/// A SCSI command with the first 16 bytes of its CDB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiCommand {
    ///
    pub immediate: bool,
    ///
    pub final_: bool,
    ///
    pub read: bool,
    ///
    pub write: bool,
    ///
    pub attribute: TaskAttribute,
    ///
    pub priority: u8,
    ///
    pub lun: Lun,
    ///
    pub itt: Itt,
    ///
    pub expected_len: u32,
    ///
    pub cmd_sn: CmdSn,
    ///
    pub exp_stat_sn: StatSn,
    ///
    pub cdb: [u8; 16],
}
