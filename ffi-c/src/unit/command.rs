//! A command of a logical unit, and the commands that no unit is needed for.

use iscsicore::disk::{self, Reply, Step, Task};
use iscsicore::wire::Lun;

use super::show::Wanted;
use super::{Origin, read_cdb};
use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free, lock, opaque};
use crate::op::iscsicore_op;
use crate::pointer::{out, out_handle, slice};
use crate::status::{Failure, iscsicore_status};

pub use super::show::{iscsicore_reply, iscsicore_step, iscsicore_step_kind};

/// A command that a unit has taken. It belongs to that unit: no other one goes on with it.
///
/// Threads: any, one call at a time. What its step shows may be read on any thread, until the command is resumed or freed.
pub struct iscsicore_disk_command(Handle<CommandState>);
opaque!(iscsicore_disk_command, CommandState);

/// What is behind the handle.
pub(crate) struct CommandState {
    /// `None` for commands that have ended before they began.
    origin: Option<Origin>,
    wanted: Wanted,
    need: u32,
    task: Option<Task>,
    /// What C is shown; it does not move.
    step: Option<Box<iscsicore_step>>,
}

impl CommandState {
    pub(super) fn new(origin: Option<Origin>, step: Step) -> Self {
        let mut state = CommandState { origin, wanted: Wanted::Nothing, need: 0, task: None, step: None };
        state.go_on(step);
        state
    }

    /// Takes the next step.
    pub(super) fn go_on(&mut self, step: Step) {
        (self.wanted, self.need, self.task) = match step {
            Step::Done(reply) => (Wanted::done(reply), 0, None),
            Step::NeedData { len, task } => (Wanted::Data, len, Some(task)),
            Step::Io { op, task } => (Wanted::io(op), 0, Some(task)),
        };
        let step = self.wanted.step(self.need);
        match (&mut self.step, step) {
            (Some(place), Some(step)) => **place = step,
            (place, step) => *place = step.map(Box::new),
        }
    }

    pub(super) fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The operation that the command waits for.
    pub(super) fn op(&self) -> Result<&iscsicore_op, Failure> {
        match &self.wanted {
            Wanted::Io(shown) => Ok(&shown.op),
            _ => Err(Failure::state("the command waits for no operation on storage")),
        }
    }

    pub(super) fn expect_need(&self) -> Result<(), Failure> {
        match self.wanted {
            Wanted::Data => Ok(()),
            _ => Err(Failure::state("the command waits for no data")),
        }
    }

    /// Takes the continuation: from here to the next step the command wants nothing.
    pub(super) fn take(&mut self) -> Result<Task, Failure> {
        let task = self.task.take().ok_or_else(|| Failure::state("the command has ended"))?;
        (self.wanted, self.need) = (Wanted::Nothing, 0);
        Ok(task)
    }
}

/// Shows what is to be done next for a command.
///
/// Ownership: the library's. The step and all that it points to live until the command is resumed or freed.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when nothing is to be done any more, after a bug of the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_disk_command_step(
    command: *mut iscsicore_disk_command,
    step: *mut *const iscsicore_step,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, place) = unsafe { (lock(command)?, out(step, "step")?) };
        let Some(step) = &state.step else {
            return Err(Failure::state("the command wants nothing any more"));
        };
        place.set(&raw const **step);
        Ok(())
    })
}

/// Ends a command, whether it is done or was aborted, with the memory that its step shows. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_disk_command_free(
    command: *mut iscsicore_disk_command,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(command) })
}

/// Answers REPORT LUNS, for an initiator that sees `count` LUNs, whichever LUN it was sent to: a command that is done at
/// once. When its reply is delivered, tell the units of the initiator by iscsicore_unit_luns_changed, with `reported` set.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes, or more than 260, and for more than 16384 LUNs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_disk_command_report_luns(
    cdb: *const u8,
    cdb_len: usize,
    luns: *const u64,
    count: usize,
    command: *mut *mut iscsicore_disk_command,
) -> iscsicore_status {
    const MOST: usize = 16384;
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, cdb, luns) =
            unsafe { (out_handle(command)?, read_cdb(cdb, cdb_len)?, slice(luns, count, "luns")?) };
        if count > MOST {
            return Err(Failure::invalid(format!("{count} LUNs; an initiator can see {MOST}")));
        }
        let luns: Vec<Lun> = luns.iter().map(|lun| Lun(*lun)).collect();
        place.set(done(disk::report_luns(&cdb, &luns)));
        Ok(())
    })
}

/// Answers a command, other than REPORT LUNS, for a LUN behind which there is no unit: a command that is done at once.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes, or more than 260.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_disk_command_absent_unit(
    cdb: *const u8,
    cdb_len: usize,
    command: *mut *mut iscsicore_disk_command,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, cdb) = unsafe { (out_handle(command)?, read_cdb(cdb, cdb_len)?) };
        place.set(done(disk::absent_unit(&cdb)));
        Ok(())
    })
}

fn done(reply: Reply) -> *mut iscsicore_disk_command {
    iscsicore_disk_command::boxed(CommandState::new(None, Step::Done(reply)))
}
