//! Operations on storage, and what became of them.

use core::ffi::c_int;

use iscsicore::DataList;
use iscsicore::disk::{Allocation, IoError, Op, Outcome};

use crate::payload::{Shown, iscsicore_iovec};
use crate::pointer::slice;
use crate::status::Failure;

/// What is to be done on the storage of a unit.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_op_kind {
    /// Read `len` bytes at `offset`: the outcome is exactly so many bytes.
    Read = 1,
    /// Write `data`, `len` bytes in all, at `offset`. With `fua` they are on stable storage when it is done.
    Write = 2,
    /// Bring everything written so far to stable storage.
    Flush = 3,
    /// Give up the space behind `ranges`. What was given up reads as zeros; parts may be kept as they were.
    Unmap = 4,
    /// Make `len` bytes at `offset` read as zeros; with `may_unmap` their space may be given up. When the outcome is
    /// ISCSICORE_IO_UNSUPPORTED, zeros are written instead.
    WriteZeroes = 5,
    /// Tell which parts of the `len` bytes at `offset` have storage, in at most `most` extents. When the outcome is
    /// ISCSICORE_IO_UNSUPPORTED, all of it counts as mapped. Only thin units ask.
    Extents = 6,
}

/// A range of bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_range {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// An operation on the storage of a unit. Offsets and lengths are in bytes, multiples of the block size, within the
/// capacity. What its pointers name lives as long as the operation, and any thread may read it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_op {
    /// What is to be done. The kind says which of the other fields mean something; those are 0.
    pub kind: iscsicore_op_kind,
    /// Whether a write is to be on stable storage when it is done.
    pub fua: bool,
    /// Whether zeroed space may be given up.
    pub may_unmap: bool,
    /// The most extents to be told.
    pub most: u32,
    /// Where.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// What to write: `data_count` slices.
    pub data: *const iscsicore_iovec,
    /// How many slices.
    pub data_count: usize,
    /// What to give up: `range_count` ranges.
    pub ranges: *const iscsicore_range,
    /// How many ranges.
    pub range_count: usize,
}

/// What became of an operation. 0 is none of them, so that what was forgotten does not count as done.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_io {
    /// It was carried out.
    Done = 1,
    /// The medium failed, at the offset that is told with it.
    MediumError = 2,
    /// No space is left to allocate.
    NoSpace = 3,
    /// The storage does not take writes.
    ReadOnly = 4,
    /// The storage cannot do this.
    Unsupported = 5,
    /// It failed for another reason.
    Failed = 6,
}

/// A part of a range, and whether storage stands behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_extent {
    /// How many bytes.
    pub len: u64,
    /// 0 when it has no storage, and so reads as zeros; anything else when it has, or nobody knows.
    pub mapped: c_int,
}

/// An operation as C is shown it, and what its pointers name: that stays where it is when this is moved.
#[derive(Debug)]
pub(crate) struct ShownOp {
    pub(crate) op: iscsicore_op,
    data: Shown,
    ranges: Vec<iscsicore_range>,
}

// SAFETY: the pointers are into the other fields.
unsafe impl Send for ShownOp {}

const NOTHING: iscsicore_op = iscsicore_op {
    kind: iscsicore_op_kind::Flush,
    fua: false,
    may_unmap: false,
    most: 0,
    offset: 0,
    len: 0,
    data: core::ptr::null(),
    data_count: 0,
    ranges: core::ptr::null(),
    range_count: 0,
};

impl ShownOp {
    pub(crate) fn new(op: Op) -> Self {
        let mut shown = ShownOp { op: NOTHING, data: Shown::default(), ranges: Vec::new() };
        shown.replace(op);
        shown
    }

    /// Shows another operation, in the memory that there is.
    pub(crate) fn replace(&mut self, op: Op) {
        use iscsicore_op_kind as K;
        self.clear();
        let shown = &mut self.op;
        match op {
            Op::Read { offset, len } => (shown.kind, shown.offset, shown.len) = (K::Read, offset, len.into()),
            Op::Write { offset, data, fua } => {
                (shown.kind, shown.offset, shown.len, shown.fua) = (K::Write, offset, data.len() as u64, fua);
                self.data.replace(data);
                (shown.data, shown.data_count) = (self.data.as_ptr(), self.data.count());
            }
            Op::Flush => {}
            Op::Unmap { ranges } => {
                shown.kind = K::Unmap;
                self.ranges.extend(ranges.into_iter().map(|(offset, len)| iscsicore_range { offset, len }));
                (shown.ranges, shown.range_count) = (self.ranges.as_ptr(), self.ranges.len());
            }
            Op::WriteZeroes { offset, len, may_unmap } => {
                (shown.kind, shown.offset, shown.len, shown.may_unmap) =
                    (K::WriteZeroes, offset, len, may_unmap);
            }
            Op::Extents { offset, len, most } => {
                (shown.kind, shown.offset, shown.len, shown.most) = (K::Extents, offset, len, most);
            }
        }
    }

    /// Gives up what was shown.
    pub(crate) fn clear(&mut self) {
        self.op = NOTHING;
        self.data.replace(DataList::new());
        self.ranges.clear();
    }
}

/// The outcome that an `iscsicore_io` of C tells; `at` is the offset of a medium error.
///
/// A read that says it is done without data is refused here: its data come by another function.
pub(crate) fn outcome(io: c_int, at: u64, op: &iscsicore_op) -> Result<Outcome, Failure> {
    use iscsicore_io as I;
    const DONE: c_int = I::Done as c_int;
    const MEDIUM_ERROR: c_int = I::MediumError as c_int;
    const NO_SPACE: c_int = I::NoSpace as c_int;
    const READ_ONLY: c_int = I::ReadOnly as c_int;
    const UNSUPPORTED: c_int = I::Unsupported as c_int;
    const FAILED: c_int = I::Failed as c_int;
    let error = match io {
        DONE if op.kind == iscsicore_op_kind::Read => {
            return Err(Failure::invalid("a read is done with its data: use the function that takes them"));
        }
        DONE if op.kind == iscsicore_op_kind::Extents => {
            return Err(Failure::invalid("extents are told by the function that takes them"));
        }
        DONE => return Ok(Outcome::Done),
        MEDIUM_ERROR => IoError::Medium { offset: at },
        NO_SPACE => IoError::NoSpace,
        READ_ONLY => IoError::ReadOnly,
        UNSUPPORTED => IoError::Unsupported,
        FAILED => IoError::Other,
        _ => return Err(Failure::invalid(format!("{io} is no iscsicore_io"))),
    };
    Ok(Outcome::Failed(error))
}

/// The outcome of ISCSICORE_OP_KIND_EXTENTS.
///
/// # Safety
/// `extents` is NULL or has `count` of them.
pub(crate) unsafe fn extents(
    extents: *const iscsicore_extent,
    count: usize,
    op: &iscsicore_op,
) -> Result<Outcome, Failure> {
    if op.kind != iscsicore_op_kind::Extents {
        return Err(Failure::invalid("the operation is not ISCSICORE_OP_KIND_EXTENTS"));
    }
    // SAFETY: the caller's promise.
    let extents = unsafe { slice(extents, count, "extents") }?;
    let state = |mapped| if mapped == 0 { Allocation::Deallocated } else { Allocation::Mapped };
    Ok(Outcome::Extents(extents.iter().map(|extent| (extent.len, state(extent.mapped))).collect()))
}
