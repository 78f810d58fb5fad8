//! What C hands in and gets, by pointer.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::handle::{Opaque, null};
use crate::status::Failure;

/// A place for a result, checked before anything is done.
#[derive(Debug)]
pub(crate) struct Out<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<T> Out<'_, T> {
    pub(crate) fn set(self, value: T) {
        // SAFETY: whoever made this value promised a place for a `T`; C need not have initialised it.
        unsafe { self.0.write(value) }
    }
}

/// The place for a result.
///
/// # Safety
/// `pointer` is NULL or has room for a `T`, for the time of the call.
pub(crate) unsafe fn out<'a, T>(pointer: *mut T, what: &'static str) -> Result<Out<'a, T>, Failure> {
    if pointer.is_null() { Err(null(what)) } else { Ok(Out(pointer, PhantomData)) }
}

/// The place for a new handle; it holds NULL until there is one.
///
/// # Safety
/// As for [`out`].
pub(crate) unsafe fn out_handle<'a, H: Opaque>(pointer: *mut *mut H) -> Result<Out<'a, *mut H>, Failure> {
    // SAFETY: the caller's promise.
    let place = unsafe { out(pointer, "the place for the new handle") }?;
    // SAFETY: as above.
    unsafe { pointer.write(core::ptr::null_mut()) };
    Ok(place)
}

/// A string of C: UTF-8 that ends with NUL.
///
/// # Safety
/// `pointer` is NULL or a string that lives unchanged for the time of the call.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &'static str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    unsafe { optional_text(pointer, what) }?.ok_or_else(|| null(what))
}

/// A string of C, or NULL for none.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(
    pointer: *const c_char,
    what: &'static str,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map(Some).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// `len` values of C; an empty list may be NULL.
///
/// # Safety
/// `pointer` is NULL or has `len` values that live unchanged for the time of the call.
pub(crate) unsafe fn slice<'a, T>(
    pointer: *const T,
    len: usize,
    what: &'static str,
) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(what));
    }
    check_len::<T>(len, what)?;
    // SAFETY: the caller's promise; the length is one that memory can have.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// Room for `len` values of C, which need not have been initialised: it is zeroed first.
///
/// # Safety
/// `pointer` is NULL or has room for `len` values, which nobody else uses for the time of the call.
pub(crate) unsafe fn room<'a, T: Copy + Zeroed>(
    pointer: *mut T,
    len: usize,
    what: &'static str,
) -> Result<&'a mut [T], Failure> {
    if len == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() {
        return Err(null(what));
    }
    check_len::<T>(len, what)?;
    // SAFETY: the caller's promise; zeroes are a value of `T`.
    unsafe { pointer.write_bytes(0, len) };
    // SAFETY: as above, and initialised now.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
}

/// Room for `len` bytes of C, as it is: nothing is read, and only what is written is initialised.
///
/// # Safety
/// As for [`room`].
pub(crate) unsafe fn raw_room<'a>(
    pointer: *mut u8,
    len: usize,
    what: &'static str,
) -> Result<&'a mut [MaybeUninit<u8>], Failure> {
    if len == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() {
        return Err(null(what));
    }
    check_len::<u8>(len, what)?;
    // SAFETY: the caller's promise; any memory is uninitialised bytes.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer.cast(), len) })
}

fn check_len<T>(len: usize, what: &'static str) -> Result<(), Failure> {
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Failure::invalid(format!("the length of {what} is more than memory can hold"))),
    }
}

/// A pointer of the program's that is kept for it, and never looked behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context(pub(crate) *mut c_void);

// SAFETY: it is a number to us.
unsafe impl Send for Context {}

impl Default for Context {
    fn default() -> Self {
        Context(core::ptr::null_mut())
    }
}

/// A type of which all bits zero are a value.
///
/// # Safety
/// They are.
pub(crate) unsafe trait Zeroed {}

// SAFETY: integers.
unsafe impl Zeroed for u64 {}

/// Copies a result into the caller's buffer, and tells how long it is, whether it fits or not.
///
/// # Safety
/// `buffer` is NULL or has room for `capacity` bytes; `len` is NULL or has room for a number.
pub(crate) unsafe fn fill(
    result: &[u8],
    buffer: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let place = unsafe { out(len, "the place for the length") }?;
    place.set(result.len());
    if result.len() > capacity {
        let message = format!("the result has {} bytes, the buffer {capacity}", result.len());
        return Err(Failure::new(crate::status::iscsicore_status::BufferTooSmall, message));
    }
    if result.is_empty() {
        return Ok(());
    }
    if buffer.is_null() {
        return Err(null("the buffer"));
    }
    // SAFETY: the caller's promise, and the result fits.
    unsafe { buffer.copy_from_nonoverlapping(result.as_ptr(), result.len()) };
    Ok(())
}

/// The 32 bytes of a seed.
///
/// # Safety
/// `pointer` is NULL or has 32 bytes.
pub(crate) unsafe fn seed(pointer: *const u8) -> Result<[u8; 32], Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice(pointer, 32, "the seed") }?;
    bytes.try_into().map_err(|_| Failure::invalid("a seed has 32 bytes"))
}

/// A yes or no that C hands in as an `int`: zero is no.
pub(crate) const fn flag(value: c_int) -> bool {
    value != 0
}
