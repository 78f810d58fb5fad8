//! Text Request and Text Response, RFC 7143 sections 11.10 and 11.11.

use core::fmt;

use super::fields::{Counters, Segments, bad};
use super::{Bhs, CmdSn, Itt, Lun, Opcode, StatSn, Ttt};
use crate::FrameError;

/// Keys from the initiator in the full-feature phase. The text travels in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextRequest {
    /// The I bit.
    pub immediate: bool,
    /// The F bit: the initiator has nothing more to say. Excludes `continued`.
    pub final_: bool,
    /// The C bit: the text goes on in the next request.
    pub continued: bool,
    /// A copy of the LUN of the response that this continues.
    pub lun: Lun,
    /// The name of the exchange; never reserved.
    pub itt: Itt,
    /// A copy of the tag of the response that this continues; reserved where the exchange begins.
    pub ttt: Ttt,
    /// The number of the request in its session.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
}

impl TextRequest {
    /// Reads a Text Request.
    ///
    /// # Errors
    /// Another opcode, additional headers, a reserved Initiator Task Tag, or C and F together (section 11.10.2).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::TextRequest, Segments::Data)?;
        check_continued(bhs)?;
        Ok(TextRequest {
            immediate: bhs.is_immediate(),
            final_: bhs.is_final(),
            continued: bhs.flag(CONTINUE),
            lun: bhs.lun(),
            itt: bhs.task_itt()?,
            ttt: bhs.ttt(),
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
        })
    }

    /// Writes the header; `continued` prevails over `final_`.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::TextRequest, self.final_ && !self.continued);
        bhs.set_immediate_if(self.immediate);
        bhs.set_flag(CONTINUE, self.continued);
        bhs.put_tags(self.lun, self.itt, self.ttt);
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        bhs
    }
}

impl fmt::Display for TextRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Text Request itt={:#x} ttt={:#x}{} cmd_sn={}",
            self.itt.0,
            self.ttt.0,
            flags(self.final_, self.continued),
            self.cmd_sn.0
        )
    }
}

/// The answer of the target. The text travels in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextResponse {
    /// The F bit: the exchange is over. Excludes `continued`.
    pub final_: bool,
    /// The C bit: the text goes on in the next response.
    pub continued: bool,
    /// What the next request is to copy.
    pub lun: Lun,
    /// The exchange.
    pub itt: Itt,
    /// What the next request is to copy: valid unless `final_`, reserved where `final_`.
    pub ttt: Ttt,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
}

impl TextResponse {
    /// Reads a Text Response; the tag of a final one is ignored (section 11.10.4) and reads as reserved.
    ///
    /// # Errors
    /// Another opcode, additional headers, C and F together (section 11.11.2), or neither F nor a tag (11.11.1).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::TextResponse, Segments::Data)?;
        check_continued(bhs)?;
        let final_ = bhs.is_final();
        let ttt = if final_ { Ttt::RESERVED } else { bhs.ttt() };
        if !final_ && ttt.is_reserved() {
            return Err(bad("Target Transfer Tag", "must be valid in a Text Response that is not the last"));
        }
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(TextResponse {
            final_,
            continued: bhs.flag(CONTINUE),
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt,
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
        })
    }

    /// Writes the header; `continued` prevails over `final_`, and a final response carries no tag.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let final_ = self.final_ && !self.continued;
        let mut bhs = Bhs::with_final(Opcode::TextResponse, final_);
        bhs.set_flag(CONTINUE, self.continued);
        bhs.put_tags(self.lun, self.itt, if final_ { Ttt::RESERVED } else { self.ttt });
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs
    }
}

impl fmt::Display for TextResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Text Response itt={:#x} ttt={:#x}{} stat_sn={} window={}..={}",
            self.itt.0,
            self.ttt.0,
            flags(self.final_, self.continued),
            self.stat_sn.0,
            self.exp_cmd_sn.0,
            self.max_cmd_sn.0
        )
    }
}

fn check_continued(bhs: &Bhs) -> Result<(), FrameError> {
    match bhs.flag(CONTINUE) && bhs.is_final() {
        true => Err(bad("C and F", "text that is continued cannot be final")),
        false => Ok(()),
    }
}

fn flags(final_: bool, continued: bool) -> &'static str {
    match (final_, continued) {
        (_, true) => " continued",
        (true, false) => " final",
        (false, false) => "",
    }
}

const CONTINUE: u8 = 0x40;
