//! SCSI Data-Out, RFC 7143 section 11.7.

use core::fmt;

use super::fields::Segments;
use super::{Bhs, DataSn, Itt, Lun, Opcode, StatSn, Ttt};
use crate::FrameError;

/// Payload from the initiator: unsolicited, or the answer to an R2T.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataOut {
    /// The F bit: the last PDU of unsolicited data, or of the answer to an R2T.
    pub final_: bool,
    /// A copy of the LUN of the R2T; of no meaning in unsolicited data.
    pub lun: Lun,
    /// The task; never reserved.
    pub itt: Itt,
    /// The tag of the R2T; reserved in unsolicited data.
    pub ttt: Ttt,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
    /// The number of this PDU within the unsolicited data, or within the answer to the R2T.
    pub data_sn: DataSn,
    /// Where the payload lies within the data of the command, in bytes.
    pub offset: u32,
}

impl DataOut {
    /// Reads a SCSI Data-Out.
    ///
    /// # Errors
    /// Another opcode, additional headers, or a reserved Initiator Task Tag.
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::DataOut, Segments::Data)?;
        Ok(DataOut {
            final_: bhs.is_final(),
            lun: bhs.lun(),
            itt: bhs.task_itt()?,
            ttt: bhs.ttt(),
            exp_stat_sn: bhs.exp_stat_sn(),
            data_sn: DataSn(bhs.get_u32(36)),
            offset: bhs.get_u32(40),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::DataOut, self.final_);
        bhs.put_tags(self.lun, self.itt, self.ttt);
        bhs.put_u32(28, self.exp_stat_sn.0);
        bhs.put_u32(36, self.data_sn.0);
        bhs.put_u32(40, self.offset);
        bhs
    }
}

impl fmt::Display for DataOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCSI Data-Out itt={:#x} ttt={:#x} data_sn={} offset={}{}",
            self.itt.0,
            self.ttt.0,
            self.data_sn.0,
            self.offset,
            if self.final_ { " final" } else { "" }
        )
    }
}
