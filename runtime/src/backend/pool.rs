//! Memory for the data of reads, without one allocation for each.
//!
//! Short reads are carved from blocks that each thread keeps; a block is reused when all reads carved from it
//! are gone. Long reads get a buffer of their own, which comes back when the last reader drops it: its pages
//! are there already and need not be zeroed again.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// Memory for a read.
pub(super) enum Buffer {
    Carved(BytesMut),
    Own { vec: Recycled, len: usize },
}

impl Buffer {
    /// Room for `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        if len > CARVE_MAX {
            return Buffer::Own { vec: Recycled::new(len), len };
        }
        let mut bytes = BLOCK.with(|block| carve(&mut block.borrow_mut(), len));
        bytes.resize(len, 0);
        Buffer::Carved(bytes)
    }

    /// All of the room, to be overwritten; what it holds before is unspecified.
    pub(super) fn room(&mut self) -> &mut [u8] {
        match self {
            Buffer::Carved(bytes) => bytes,
            Buffer::Own { vec, len } => &mut vec.0[..*len],
        }
    }

    /// What is in the room.
    pub(super) fn freeze(self) -> Bytes {
        match self {
            Buffer::Carved(bytes) => bytes.freeze(),
            Buffer::Own { vec, len } => {
                let mut bytes = Bytes::from_owner(vec);
                bytes.truncate(len);
                bytes
            }
        }
    }
}

/// Takes room for `len` bytes from the front of `block`, or of a new block when that is used up.
fn carve(block: &mut BytesMut, len: usize) -> BytesMut {
    if block.capacity() < len && !block.try_reclaim(BLOCK_SIZE) {
        *block = BytesMut::with_capacity(BLOCK_SIZE);
    }
    let rest = block.split_off(len);
    std::mem::replace(block, rest)
}

/// A vector that goes back to the shelf of its size.
pub(super) struct Recycled(Vec<u8>);

impl Recycled {
    /// A vector of at least `len` initialised bytes.
    fn new(len: usize) -> Self {
        let Some(shelf) = shelf_of(len) else { return Recycled(vec![0; len]) };
        let kept = SHELVES[shelf].lock().ok().and_then(|mut shelf| shelf.pop());
        if let Some(vec) = kept {
            KEPT.fetch_sub(vec.len(), Ordering::Relaxed);
            return Recycled(vec);
        }
        Recycled(vec![0; SMALLEST << shelf])
    }
}

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        let vec = std::mem::take(&mut self.0);
        let Some(shelf) = shelf_of(vec.len()).filter(|shelf| SMALLEST << shelf == vec.len()) else { return };
        if KEPT.fetch_add(vec.len(), Ordering::Relaxed) + vec.len() > KEPT_MAX {
            KEPT.fetch_sub(vec.len(), Ordering::Relaxed);
        } else if let Ok(mut shelf) = SHELVES[shelf].lock() {
            shelf.push(vec);
        }
    }
}

/// The shelf whose vectors are the smallest that hold `len` bytes; none for more than the largest.
fn shelf_of(len: usize) -> Option<usize> {
    (0..SHELVES.len()).find(|shelf| SMALLEST << shelf >= len)
}

/// The longest read that shares a block with others.
const CARVE_MAX: usize = 8 << 10;
/// Small, because the slowest of the readers of a block keeps all of it.
const BLOCK_SIZE: usize = 64 << 10;
/// The size of the vectors on the first shelf; each further shelf doubles it, up to 4 MiB.
const SMALLEST: usize = 16 << 10;
/// How many bytes all shelves together keep for later.
const KEPT_MAX: usize = 16 << 20;

thread_local! {
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}
static SHELVES: [Mutex<Vec<Vec<u8>>>; 9] = [const { Mutex::new(Vec::new()) }; 9];
static KEPT: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_all_sizes_hold_what_was_put_and_never_share() {
        let lens = [0, 1, 512, 4096, CARVE_MAX, CARVE_MAX + 1, SMALLEST, SMALLEST + 1, 1 << 20, 5 << 20];
        let mut kept = Vec::new();
        for round in 0..40u8 {
            for len in lens {
                let mut buffer = Buffer::new(len);
                assert_eq!(buffer.room().len(), len);
                buffer.room().fill(round);
                let bytes = buffer.freeze();
                assert_eq!(bytes.len(), len);
                if round < 6 {
                    kept.push((round, bytes));
                }
            }
        }
        for (round, bytes) in kept {
            assert!(bytes.iter().all(|b| *b == round), "round {round}, {} bytes", bytes.len());
        }
        assert!(KEPT.load(Ordering::Relaxed) <= KEPT_MAX);
    }

    #[test]
    fn a_block_is_reused_when_its_readers_are_gone() {
        let mut block = BytesMut::with_capacity(BLOCK_SIZE);
        let first = block.as_ptr();
        let mut at_first = 0;
        for _ in 0..64 {
            let mut carved = carve(&mut block, 4096);
            carved.extend_from_slice(&[1; 4096]);
            at_first += usize::from(carved.as_ptr() == first);
        }
        assert_eq!(at_first, 4, "16 reads fill a block, so that 64 begin at its front four times");
    }
}
