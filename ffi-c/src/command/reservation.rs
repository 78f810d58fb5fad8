//! Persistent reservations, and the reservations of SPC-2.

use core::ffi::{c_char, c_int};

use iscsicore::initiator::commands::{self, PrOut, RegisterOptions};
use iscsicore::scsi::reservation::{ReservationType, TransportId};
use iscsicore::wire::Lun;

use super::{iscsicore_command, make};
use crate::options::{Options, end_of, read as read_options};
use crate::pointer::{flag, optional_text, slice, text};
use crate::status::{Failure, iscsicore_status};

/// What PERSISTENT RESERVE IN asks for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_pr_in_action {
    /// READ KEYS.
    ReadKeys = 0,
    /// READ RESERVATION.
    ReadReservation = 1,
    /// REPORT CAPABILITIES.
    ReportCapabilities = 2,
    /// READ FULL STATUS.
    ReadFullStatus = 3,
}

/// What PERSISTENT RESERVE OUT does.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_pr_out_action {
    /// REGISTER: registers with `new_key`, or takes the registration with `key` back when that is 0.
    Register = 0,
    /// RESERVE, with `type`.
    Reserve = 1,
    /// RELEASE, of `type`.
    Release = 2,
    /// CLEAR: takes the reservation and all registrations away.
    Clear = 3,
    /// PREEMPT: takes the registrations with `new_key` away, and the reservation if one of them holds it.
    Preempt = 4,
    /// PREEMPT AND ABORT: the same, and aborts the commands of those that lost their registration.
    PreemptAndAbort = 5,
    /// REGISTER AND IGNORE EXISTING KEY: registers with `new_key`, whatever the key so far.
    RegisterAndIgnore = 6,
    /// REGISTER AND MOVE: registers another initiator port, the first of `initiators`, with `new_key`, and gives it the
    /// reservation.
    RegisterAndMove = 7,
    /// REPLACE LOST RESERVATION: starts anew with `new_key` and `type`.
    ReplaceLost = 8,
}

/// Who may do what while a reservation is held (TYPE).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_reservation_type {
    /// Only the holder writes.
    WriteExclusive = 1,
    /// Only the holder reads and writes.
    ExclusiveAccess = 3,
    /// Only registered nexuses write.
    WriteExclusiveRegistrantsOnly = 5,
    /// Only registered nexuses read and write.
    ExclusiveAccessRegistrantsOnly = 6,
    /// Only registered nexuses write, and each of them holds the reservation.
    WriteExclusiveAllRegistrants = 7,
    /// Only registered nexuses read and write, and each of them holds the reservation.
    ExclusiveAccessAllRegistrants = 8,
}

/// The name of an iSCSI initiator port.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_initiator_port {
    /// The iSCSI name.
    pub name: *const c_char,
    /// The ISID, twelve hexadecimal digits; NULL for every port of that name.
    pub isid: *const c_char,
}

/// A PERSISTENT RESERVE OUT. Set `size` to sizeof(iscsicore_pr_out); fields that the action does not use stay 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_pr_out {
    /// sizeof(iscsicore_pr_out).
    pub size: usize,
    /// RESERVATION KEY: the one that the sending nexus is registered with.
    pub key: u64,
    /// SERVICE ACTION RESERVATION KEY.
    pub new_key: u64,
    /// An iscsicore_pr_out_action.
    pub action: c_int,
    /// An iscsicore_reservation_type.
    pub reservation_type: c_int,
    /// APTPL: whether registrations and reservation outlast a loss of power.
    pub aptpl: c_int,
    /// ALL_TG_PT: whether a registration is for every target port of the unit.
    pub all_target_ports: c_int,
    /// UNREG: whether REGISTER AND MOVE ends the registration of the sender.
    pub unregister: c_int,
    /// RELATIVE TARGET PORT IDENTIFIER for REGISTER AND MOVE.
    pub target_port: u16,
    /// Not used; 0.
    pub reserved: u16,
    /// SPEC_I_PT: initiator ports that REGISTER registers as well; of REGISTER AND MOVE the one other port.
    pub initiators: *const iscsicore_initiator_port,
    /// How many.
    pub initiator_count: usize,
}

// SAFETY: numbers and pointers.
unsafe impl Options for iscsicore_pr_out {
    const NAME: &'static str = "iscsicore_pr_out";
    const FIRST_SIZE: usize = end_of!(Self, initiator_count);
}

const _: () = assert!(end_of!(iscsicore_pr_out, initiator_count) == size_of::<iscsicore_pr_out>());

/// PERSISTENT RESERVE IN; `action` is an iscsicore_pr_in_action.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_pr_in(
    lun: u64,
    action: c_int,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || match action {
        0 => Ok(commands::pr_in_keys(Lun(lun))),
        1 => Ok(commands::pr_in_reservation(Lun(lun))),
        2 => Ok(commands::pr_in_capabilities(Lun(lun))),
        3 => Ok(commands::pr_in_full_status(Lun(lun))),
        _ => Err(Failure::invalid(format!("{action} is no iscsicore_pr_in_action"))),
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// PERSISTENT RESERVE OUT. `what` is copied. Its outcome is unknown when the connection is lost:
/// ISCSICORE_PR_IN_ACTION_READ_FULL_STATUS tells what came of it.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for an action or type that is none, names that are too long, or initiator ports
/// where the action takes none; ISCSICORE_STATUS_INVALID_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_pr_out(
    lun: u64,
    what: *const iscsicore_pr_out,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    let build = || {
        // SAFETY: the rules at the head of the header.
        let action = unsafe { pr_out(what) }?;
        Ok(commands::pr_out(Lun(lun), &action)?)
    };
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, build) }
}

/// # Safety
/// `what` and its pointers are as the header describes them.
unsafe fn pr_out(what: *const iscsicore_pr_out) -> Result<PrOut, Failure> {
    // SAFETY: the caller's promise.
    let given = unsafe { read_options(what) }?;
    if given.reserved != 0 {
        return Err(Failure::invalid("iscsicore_pr_out: reserved is not 0"));
    }
    // SAFETY: the caller's promise.
    let mut initiators = unsafe { initiators(&given) }?;
    let (key, new, aptpl) = (given.key, given.new_key, flag(given.aptpl));
    let kind = || {
        let code = u8::try_from(given.reservation_type).ok();
        code.and_then(ReservationType::from_code).ok_or_else(|| {
            Failure::invalid(format!("{} is no iscsicore_reservation_type", given.reservation_type))
        })
    };
    if !matches!(given.action, 0 | 6 | 7) && !initiators.is_empty() {
        return Err(Failure::invalid("initiators are named with a registration only"));
    }
    let options =
        |initiators| RegisterOptions { aptpl, all_target_ports: flag(given.all_target_ports), initiators };
    Ok(match given.action {
        0 => PrOut::Register { key, new, options: options(initiators) },
        1 => PrOut::Reserve { key, kind: kind()? },
        2 => PrOut::Release { key, kind: kind()? },
        3 => PrOut::Clear { key },
        4 => PrOut::Preempt { key, victim: new, kind: kind()? },
        5 => PrOut::PreemptAndAbort { key, victim: new, kind: kind()? },
        6 => PrOut::RegisterAndIgnore { new, options: options(initiators) },
        7 => PrOut::RegisterAndMove {
            key,
            new,
            unregister: flag(given.unregister),
            aptpl,
            target_port: given.target_port,
            initiator: match (initiators.pop(), initiators.is_empty()) {
                (Some(initiator), true) => initiator,
                _ => return Err(Failure::invalid("REGISTER AND MOVE names one initiator port")),
            },
        },
        8 => PrOut::ReplaceLost { new, kind: kind()?, aptpl },
        other => return Err(Failure::invalid(format!("{other} is no iscsicore_pr_out_action"))),
    })
}

/// # Safety
/// As for [`pr_out`].
unsafe fn initiators(given: &iscsicore_pr_out) -> Result<Vec<TransportId>, Failure> {
    // SAFETY: the caller's promise.
    let ports = unsafe { slice(given.initiators, given.initiator_count, "initiators") }?;
    ports
        .iter()
        .map(|port| {
            // SAFETY: the caller's promise.
            let (name, isid) =
                unsafe { (text(port.name, "the name of an initiator")?, optional_text(port.isid, "isid")?) };
            if isid.is_some_and(|isid| isid.len() != 12 || !isid.bytes().all(|b| b.is_ascii_hexdigit())) {
                return Err(Failure::invalid("an ISID has twelve hexadecimal digits"));
            }
            Ok(TransportId::Iscsi { name: name.to_owned(), isid: isid.map(str::to_owned) })
        })
        .collect()
}

/// RESERVE(6) of SPC-2: the unit is for this nexus alone, until it releases it or is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_reserve_6(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::reserve_6(Lun(lun)))) }
}

/// RELEASE(6) of SPC-2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_release_6(
    lun: u64,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    unsafe { make(command, || Ok(commands::release_6(Lun(lun)))) }
}
