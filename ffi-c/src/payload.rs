//! Payload: memory of the caller's that is lent, and memory of the library's that is shown.

use core::cell::OnceCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use iscsicore::DataList;

use crate::boundary::guard;
use crate::handle::null;
use crate::pointer::{Zeroed, out, slice};
use crate::status::{Failure, iscsicore_status};

/// A piece of memory. On POSIX systems it is struct iovec.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_iovec {
    /// Where it begins.
    pub iov_base: *mut c_void,
    /// How many bytes.
    pub iov_len: usize,
}

// SAFETY: NULL and a length of zero.
unsafe impl Zeroed for iscsicore_iovec {}

/// Gives lent memory back: called once, with the context it was lent with, when the library uses the memory no more.
///
/// It may come from within any call of the thread that drops the last use, or much later; it must not throw, and what it
/// calls of this library on a handle in use answers ISCSICORE_STATUS_BUSY.
pub type iscsicore_release = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// Payload that the caller hands in, in one or more slices.
///
/// With `release`, the memory is lent: it stays where it is, unchanged, until `release` is called, and nothing is copied.
/// Without, it is copied during the call. When the call fails nothing was lent, and `release` is not called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_payload {
    /// The slices. The array itself is read during the call only.
    pub slices: *const iscsicore_iovec,
    /// How many; 0 is empty payload.
    pub count: usize,
    /// Gives the memory back; NULL has it copied. For memory that is there for ever and does not change, a function that does
    /// nothing.
    pub release: iscsicore_release,
    /// What `release` is called with.
    pub context: *mut c_void,
}

/// Copies slices, such as those that an event shows, one after the other into `buffer`, and tells in `*len` how many bytes they have,
/// whether they fit or not. For answers that are to be decoded: payload of any size is better used where it is. Any thread.
///
/// Errors: ISCSICORE_STATUS_BUFFER_TOO_SMALL when they have more than `capacity` bytes; nothing was copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_gather(
    slices: *const iscsicore_iovec,
    count: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out(len, "len") }?;
        // SAFETY: as above.
        let (total, slices) = unsafe { checked(slices, count) }?;
        place.set(total);
        if total > capacity {
            let message = format!("the slices have {total} bytes, the buffer {capacity}");
            return Err(Failure::new(iscsicore_status::BufferTooSmall, message));
        }
        if total > 0 && buffer.is_null() {
            return Err(null("the buffer"));
        }
        let mut at = buffer.cast::<u8>();
        for piece in full(slices) {
            // SAFETY: the slice has that many bytes, and all of them fit. They may lie in the buffer itself.
            unsafe { at.copy_from(piece.iov_base.cast(), piece.iov_len) };
            // SAFETY: still within the buffer, or just behind it.
            at = unsafe { at.add(piece.iov_len) };
        }
        Ok(())
    })
}

/// Slices, and how many bytes all of them have.
///
/// # Safety
/// As for [`slice`].
unsafe fn checked<'a>(
    slices: *const iscsicore_iovec,
    count: usize,
) -> Result<(usize, &'a [iscsicore_iovec]), Failure> {
    // SAFETY: the caller's promise.
    let slices: &'a [iscsicore_iovec] = unsafe { slice(slices, count, "slices") }?;
    let mut total = 0usize;
    for piece in slices {
        if piece.iov_base.is_null() && piece.iov_len > 0 {
            return Err(null("a slice of the payload"));
        }
        total = total.saturating_add(piece.iov_len);
    }
    Ok((total, slices))
}

/// Those that have bytes.
fn full(slices: &[iscsicore_iovec]) -> impl Iterator<Item = &iscsicore_iovec> {
    slices.iter().filter(|piece| piece.iov_len > 0)
}

/// Memory that C has lent.
struct Loan {
    release: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
    /// Whether the call that lends has succeeded.
    taken: AtomicBool,
}

// SAFETY: the header says that `release` may be called on any thread that uses the library.
unsafe impl Send for Loan {}
// SAFETY: nothing is done through a shared reference but to set the flag.
unsafe impl Sync for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        if *self.taken.get_mut() {
            // SAFETY: the caller promised that this may be called once, now.
            unsafe { (self.release)(self.context) };
        }
    }
}

/// One slice of lent memory, and its loan: alone, or shared with other slices.
struct Slice<L> {
    base: *const u8,
    len: usize,
    _loan: L,
}

// SAFETY: the memory does not change while it is lent, and may be read from anywhere.
unsafe impl<L: Send> Send for Slice<L> {}

impl<L> AsRef<[u8]> for Slice<L> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the caller has lent `len` bytes at `base`, until the loan is dropped.
        unsafe { core::slice::from_raw_parts(self.base, self.len) }
    }
}

/// Payload taken in, not yet for good: dropped without [`keep`](Self::keep), nothing was lent.
pub(crate) struct Payload<'a> {
    len: usize,
    source: Source<'a>,
}

enum Source<'a> {
    Copied(DataList),
    Lent(Lender<'a>),
}

/// What is offered as a loan.
struct Lender<'a> {
    slices: &'a [iscsicore_iovec],
    release: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
    /// Made only for calls that may fail after they have handed the list on.
    shared: OnceCell<(DataList, Arc<Loan>)>,
}

impl Payload<'_> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// For a call that may still fail: a copy of the list, and the promise that is to be kept once it has succeeded.
    pub(crate) fn data(&self) -> DataList {
        match &self.source {
            Source::Copied(data) => data.clone(),
            Source::Lent(lender) => lender.shared.get_or_init(|| lender.share(false)).0.clone(),
        }
    }

    /// The call has succeeded, or can no longer fail: from now on the memory is lent.
    pub(crate) fn keep(self) -> DataList {
        match self.source {
            Source::Copied(data) => data,
            Source::Lent(lender) => lender.keep(),
        }
    }
}

impl Lender<'_> {
    fn loan(&self, taken: bool) -> Loan {
        Loan { release: self.release, context: self.context, taken: AtomicBool::new(taken) }
    }

    /// All slices, with one loan.
    fn share(&self, taken: bool) -> (DataList, Arc<Loan>) {
        let loan = Arc::new(self.loan(taken));
        let slice = |piece: &iscsicore_iovec| Slice {
            base: piece.iov_base.cast(),
            len: piece.iov_len,
            _loan: loan.clone(),
        };
        (full(self.slices).map(slice).map(Bytes::from_owner).collect(), loan)
    }

    fn keep(mut self) -> DataList {
        if let Some((data, loan)) = self.shared.take() {
            loan.taken.store(true, Ordering::Relaxed);
            return data;
        }
        // One slice has its loan to itself: this is the way of every read, and allocates once.
        let mut full = full(self.slices);
        match (full.next(), full.next()) {
            (Some(piece), None) => {
                let (base, len) = (piece.iov_base.cast::<u8>().cast_const(), piece.iov_len);
                Bytes::from_owner(Slice { base, len, _loan: self.loan(true) }).into()
            }
            _ => self.share(true).0,
        }
    }
}

/// Reads payload; NULL is empty.
///
/// # Safety
/// `pointer` is NULL or a payload as the header describes it, for the time of the call.
pub(crate) unsafe fn read<'a>(pointer: *const iscsicore_payload) -> Result<Payload<'a>, Failure> {
    // SAFETY: the caller's promise.
    let Some(payload) = (unsafe { pointer.as_ref() }) else {
        return Ok(Payload { len: 0, source: Source::Copied(DataList::new()) });
    };
    // SAFETY: the caller's promise.
    let (len, slices) = unsafe { checked(payload.slices, payload.count) }?;
    if len > u32::MAX as usize {
        return Err(Failure::invalid("payload of more than 2^32 - 1 bytes"));
    }
    let Some(release) = payload.release else {
        let mut copy = BytesMut::with_capacity(len);
        for piece in full(slices) {
            // SAFETY: the caller has `iov_len` bytes there, for the time of the call.
            copy.extend_from_slice(unsafe {
                core::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len)
            });
        }
        return Ok(Payload { len, source: Source::Copied(copy.freeze().into()) });
    };
    let lender = Lender { slices, release, context: payload.context, shared: OnceCell::new() };
    Ok(Payload { len, source: Source::Lent(lender) })
}

/// Payload of the library's as C is shown it: the slices, and what keeps them alive.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    data: DataList,
    slices: Vec<iscsicore_iovec>,
}

// SAFETY: the pointers are into `data`, which may go anywhere.
unsafe impl Send for Shown {}

impl Shown {
    pub(crate) fn new(data: DataList) -> Self {
        let mut shown = Shown::default();
        shown.replace(data);
        shown
    }

    /// Shows other payload, in the memory that there is.
    pub(crate) fn replace(&mut self, data: DataList) {
        self.slices.clear();
        self.slices.extend(data.chunks().map(|chunk| piece(chunk)));
        self.data = data;
    }

    pub(crate) fn as_ptr(&self) -> *const iscsicore_iovec {
        if self.slices.is_empty() { core::ptr::null() } else { self.slices.as_ptr() }
    }

    pub(crate) fn count(&self) -> usize {
        self.slices.len()
    }
}

/// A slice as C has it.
pub(crate) fn piece(bytes: &[u8]) -> iscsicore_iovec {
    iscsicore_iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// A number of C that counts something small.
pub(crate) fn small(
    value: c_int,
    what: &'static str,
    range: core::ops::RangeInclusive<c_int>,
) -> Result<c_int, Failure> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(Failure::invalid(format!("{what} is {value}; it can be {} to {}", range.start(), range.end())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn count(context: *mut c_void) {
        // SAFETY: the tests lend a counter.
        unsafe { *context.cast::<u32>() += 1 };
    }

    fn payload(slices: &[iscsicore_iovec], lend_to: Option<&mut u32>) -> iscsicore_payload {
        iscsicore_payload {
            slices: slices.as_ptr(),
            count: slices.len(),
            release: lend_to.is_some().then_some(count as _),
            context: lend_to.map_or(core::ptr::null_mut(), |counter| (&raw mut *counter).cast()),
        }
    }

    #[test]
    fn lent_memory_is_used_where_it_is_and_given_back_once() {
        let (a, b, mut released) = ([1u8; 5], [2u8; 3], 0u32);
        let slices = [piece(&a), piece(&[]), piece(&b)];
        let lent = payload(&slices, Some(&mut released));
        // SAFETY: `a` and `b` live.
        let data = unsafe { read(&raw const lent) }.unwrap().keep();
        assert_eq!(data.chunks().map(|chunk| chunk.as_ptr()).collect::<Vec<_>>(), [a.as_ptr(), b.as_ptr()]);
        let part = data.slice(4, 2);
        drop(data);
        assert_eq!(released, 0, "a part of it is in use");
        drop(part);
        assert_eq!(released, 1);
    }

    #[test]
    fn one_slice_is_lent_without_a_list_that_is_shared() {
        let (a, mut released) = ([1u8; 5], 0u32);
        let slices = [piece(&[]), piece(&a)];
        let lent = payload(&slices, Some(&mut released));
        // SAFETY: `a` lives.
        let data = unsafe { read(&raw const lent) }.unwrap().keep();
        assert_eq!(data.chunks().map(|chunk| chunk.as_ptr()).collect::<Vec<_>>(), [a.as_ptr()]);
        let part = data.slice(4, 1);
        drop(data);
        assert_eq!(released, 0, "a part of it is in use");
        drop(part);
        assert_eq!(released, 1);
    }

    #[test]
    fn what_was_handed_on_before_the_call_succeeded_is_lent_once() {
        let (a, mut released) = ([1u8; 5], 0u32);
        let slices = [piece(&a)];
        let lent = payload(&slices, Some(&mut released));
        // SAFETY: `a` lives.
        let taken = unsafe { read(&raw const lent) }.unwrap();
        let handed_on = taken.data();
        drop(taken.keep());
        assert_eq!(released, 0);
        drop(handed_on);
        assert_eq!(released, 1);
    }

    #[test]
    fn what_a_failed_call_took_was_not_lent() {
        let (a, mut released) = ([1u8; 5], 0u32);
        let slices = [piece(&a)];
        let lent = payload(&slices, Some(&mut released));
        // SAFETY: `a` lives.
        let taken = unsafe { read(&raw const lent) }.unwrap();
        let data = taken.data();
        drop(taken);
        drop(data);
        assert_eq!(released, 0);
    }

    #[test]
    fn empty_payload_that_is_lent_is_given_back_at_once() {
        let mut released = 0;
        let lent = payload(&[], Some(&mut released));
        // SAFETY: nothing is read.
        assert!(unsafe { read(&raw const lent) }.unwrap().keep().is_empty());
        assert_eq!(released, 1);
    }

    #[test]
    fn without_release_it_is_copied() {
        let mut a = [1u8; 5];
        let slices = [piece(&a), piece(&a[..2])];
        // SAFETY: `a` lives.
        let data = unsafe { read(&payload(&slices, None)) }.unwrap().keep();
        a[0] = 9;
        assert_eq!(&data.to_bytes()[..], [1; 7], "whatever became of {a:?}");
    }

    #[test]
    fn impossible_slices_are_refused() {
        let null = iscsicore_iovec { iov_base: core::ptr::null_mut(), iov_len: 1 };
        // SAFETY: what is wrong is seen before anything is read.
        let refused = unsafe { read(&payload(&[null], None)) }.map(drop).unwrap_err();
        assert_eq!(refused.status, crate::status::iscsicore_status::NullPointer);
        let byte = 0u8;
        let endless = iscsicore_iovec { iov_base: (&raw const byte).cast_mut().cast(), iov_len: usize::MAX };
        // SAFETY: as above.
        let refused = unsafe { read(&payload(&[endless, endless], None)) }.map(drop).unwrap_err();
        assert_eq!(refused.status, crate::status::iscsicore_status::InvalidArgument);
    }
}
