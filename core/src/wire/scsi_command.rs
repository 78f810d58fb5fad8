//! SCSI Command, RFC 7143 section 11.3 and RFC 7144 section 5.1.

use core::fmt;

use super::codes::codes;
use super::fields::{Segments, bad};
use super::{Bhs, CmdSn, Itt, Lun, Opcode, StatSn};
use crate::FrameError;

codes! {
    /// How a command is to be ordered among others: the ATTR field (RFC 7143 section 11.3.1, SAM-5 clause 8).
    #[derive(Default)]
    pub enum TaskAttribute {
        /// The target chooses an order.
        #[default]
        0 Untagged "Untagged",
        /// Any order.
        1 Simple "Simple",
        /// After all earlier commands and before all later ones.
        2 Ordered "Ordered",
        /// Before all commands that wait.
        3 HeadOfQueue "Head of queue",
        /// Auto contingent allegiance.
        4 Aca "ACA",
    }
}

/// A SCSI command with the first 16 bytes of its CDB. The rest of a longer CDB, and the length of the read
/// part of a bidirectional command, travel in additional headers; immediate data in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiCommand {
    /// The I bit: the command goes past the command window.
    pub immediate: bool,
    /// The F bit: no unsolicited Data-Out follows.
    pub final_: bool,
    /// The R bit: data is expected to come from the target.
    pub read: bool,
    /// The W bit: data is expected to go to the target.
    pub write: bool,
    /// The order among other commands.
    pub attribute: TaskAttribute,
    /// Relative importance among commands of simple order, four bits. To be zero, and of no meaning on receipt,
    /// unless iSCSIProtocolLevel is 2 or more (RFC 7144 section 5.1.1).
    pub priority: u8,
    /// The logical unit.
    pub lun: Lun,
    /// The name of the new task; never reserved.
    pub itt: Itt,
    /// Bytes of data that the initiator expects to move; those of the write part if there are two.
    pub expected_len: u32,
    /// The number of the command in its session.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it.
    pub exp_stat_sn: StatSn,
    /// The first 16 bytes of the CDB.
    pub cdb: [u8; 16],
}

impl ScsiCommand {
    /// Reads a SCSI Command.
    ///
    /// # Errors
    /// Another opcode; a reserved Initiator Task Tag; neither W nor F set; a length without a direction; F clear
    /// although all data is here; or both directions without the additional header that this takes
    /// (sections 11.3.1 and 11.3.4).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::ScsiCommand, Segments::HeadersAndData)?;
        let command = ScsiCommand {
            immediate: bhs.is_immediate(),
            final_: bhs.is_final(),
            read: bhs.flag(READ),
            write: bhs.flag(WRITE),
            attribute: TaskAttribute::from_code(bhs.0[1] & ATTRIBUTE),
            priority: bhs.0[2] >> 4,
            lun: bhs.lun(),
            itt: bhs.task_itt()?,
            expected_len: bhs.get_u32(20),
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
            cdb: core::array::from_fn(|i| bhs.0[32 + i]),
        };
        if !command.write && !command.final_ {
            return Err(bad("F", "one of W and F must be set"));
        }
        if !command.read && !command.write && command.expected_len != 0 {
            return Err(bad("R and W", "one of them must be set where data is expected"));
        }
        if !command.final_ && command.expected_len == bhs.data_segment_len() {
            return Err(bad("F", "must be set where no data follows"));
        }
        if command.read && command.write && bhs.total_ahs_len() == 0 {
            return Err(bad("TotalAHSLength", "R and W together take a Bidirectional Read Length AHS"));
        }
        Ok(command)
    }

    /// Writes the header; `priority` keeps its low four bits.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::ScsiCommand, self.final_);
        bhs.set_immediate_if(self.immediate);
        bhs.set_flag(READ, self.read);
        bhs.set_flag(WRITE, self.write);
        bhs.0[1] |= self.attribute.code() & ATTRIBUTE;
        bhs.0[2] = self.priority << 4;
        bhs.put_lun(self.lun);
        bhs.put_itt(self.itt);
        bhs.put_u32(20, self.expected_len);
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        bhs.0[32..].copy_from_slice(&self.cdb);
        bhs
    }
}

impl fmt::Display for ScsiCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match (self.read, self.write) {
            (false, false) => "none",
            (true, false) => "read",
            (false, true) => "write",
            (true, true) => "both",
        };
        write!(
            f,
            "SCSI Command itt={:#x} {:?} cdb[0]={:#04x} {direction} len={} cmd_sn={}{}",
            self.itt.0,
            self.lun,
            self.cdb[0],
            self.expected_len,
            self.cmd_sn.0,
            if self.immediate { " immediate" } else { "" }
        )
    }
}

const READ: u8 = 0x40;
const WRITE: u8 = 0x20;
const ATTRIBUTE: u8 = 0x07;
