//! The boundary that no panic crosses.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::{Failure, iscsicore_status, remember};

/// Runs the body of a function: a failure becomes its status and its words are kept, and so does a panic, which is a bug.
///
/// What a panic leaves half done is in a handle, and a handle that was locked meanwhile is never used again
/// ([`crate::handle`]): hence the assertion.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> iscsicore_status {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return iscsicore_status::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(iscsicore_status::Panicked, words_of(panic.as_ref())),
    };
    remember(&failure);
    failure.status
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a bug of the library: {}", words.unwrap_or("it panicked"))
}
