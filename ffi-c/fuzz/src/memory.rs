//! Memory for the arguments of one operation: each argument has its own, of exactly its size, so that AddressSanitizer sees
//! every byte too far, and it is gone after the operation, so that it sees whatever was kept.

use core::alloc::Layout;
use core::cell::RefCell;
use std::alloc::{alloc, dealloc};

#[derive(Default)]
pub struct Memory {
    pieces: RefCell<Vec<(*mut u8, Layout)>>,
}

impl Memory {
    /// `len` bytes that were not initialised. None of them may be touched when `len` is 0.
    pub fn room(&self, len: usize) -> *mut u8 {
        let layout = Layout::from_size_align(if len == 0 { 16 } else { len }, 16).expect("a small size");
        let piece = unsafe { alloc(layout) };
        assert!(!piece.is_null());
        self.pieces.borrow_mut().push((piece, layout));
        // For no bytes: one past the end.
        if len == 0 { piece.wrapping_add(16) } else { piece }
    }

    pub fn bytes(&self, bytes: &[u8]) -> *mut u8 {
        let place = self.room(bytes.len());
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        place
    }

    /// Values in an array.
    pub fn list<T: Copy>(&self, values: &[T]) -> *mut T {
        let place = self.room(size_of_val(values)).cast::<T>();
        unsafe { place.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        place
    }

    pub fn clear(&self) {
        for (piece, layout) in self.pieces.take() {
            unsafe { dealloc(piece, layout) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.clear();
    }
}
