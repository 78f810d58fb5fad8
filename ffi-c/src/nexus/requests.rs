//! What a program asks of the session.

use core::ffi::{c_char, c_int};

use iscsicore::Instant;
use iscsicore::link::TaskId;
use iscsicore::session::SendTargets;
use iscsicore::wire::Lun;

use super::iscsicore_nexus;
use crate::boundary::guard;
use crate::codes::task_management_function;
use crate::command::iscsicore_command;
use crate::handle::lock;
use crate::payload::{iscsicore_payload, read};
use crate::pointer::{optional_text, out};
use crate::status::iscsicore_status;

/// Takes a command, connected or not; it leaves when its turn comes and the target's command window is open. `*task` names it
/// until ISCSICORE_NEXUS_EVENT_KIND_COMPLETED tells its end.
///
/// Ownership: the command stays the caller's, and may be submitted again or freed at any time. Its buffer must stay where it
/// is, untouched, until its end was taken; two commands that are outstanding together are not to have the same one.
/// Payload that was lent to it stays lent as long as the command lives or any submission of it has not ended.
///
/// Errors: ISCSICORE_STATUS_QUEUE_FULL when as many commands as `queue_depth` of the limits says are outstanding,
/// ISCSICORE_STATUS_WRONG_STATE when the session has ended, is being logged out, or is a discovery session,
/// ISCSICORE_STATUS_INVALID_ARGUMENT when the buffer is too small for what the command may receive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_submit(
    nexus: *mut iscsicore_nexus,
    now: u64,
    command: *const iscsicore_command,
    task: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, command, task) = unsafe { (lock(nexus)?, lock(command)?, out(task, "task")?) };
        task.set(nexus.submit(Instant::from_nanos(now), &command)?.to_bits());
        Ok(())
    })
}

/// Aborts a command: with ABORT TASK if it was sent. ISCSICORE_NEXUS_EVENT_KIND_COMPLETED tells how it ended; until then its
/// buffer is in use.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such command, or it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_abort(
    nexus: *mut iscsicore_nexus,
    now: u64,
    task: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut nexus = unsafe { lock(nexus) }?;
        Ok(nexus.abort(Instant::from_nanos(now), TaskId::from_bits(task))?)
    })
}

/// Aborts a command whose end nobody waits for: no event tells of it, and its buffer is the program's again at once. Payload
/// that was lent to it is given back when the target is done with it. A command that has ended, of which no event was taken yet, is
/// cancelled, too; otherwise nothing happens when it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_cancel(
    nexus: *mut iscsicore_nexus,
    now: u64,
    task: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut nexus = unsafe { lock(nexus) }?;
        nexus.cancel(Instant::from_nanos(now), TaskId::from_bits(task));
        Ok(())
    })
}

/// Sends a task management function, an iscsicore_task_management_function, ahead of waiting commands.
/// ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE brings the answer. Commands that the function has ended at the target end
/// here, too; while a reset is under way no command is sent. To end one command there is iscsicore_nexus_abort.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number, or a function that names a task;
/// ISCSICORE_STATUS_WRONG_STATE without a connection, or when too many requests are open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_task_management(
    nexus: *mut iscsicore_nexus,
    now: u64,
    function: c_int,
    lun: u64,
    request: *mut u64,
) -> iscsicore_status {
    guard(|| {
        let function = task_management_function(function)?;
        // SAFETY: the rules at the head of the header.
        let (mut nexus, request) = unsafe { (lock(nexus)?, out(request, "request")?) };
        let id = nexus.nexus.task_management(Instant::from_nanos(now), function, Lun(lun))?;
        request.set(id.to_bits());
        Ok(())
    })
}

/// Asks for targets: of the name `target`, or with NULL, all in a discovery session and the target of the session in
/// another. ISCSICORE_NEXUS_EVENT_KIND_TARGETS brings them. One question at a time.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE without a connection, or when a question is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_send_targets(
    nexus: *mut iscsicore_nexus,
    now: u64,
    target: *const c_char,
    request: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, target, request) =
            unsafe { (lock(nexus)?, optional_text(target, "target")?, out(request, "request")?) };
        let which = match target {
            Some(name) => SendTargets::Named(name.to_owned()),
            None if nexus.discovery => SendTargets::All,
            None => SendTargets::Current,
        };
        request.set(nexus.nexus.send_targets(Instant::from_nanos(now), which)?.to_bits());
        Ok(())
    })
}

/// Sends a NOP-Out that asks for an answer; the payload, which may be NULL, comes back with ISCSICORE_NEXUS_EVENT_KIND_PONG,
/// as much of it as one PDU holds.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE without a connection, or when too many requests are open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_ping(
    nexus: *mut iscsicore_nexus,
    now: u64,
    payload: *const iscsicore_payload,
    request: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, payload, request) =
            unsafe { (lock(nexus)?, read(payload)?, out(request, "request")?) };
        let id = nexus.nexus.ping(Instant::from_nanos(now), payload.data().to_bytes())?;
        payload.keep();
        request.set(id.to_bits());
        Ok(())
    })
}
