//! Task management, and tasks that others abort.

use core::ffi::c_int;

use iscsicore::Instant;
use iscsicore::link::TaskId;
use iscsicore::target::AbortScope;
use iscsicore::wire::{Lun, TaskManagementFunction, TaskManagementResult};

use super::iscsicore_target;
use super::screen::abort_to_c;
use crate::boundary::guard;
use crate::codes::iscsicore_task_management_function;
use crate::handle::lock;
use crate::pointer::out;
use crate::status::{Failure, iscsicore_status};

/// Which commands iscsicore_target_abort_tasks ends.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_abort_scope {
    /// All of the session.
    All = 0,
    /// Those for one logical unit.
    LogicalUnit = 1,
    /// Those for one logical unit that came before a task management request of the same session: for ABORT TASK SET and
    /// CLEAR TASK SET where the unit has another LUN than the one that the request names.
    Before = 2,
}

pub(super) fn function_to_c(function: TaskManagementFunction) -> iscsicore_task_management_function {
    use TaskManagementFunction as F;
    use iscsicore_task_management_function as C;
    match function {
        F::AbortTask => C::AbortTask,
        F::AbortTaskSet => C::AbortTaskSet,
        F::ClearAca => C::ClearAca,
        F::ClearTaskSet => C::ClearTaskSet,
        F::LogicalUnitReset => C::LogicalUnitReset,
        F::TargetWarmReset => C::TargetWarmReset,
        F::TargetColdReset => C::TargetColdReset,
        F::TaskReassign => C::TaskReassign,
        F::QueryTask => C::QueryTask,
        F::QueryTaskSet => C::QueryTaskSet,
        F::ITNexusReset => C::NexusReset,
        F::QueryAsynchronousEvent => C::QueryAsynchronousEvent,
        _ => C::Unknown,
    }
}

/// The answer that C names.
fn result_of(result: c_int) -> Result<TaskManagementResult, Failure> {
    let known = u8::try_from(result).ok().map(TaskManagementResult::from_code);
    known
        .filter(|known| known.is_defined())
        .ok_or_else(|| Failure::invalid(format!("{result} is no iscsicore_task_management_result")))
}

/// Answers ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT; `result` is an iscsicore_task_management_result. The answer leaves
/// once the commands have ended that the function aborts.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such request any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_answer_task_management(
    target: *mut iscsicore_target,
    request: u64,
    result: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        let result = result_of(result)?;
        state.session()?.target.answer_task_management(TaskId::from_bits(request), result)?;
        Ok(())
    })
}

/// Ends commands without an answer to them, on behalf of another session (CLEAR TASK SET, a reset) or of an administrator.
/// `scope` is an iscsicore_abort_scope; `lun` and `request` count where it says so. `*abort` names the call in
/// ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED, which tells when they have ended: at once when there are none.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_abort_tasks(
    target: *mut iscsicore_target,
    now: u64,
    scope: c_int,
    lun: u64,
    request: u64,
    abort: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, place) = unsafe { (lock(target)?, out(abort, "abort")?) };
        let scope = match scope {
            0 => AbortScope::All,
            1 => AbortScope::LogicalUnit(Lun(lun)),
            2 => AbortScope::Before { request: TaskId::from_bits(request), lun: Lun(lun) },
            _ => return Err(Failure::invalid(format!("{scope} is no iscsicore_abort_scope"))),
        };
        let session = state.session()?;
        place.set(abort_to_c(session.target.abort_tasks(Instant::from_nanos(now), scope)));
        Ok(())
    })
}
