//! Whose memory the library uses.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::alloc::System;

use crate::boundary::guard;
use crate::handle::null;
use crate::options::{Options, end_of, read};
use crate::status::{Failure, iscsicore_status};

/// Where the library gets memory from, in place of malloc. Set `size` to sizeof(iscsicore_allocator).
///
/// The functions must not call this library, and must not fail in another way than by giving NULL. They are called within calls
/// of the library, and when a thread that has used it ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_allocator {
    /// sizeof(iscsicore_allocator).
    pub size: usize,
    /// Gives `len` bytes, not 0, at a multiple of `alignment`, a power of two; NULL when there are none. Required.
    pub allocate:
        Option<unsafe extern "C" fn(context: *mut c_void, len: usize, alignment: usize) -> *mut c_void>,
    /// Takes memory back that `allocate` or `reallocate` gave, with the length and alignment that it was asked for.
    /// Required.
    pub free:
        Option<unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void, len: usize, alignment: usize)>,
    /// Makes memory longer or shorter, and moves it where necessary; NULL when that cannot be done, and the memory stays as
    /// it was. May be NULL: then new memory is allocated, and the old contents are copied.
    pub reallocate: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            memory: *mut c_void,
            len: usize,
            alignment: usize,
            new_len: usize,
        ) -> *mut c_void,
    >,
    /// What the functions are called with.
    pub context: *mut c_void,
}

// SAFETY: numbers, nullable function pointers and a pointer.
unsafe impl Options for iscsicore_allocator {
    const NAME: &'static str = "iscsicore_allocator";
    const FIRST_SIZE: usize = end_of!(Self, context);
}

const _: () = assert!(end_of!(iscsicore_allocator, context) == size_of::<iscsicore_allocator>());

/// Nothing was allocated yet.
const UNTOUCHED: u8 = 0;
/// The choice is being made.
const CHOOSING: u8 = 1;
/// It was made: by a call, or by the first allocation.
const CHOSEN: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNTOUCHED);
/// The program's functions; NULL stands for the system's. Written once, before STATE is CHOSEN.
static FUNCTIONS: AtomicPtr<iscsicore_allocator> = AtomicPtr::new(null_mut());

/// Has the library use the program's own memory functions, in place of malloc, for as long as the process lives. They are
/// called on every thread that calls the library; what `functions` points to is copied.
///
/// It must be the very first call of the library in the process, but for iscsicore_version and iscsicore_status_text.
/// When there is no memory the process aborts, whoever the allocator is. When every handle was freed, what is left is the copy of
/// `functions`, for ever.
///
/// Errors: ISCSICORE_STATUS_NULL_POINTER without `allocate` or `free`; ISCSICORE_STATUS_WRONG_STATE when memory was
/// allocated before, also by a call of this function that failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_set_allocator(functions: *const iscsicore_allocator) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let functions = unsafe { read(functions) }?;
        if functions.allocate.is_none() || functions.free.is_none() {
            return Err(null("allocate or free of iscsicore_allocator"));
        }
        // From here to the end nothing may allocate but by the functions themselves: this thread would wait for itself.
        if STATE.compare_exchange(UNTOUCHED, CHOOSING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(Failure::state("memory was allocated before: set the allocator first of all"));
        }
        let layout = Layout::new::<iscsicore_allocator>();
        // SAFETY: the layout has a size.
        let place = unsafe { allocate_with(&functions, layout) }.cast::<iscsicore_allocator>();
        if place.is_null() {
            STATE.store(UNTOUCHED, Ordering::Release);
            return Err(Failure::invalid("allocate gave no memory"));
        }
        // SAFETY: it was allocated for this.
        unsafe { place.write(functions) };
        FUNCTIONS.store(place, Ordering::Release);
        STATE.store(CHOSEN, Ordering::Release);
        Ok(())
    })
}

/// The allocator of everything in the library.
struct Chosen;

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

/// The program's functions, if it has set any. The first allocation settles it.
#[inline]
fn functions() -> Option<&'static iscsicore_allocator> {
    if STATE.load(Ordering::Acquire) != CHOSEN {
        settle();
    }
    // SAFETY: what was stored there is never freed.
    unsafe { FUNCTIONS.load(Ordering::Acquire).as_ref() }
}

#[cold]
fn settle() {
    while let Err(state) = STATE.compare_exchange(UNTOUCHED, CHOSEN, Ordering::AcqRel, Ordering::Acquire) {
        if state == CHOSEN {
            return;
        }
        // Another thread is just choosing.
        core::hint::spin_loop();
    }
}

/// # Safety
/// As for [`GlobalAlloc::alloc`].
unsafe fn allocate_with(functions: &iscsicore_allocator, layout: Layout) -> *mut u8 {
    let Some(allocate) = functions.allocate else { return null_mut() };
    // SAFETY: the program promised that it may be called so.
    unsafe { allocate(functions.context, layout.size(), layout.align()) }.cast()
}

// SAFETY: memory comes from the system's allocator, or from the program's, which promised the same; never from both.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match functions() {
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
            // SAFETY: the caller's promise.
            Some(functions) => unsafe { allocate_with(functions, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(functions) = functions() else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: the caller's promise.
        let memory = unsafe { allocate_with(functions, layout) };
        if !memory.is_null() {
            // SAFETY: it has that size.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match functions().map(|functions| (functions.free, functions.context)) {
            // SAFETY: the caller's promise; it came from there.
            None => unsafe { System.dealloc(memory, layout) },
            Some((Some(free), context)) => {
                // SAFETY: the program's own memory goes back to it.
                unsafe { free(context, memory.cast(), layout.size(), layout.align()) }
            }
            Some((None, _)) => {}
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(functions) = functions() else {
            // SAFETY: the caller's promise; it came from there.
            return unsafe { System.realloc(memory, layout, new_size) };
        };
        if let Some(reallocate) = functions.reallocate {
            let (context, memory) = (functions.context, memory.cast());
            // SAFETY: the program's own memory.
            return unsafe { reallocate(context, memory, layout.size(), layout.align(), new_size) }.cast();
        }
        // SAFETY: the caller promises that the new size is valid for this alignment.
        let new =
            unsafe { allocate_with(functions, Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both have as many bytes, and are different memory.
            unsafe { new.copy_from_nonoverlapping(memory, layout.size().min(new_size)) };
            // SAFETY: as for `dealloc`.
            unsafe { self.dealloc(memory, layout) };
        }
        new
    }
}
