//! What the parsers and emitters of all PDUs share: which segments a PDU may have, and the fields that keep
//! their place from PDU to PDU.

use super::{Bhs, CmdSn, Itt, Lun, Opcode, StatSn, Ttt};
use crate::FrameError;

/// Which segments may follow the basic header of a PDU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Segments {
    /// Additional headers and data: SCSI Command alone.
    HeadersAndData,
    /// Data, but no additional headers (RFC 7143 sections 11.2 and 11.2.1.5).
    Data,
    /// Nothing: TotalAHSLength and DataSegmentLength are zero.
    None,
}

/// Fields of the target's half of the numbering, at bytes 24 to 35 of each of its PDUs.
#[derive(Clone, Copy)]
pub(super) struct Counters {
    pub(super) stat_sn: StatSn,
    pub(super) exp_cmd_sn: CmdSn,
    pub(super) max_cmd_sn: CmdSn,
}

/// The error for a value that a field must not have.
pub(super) const fn bad(field: &'static str, problem: &'static str) -> FrameError {
    FrameError::Field { field, problem }
}

impl Bhs {
    /// Checks that this is the PDU that the parser takes, with no segments that it cannot have.
    pub(super) const fn expect(&self, want: Opcode, segments: Segments) -> Result<(), FrameError> {
        if self.opcode_code() != want.code() {
            return Err(FrameError::Opcode { got: self.opcode_code(), want: want.code() });
        }
        if self.total_ahs_len() != 0 && !matches!(segments, Segments::HeadersAndData) {
            return Err(bad("TotalAHSLength", "must be 0 in this PDU"));
        }
        if self.data_segment_len() != 0 && matches!(segments, Segments::None) {
            return Err(bad("DataSegmentLength", "must be 0 in this PDU"));
        }
        Ok(())
    }

    const fn opcode_code(&self) -> u8 {
        self.0[0] & 0x3f
    }

    /// A header whose leading bit of byte 1 is set: the F bit, or the 1 that stands in its place.
    pub(super) const fn with_final(opcode: Opcode, final_: bool) -> Bhs {
        let mut bhs = Bhs::new(opcode);
        bhs.set_flag(0x80, final_);
        bhs
    }

    /// A flag of byte 1.
    pub(super) const fn flag(&self, mask: u8) -> bool {
        self.0[1] & mask != 0
    }

    /// Sets a flag of byte 1 where `on`.
    pub(super) const fn set_flag(&mut self, mask: u8, on: bool) {
        if on {
            self.0[1] |= mask;
        }
    }

    /// Sets the I bit where `on`.
    pub(super) const fn set_immediate_if(&mut self, on: bool) {
        if on {
            self.set_immediate();
        }
    }

    /// The Initiator Task Tag of a PDU that must name a task (RFC 7143 section 11.2.1.8).
    pub(super) const fn task_itt(&self) -> Result<Itt, FrameError> {
        let itt = self.itt();
        if itt.is_reserved() {
            return Err(bad("Initiator Task Tag", "0xffffffff names no task"));
        }
        Ok(itt)
    }

    pub(super) const fn ttt(&self) -> Ttt {
        Ttt(self.get_u32(20))
    }

    /// CmdSN, which stands at the same place in every PDU of an initiator that has one.
    pub const fn cmd_sn(&self) -> CmdSn {
        CmdSn(self.get_u32(24))
    }

    pub(super) const fn exp_stat_sn(&self) -> StatSn {
        StatSn(self.get_u32(28))
    }

    pub(super) const fn counters(&self) -> Counters {
        Counters {
            stat_sn: StatSn(self.get_u32(24)),
            exp_cmd_sn: CmdSn(self.get_u32(28)),
            max_cmd_sn: CmdSn(self.get_u32(32)),
        }
    }

    pub(super) fn put_lun(&mut self, lun: Lun) {
        self.put_u64(8, lun.0);
    }

    pub(super) fn put_itt(&mut self, itt: Itt) {
        self.put_u32(16, itt.0);
    }

    pub(super) fn put_ttt(&mut self, ttt: Ttt) {
        self.put_u32(20, ttt.0);
    }

    /// The LUN and both tags, of the PDUs that have all three.
    pub(super) fn put_tags(&mut self, lun: Lun, itt: Itt, ttt: Ttt) {
        self.put_lun(lun);
        self.put_itt(itt);
        self.put_ttt(ttt);
    }

    /// CmdSN and ExpStatSN of a request.
    pub(crate) fn put_request_sns(&mut self, cmd_sn: CmdSn, exp_stat_sn: StatSn) {
        self.put_u32(24, cmd_sn.0);
        self.put_u32(28, exp_stat_sn.0);
    }
}
