//! Opaque handles: what all of them have in common.

use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::status::{Failure, iscsicore_status};

const FREE: u8 = 0;
const LOCKED: u8 = 1;
const BROKEN: u8 = 2;

/// What a handle holds, and whether a call is using it.
///
/// A handle may go from thread to thread, and be used by one call at a time. A second call, from another thread or from a
/// callback, is a mistake of the program: it is told so, at the price of one exchange of a byte for each call.
pub(crate) struct Handle<T> {
    state: AtomicU8,
    value: UnsafeCell<ManuallyDrop<T>>,
}

/// A type that C knows by pointer only.
pub(crate) trait Opaque: Sized {
    /// What is in it.
    type State: Send;

    /// For messages: the name that C knows.
    const NAME: &'static str;

    fn wrap(handle: Handle<Self::State>) -> Self;
    fn handle(&self) -> &Handle<Self::State>;

    /// A new handle, which [`free`] ends.
    fn boxed(state: Self::State) -> *mut Self {
        Box::into_raw(Box::new(Self::wrap(Handle::new(state))))
    }
}

/// Makes a struct with one [`Handle`] in it [`Opaque`].
macro_rules! opaque {
    ($name:ident, $state:ty) => {
        impl $crate::handle::Opaque for $name {
            type State = $state;
            const NAME: &'static str = stringify!($name);
            fn wrap(handle: $crate::handle::Handle<$state>) -> Self {
                $name(handle)
            }
            fn handle(&self) -> &$crate::handle::Handle<$state> {
                &self.0
            }
        }
    };
}
pub(crate) use opaque;

impl<T> Handle<T> {
    fn new(value: T) -> Self {
        Handle { state: AtomicU8::new(FREE), value: UnsafeCell::new(ManuallyDrop::new(value)) }
    }
}

/// A handle for the time of one call.
pub(crate) struct Locked<'a, T> {
    handle: &'a Handle<T>,
    /// Whether a panic was under way already, which then has nothing to do with this handle.
    panicking: bool,
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `state` is LOCKED, by whoever made this value: there is no other reference.
        unsafe { &*self.handle.value.get() }
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.handle.value.get() }
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        let after = if std::thread::panicking() && !self.panicking { BROKEN } else { FREE };
        self.handle.state.store(after, Ordering::Release);
    }
}

/// Takes the handle behind `pointer` for the time of a call.
///
/// # Safety
/// `pointer` is NULL or a handle of its type that was not freed, and stays so during the call.
pub(crate) unsafe fn lock<'a, H: Opaque + 'a>(pointer: *const H) -> Result<Locked<'a, H::State>, Failure> {
    // SAFETY: the caller's promise.
    let Some(handle) = (unsafe { pointer.as_ref() }) else { return Err(null(H::NAME)) };
    let handle = handle.handle();
    match handle.state.compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) => Ok(Locked { handle, panicking: std::thread::panicking() }),
        Err(LOCKED) => Err(busy::<H>()),
        Err(_) => {
            let message = format!("this {} met a bug of the library before and can only be freed", H::NAME);
            Err(Failure::new(iscsicore_status::Panicked, message))
        }
    }
}

/// Ends a handle; NULL is none and is no mistake.
///
/// Callbacks that run while its contents are dropped, and call back with it, find it busy.
///
/// # Safety
/// As for [`lock`], and `pointer` is not used again unless this fails.
pub(crate) unsafe fn free<H: Opaque>(pointer: *mut H) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    unsafe { free_if(pointer, |_| Ok(())) }
}

/// [`free`], unless `check` has something against it.
///
/// # Safety
/// As for [`free`].
pub(crate) unsafe fn free_if<H: Opaque>(
    pointer: *mut H,
    check: impl FnOnce(&H::State) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let Some(owner) = (unsafe { pointer.as_ref() }) else { return Ok(()) };
    let handle = owner.handle();
    let before = handle.state.swap(LOCKED, Ordering::Acquire);
    if before == LOCKED {
        return Err(busy::<H>());
    }
    // SAFETY: LOCKED keeps every other call out.
    if let Err(failure) = check(unsafe { &*handle.value.get() }) {
        handle.state.store(before, Ordering::Release);
        return Err(failure);
    }
    // SAFETY: as above, now for ever.
    unsafe { ManuallyDrop::drop(&mut *handle.value.get()) };
    // SAFETY: `boxed` made it, and nobody uses it any more.
    drop(unsafe { Box::from_raw(pointer) });
    Ok(())
}

pub(crate) fn null(what: &str) -> Failure {
    Failure::new(iscsicore_status::NullPointer, format!("{what} is NULL"))
}

fn busy<H: Opaque>() -> Failure {
    let message =
        format!("this {} is in use by another call: of another thread, or the one that called back", H::NAME);
    Failure::new(iscsicore_status::Busy, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::guard;

    struct Thing(Handle<Inside>);
    opaque!(Thing, Inside);

    /// Calls back while it is dropped.
    #[derive(Default)]
    struct Inside {
        itself: usize,
        seen: Option<std::sync::mpsc::Sender<iscsicore_status>>,
    }

    impl Drop for Inside {
        fn drop(&mut self) {
            let thing = self.itself as *mut Thing;
            if let Some(seen) = &self.seen {
                // SAFETY: the memory of the handle is there until its contents are gone.
                let _ = seen.send(guard(|| unsafe { lock(thing) }.map(drop)));
                // SAFETY: as above.
                let _ = seen.send(guard(|| unsafe { free(thing) }));
            }
        }
    }

    #[test]
    fn a_handle_is_used_by_one_call_at_a_time() {
        let thing = Thing::boxed(Inside::default());
        let status = guard(|| {
            // SAFETY: it lives.
            let _used = unsafe { lock(thing) }?;
            // SAFETY: it lives.
            assert_eq!(guard(|| unsafe { lock(thing) }.map(drop)), iscsicore_status::Busy);
            // SAFETY: it lives, since this fails.
            assert_eq!(guard(|| unsafe { free(thing) }), iscsicore_status::Busy);
            Ok(())
        });
        assert_eq!(status, iscsicore_status::Ok);
        // SAFETY: it lives.
        assert_eq!(guard(|| unsafe { lock(thing) }.map(drop)), iscsicore_status::Ok);
        // SAFETY: it lives until here.
        assert_eq!(guard(|| unsafe { free(thing) }), iscsicore_status::Ok);
    }

    #[test]
    fn after_a_panic_a_handle_can_only_be_freed() {
        let thing = Thing::boxed(Inside::default());
        let panics = || {
            // SAFETY: it lives.
            let _used = unsafe { lock(thing) }?;
            panic!("on purpose")
        };
        assert_eq!(guard(panics), iscsicore_status::Panicked);
        // SAFETY: it lives.
        assert_eq!(guard(|| unsafe { lock(thing) }.map(drop)), iscsicore_status::Panicked);
        // SAFETY: it lives until here.
        assert_eq!(guard(|| unsafe { free(thing) }), iscsicore_status::Ok);
    }

    #[test]
    fn whoever_calls_back_while_a_handle_is_freed_finds_it_busy() {
        let (seen, told) = std::sync::mpsc::channel();
        let thing = Thing::boxed(Inside::default());
        // SAFETY: it lives.
        let mut used = unsafe { lock(thing) }.unwrap();
        (used.itself, used.seen) = (thing as usize, Some(seen));
        drop(used);
        // SAFETY: it lives until here.
        assert_eq!(guard(|| unsafe { free(thing) }), iscsicore_status::Ok);
        assert_eq!(told.iter().collect::<Vec<_>>(), [iscsicore_status::Busy; 2]);
    }

    #[test]
    fn null_is_no_handle() {
        let none = core::ptr::null_mut::<Thing>();
        // SAFETY: NULL is taken.
        assert_eq!(guard(|| unsafe { lock(none) }.map(drop)), iscsicore_status::NullPointer);
        // SAFETY: NULL is taken.
        assert_eq!(guard(|| unsafe { free(none) }), iscsicore_status::Ok);
    }
}
