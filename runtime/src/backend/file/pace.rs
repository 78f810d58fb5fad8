//! Whether a file takes writes without keeping the writer waiting.
//!
//! A write into the page cache costs about a microsecond as long as the kernel absorbs it, which is far less than a
//! change of thread. It can also wait: for space, for a journal, for pages that are being written back, or because too
//! many pages are dirty. Most file systems do not say so beforehand, so each write is timed. After one that waited, the
//! next ones go elsewhere for a while; and for twice as long when the first that is tried again waits too.

use std::sync::atomic::{AtomicU64, Ordering};

/// Times are nanoseconds of any one clock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// No write is to be tried before.
    until: AtomicU64,
    /// How long the latest pause was.
    pause: AtomicU64,
}

impl Pace {
    /// Whether a write may be tried where it must not wait.
    pub(super) fn allows(&self, now: u64) -> bool {
        now >= self.until.load(Ordering::Relaxed)
    }

    /// Takes note of a write. Threads that do so at the same time may lose a doubling, and nothing more.
    pub(super) fn took(&self, began: u64, ended: u64) {
        if ended.saturating_sub(began) < SLOW {
            return;
        }
        let (until, last) = (self.until.load(Ordering::Relaxed), self.pause.load(Ordering::Relaxed));
        let again = last > 0 && began.saturating_sub(until) <= last;
        let pause = if again { (2 * last).min(LONGEST) } else { SHORTEST };
        self.pause.store(pause, Ordering::Relaxed);
        self.until.store(ended + pause, Ordering::Relaxed);
    }
}

/// A write that takes so long has waited.
const SLOW: u64 = 1_000_000;
const SHORTEST: u64 = 100_000_000;
const LONGEST: u64 = 3_200_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_write_that_waits_stops_others_for_a_while_and_longer_each_time() {
        let pace = Pace::default();
        assert!(pace.allows(0));
        pace.took(0, MS - 1);
        assert!(pace.allows(MS), "it was quick");
        let mut now = 10 * MS;
        for pause in [100, 200, 400, 800, 1600, 3200, 3200] {
            pace.took(now, now + MS);
            now += MS + pause * MS;
            assert!(!pace.allows(now - 1), "{pause}");
            assert!(pace.allows(now), "{pause}");
        }
    }

    #[test]
    fn a_file_that_was_quick_for_as_long_as_it_was_left_alone_starts_afresh() {
        let pace = Pace::default();
        pace.took(0, MS);
        pace.took(101 * MS, 102 * MS); // at once again: 200
        assert!(!pace.allows(301 * MS) && pace.allows(302 * MS));
        let later = 302 * MS + 201 * MS;
        pace.took(later, later + MS);
        assert!(!pace.allows(later + 100 * MS) && pace.allows(later + 101 * MS));
    }
}
