//! Which chunks are to be copied, are written, and are safe. No I/O is here, only the reasoning.
//!
//! A chunk goes from *to do* to *in flight*, then *written* (acknowledged), then *safe* (a flush after it covers it). Only
//! safe chunks count when a copy is resumed.
//!
//! A flush can succeed and yet not cover everything: when the session was interrupted between a write and the flush,
//! the write is safe only if the target kept its cache. Nobody knows which writes came before the interruption, so
//! everything since the last flush that covered all goes back to *to do*: what the flush was for, what was written while
//! it was under way, and what is in flight (some writes of such a chunk may be acknowledged already).

use std::ops::{AddAssign, Range};

use super::ranges::Ranges;

/// What was done, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    /// Written as data.
    pub(crate) data: u64,
    /// Made to read as zeroes in a cheaper way, or left as the zeroes that were there.
    pub(crate) zeroes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.data += other.data;
        self.zeroes += other.zeroes;
    }
}

/// Chunks that are done, and what was done for them: a chunk that is copied again counts once.
#[derive(Default, Debug)]
struct Batch {
    chunks: Ranges,
    counts: Counts,
}

/// The state of every chunk of a copy, by number.
#[derive(Debug)]
pub(crate) struct Ledger {
    todo: Ranges,
    in_flight: usize,
    written: Batch,
    flushing: Option<Batch>,
    safe: Ranges,
    /// What this run has done for chunks that are safe.
    counts: Counts,
    /// Counts flushes that did not cover everything.
    epoch: u32,
}

/// Chunks that somebody copies just now.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) struct Work {
    pub(crate) chunks: Range<u64>,
    epoch: u32,
}

impl Ledger {
    /// A copy of so many chunks, of which `safe` need not be copied again.
    pub(crate) fn new(chunks: u64, safe: Ranges) -> Self {
        let mut todo = Ranges::from(0..chunks);
        safe.iter().for_each(|range| todo.remove(range));
        Ledger {
            todo,
            in_flight: 0,
            written: Batch::default(),
            flushing: None,
            safe,
            counts: Counts::default(),
            epoch: 0,
        }
    }

    /// The chunks that come next, as many as lie together.
    pub(crate) fn next(&self) -> Option<Range<u64>> {
        self.todo.first()
    }

    /// Takes `chunks`, which lie within [`next`](Self::next).
    pub(crate) fn start(&mut self, chunks: Range<u64>) -> Work {
        self.todo.remove(chunks.clone());
        self.in_flight += 1;
        Work { chunks, epoch: self.epoch }
    }

    /// The destination has acknowledged them.
    pub(crate) fn written(&mut self, work: Work, counts: Counts) {
        self.in_flight -= 1;
        if work.epoch == self.epoch {
            self.written.chunks.insert(work.chunks);
            self.written.counts += counts;
        } else {
            self.todo.insert(work.chunks);
        }
    }

    /// Whether a flush would make something safe.
    pub(crate) fn wants_flush(&self) -> bool {
        self.flushing.is_none() && !self.written.chunks.is_empty()
    }

    /// A flush begins: it is for what is written by now.
    pub(crate) fn flush_begins(&mut self) {
        self.flushing = Some(std::mem::take(&mut self.written));
    }

    /// The flush has succeeded and covers everything.
    pub(crate) fn flush_covers_all(&mut self) {
        if let Some(Batch { chunks, counts }) = self.flushing.take() {
            self.safe.extend(&chunks);
            self.counts += counts;
        }
    }

    /// The flush has succeeded, and the session was interrupted before it. Returns how many chunks are to be copied
    /// again by that.
    pub(crate) fn flush_covers_some(&mut self) -> u64 {
        let mut again = self.flushing.take().unwrap_or_default().chunks;
        again.extend(&std::mem::take(&mut self.written).chunks);
        self.todo.extend(&again);
        self.epoch += 1;
        again.count()
    }

    /// How often chunks had to be copied again.
    pub(crate) fn interruptions(&self) -> u32 {
        self.epoch
    }

    /// Whether nothing is to be started, and nothing comes back from what was.
    pub(crate) fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.in_flight == 0
    }

    /// Whether all chunks are safe.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_idle() && self.written.chunks.is_empty() && self.flushing.is_none()
    }

    /// The chunks that are safe.
    pub(crate) fn safe(&self) -> &Ranges {
        &self.safe
    }

    /// What this run has done for the chunks that are safe.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many chunks are written, safe or not.
    pub(crate) fn progress(&self) -> u64 {
        let flushing = self.flushing.as_ref().map_or(0, |batch| batch.chunks.count());
        self.safe.count() + self.written.chunks.count() + flushing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done for one piece of work.
    const ONE: Counts = Counts { data: 2, zeroes: 1 };

    #[test]
    fn only_what_a_flush_covers_is_safe() {
        let mut ledger = Ledger::new(4, Ranges::from(1..2));
        assert_eq!(ledger.next(), Some(0..1));
        let first = ledger.start(0..1);
        assert_eq!(ledger.next(), Some(2..4));
        let second = ledger.start(2..3);
        ledger.written(first, ONE);
        assert_eq!((ledger.progress(), ledger.safe()), (2, &Ranges::from(1..2)));
        ledger.flush_begins();
        ledger.written(second, ONE); // After the flush began: it is not for this one.
        ledger.flush_covers_all();
        assert_eq!(ledger.safe(), &Ranges::from(0..2));
        assert!(ledger.wants_flush() && !ledger.is_idle());
        let last = ledger.start(3..4);
        ledger.written(last, ONE);
        assert!(ledger.is_idle() && !ledger.is_complete());
        ledger.flush_begins();
        assert!(!ledger.is_complete() && !ledger.wants_flush());
        ledger.flush_covers_all();
        assert!(ledger.is_complete());
        assert_eq!(ledger.safe(), &Ranges::from(0..4));
    }

    // Goal: after a flush that covers only what came since a reconnect, everything since the last good flush is copied
    // again: flushed for, written meanwhile, and in flight. Method: one chunk in each of these places.
    #[test]
    fn a_flush_that_covers_some_sends_chunks_back() {
        let mut ledger = Ledger::new(5, Ranges::default());
        let safe = ledger.start(0..1);
        ledger.written(safe, ONE);
        ledger.flush_begins();
        ledger.flush_covers_all();

        let (flushed_for, meanwhile, in_flight) =
            (ledger.start(1..2), ledger.start(2..3), ledger.start(3..4));
        ledger.written(flushed_for, ONE);
        ledger.flush_begins();
        ledger.written(meanwhile, ONE);
        assert_eq!(ledger.flush_covers_some(), 2);
        assert_eq!(ledger.next(), Some(1..3));
        ledger.written(in_flight, ONE);
        assert_eq!(ledger.next(), Some(1..5), "what was in flight is to be copied again");
        assert_eq!(ledger.safe(), &Ranges::from(0..1));
        assert!(!ledger.wants_flush());

        let again = ledger.start(1..5);
        ledger.written(again, ONE);
        ledger.flush_begins();
        ledger.flush_covers_all();
        assert!(ledger.is_complete());
        assert_eq!(ledger.interruptions(), 1);
        assert_eq!(
            ledger.counts(),
            Counts { data: 4, zeroes: 2 },
            "the first chunk, and those of the last work, once each"
        );
    }

    #[test]
    fn a_copy_with_nothing_to_do_is_complete() {
        assert!(Ledger::new(0, Ranges::default()).is_complete());
        assert!(Ledger::new(3, Ranges::from(0..3)).is_complete());
    }
}
