//! Wrong cells, which the models must find fault with. Each is the right one but for the place or the ordering of the
//! store.

use iscsicore::disk::LogicalUnit;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::rig::Cell;
use crate::{protection, publication, stop};

/// Where the version is stored, and how.
trait Fault: Send + Sync + 'static {
    const BEFORE: bool = false;
    const AFTER_UNLOCKING: bool = false;
    const STORE: Ordering = Ordering::Release;
    const LOAD: Ordering = Ordering::Acquire;
}

struct Faulty<F> {
    version: AtomicU64,
    state: Mutex<LogicalUnit>,
    fault: std::marker::PhantomData<fn() -> F>,
}

impl<F: Fault> Cell for Faulty<F> {
    fn new(unit: LogicalUnit) -> Self {
        let version = AtomicU64::new(unit.changes());
        Faulty { version, state: Mutex::new(unit), fault: std::marker::PhantomData }
    }

    fn version(&self) -> u64 {
        self.version.load(F::LOAD)
    }

    fn change<R>(&self, f: impl FnOnce(&mut LogicalUnit) -> R) -> R {
        let mut state = self.state.lock().expect("no panic");
        if F::BEFORE {
            self.version.store(state.changes(), F::STORE);
        }
        let out = f(&mut state);
        let changes = state.changes();
        if F::AFTER_UNLOCKING {
            drop(state);
        }
        if !F::BEFORE {
            self.version.store(changes, F::STORE);
        }
        out
    }
}

/// The version is stored before the change.
struct TooEarly;
impl Fault for TooEarly {
    const BEFORE: bool = true;
}

/// The version is stored when the lock has been given back: two changes may store theirs in the wrong order.
struct TooLate;
impl Fault for TooLate {
    const AFTER_UNLOCKING: bool = true;
}

struct Relaxed;
impl Fault for Relaxed {
    const STORE: Ordering = Ordering::Relaxed;
    const LOAD: Ordering = Ordering::Relaxed;
}

/// Nothing: shows that it is the faults that the models below find.
struct None;
impl Fault for None {}

#[test]
#[should_panic(expected = "heard at first")]
fn a_version_that_is_stored_too_early_loses_an_attention() {
    protection::<Faulty<TooEarly>>();
}

#[test]
#[should_panic(expected = "ready after the stop was told")]
fn a_version_that_is_stored_too_early_is_found_by_a_stop() {
    stop::<Faulty<TooEarly>>();
}

#[test]
#[should_panic(expected = "ready after the stop was told")]
fn a_version_that_is_stored_without_the_lock_is_found() {
    stop::<Faulty<TooLate>>();
}

#[test]
#[should_panic(expected = "the change is seen before what led to it")]
fn a_relaxed_version_publishes_nothing() {
    publication::<Faulty<Relaxed>>();
}

/// What `Shared::version` says of Relaxed: coherence is enough for views, which are handed over by the lock.
#[test]
fn a_relaxed_version_is_enough_for_views() {
    stop::<Faulty<Relaxed>>();
}

#[test]
fn without_a_fault_the_same_models_find_nothing() {
    stop::<Faulty<None>>();
    publication::<Faulty<None>>();
}
