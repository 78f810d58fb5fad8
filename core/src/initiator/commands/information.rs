//! What a unit is, what it can do, and how it is.

use super::{ANSWER, cdb, query};
use crate::initiator::Command;
use crate::scsi::{SenseFormat, opcode};
use crate::wire::Lun;

/// TEST UNIT READY (SPC-4 clause 6.47).
pub fn test_unit_ready(lun: Lun) -> Command {
    query(lun, cdb(opcode::TEST_UNIT_READY, &[]), 0)
}

/// REQUEST SENSE (SPC-4 clause 6.39): a unit attention that waits, which is thereby reported, or what keeps the unit from
/// being ready. [`Sense::decode`](crate::scsi::Sense::decode) reads the answer.
pub fn request_sense(lun: Lun, format: SenseFormat) -> Command {
    /// The most that sense data can be.
    const LEN: u8 = 252;
    let desc = match format {
        SenseFormat::Fixed => 0,
        SenseFormat::Descriptor => 1,
    };
    query(lun, cdb(opcode::REQUEST_SENSE, &[(1, &[desc]), (4, &[LEN])]), u32::from(LEN))
}

/// INQUIRY for the standard data (SPC-4 clause 6.6). [`Inquiry::decode`](crate::scsi::Inquiry::decode) reads the answer.
pub fn inquiry(lun: Lun) -> Command {
    // The most that ADDITIONAL LENGTH can say would be 260; old units look at the low byte of the length alone.
    const LEN: u8 = 252;
    query(lun, cdb(opcode::INQUIRY, &[(4, &[LEN])]), u32::from(LEN))
}

/// INQUIRY for a vital product data page (SPC-4 clause 6.6). [`scsi::vpd`](crate::scsi::vpd) reads the answer.
pub fn vpd(lun: Lun, page: u8) -> Command {
    const EVPD: u8 = 0x01;
    let fields: [(usize, &[u8]); 2] = [(1, &[EVPD, page]), (3, &ANSWER.to_be_bytes())];
    query(lun, cdb(opcode::INQUIRY, &fields), u32::from(ANSWER))
}

/// READ CAPACITY(10) (SBC-3 clause 5.15). [`Capacity::decode_10`](crate::scsi::Capacity::decode_10) reads the answer.
pub fn read_capacity_10(lun: Lun) -> Command {
    query(lun, cdb(opcode::READ_CAPACITY_10, &[]), 8)
}

/// READ CAPACITY(16) (SBC-3 clause 5.16). [`Capacity::decode_16`](crate::scsi::Capacity::decode_16) reads the answer.
pub fn read_capacity_16(lun: Lun) -> Command {
    const LEN: u8 = 32;
    let fields: [(usize, &[u8]); 2] = [(1, &[opcode::SA_READ_CAPACITY_16]), (13, &[LEN])];
    query(lun, cdb(opcode::SERVICE_ACTION_IN_16, &fields), u32::from(LEN))
}

/// REPORT LUNS (SPC-4 clause 6.33) of all but the well known logical units, with room for a thousand of them; see
/// [`Command::with_room_for`] for more. Any LUN answers; LUN 0 always does. [`decode_luns`](crate::scsi::decode_luns)
/// reads the answer.
pub fn report_luns(lun: Lun) -> Command {
    const LEN: u32 = ANSWER as u32;
    query(lun, cdb(opcode::REPORT_LUNS, &[(6, &LEN.to_be_bytes())]), LEN)
}

/// REPORT SUPPORTED OPERATION CODES (SPC-4 clause 6.35) for all commands.
/// [`decode_supported_commands`](crate::scsi::decode_supported_commands) reads the answer.
pub fn report_supported_opcodes(lun: Lun) -> Command {
    supported(lun, &[0, 0, 0, 0])
}

/// REPORT SUPPORTED OPERATION CODES (SPC-4 clause 6.35) for one command, with its service action where it has one.
/// [`decode_command_support`](crate::scsi::decode_command_support) reads the answer.
pub fn report_opcode_support(lun: Lun, opcode: u8, service_action: Option<u16>) -> Command {
    // REPORTING OPTIONS: 1 for an operation code without, 2 for one with service actions.
    let options = if service_action.is_some() { 2 } else { 1 };
    let [high, low] = service_action.unwrap_or(0).to_be_bytes();
    supported(lun, &[options, opcode, high, low])
}

fn supported(lun: Lun, request: &[u8; 4]) -> Command {
    const LEN: u32 = ANSWER as u32;
    let fields: [(usize, &[u8]); 3] =
        [(1, &[opcode::SA_REPORT_SUPPORTED_OPERATION_CODES]), (2, request), (6, &LEN.to_be_bytes())];
    query(lun, cdb(opcode::MAINTENANCE_IN, &fields), LEN)
}
