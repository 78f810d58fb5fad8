//! A value behind a lock, whose count of changes can be read without it.
//!
//! The types come from `super::sync`, so that a test can put the very same lines over loom's and look at every order
//! in which threads can meet here (`tests/shared_unit_model.rs`).

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// A value that counts its changes.
pub(super) trait Changes {
    /// A number that grows with every change that others have to know of.
    fn changes(&self) -> u64;
}

/// The cell: whoever holds a copy of what is in it learns by one load whether the copy is still true.
#[derive(Debug)]
pub(super) struct Shared<T: Changes> {
    /// `changes()` of the value. Written by the holder of the lock alone.
    version: AtomicU64,
    state: Mutex<T>,
}

impl<T: Changes> Shared<T> {
    pub(super) fn new(state: T) -> Self {
        Shared { version: AtomicU64::new(state.changes()), state: Mutex::new(state) }
    }

    /// The number of the newest change that has been told of.
    ///
    /// What makes this see a change that another thread has told of is coherence: the store of the version happened
    /// before the telling, so a load after having been told cannot find an older one. Relaxed would do for that, and
    /// for who takes the lock next. Acquire, with the Release of the store, adds that whoever sees a version sees
    /// all that was done before it, without the lock: storage that was grown before the capacity was, say. On x86 it
    /// costs nothing, on ARM a load that does not wait for earlier stores.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Calls `f` with the value, and tells of what it has changed before anybody else gets the lock or an answer.
    pub(super) fn change<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // A panic in `f` leaves a value that is as good as it was before: going on serves the others.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut telling = Telling { version: &self.version, state };
        f(&mut telling.state)
    }
}

/// The lock, while it is held. The version is stored on the way out also when `f` panics, and before the lock is given
/// back, which the fields are dropped for after this: two changes can never store theirs in the wrong order.
struct Telling<'a, T: Changes> {
    version: &'a AtomicU64,
    state: MutexGuard<'a, T>,
}

impl<T: Changes> Drop for Telling<'_, T> {
    fn drop(&mut self) {
        self.version.store(self.state.changes(), Ordering::Release);
    }
}
