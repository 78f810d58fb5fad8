//! Bytes of one connection to PDUs and back: framing, staging, digests.
//!
//! A connection has one [`Receiver`] and one [`Transmitter`]. Neither knows protocol state: which digests are in
//! use and how long a data segment may be is told to them. Work per byte (CRC, the rare copy) happens here;
//! work per PDU happens in the session that takes PDUs from the one and gives PDUs to the other.
//!
//! ```
//! use bytes::Buf;
//! use iscsicore::link::{Placement, Receiver, Transmitter, Want};
//! use iscsicore::wire::{Bhs, Opcode};
//! use iscsicore::{DataList, Limits};
//!
//! let mut tx = Transmitter::new();
//! tx.push(Bhs::new(Opcode::TextRequest), DataList::from(b"SendTargets=All\0".to_vec()));
//!
//! let mut rx = Receiver::new(&Limits::default());
//! while tx.has_remaining() {
//!     // A socket would lie between these two.
//!     let Want::Read { staging, .. } = rx.want() else { break };
//!     let n = tx.chunk().len().min(staging.len());
//!     staging[..n].copy_from_slice(&tx.chunk()[..n]);
//!     tx.advance(n);
//!     rx.advance(&[], n)?;
//! }
//! let pdu = rx.next_pdu(|_| Placement::Stage)?.expect("all of it has arrived");
//! assert_eq!(pdu.bhs.opcode(), Opcode::TextRequest);
//! assert_eq!(&pdu.data[..], b"SendTargets=All\0");
//! # Ok::<(), iscsicore::FrameError>(())
//! ```

mod digest;
mod input;
mod pool;
mod receiver;
mod transmitter;

#[cfg(test)]
mod lending_tests;
#[cfg(test)]
mod tests;

use core::fmt;

pub use pool::BufferPool;
pub use receiver::{Pdu, Placement, Receiver, SegmentDigest, Slot, Want};
pub use transmitter::Transmitter;

/// Names a task of a session: an index that is used again, and a generation that is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl TaskId {
    /// The index: small, dense, and used again after the task has ended.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The name as one number, for those who pass it through another language; never zero.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | (self.index as u64 + 1)
    }

    /// The name that [`to_bits`](Self::to_bits) made a number of. Any other number names no task.
    pub const fn from_bits(bits: u64) -> Self {
        TaskId { index: (bits as u32).wrapping_sub(1), generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({}.{})", self.index, self.generation)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Padding after a segment of `len` bytes, 0 to 3 bytes (RFC 7143 section 11.2).
const fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}
