//! Ready To Transfer, RFC 7143 section 11.8.

use core::fmt;
use core::num::NonZeroU32;

use super::fields::{Counters, Segments, bad};
use super::{Bhs, CmdSn, Itt, Lun, Opcode, R2tSn, StatSn, Ttt};
use crate::FrameError;

/// The target asks for payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct R2t {
    /// The logical unit; the Data-Out PDUs that answer carry a copy.
    pub lun: Lun,
    /// The task.
    pub itt: Itt,
    /// The name of this request; never reserved. The Data-Out PDUs that answer carry a copy.
    pub ttt: Ttt,
    /// The next StatSN; an R2T does not advance it.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// The number of this R2T within its command.
    pub r2t_sn: R2tSn,
    /// Where the wanted payload lies within the data of the command, in bytes.
    pub offset: u32,
    /// Bytes wanted.
    pub len: NonZeroU32,
}

impl R2t {
    /// Reads an R2T.
    ///
    /// # Errors
    /// Another opcode, any further segment (section 11.8.1), no bytes wanted (11.8.4), or a reserved tag (11.8.5).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::R2t, Segments::None)?;
        let ttt = bhs.ttt();
        if ttt.is_reserved() {
            return Err(bad("Target Transfer Tag", "0xffffffff names no R2T"));
        }
        let Some(len) = NonZeroU32::new(bhs.get_u32(44)) else {
            return Err(bad("Desired Data Transfer Length", "must not be 0"));
        };
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(R2t {
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt,
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            r2t_sn: R2tSn(bhs.get_u32(36)),
            offset: bhs.get_u32(40),
            len,
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::R2t, true);
        bhs.put_tags(self.lun, self.itt, self.ttt);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.put_u32(36, self.r2t_sn.0);
        bhs.put_u32(40, self.offset);
        bhs.put_u32(44, self.len.get());
        bhs
    }
}

impl fmt::Display for R2t {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "R2T itt={:#x} ttt={:#x} r2t_sn={} offset={} len={} window={}..={}",
            self.itt.0,
            self.ttt.0,
            self.r2t_sn.0,
            self.offset,
            self.len,
            self.exp_cmd_sn.0,
            self.max_cmd_sn.0
        )
    }
}
