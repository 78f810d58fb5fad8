//! Mode parameters and power.

use core::ffi::c_int;

use iscsicore::initiator::commands::{self, PageControl, Save, StartStop};
use iscsicore::wire::Lun;

use super::{iscsicore_command, make};
use crate::pointer::{flag, slice};
use crate::status::{Failure, iscsicore_status};

/// Which values of a mode page are asked for (PC).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_page_control {
    /// Those in force.
    Current = 0,
    /// A one in every bit that can be changed.
    Changeable = 1,
    /// Those that the unit starts with.
    Default = 2,
    /// Those that were saved.
    Saved = 3,
}

/// What START STOP UNIT is to bring about.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_start_stop {
    /// The unit does not take commands on its blocks; its caches are flushed first.
    Stop = 0,
    /// It does.
    Start = 1,
    /// The medium is ejected.
    Eject = 2,
    /// The medium is loaded.
    Load = 3,
}

fn page_control(value: c_int) -> Result<PageControl, Failure> {
    match value {
        0 => Ok(PageControl::Current),
        1 => Ok(PageControl::Changeable),
        2 => Ok(PageControl::Default),
        3 => Ok(PageControl::Saved),
        _ => Err(Failure::invalid(format!("{value} is no iscsicore_page_control"))),
    }
}

/// MODE SENSE(6) of a mode page; `control` is an iscsicore_page_control.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_mode_sense_6(
    lun: u64,
    page: u8,
    subpage: u8,
    control: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || Ok(commands::mode_sense_6_with(Lun(lun), page, subpage, page_control(control)?));
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// MODE SENSE(10), else as iscsicore_command_mode_sense_6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_mode_sense_10(
    lun: u64,
    page: u8,
    subpage: u8,
    control: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || Ok(commands::mode_sense_10_with(Lun(lun), page, subpage, page_control(control)?));
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

fn save_pages(save: c_int) -> Save {
    if flag(save) { Save::Yes } else { Save::No }
}

/// MODE SELECT(6) of one page, header included, as MODE SENSE returned it and the caller changed it. It is copied. Unless
/// `save` is 0 the values are kept for the time after the unit was off.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `page` is not a whole page, or too long for this command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_mode_select_6(
    lun: u64,
    page: *const u8,
    page_len: usize,
    save: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        // SAFETY: as above.
        let page = unsafe { slice(page, page_len, "page") }?;
        Ok(commands::mode_select_6(Lun(lun), page, save_pages(save))?)
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// MODE SELECT(10), else as iscsicore_command_mode_select_6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_mode_select_10(
    lun: u64,
    page: *const u8,
    page_len: usize,
    save: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        // SAFETY: the rules at the head of the header.
        let page = unsafe { slice(page, page_len, "page") }?;
        Ok(commands::mode_select_10(Lun(lun), page, save_pages(save))?)
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// START STOP UNIT; the answer comes when it is done. `to` is an iscsicore_start_stop.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_start_stop(
    lun: u64,
    to: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        let to = match to {
            0 => StartStop::Stop,
            1 => StartStop::Start,
            2 => StartStop::Eject,
            3 => StartStop::Load,
            _ => return Err(Failure::invalid(format!("{to} is no iscsicore_start_stop"))),
        };
        Ok(commands::start_stop(Lun(lun), to))
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}
