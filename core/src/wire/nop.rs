//! NOP-Out and NOP-In, RFC 7143 sections 11.18 and 11.19.

use core::fmt;

use super::fields::{Counters, Segments, bad};
use super::{Bhs, CmdSn, Itt, Lun, Opcode, StatSn, Ttt};
use crate::FrameError;

/// A ping from the initiator, or its answer to one. Ping data travels in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopOut {
    /// The I bit. Always set where `itt` is reserved.
    pub immediate: bool,
    /// A copy of the LUN of the NOP-In that this answers; otherwise of no meaning.
    pub lun: Lun,
    /// Names the ping where an answer is wanted; reserved where none is.
    pub itt: Itt,
    /// The tag of the NOP-In that this answers; reserved where it answers none.
    pub ttt: Ttt,
    /// The next CmdSN; it advances unless the NOP-Out is immediate.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
}

impl NopOut {
    /// Reads a NOP-Out.
    ///
    /// # Errors
    /// Another opcode, additional headers, or a reserved Initiator Task Tag without the I bit (section 11.18.1).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::NopOut, Segments::Data)?;
        let itt = bhs.itt();
        if itt.is_reserved() && !bhs.is_immediate() {
            return Err(bad("I", "must be set in a NOP-Out that wants no answer"));
        }
        Ok(NopOut {
            immediate: bhs.is_immediate(),
            lun: bhs.lun(),
            itt,
            ttt: bhs.ttt(),
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
        })
    }

    /// Writes the header; the I bit is set also where the reserved `itt` demands it.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::NopOut, true);
        bhs.set_immediate_if(self.immediate || self.itt.is_reserved());
        bhs.put_tags(self.lun, self.itt, self.ttt);
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        bhs
    }
}

impl fmt::Display for NopOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "NOP-Out itt={:#x} ttt={:#x} cmd_sn={} exp_stat_sn={}",
            self.itt.0, self.ttt.0, self.cmd_sn.0, self.exp_stat_sn.0
        )
    }
}

/// A ping from the target, its answer to one, or news of the command window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopIn {
    /// The logical unit that `ttt` belongs to; of meaning only where `ttt` is not reserved.
    pub lun: Lun,
    /// The tag of the NOP-Out that this answers; reserved where the target speaks first.
    pub itt: Itt,
    /// Names the ping where the target wants an answer; reserved where it wants none.
    pub ttt: Ttt,
    /// The next StatSN; it advances only where `itt` is not reserved.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
}

impl NopIn {
    /// Reads a NOP-In.
    ///
    /// # Errors
    /// Another opcode, additional headers, both tags valid, or data without an Initiator Task Tag (section 11.19).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::NopIn, Segments::Data)?;
        let (itt, ttt) = (bhs.itt(), bhs.ttt());
        if !itt.is_reserved() && !ttt.is_reserved() {
            return Err(bad("Target Transfer Tag", "must be 0xffffffff in an answer to a NOP-Out"));
        }
        if itt.is_reserved() && bhs.data_segment_len() != 0 {
            return Err(bad("DataSegmentLength", "must be 0 in a NOP-In that answers no NOP-Out"));
        }
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(NopIn { lun: bhs.lun(), itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::NopIn, true);
        bhs.put_tags(self.lun, self.itt, self.ttt);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs
    }
}

impl fmt::Display for NopIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "NOP-In itt={:#x} ttt={:#x} stat_sn={} window={}..={}",
            self.itt.0, self.ttt.0, self.stat_sn.0, self.exp_cmd_sn.0, self.max_cmd_sn.0
        )
    }
}
