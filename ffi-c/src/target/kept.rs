//! Payload that outlives the event that showed it.

use super::iscsicore_target;
use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free, lock, opaque};
use crate::payload::Shown;
use crate::pointer::out_handle;
use crate::status::iscsicore_status;

/// Payload of a command that was kept: what an event showed stays where it is until this is freed.
///
/// Threads: any.
pub struct iscsicore_kept_data(Handle<Shown>);
opaque!(iscsicore_kept_data, Shown);

/// Keeps the payload that the last event, ISCSICORE_TARGET_EVENT_KIND_DATA, has shown: its slices, and the array of them,
/// stay where they are, beyond the next event and the end of the session, and may be read on any thread. Nothing is copied.
/// So they can be lent on, to iscsicore_unit_resume_data, say, with a `release` that frees `*kept`. What is kept holds read
/// buffers: do not keep it for long.
///
/// Ownership: the caller's, until iscsicore_kept_data_free.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when the last event was another, or its payload was kept already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_keep_data(
    target: *mut iscsicore_target,
    kept: *mut *mut iscsicore_kept_data,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, mut state) = unsafe { (out_handle(kept)?, lock(target)?) };
        place.set(iscsicore_kept_data::boxed(state.screen.take_data()?));
        Ok(())
    })
}

/// Gives kept payload back. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_kept_data_free(kept: *mut iscsicore_kept_data) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(kept) })
}
