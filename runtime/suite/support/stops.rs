//! The end of threads that run for as long as a test looks at something.
#![allow(dead_code, reason = "each test program uses a part")]

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the threads of a scope to end when it is dropped, also by a panic: the scope waits for them, and a test that
/// fails would hang instead of saying why.
pub(crate) struct Stops<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
