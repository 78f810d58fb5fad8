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
    /// The end of the last field that the first version of the library had, by [`end_of`]: it stays when fields are added.
    const FIRST_SIZE: usize;
}

/// No struct of options will ever be larger: a size that was not filled in is found by it.
const MOST: usize = 4096;

/// Where a field ends. Behind the last field of options nothing may follow, since C leaves what it pads with as it was; the
/// fields `reserved` see to that, and an assertion beside every struct.
macro_rules! end_of {
    ($options:ty, $field:ident) => {
        core::mem::offset_of!($options, $field)
            + $crate::options::size_of_field(|options: &$options| &options.$field)
    };
}
pub(crate) use end_of;

pub(crate) const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
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
    if !(T::FIRST_SIZE..=MOST).contains(&size) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Old {
        size: usize,
        depth: u32,
        flags: u32,
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct New {
        size: usize,
        depth: u32,
        flags: u32,
        time: u64,
    }

    // SAFETY: numbers.
    unsafe impl Options for New {
        const NAME: &'static str = "options";
        const FIRST_SIZE: usize = size_of::<Old>();
    }

    // SAFETY: numbers.
    unsafe impl Options for Old {
        const NAME: &'static str = "options";
        const FIRST_SIZE: usize = size_of::<Old>();
    }

    fn status<T>(result: Result<T, Failure>) -> iscsicore_status {
        result.map_or_else(|failure| failure.status, |_| iscsicore_status::Ok)
    }

    #[test]
    fn what_an_older_program_does_not_have_is_zero() {
        let old = Old { size: size_of::<Old>(), depth: 7, flags: 1 };
        // SAFETY: it has the size that it says.
        let read = unsafe { read((&raw const old).cast::<New>()) }.unwrap();
        assert_eq!((read.depth, read.flags, read.time), (7, 1, 0));
    }

    #[test]
    fn what_a_newer_program_wants_and_cannot_have_is_refused() {
        let mut new = New { size: size_of::<New>(), depth: 7, flags: 1, time: 0 };
        // SAFETY: it has the size that it says.
        assert_eq!(status(unsafe { read((&raw const new).cast::<Old>()) }), iscsicore_status::Ok);
        new.time = 1;
        // SAFETY: as above.
        assert_eq!(status(unsafe { read((&raw const new).cast::<Old>()) }), iscsicore_status::InvalidSize);
    }

    #[test]
    fn a_size_that_was_forgotten_is_noticed() {
        let endless = Old { size: 1 << 40, depth: 7, flags: 1 };
        // SAFETY: the size is there.
        assert_eq!(status(unsafe { read(&raw const endless) }), iscsicore_status::InvalidSize);
        let old = Old { size: 0, depth: 7, flags: 1 };
        // SAFETY: the size is there.
        assert_eq!(status(unsafe { read(&raw const old) }), iscsicore_status::InvalidSize);
        // SAFETY: NULL is taken.
        assert_eq!(status(unsafe { read::<Old>(core::ptr::null()) }), iscsicore_status::NullPointer);
        // SAFETY: NULL is taken.
        assert_eq!(status(unsafe { read_optional::<Old>(core::ptr::null()) }), iscsicore_status::Ok);
    }
}
