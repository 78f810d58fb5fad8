//! What a session has counted.

use iscsicore::target::Counters;

use super::iscsicore_target;
use crate::boundary::guard;
use crate::handle::lock;
use crate::pointer::out;
use crate::status::iscsicore_status;

/// Counts since a session began.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct iscsicore_counters {
    /// SCSI commands received.
    pub commands: u64,
    /// Bytes of payload received for commands.
    pub bytes_out: u64,
    /// Bytes of payload sent for commands.
    pub bytes_in: u64,
    /// Task management functions received.
    pub task_management: u64,
    /// Reject PDUs sent.
    pub rejects: u64,
    /// PDUs with a wrong data digest received.
    pub digest_errors: u64,
}

impl From<Counters> for iscsicore_counters {
    fn from(counters: Counters) -> Self {
        iscsicore_counters {
            commands: counters.commands,
            bytes_out: counters.bytes_out,
            bytes_in: counters.bytes_in,
            task_management: counters.task_management,
            rejects: counters.rejects,
            digest_errors: counters.digest_errors,
        }
    }
}

/// Shows what the session has counted.
///
/// Ownership: the library's. The counters live, as they are now, until the next call of this function with this target, or
/// until it is freed.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_counters(
    target: *mut iscsicore_target,
    counters: *mut *const iscsicore_counters,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, place) = unsafe { (lock(target)?, out(counters, "counters")?) };
        let now = state.session()?.target.counters().into();
        *state.counters = now;
        place.set(&raw const *state.counters);
        Ok(())
    })
}
