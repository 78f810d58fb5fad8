//! A piece of a disk in memory that readers share.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// `GRAIN` bytes: readers take slices of them, and a write never changes what a slice shows.
///
/// Where nobody reads, a write is in place. Where somebody does, it leaves the bytes to the readers and goes on
/// with a copy: that is why a grain is small.
///
/// Going from one state to the other does not allocate, because the owners of the bytes are counted from the
/// beginning. The count lies in memory of its own, rarely in a cache: a write that follows a write does without
/// a look at it, and so takes no longer than it does without readers.
pub(super) enum Grain {
    /// No slice was taken since the last write.
    Own(BytesMut),
    /// There may be readers.
    Shared(Bytes),
}

impl Grain {
    /// Zero bytes.
    pub(super) fn new() -> Self {
        Grain::Own(zeroed())
    }

    /// What is in `range` now, for ever.
    pub(super) fn slice(&mut self, range: Range<usize>) -> Bytes {
        match self {
            Grain::Shared(bytes) => bytes.slice(range),
            Grain::Own(bytes) => {
                let bytes = std::mem::take(bytes).freeze();
                let slice = bytes.slice(range);
                *self = Grain::Shared(bytes);
                slice
            }
        }
    }

    /// Has `put` overwrite all of `range`; the bytes it finds there are unspecified.
    pub(super) fn write(&mut self, range: Range<usize>, put: impl FnOnce(&mut [u8])) {
        if let Grain::Shared(bytes) = self {
            *self = Grain::Own(match std::mem::take(bytes).try_into_mut() {
                Ok(bytes) => bytes,
                Err(shared) => copy_around(shared, &range),
            });
        }
        if let Grain::Own(bytes) = self {
            put(&mut bytes[range]);
        }
    }
}

/// Bytes of our own that are those of `shared` outside of `range`.
#[cold]
fn copy_around(shared: Bytes, range: &Range<usize>) -> BytesMut {
    let mut bytes = SPARE.with_borrow_mut(take_spare).unwrap_or_else(zeroed);
    bytes[..range.start].copy_from_slice(&shared[..range.start]);
    bytes[range.end..].copy_from_slice(&shared[range.end..]);
    SPARE.with_borrow_mut(|spare| {
        if spare.len() == SPARE_MAX {
            spare.pop_front();
        }
        spare.push_back(shared);
    });
    bytes
}

/// The oldest one, if its readers are gone. One that is held for long moves to the front and is given up there.
fn take_spare(spare: &mut VecDeque<Bytes>) -> Option<BytesMut> {
    match spare.pop_front()?.try_into_mut() {
        Ok(bytes) => Some(bytes),
        Err(shared) => {
            spare.push_front(shared);
            None
        }
    }
}

fn zeroed() -> BytesMut {
    let mut bytes = BytesMut::zeroed(GRAIN);
    // From now on its owners are counted, wherever it goes.
    drop(bytes.split_off(GRAIN));
    bytes
}

/// How many bytes a write has to copy at most for what is being read.
pub(super) const GRAIN: usize = 32 << 10;
/// Two megabytes for each thread that writes.
const SPARE_MAX: usize = 64;

thread_local! {
    /// What was left to readers by writes of this thread, to be used again when they are done with it.
    static SPARE: RefCell<VecDeque<Bytes>> = const { RefCell::new(VecDeque::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_in_place_unless_somebody_reads() {
        let mut grain = Grain::new();
        let place = grain.slice(0..1).as_ptr();
        grain.write(0..GRAIN, |to| to.fill(1));
        grain.write(100..200, |to| to.fill(2));
        assert_eq!(grain.slice(0..1).as_ptr(), place);

        let before = grain.slice(50..150);
        grain.write(120..130, |to| to.fill(3));
        assert_eq!(before, [[1; 50], [2; 50]].concat());
        assert_eq!(grain.slice(115..135), [[2; 5], [3; 5], [3; 5], [2; 5]].concat());
        assert_ne!(grain.slice(0..1).as_ptr(), place);

        let place = grain.slice(0..1).as_ptr();
        grain.write(0..1, |to| to.fill(4));
        assert_eq!(grain.slice(0..1).as_ptr(), place, "nobody reads the new bytes");
        assert_eq!((grain.slice(0..2), grain.slice(GRAIN - 1..GRAIN)), ([4, 1][..].into(), [1][..].into()));
    }

    #[test]
    fn copies_are_made_in_memory_that_readers_gave_back() {
        let mut grain = Grain::new();
        let mut places = std::collections::BTreeSet::new();
        for round in 0..100 {
            let reader = grain.slice(0..GRAIN);
            places.insert(reader.as_ptr());
            grain.write(0..10, |to| to.fill(round));
        }
        assert_eq!(places.len(), 2, "one is read and the other written, in turn");
    }

    #[test]
    fn slow_readers_neither_lose_their_bytes_nor_stop_the_reuse() {
        let mut grain = Grain::new();
        let mut slow = Vec::new();
        for round in 0..200u8 {
            grain.write(0..GRAIN, |to| to.fill(round));
            let reader = grain.slice(7..GRAIN);
            if round % 3 == 0 {
                slow.push((round, reader.clone()));
            }
            grain.write(0..1, |to| to.fill(0));
            assert!(SPARE.with_borrow(VecDeque::len) <= SPARE_MAX);
        }
        assert!(slow.iter().all(|(round, bytes)| bytes.iter().all(|byte| byte == round)));
        drop(slow);
        assert!(SPARE.with_borrow_mut(take_spare).is_some());
    }
}
