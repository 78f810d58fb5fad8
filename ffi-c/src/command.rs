//! SCSI commands on their way to a target.

mod blocks;
mod information;
mod modes;
mod provisioning;
mod reservation;

#[cfg(test)]
mod tests;

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::time::Duration;

use iscsicore::initiator::{Command, Repeat, Sink, Transient};
use iscsicore::scsi::{Cdb, opcode};
use iscsicore::wire::Lun;
use iscsicore::{DataList, Misuse};

use crate::boundary::guard;
use crate::codes::task_attribute;
use crate::handle::{Handle, Opaque, free, lock, null, opaque};
use crate::limits::ISCSICORE_NEVER;
use crate::nexus::Buffer;
use crate::payload::{self, iscsicore_payload, small};
use crate::pointer::{Context, fill, flag, out, out_handle, slice};
use crate::status::{Failure, iscsicore_status};

pub use blocks::*;
pub use information::*;
pub use modes::*;
pub use provisioning::*;
pub use reservation::*;

/// A SCSI command, to be submitted to a nexus as often as its maker likes. `lun` is everywhere the 64 bits of the LUN field:
/// iscsicore_lun makes them of a number. 0 is LUN 0; 1 is not LUN 1.
///
/// The commands of the functions named after them are sent again after a passing condition, and after the loss of the
/// connection where doing them twice is as good as once. They have no time limit, and what they receive is collected. All
/// that can be set otherwise.
///
/// Threads: any, one call at a time.
pub struct iscsicore_command(Handle<CommandState>);
opaque!(iscsicore_command, CommandState);

/// What happens when the connection is lost and nobody knows whether the command was carried out.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_repeat {
    /// It ends with ISCSICORE_OUTCOME_UNKNOWN.
    Never = 0,
    /// It is sent again: doing it twice is as good as once.
    Safe = 1,
}

/// What happens when a command was not carried out for a passing reason: UNIT ATTENTION, BUSY, TASK SET FULL.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_transient {
    /// The program gets the answer as it is.
    Deliver = 0,
    /// It is sent again, after a growing pause where the target is busy; unit attentions are told as events.
    Retry = 1,
}

/// What an iscsicore_command is.
#[derive(Debug)]
pub(crate) struct CommandState {
    pub(crate) command: Command,
    pub(crate) buffer: Option<Buffer>,
    pub(crate) context: Context,
}

impl CommandState {
    /// Whether the buffer has room for all that the command may receive.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let needed = self.command.data_in as usize;
        match self.buffer {
            Some(buffer) if buffer.len() < needed => {
                let len = buffer.len();
                Err(Failure::invalid(format!("the command may receive {needed} bytes, its buffer has {len}")))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a command without payload.
///
/// # Safety
/// `place` is NULL or has room for a pointer.
unsafe fn make(
    place: *mut *mut iscsicore_command,
    build: impl FnOnce() -> Result<Command, Failure>,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out_handle(place) }?;
        place.set(iscsicore_command::boxed(CommandState {
            command: build()?,
            buffer: None,
            context: Context::default(),
        }));
        Ok(())
    })
}

/// Makes a command that sends payload, which is lent to it if it can be made.
///
/// # Safety
/// As for [`make`]; `payload` is NULL or a payload as the header describes it.
unsafe fn make_with(
    place: *mut *mut iscsicore_command,
    payload: *const iscsicore_payload,
    build: impl FnOnce(DataList) -> Result<Command, Misuse>,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (place, payload) = unsafe { (out_handle(place)?, payload::read(payload)?) };
        let command = build(payload.data())?;
        payload.keep();
        place.set(iscsicore_command::boxed(CommandState {
            command,
            buffer: None,
            context: Context::default(),
        }));
        Ok(())
    })
}

/// Makes any command: `cdb_len` bytes of CDB, up to 260, that may receive `data_in` bytes and sends `data_out`, which may be
/// NULL. It is not repeated, and its answer is delivered as it is.
///
/// Ownership: the command is the caller's, until iscsicore_command_free. Payload that is lent is given back when the
/// command was freed and all its submissions have ended.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no or more bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_new(
    lun: u64,
    cdb: *const u8,
    cdb_len: usize,
    data_in: u32,
    data_out: *const iscsicore_payload,
    command: *mut *mut iscsicore_command,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, bytes, data_out) =
            unsafe { (out_handle(command)?, slice(cdb, cdb_len, "cdb")?, payload::read(data_out)?) };
        let cdb = Cdb::from_slice(bytes).filter(|_| !bytes.is_empty());
        let cdb = cdb.ok_or_else(|| Failure::invalid("a CDB has 1 to 260 bytes"))?;
        let command = Command { data_in, data_out: data_out.keep(), ..Command::new(Lun(lun), cdb) };
        place.set(iscsicore_command::boxed(CommandState {
            command,
            buffer: None,
            context: Context::default(),
        }));
        Ok(())
    })
}

/// Ends a command; submissions of it go on. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_free(command: *mut iscsicore_command) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(command) })
}

/// Has received payload put into `buffer`, without a copy where that is possible, in place of collecting it. `buffer` NULL has
/// it collected again. What the program reads into it, iscsicore_nexus_want says.
///
/// From each submission of the command on, until its end was taken, the buffer must stay where it is, untouched. How many
/// bytes of it hold payload, `received` of the end says.
///
/// Errors of iscsicore_nexus_submit: a buffer of less than what iscsicore_command_data_in tells.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_buffer(
    command: *mut iscsicore_command,
    buffer: *mut c_void,
    len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(command) }?;
        if isize::try_from(len).is_err() {
            return Err(Failure::invalid("the length of the buffer is more than memory can hold"));
        }
        state.buffer = match NonNull::new(buffer.cast()) {
            Some(base) => Some(Buffer::new(base, len)),
            None if len == 0 => None,
            None => return Err(null("buffer")),
        };
        state.command.sink = if state.buffer.is_some() { Sink::Slots } else { Sink::Collect };
        Ok(())
    })
}

/// Gives it a pointer of the program's, which comes back as `context` of the end of every submission from now on. The library does
/// nothing with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_context(
    command: *mut iscsicore_command,
    context: *mut c_void,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.context = Context(context);
        Ok(())
    })
}

/// Gives it `nanos` nanoseconds from its submission to its end; 0 or ISCSICORE_NEVER waits for as long as it takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_timeout(
    command: *mut iscsicore_command,
    nanos: u64,
) -> iscsicore_status {
    guard(|| {
        let limited = nanos != 0 && nanos != ISCSICORE_NEVER;
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.command.timeout = limited.then_some(Duration::from_nanos(nanos));
        Ok(())
    })
}

/// Sets the task attribute, an iscsicore_task_attribute. Simple without this.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_attribute(
    command: *mut iscsicore_command,
    attribute: c_int,
) -> iscsicore_status {
    guard(|| {
        let attribute = task_attribute(attribute)?;
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.command.attribute = attribute;
        Ok(())
    })
}

/// Sets the task priority, 1 to 15, the most urgent first; 0 says none. It is sent where iSCSIProtocolLevel 2 was agreed on
/// (RFC 7144 section 5.1.1).
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_priority(
    command: *mut iscsicore_command,
    priority: c_int,
) -> iscsicore_status {
    guard(|| {
        let priority = small(priority, "priority", 0..=15)?;
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.command.priority = priority as u8;
        Ok(())
    })
}

/// Sets whether the command may be sent again after the loss of the connection, an iscsicore_repeat.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_repeat(
    command: *mut iscsicore_command,
    repeat: c_int,
) -> iscsicore_status {
    guard(|| {
        let repeat = match repeat {
            0 => Repeat::Never,
            1 => Repeat::Safe,
            _ => return Err(Failure::invalid(format!("{repeat} is no iscsicore_repeat"))),
        };
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.command.repeat = repeat;
        Ok(())
    })
}

/// Sets what happens when the target answers "not now", an iscsicore_transient.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_transient(
    command: *mut iscsicore_command,
    transient: c_int,
) -> iscsicore_status {
    guard(|| {
        let transient = match transient {
            0 => Transient::Deliver,
            1 => Transient::Retry,
            _ => return Err(Failure::invalid(format!("{transient} is no iscsicore_transient"))),
        };
        // SAFETY: the rules at the head of the header.
        unsafe { lock(command) }?.command.transient = transient;
        Ok(())
    })
}

/// Sets or clears FUA (force unit access: the blocks are on the medium, or come from it, before the command ends) and DPO (the
/// blocks will not be needed again soon) of a READ, WRITE or COMPARE AND WRITE.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE for other commands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_set_access(
    command: *mut iscsicore_command,
    fua: c_int,
    dpo: c_int,
) -> iscsicore_status {
    const TAKES_THEM: [u8; 7] = [
        opcode::READ_10,
        opcode::WRITE_10,
        opcode::READ_12,
        opcode::WRITE_12,
        opcode::READ_16,
        opcode::WRITE_16,
        opcode::COMPARE_AND_WRITE,
    ];
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(command) }?;
        let cdb = &state.command.cdb;
        if !TAKES_THEM.contains(&cdb.opcode()) {
            return Err(Failure::state(format!("{} has neither FUA nor DPO", cdb.name())));
        }
        let mut first = *cdb.first();
        first[1] = first[1] & !0x18 | u8::from(flag(dpo)) << 4 | u8::from(flag(fua)) << 3;
        state.command.cdb = Cdb::new(first);
        Ok(())
    })
}

/// Has room for an answer of `len` bytes, or of as many as its field can say, in a command that asks how something is: for an
/// answer that told to be longer than what was asked for at first. Commands without an ALLOCATION LENGTH stay as they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_make_room(
    command: *mut iscsicore_command,
    len: u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(command) }?;
        state.command = state.command.clone().with_room_for(len);
        Ok(())
    })
}

/// Tells how many bytes the whole answer has, as its first `answer_len` bytes say; 0 when they do not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_stated_len(
    command: *const iscsicore_command,
    answer: *const u8,
    answer_len: usize,
    len: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, answer, len) =
            unsafe { (lock(command)?, slice(answer, answer_len, "answer")?, out(len, "len")?) };
        len.set(state.command.stated_len(answer).unwrap_or(0));
        Ok(())
    })
}

/// Copies the CDB: as many bytes as its operation code says, 16 where it does not. `*len` is their number, whether they fit or
/// not; 260 bytes are always enough.
///
/// Errors: ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_cdb(
    command: *const iscsicore_command,
    buffer: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let state = unsafe { lock(command) }?;
        let cdb = &state.command.cdb;
        let mut whole = cdb.first().to_vec();
        whole.extend_from_slice(cdb.rest());
        if cdb.rest().is_empty() {
            whole.truncate(cdb.stated_len().unwrap_or(whole.len()));
        }
        // SAFETY: as above.
        unsafe { fill(&whole, buffer, capacity, len) }
    })
}

/// Tells the most bytes that the command may receive: what its buffer has to have room for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_data_in(
    command: *const iscsicore_command,
    len: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, len) = unsafe { (lock(command)?, out(len, "len")?) };
        len.set(state.command.data_in);
        Ok(())
    })
}

/// Tells how many bytes the command sends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_command_data_out(
    command: *const iscsicore_command,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, len) = unsafe { (lock(command)?, out(len, "len")?) };
        len.set(state.command.data_out.len());
        Ok(())
    })
}
