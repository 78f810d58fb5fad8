//! What passes between a logical unit and its caller.

use bytes::Bytes;

use super::NexusId;
use super::lba_status::StatusTask;
use super::mode_select::SelectTask;
use super::read_write::WriteTask;
use super::verify::VerifyTask;
use super::write_same::WriteSameTask;
use crate::DataList;
use crate::scsi::{Cdb, Response, Sense, SenseFormat};
use crate::wire::TaskAttribute;

/// A command as the transport received it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The command descriptor block.
    pub cdb: &'a Cdb,
    /// Bytes that the initiator takes.
    pub data_in: u32,
    /// Bytes that the initiator will send.
    pub data_out: u32,
    /// How the command is ordered among others; ordering itself is the caller's.
    pub attribute: TaskAttribute,
}

/// What is to be done next for a command.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The command has ended.
    Done(Reply),
    /// The command has `len` bytes of data: fetch as many of them as the initiator sends, then
    /// [`resume`](super::LogicalUnit::resume) with [`Resume::Data`].
    NeedData {
        /// Bytes that the CDB asks for, which may be more or less than [`Request::data_out`].
        len: u32,
        /// The continuation.
        task: Task,
    },
    /// Carry out `op`, then [`resume`](super::LogicalUnit::resume) with [`Resume::Io`].
    Io {
        /// The operation.
        op: Op,
        /// The continuation.
        task: Task,
    },
}

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status and sense data.
    pub response: Response,
    /// Data for the initiator, at most [`Request::data_in`] bytes.
    pub data: DataList,
    /// Bytes that the command moves in its data phase, whatever the initiator expected: the difference to the expected
    /// length is the residual. Zero when the command failed before any data.
    pub transfer_len: u32,
}

impl Reply {
    /// GOOD after `transfer_len` bytes of data-out.
    pub fn good(transfer_len: u32) -> Self {
        Reply { response: Response::good(), data: DataList::new(), transfer_len }
    }

    /// CHECK CONDITION after `transfer_len` bytes of data-out.
    pub fn check_condition(sense: &Sense, format: SenseFormat, transfer_len: u32) -> Self {
        Reply { response: Response::check_condition(sense, format), data: DataList::new(), transfer_len }
    }

    /// GOOD with parameter data, cut at the allocation length and at what the initiator takes.
    pub(super) fn parameters(mut bytes: Vec<u8>, allocation: u32, data_in: u32) -> Self {
        bytes.truncate(usize::try_from(allocation).unwrap_or(usize::MAX));
        // Parameter data is built here and stays far below 4 GiB.
        let transfer_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes.truncate(usize::try_from(data_in).unwrap_or(usize::MAX));
        Reply { response: Response::good(), data: bytes.into(), transfer_len }
    }
}

/// An operation on the storage. Offsets and lengths are in bytes, multiples of the block size, within the capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read; answered with [`Outcome::Data`] of exactly `len` bytes.
    Read {
        /// Where.
        offset: u64,
        /// How many bytes, not zero.
        len: u32,
    },
    /// Write.
    Write {
        /// Where.
        offset: u64,
        /// What, not empty.
        data: DataList,
        /// Whether the data must be on stable storage when the operation is done.
        fua: bool,
    },
    /// Bring everything written so far to stable storage.
    Flush,
    /// Give up the space behind the ranges. What was given up reads as zeros; parts may be kept as they were.
    Unmap {
        /// Offset and length of each range; no length is zero.
        ranges: Vec<(u64, u64)>,
    },
    /// Make a range read as zeros. [`IoError::Unsupported`] makes the unit write zeros instead.
    WriteZeroes {
        /// Where.
        offset: u64,
        /// How many bytes, not zero.
        len: u64,
        /// Whether the space may be given up.
        may_unmap: bool,
    },
    /// Tell which parts of a range have storage; answered with [`Outcome::Extents`]. Only thin units ask. After
    /// [`IoError::Unsupported`] all of it counts as mapped.
    Extents {
        /// Where.
        offset: u64,
        /// How many bytes, not zero.
        len: u64,
        /// How many extents are looked at, not zero; storage need not find more.
        most: u32,
    },
}

/// Whether storage stands behind bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Allocation {
    /// It does, or nobody knows.
    Mapped,
    /// It does not: the bytes read as zeros, and writing them takes new space.
    Deallocated,
}

/// What became of an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// The bytes that were read.
    Data(DataList),
    /// The lengths in bytes of consecutive extents from the offset on, and what is behind each of them.
    ///
    /// They may end before the range does: then the initiator asks about the rest when it wants to know. A block of
    /// which only a part is deallocated counts as mapped, and everything does if there is no extent at all.
    Extents(Vec<(u64, Allocation)>),
    /// It failed.
    Failed(IoError),
}

/// Why an [`Op`] failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IoError {
    /// The medium failed at a byte offset.
    Medium {
        /// The offset in bytes.
        offset: u64,
    },
    /// No space is left to allocate.
    NoSpace,
    /// The storage does not take writes.
    ReadOnly,
    /// The storage cannot do this.
    Unsupported,
    /// Anything else.
    Other,
}

/// What a [`Task`] was waiting for.
#[derive(Clone, Debug)]
pub enum Resume {
    /// The data after [`Step::NeedData`]: as much as the initiator sent, at most `len`.
    Data(DataList),
    /// The outcome after [`Step::Io`].
    Io(Outcome),
}

/// A command that waits for its caller: opaque, and bound to the unit that made it.
#[derive(Debug)]
#[must_use]
pub struct Task {
    pub(super) nexus: NexusId,
    /// Bytes of data-out that the CDB asks for.
    pub(super) transfer_len: u32,
    pub(super) stage: Stage,
}

/// Where a command stands. It is moved with every step: what only rare commands keep is behind a pointer, so that the
/// others carry little.
#[derive(Debug)]
pub(super) enum Stage {
    // Waiting for data.
    WriteData(WriteTask),
    VerifyData(Box<VerifyTask>),
    WriteSameData(Box<WriteSameTask>),
    UnmapData,
    SelectData(SelectTask),
    // Waiting for an operation.
    Read(ReadTask),
    FlushThenRead(ReadTask),
    Write {
        /// Whether the data went to the medium, past a volatile cache.
        fua: bool,
    },
    WriteThenVerify(Box<VerifyTask>),
    Verify(Box<VerifyTask>),
    WriteSame(Box<WriteSameTask>),
    Unmap,
    Flush,
    FlushThenStop,
    LbaStatus(Box<StatusTask>),
}

/// A planned read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadTask {
    /// Where, in bytes.
    pub(super) offset: u64,
    /// Bytes to read.
    pub(super) len: u32,
    /// Bytes of them to deliver.
    pub(super) deliver: u32,
    /// Bytes that the CDB asks for.
    pub(super) asked: u32,
}

/// Which operation failed, for the choice of sense data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Read,
    Write,
}

impl Stage {
    /// Whether going on changes what the nexuses share, which only the unit itself can do.
    #[inline]
    pub(super) const fn changes_unit(&self) -> bool {
        matches!(self, Stage::SelectData(_) | Stage::FlushThenStop)
    }

    pub(super) const fn fault(&self) -> Fault {
        match self {
            Stage::Read(_) | Stage::Verify(_) | Stage::LbaStatus(_) => Fault::Read,
            _ => Fault::Write,
        }
    }
}

/// The offset of the first byte in which `a` and `b` differ, up to the end of the shorter one.
pub(super) fn first_difference(a: &DataList, b: &DataList) -> Option<usize> {
    let (mut at, mut left, mut right) = (0, Bytes::new(), Bytes::new());
    let (mut a, mut b) = (a.chunks(), b.chunks());
    loop {
        if left.is_empty() {
            left = a.next()?.clone();
        }
        if right.is_empty() {
            right = b.next()?.clone();
        }
        let n = left.len().min(right.len());
        let (x, y) = (left.split_to(n), right.split_to(n));
        if x != y {
            return x.iter().zip(&y).position(|(x, y)| x != y).map(|i| at + i);
        }
        at += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_across_cuts() {
        let cut = |bytes: &[u8], at: usize| -> DataList {
            [&bytes[..at], &bytes[at..]].into_iter().map(Bytes::copy_from_slice).collect()
        };
        let a: Vec<u8> = (0..32).collect();
        for at in 0..32 {
            let mut b = a.clone();
            b[at] ^= 0x80;
            for (x, y) in [(0, 16), (5, 5), (31, 1), (at, 7)] {
                assert_eq!(first_difference(&cut(&a, x), &cut(&b, y)), Some(at));
                assert_eq!(first_difference(&cut(&a, x), &cut(&a, y)), None);
            }
        }
    }

    #[test]
    fn a_task_goes_anywhere_and_is_small() {
        fn sendable<T: Send + 'static>() {}
        sendable::<Task>();
        assert!(size_of::<Task>() <= 48, "{}", size_of::<Task>());
    }
}
