//! How a command goes on: data, and outcomes of operations.

use core::ffi::c_int;

use iscsicore::disk::{Outcome, Resume};

use super::command::{CommandState, iscsicore_disk_command};
use super::{UnitState, iscsicore_unit};
use crate::boundary::guard;
use crate::handle::lock;
use crate::op::{extents as read_extents, iscsicore_extent, iscsicore_op_kind, outcome};
use crate::payload::{self, iscsicore_payload};
use crate::status::{Failure, iscsicore_status};

/// Whether `unit` may go on with `command`.
fn belongs(unit: &UnitState, command: &CommandState) -> Result<(), Failure> {
    match command.origin() {
        None => Err(Failure::state("the command has ended")),
        Some(origin) if origin.unit != unit.origin.unit => {
            Err(Failure::invalid("the command is another unit's"))
        }
        Some(origin) if origin != unit.origin => {
            Err(Failure::state("the unit was reset since the command began: end it"))
        }
        Some(_) => Ok(()),
    }
}

/// All that can be refused was: the command goes on.
fn go_on(unit: &mut UnitState, command: &mut CommandState, with: Resume) -> Result<(), Failure> {
    let task = command.take()?;
    command.go_on(unit.unit.resume(task, with));
    Ok(())
}

/// Goes on with a command whose operation was carried out, or has failed: `io` is an iscsicore_io, and `at` the offset in
/// bytes of an ISCSICORE_IO_MEDIUM_ERROR. The next step is told by iscsicore_disk_command_step.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the command is another unit's, or the outcome does not fit the operation;
/// ISCSICORE_STATUS_WRONG_STATE when the command does not wait for this, has ended, or began before a reset of the unit. The
/// command waits as before, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_resume(
    unit: *mut iscsicore_unit,
    command: *mut iscsicore_disk_command,
    io: c_int,
    at: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut unit, mut command) = unsafe { (lock(unit)?, lock(command)?) };
        belongs(&unit, &command)?;
        let outcome = outcome(io, at, command.op()?)?;
        go_on(&mut unit, &mut command, Resume::Io(outcome))
    })
}

/// Goes on with a command whose read has succeeded: `data` has exactly the bytes that were to be read.
///
/// Ownership: lent payload is given back when neither the command nor a session to which its reply was handed needs it; the
/// reply shows it where it is.
///
/// Errors: as of iscsicore_unit_resume. Nothing was lent, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_resume_read(
    unit: *mut iscsicore_unit,
    command: *mut iscsicore_disk_command,
    data: *const iscsicore_payload,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut unit, mut command, data) = unsafe { (lock(unit)?, lock(command)?, payload::read(data)?) };
        belongs(&unit, &command)?;
        let op = command.op()?;
        if op.kind != iscsicore_op_kind::Read {
            return Err(Failure::invalid("the operation is not ISCSICORE_OP_KIND_READ"));
        }
        if data.len() as u64 != op.len {
            return Err(Failure::invalid(format!("{} bytes for a read of {}", data.len(), op.len)));
        }
        go_on(&mut unit, &mut command, Resume::Io(Outcome::Data(data.keep())))
    })
}

/// Goes on with a command that has asked for extents: `count` of them, from the offset of the operation on.
///
/// Errors: as of iscsicore_unit_resume.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_resume_extents(
    unit: *mut iscsicore_unit,
    command: *mut iscsicore_disk_command,
    extents: *const iscsicore_extent,
    count: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut unit, mut command) = unsafe { (lock(unit)?, lock(command)?) };
        belongs(&unit, &command)?;
        // SAFETY: as above.
        let outcome = unsafe { read_extents(extents, count, command.op()?) }?;
        go_on(&mut unit, &mut command, Resume::Io(outcome))
    })
}

/// Goes on with a command whose data has arrived: as much as the initiator sent. What is more than was needed is not looked
/// at.
///
/// Ownership: lent payload is given back when the command needs it no more: ISCSICORE_OP_KIND_WRITE shows it where it is.
///
/// Errors: as of iscsicore_unit_resume. Nothing was lent, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_unit_resume_data(
    unit: *mut iscsicore_unit,
    command: *mut iscsicore_disk_command,
    data: *const iscsicore_payload,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut unit, mut command, data) = unsafe { (lock(unit)?, lock(command)?, payload::read(data)?) };
        belongs(&unit, &command)?;
        command.expect_need()?;
        go_on(&mut unit, &mut command, Resume::Data(data.keep()))
    })
}
