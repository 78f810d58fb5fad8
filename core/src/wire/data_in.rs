//! SCSI Data-In, RFC 7143 section 11.7.

use core::fmt;

use super::fields::{Counters, Segments, bad};
use super::scsi_response::{OVERFLOW, UNDERFLOW};
use super::{Bhs, CmdSn, DataSn, Itt, Lun, Opcode, Residual, StatSn, Ttt};
use crate::FrameError;

/// Payload from the target, with the status of the command in the last one where it is good.
///
/// Fields that are reserved (no S bit, no A bit) read as zero, or as the reserved tag, and are written so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataIn {
    /// The F bit: the last PDU of a sequence.
    pub final_: bool,
    /// The A bit: the target asks for a DataACK.
    pub acknowledge: bool,
    /// The SCSI status, which ends the command: present where the S bit is set, and one of those without sense.
    pub status: Option<u8>,
    /// Residual of the command; of meaning only with a status.
    pub residual: Residual,
    /// The logical unit that `ttt` belongs to; of meaning only with `acknowledge`.
    pub lun: Lun,
    /// The task.
    pub itt: Itt,
    /// What the DataACK is to name; reserved unless `acknowledge`.
    pub ttt: Ttt,
    /// The number of the status on its connection; of meaning only with a status.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// The number of this PDU within its command.
    pub data_sn: DataSn,
    /// Where the payload lies within the data of the command, in bytes.
    pub offset: u32,
}

impl DataIn {
    /// Reads a SCSI Data-In.
    ///
    /// # Errors
    /// Another opcode; additional headers; the S bit without the F bit, with a status that only a SCSI Response may
    /// carry, or with flags that exclude each other (section 11.7.3); or the A bit without a tag (11.7.4).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::DataIn, Segments::Data)?;
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        let mut data_in = DataIn {
            final_: bhs.is_final(),
            acknowledge: bhs.flag(ACKNOWLEDGE),
            status: None,
            residual: Residual::None,
            lun: Lun::ZERO,
            itt: bhs.itt(),
            ttt: Ttt::RESERVED,
            stat_sn: StatSn(0),
            exp_cmd_sn,
            max_cmd_sn,
            data_sn: DataSn(bhs.get_u32(36)),
            offset: bhs.get_u32(40),
        };
        if data_in.acknowledge {
            data_in.lun = bhs.lun();
            data_in.ttt = bhs.ttt();
            if data_in.ttt.is_reserved() {
                return Err(bad("Target Transfer Tag", "the A bit takes a valid tag"));
            }
        }
        if bhs.flag(STATUS) {
            if !data_in.final_ {
                return Err(bad("F", "must be set where the S bit is"));
            }
            if !STATUSES_WITHOUT_SENSE.contains(&bhs.0[3]) {
                return Err(bad("Status", "a Data-In carries only the status of a command that succeeded"));
            }
            data_in.status = Some(bhs.0[3]);
            data_in.residual = Residual::parse(bhs.flag(OVERFLOW), bhs.flag(UNDERFLOW), bhs.get_u32(44))?;
            data_in.stat_sn = stat_sn;
        }
        Ok(data_in)
    }

    /// Writes the header; the F bit is set also where a status demands it.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::DataIn, self.final_ || self.status.is_some());
        bhs.put_itt(self.itt);
        bhs.put_ttt(Ttt::RESERVED);
        if self.acknowledge {
            bhs.set_flag(ACKNOWLEDGE, true);
            bhs.put_lun(self.lun);
            bhs.put_ttt(self.ttt);
        }
        let mut stat_sn = StatSn(0);
        if let Some(status) = self.status {
            let (flag, count) = self.residual.emit(OVERFLOW, UNDERFLOW);
            bhs.0[1] |= STATUS | flag;
            bhs.0[3] = status;
            bhs.put_u32(44, count);
            stat_sn = self.stat_sn;
        }
        bhs.set_counters(stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.put_u32(36, self.data_sn.0);
        bhs.put_u32(40, self.offset);
        bhs
    }
}

impl fmt::Display for DataIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SCSI Data-In itt={:#x} data_sn={} offset={}", self.itt.0, self.data_sn.0, self.offset)?;
        if self.final_ {
            f.write_str(" final")?;
        }
        if self.acknowledge {
            write!(f, " acknowledge ttt={:#x}", self.ttt.0)?;
        }
        if let Some(status) = self.status {
            write!(f, " status={status:#04x} residual={:?} stat_sn={}", self.residual, self.stat_sn.0)?;
        }
        write!(f, " window={}..={}", self.exp_cmd_sn.0, self.max_cmd_sn.0)
    }
}

const ACKNOWLEDGE: u8 = 0x40;
const STATUS: u8 = 0x01;
/// GOOD, CONDITION MET, INTERMEDIATE, INTERMEDIATE-CONDITION MET (section 11.7.3).
const STATUSES_WITHOUT_SENSE: [u8; 4] = [0x00, 0x04, 0x10, 0x14];
