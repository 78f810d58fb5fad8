//! Asynchronous Message, RFC 7143 section 11.9.

use super::{CmdSn, Lun, StatSn};

/// Events of RFC 7143 section 11.9.1 and RFC 7144.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AsyncEvent {
    /// 0: sense data in the data segment.
    Scsi,
    /// 1
    LogoutRequested,
    /// 2
    ConnectionDropped,
    /// 3
    SessionDropped,
    /// 4
    NegotiationRequested,
    /// 5
    TasksTerminated,
    /// 255
    Vendor,
    /// Not defined.
    Unknown(u8),
}

/// Something the target tells unasked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsyncMessage {
    ///
    pub event: AsyncEvent,
    ///
    pub vendor_code: u8,
    ///
    pub lun: Lun,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
    ///
    pub parameter1: u16,
    ///
    pub parameter2: u16,
    ///
    pub parameter3: u16,
}
