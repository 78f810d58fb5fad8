//! Logout Request and Logout Response, RFC 7143 sections 11.14 and 11.15.

use core::fmt;

use super::codes::codes;
use super::fields::{Counters, Segments};
use super::{Bhs, Cid, CmdSn, Itt, Opcode, StatSn};
use crate::FrameError;

codes! {
    /// Why a logout is asked for, RFC 7143 section 11.14.1.
    pub enum LogoutReason {
        0 CloseSession "close the session",
        1 CloseConnection "close the connection",
        2 RemoveConnectionForRecovery "remove the connection for recovery",
    }
}

codes! {
    /// What became of a logout, RFC 7143 section 11.15.1.
    pub enum LogoutResult {
        0 Closed "closed",
        1 CidNotFound "CID not found",
        2 RecoveryNotSupported "connection recovery is not supported",
        3 CleanupFailed "cleanup failed",
    }
}

/// A request to close the session or a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutRequest {
    /// The I bit.
    pub immediate: bool,
    /// What is to be closed, and why.
    pub reason: LogoutReason,
    /// The name of this request; never reserved.
    pub itt: Itt,
    /// The connection to close; reserved, hence zero, where the session is.
    pub cid: Cid,
    /// The number of this request in its session.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
}

impl LogoutRequest {
    /// Reads a Logout Request.
    ///
    /// # Errors
    /// Another opcode, any further segment (section 11.14.2), or a reserved Initiator Task Tag.
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::LogoutRequest, Segments::None)?;
        let reason = LogoutReason::from_code(bhs.0[1] & CODE);
        let cid = if reason == LogoutReason::CloseSession { 0 } else { bhs.get_u16(20) };
        Ok(LogoutRequest {
            immediate: bhs.is_immediate(),
            reason,
            itt: bhs.task_itt()?,
            cid: Cid(cid),
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::LogoutRequest, true);
        bhs.set_immediate_if(self.immediate);
        bhs.0[1] |= self.reason.code() & CODE;
        bhs.put_itt(self.itt);
        if self.reason != LogoutReason::CloseSession {
            bhs.put_u16(20, self.cid.0);
        }
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        bhs
    }
}

impl fmt::Display for LogoutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Logout Request itt={:#x} to {} cid={} cmd_sn={}",
            self.itt.0, self.reason, self.cid.0, self.cmd_sn.0
        )
    }
}

/// The answer to a Logout Request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutResponse {
    /// The outcome.
    pub result: LogoutResult,
    /// The request that this answers.
    pub itt: Itt,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// Seconds to wait before tasks are reassigned, or a new logout is tried (section 11.15.3).
    pub time2wait: u16,
    /// Seconds after that for which the target keeps the tasks, or admits a new logout (section 11.15.4).
    pub time2retain: u16,
}

impl LogoutResponse {
    /// Reads a Logout Response.
    ///
    /// # Errors
    /// Another opcode, or any further segment (section 11.15.2).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::LogoutResponse, Segments::None)?;
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(LogoutResponse {
            result: LogoutResult::from_code(bhs.0[2]),
            itt: bhs.itt(),
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            time2wait: bhs.get_u16(40),
            time2retain: bhs.get_u16(42),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::LogoutResponse, true);
        bhs.0[2] = self.result.code();
        bhs.put_itt(self.itt);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.put_u16(40, self.time2wait);
        bhs.put_u16(42, self.time2retain);
        bhs
    }
}

impl fmt::Display for LogoutResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Logout Response itt={:#x}: {} time2wait={} time2retain={} stat_sn={}",
            self.itt.0, self.result, self.time2wait, self.time2retain, self.stat_sn.0
        )
    }
}

const CODE: u8 = 0x7f;
