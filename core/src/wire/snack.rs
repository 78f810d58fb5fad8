//! SNACK Request, RFC 7143 section 11.16.

use core::fmt;

use super::codes::codes;
use super::fields::{Segments, bad};
use super::{Bhs, Itt, Lun, Opcode, StatSn, Ttt};
use crate::FrameError;

codes! {
    /// What a SNACK asks for, RFC 7143 section 11.16.1.
    pub enum SnackKind {
        /// Data-In or R2T PDUs are to be sent again.
        0 DataOrR2t "Data/R2T SNACK",
        /// Responses are to be sent again.
        1 Status "Status SNACK",
        /// Data-In PDUs have arrived.
        2 DataAck "DataACK",
        /// Data-In PDUs are to be sent again, cut anew, with a tagged status.
        3 RData "R-Data SNACK",
    }
}

/// A request to send something again, or an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnackRequest {
    /// What is asked for.
    pub kind: SnackKind,
    /// For DataACK, a copy of the LUN of the Data-In.
    pub lun: Lun,
    /// The task, for Data/R2T and R-Data; otherwise reserved.
    pub itt: Itt,
    /// For DataACK the tag of the Data-In, for R-Data the SNACK Tag; otherwise reserved.
    pub ttt: Ttt,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
    /// The first DataSN, R2TSN or StatSN that is wanted; for DataACK the next that is expected.
    pub beg_run: u32,
    /// How many are wanted; 0 for all from `beg_run` on.
    pub run_length: u32,
}

impl SnackRequest {
    /// Reads a SNACK Request. One of undefined type is not checked further.
    ///
    /// # Errors
    /// Another opcode, additional headers, or tags or runs that the type excludes (sections 11.16.4 to 11.16.7).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::SnackRequest, Segments::Data)?;
        let snack = SnackRequest {
            kind: SnackKind::from_code(bhs.0[1] & TYPE),
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: bhs.ttt(),
            exp_stat_sn: bhs.exp_stat_sn(),
            beg_run: bhs.get_u32(40),
            run_length: bhs.get_u32(44),
        };
        snack.check()?;
        Ok(snack)
    }

    fn check(&self) -> Result<(), FrameError> {
        let names_a_task = match self.kind {
            SnackKind::DataOrR2t | SnackKind::RData => true,
            SnackKind::Status | SnackKind::DataAck => false,
            SnackKind::Unknown(_) => return Ok(()),
        };
        if names_a_task == self.itt.is_reserved() {
            return Err(bad("Initiator Task Tag", "does not fit the type of the SNACK"));
        }
        let tagged = matches!(self.kind, SnackKind::DataAck | SnackKind::RData);
        if tagged == self.ttt.is_reserved() {
            return Err(bad("Target Transfer Tag or SNACK Tag", "does not fit the type of the SNACK"));
        }
        if self.kind == SnackKind::RData && self.ttt.0 == 0 {
            return Err(bad("SNACK Tag", "must not be 0"));
        }
        if self.kind == SnackKind::RData && self.beg_run != 0 {
            return Err(bad("BegRun", "must be 0 in an R-Data SNACK"));
        }
        if tagged && self.run_length != 0 {
            return Err(bad("RunLength", "must be 0 in a DataACK or an R-Data SNACK"));
        }
        Ok(())
    }

    /// Writes the header; the tags, BegRun and RunLength that the type fixes are fixed.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let (mut itt, mut ttt) = (self.itt, self.ttt);
        let (mut beg_run, mut run_length) = (self.beg_run, self.run_length);
        match self.kind {
            SnackKind::DataOrR2t => ttt = Ttt::RESERVED,
            SnackKind::Status => (itt, ttt) = (Itt::RESERVED, Ttt::RESERVED),
            SnackKind::DataAck => (itt, run_length) = (Itt::RESERVED, 0),
            SnackKind::RData => (beg_run, run_length) = (0, 0),
            SnackKind::Unknown(_) => {}
        }
        let mut bhs = Bhs::with_final(Opcode::SnackRequest, true);
        bhs.0[1] |= self.kind.code() & TYPE;
        bhs.put_tags(self.lun, itt, ttt);
        bhs.put_u32(28, self.exp_stat_sn.0);
        bhs.put_u32(40, beg_run);
        bhs.put_u32(44, run_length);
        bhs
    }
}

impl fmt::Display for SnackRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SNACK Request: {} itt={:#x} ttt={:#x} beg_run={} run_length={}",
            self.kind, self.itt.0, self.ttt.0, self.beg_run, self.run_length
        )
    }
}

const TYPE: u8 = 0x0f;
