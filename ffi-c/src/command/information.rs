//! What a unit is, what it can do, and how it is.

use core::ffi::c_int;

use iscsicore::initiator::commands;
use iscsicore::scsi::SenseFormat;
use iscsicore::wire::Lun;

use super::{iscsicore_command, make};
use crate::pointer::flag;
use crate::status::{Failure, iscsicore_status};

/// TEST UNIT READY.
///
/// Ownership: the caller's, until iscsicore_command_free; so for all functions of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_test_unit_ready(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::test_unit_ready(Lun(lun)))) }
}

/// INQUIRY for the standard data: iscsicore_inquiry_decode reads the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_inquiry(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::inquiry(Lun(lun)))) }
}

/// INQUIRY for the vital product data page `page`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_vpd(
    lun: u64,
    page: u8,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::vpd(Lun(lun), page))) }
}

/// READ CAPACITY(10): iscsicore_capacity_decode reads the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_read_capacity_10(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::read_capacity_10(Lun(lun)))) }
}

/// READ CAPACITY(16): iscsicore_capacity_decode reads the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_read_capacity_16(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::read_capacity_16(Lun(lun)))) }
}

/// REPORT LUNS of all but the well known logical units, with room for a thousand; iscsicore_command_make_room makes more. Any
/// LUN answers; LUN 0 always does. iscsicore_luns_decode reads the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_report_luns(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::report_luns(Lun(lun)))) }
}

/// REQUEST SENSE: a unit attention that waits, or what keeps the unit from being ready; in descriptor format unless
/// `descriptor` is 0. iscsicore_sense_decode reads the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_request_sense(
    lun: u64,
    descriptor: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let format = if flag(descriptor) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::request_sense(Lun(lun), format))) }
}

/// REPORT SUPPORTED OPERATION CODES for all commands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_report_supported_opcodes(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::report_supported_opcodes(Lun(lun)))) }
}

/// REPORT SUPPORTED OPERATION CODES for one command, with its service action; -1 for one that has none.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a service action above 65535.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_report_opcode_support(
    lun: u64,
    opcode: u8,
    service_action: i32,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        let action = match service_action {
            -1 => None,
            action => Some(
                u16::try_from(action)
                    .map_err(|_| Failure::invalid(format!("service_action is {action}; -1 to 65535")))?,
            ),
        };
        Ok(commands::report_opcode_support(Lun(lun), opcode, action))
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}
