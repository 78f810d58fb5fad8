//! The disk device server by itself: a logical unit without its blocks.

use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;

use iscsicore::disk::{
    AttachReason, BlockSize, LogicalUnit, NexusAccess, NexusId, Request, ResetCause, TargetPort,
};
use iscsicore::scsi::Cdb;
use iscsicore::wire::TaskAttribute;

use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free, lock, opaque};
use crate::pointer::{flag, out, out_handle, slice, text};
use crate::status::{Failure, iscsicore_status};
use crate::unit_options::{self, iscsicore_unit_options};

pub mod command;
pub mod resume;

mod show;

use command::{CommandState, iscsicore_disk_command};

/// A SCSI disk, apart from its blocks: it decides commands, and says what is to be done on storage. It is for programs that
/// have sessions of their own kind (iscsicore_target, or another transport); iscsicore_host has units inside.
///
/// Threads: any, one call at a time.
pub struct iscsicore_unit(Handle<UnitState>);
opaque!(iscsicore_unit, UnitState);

/// What is behind the handle.
pub(crate) struct UnitState {
    unit: LogicalUnit,
    origin: Origin,
    attached: BTreeSet<NexusId>,
}

/// Which unit made a command, and after how many resets: a command goes on with that unit alone, and not after another
/// reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Origin {
    unit: u64,
    resets: u64,
}

impl UnitState {
    fn attached(&mut self, nexus: u64) -> Result<(&mut LogicalUnit, NexusId), Failure> {
        let nexus = NexusId(nexus);
        if self.attached.contains(&nexus) {
            Ok((&mut self.unit, nexus))
        } else {
            Err(Failure::unknown(format!("nexus {} is not attached", nexus.0)))
        }
    }
}

/// Why a unit is reset.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_reset_cause {
    /// Power on, TARGET COLD RESET.
    PowerOn = 1,
    /// TARGET WARM RESET.
    Target = 2,
    /// LOGICAL UNIT RESET.
    LogicalUnit = 3,
}

/// Makes a unit that nobody is attached to.
///
/// Ownership: the caller's, until iscsicore_unit_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT and ISCSICORE_STATUS_INVALID_SIZE for options that are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_new(
    options: *const iscsicore_unit_options,
    unit: *mut *mut iscsicore_unit,
) -> iscsicore_status {
    static UNITS: AtomicU64 = AtomicU64::new(1);
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, config) = unsafe { (out_handle(unit)?, unit_options::read(options)?) };
        let origin = Origin { unit: UNITS.fetch_add(1, Ordering::Relaxed), resets: 0 };
        let unit = LogicalUnit::new(config);
        place.set(iscsicore_unit::boxed(UnitState { unit, origin, attached: BTreeSet::new() }));
        Ok(())
    })
}

/// Ends a unit. Commands of it can only be freed from then on. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_free(unit: *mut iscsicore_unit) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(unit) })
}

/// Makes an initiator known, as a number of the caller's choice, its nexus: unit attentions wait for each by itself. The
/// first one waits at once: with `relogin`, for an initiator that was there before and lost its session, it says so. One
/// that was attached already gets the attention again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_attach(
    unit: *mut iscsicore_unit,
    nexus: u64,
    relogin: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let reason = if flag(relogin) { AttachReason::Relogin } else { AttachReason::New };
        state.unit.attach(NexusId(nexus), reason);
        state.attached.insert(NexusId(nexus));
        Ok(())
    })
}

/// Forgets an initiator, and what waits for it.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_detach(unit: *mut iscsicore_unit, nexus: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let (unit, nexus) = state.attached(nexus)?;
        unit.detach(nexus);
        state.attached.remove(&nexus);
        Ok(())
    })
}

/// Says what an initiator may do: an iscsicore_access. Everything, until something is said.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_set_access(
    unit: *mut iscsicore_unit,
    nexus: u64,
    access: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let access = match access {
            0 => NexusAccess::ReadWrite,
            1 => NexusAccess::ReadOnly,
            _ => return Err(Failure::invalid(format!("{access} is no iscsicore_access"))),
        };
        let (unit, nexus) = state.attached(nexus)?;
        unit.set_access(nexus, access);
        Ok(())
    })
}

/// Says through which target port an initiator comes, which INQUIRY tells: the name is the target's, ",t,0x" and the portal
/// group tag in four digits (RFC 7143 section 4.4.2); `relative_id` counts ports from 1 on.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when the initiator is not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_set_port(
    unit: *mut iscsicore_unit,
    nexus: u64,
    name: *const c_char,
    relative_id: u16,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, name) = unsafe { (lock(unit)?, text(name, "name")?) };
        if !(1..=240).contains(&name.len()) || relative_id == 0 {
            return Err(Failure::invalid("a port has a name of 1 to 240 bytes and a number from 1 on"));
        }
        let (unit, nexus) = state.attached(nexus)?;
        unit.set_port(nexus, TargetPort { name: name.to_owned(), relative_id });
        Ok(())
    })
}

/// Resets the unit: its mode parameters go back to their defaults, it is started, and every initiator learns of it. `cause`
/// is an iscsicore_reset_cause. The caller ends the commands: those from before can only be freed.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a cause that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_reset(unit: *mut iscsicore_unit, cause: c_int) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let cause = match cause {
            1 => ResetCause::PowerOn,
            2 => ResetCause::Target,
            3 => ResetCause::LogicalUnit,
            _ => return Err(Failure::invalid(format!("{cause} is no iscsicore_reset_cause"))),
        };
        state.unit.reset(cause);
        state.origin.resets += 1;
        Ok(())
    })
}

/// Changes the capacity, and tells every initiator if it is another one. Commands that run are held to the new one.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or more than 2^63 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_resize(unit: *mut iscsicore_unit, blocks: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let most = (1 << 63) >> state.unit.config().block_size.shift();
        if !(1..=most).contains(&blocks) {
            return Err(Failure::invalid(format!("blocks is {blocks}; it can be 1 to {most}")));
        }
        state.unit.resize(blocks);
        Ok(())
    })
}

/// Tells how many logical blocks the unit has, and how many bytes each; `block_size` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_blocks(
    unit: *mut iscsicore_unit,
    blocks: *mut u64,
    block_size: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, place) = unsafe { (lock(unit)?, out(blocks, "blocks")?) };
        let size: BlockSize = state.unit.config().block_size;
        // SAFETY: as above.
        if let Ok(place) = unsafe { out(block_size, "block_size") } {
            place.set(size.bytes());
        }
        place.set(state.unit.blocks());
        Ok(())
    })
}

/// Tells the initiator `of` that `by` has cleared its commands (CLEAR TASK SET); nothing when both are the same, or `of` is
/// not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_tasks_cleared(
    unit: *mut iscsicore_unit,
    by: u64,
    of: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(unit) }?.unit.tasks_cleared(NexusId(by), NexusId(of));
        Ok(())
    })
}

/// Tells an initiator that commands of it were ended by the protocol: after iscsicore_target_reinstate, when some were
/// under way (RFC 7143 section 11.14.5).
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_tasks_terminated(
    unit: *mut iscsicore_unit,
    nexus: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let (unit, nexus) = state.attached(nexus)?;
        unit.tasks_terminated(nexus);
        Ok(())
    })
}

/// Tells an initiator that REPORT LUNS has another answer for it now; with `reported` that it has asked by itself, which it
/// need not be told any more.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_luns_changed(
    unit: *mut iscsicore_unit,
    nexus: u64,
    reported: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(unit) }?;
        let (unit, nexus) = state.attached(nexus)?;
        if flag(reported) {
            unit.luns_reported(nexus)
        } else {
            unit.luns_changed(nexus)
        }
        Ok(())
    })
}

/// Takes a command of an initiator: `data_in` is what that takes at most, and `data_out` what it is ready to send, in bytes;
/// `attribute` is an iscsicore_task_attribute. What is to be done says iscsicore_disk_command_step.
///
/// REPORT LUNS is answered by iscsicore_disk_command_report_luns, which knows the other units: this unit answers that it is LUN 0.
///
/// Ownership: the command is the caller's, until iscsicore_disk_command_free.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN for a nexus that is not attached, ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes or
/// more than 260, and for an attribute that is none. Everything else that is wrong with a
/// command is told to the initiator, in its reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_start(
    unit: *mut iscsicore_unit,
    nexus: u64,
    cdb: *const u8,
    cdb_len: usize,
    attribute: c_int,
    data_in: u32,
    data_out: u32,
    command: *mut *mut iscsicore_disk_command,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, mut state, cdb) = unsafe { (out_handle(command)?, lock(unit)?, read_cdb(cdb, cdb_len)?) };
        let attribute = match u8::try_from(attribute) {
            Ok(255) => TaskAttribute::Unknown(255),
            Ok(code @ 0..=4) => TaskAttribute::from_code(code),
            _ => return Err(Failure::invalid(format!("{attribute} is no iscsicore_task_attribute"))),
        };
        let request = Request { cdb: &cdb, data_in, data_out, attribute };
        let origin = state.origin;
        let (unit, nexus) = state.attached(nexus)?;
        let step = unit.start(nexus, &request);
        place.set(iscsicore_disk_command::boxed(CommandState::new(Some(origin), step)));
        Ok(())
    })
}

/// # Safety
/// `cdb` is NULL or has `len` bytes.
unsafe fn read_cdb(cdb: *const u8, len: usize) -> Result<Cdb, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice(cdb, len, "cdb") }?;
    let wrong = || Failure::invalid(format!("a CDB of {len} bytes; it can have 1 to 260"));
    if bytes.is_empty() {
        return Err(wrong());
    }
    Cdb::from_slice(bytes).ok_or_else(wrong)
}
