//! Structs of options, which grow with the library.

use core::mem::MaybeUninit;

use crate::handle::null;
use crate::status::{Failure, iscsicore_status};

/// A struct of options: `size` first, and all other fields zero for the default.
///
/// # Safety
/// The type is `#[repr(C)]`, begins with `size: usize`, and any bytes are a value of it: numbers and pointers, no `bool`, no
/// enum, no reference.
pub(crate) unsafe trait Options: Copy {
    const NAME: &'static str;
    /// The size in the first version of the library that had it.
    const FIRST_SIZE: usize;
}

/// Reads options: fields that an older program does not have are zero; fields of a newer program that this library does
/// not have must be.
///
/// # Safety
/// `pointer` is NULL, or has a size and as many bytes as that says.
pub(crate) unsafe fn read<T: Options>(pointer: *const T) -> Result<T, Failure> {
    if pointer.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: the size comes first, and is there.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < T::FIRST_SIZE {
        let message = format!("{}: size is {size}; set it to sizeof({})", T::NAME, T::NAME);
        return Err(Failure::new(iscsicore_status::InvalidSize, message));
    }
    let known = size.min(size_of::<T>());
    let mut options = MaybeUninit::<T>::zeroed();
    // SAFETY: both have `known` bytes.
    unsafe { options.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(pointer.cast(), known) };
    // SAFETY: the caller promises `size` bytes.
    let rest = unsafe { core::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if rest.iter().any(|byte| *byte != 0) {
        let message = format!("{} sets a field that this version of the library does not have", T::NAME);
        return Err(Failure::new(iscsicore_status::InvalidSize, message));
    }
    // SAFETY: any bytes are a value of an options struct.
    Ok(unsafe { options.assume_init() })
}

/// Reads options that may be NULL, for all defaults.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn read_optional<T: Options>(pointer: *const T) -> Result<Option<T>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { read(pointer) }.map(Some)
}
