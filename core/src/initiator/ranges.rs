//! Which bytes of a command have been dealt with, when they may come in any order.

/// Gaps that there may be at a time: each costs memory.
const MAX_GAPS: usize = 4096;

/// Ranges of bytes, sorted, apart from each other.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Whether any byte of `from..to` is in it.
    pub(super) fn overlaps(&self, from: u32, to: u32) -> bool {
        let after = self.0.partition_point(|(_, end)| *end <= from);
        self.0.get(after).is_some_and(|(start, _)| *start < to)
    }

    /// Adds `from..to`, of which nothing is in it; whether there was room.
    #[must_use]
    pub(super) fn add(&mut self, from: u32, to: u32) -> bool {
        if from == to {
            return true;
        }
        let at = self.0.partition_point(|(start, _)| *start < from);
        let joins_before = at > 0 && self.0[at - 1].1 == from;
        let joins_after = self.0.get(at).is_some_and(|(start, _)| *start == to);
        match (joins_before, joins_after) {
            (true, true) => self.0[at - 1].1 = self.0.remove(at).1,
            (true, false) => self.0[at - 1].1 = to,
            (false, true) => self.0[at].0 = from,
            (false, false) if self.0.len() >= MAX_GAPS => return false,
            (false, false) => self.0.insert(at, (from, to)),
        }
        true
    }

    /// Whether it is empty, or the first `len` bytes and nothing else.
    pub(super) fn is_start(&self, len: u32) -> bool {
        self.0.is_empty() || self.0 == [(0, len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_know_what_they_hold() {
        let mut ranges = Ranges::default();
        assert!(ranges.is_start(0) && !ranges.overlaps(0, u32::MAX));
        assert!(ranges.add(4, 8) && ranges.add(0, 2) && ranges.add(12, 16) && ranges.add(5, 5));
        for (from, to, overlaps) in [(0, 1, true), (1, 3, true), (2, 4, false), (3, 5, true), (7, 9, true)] {
            assert_eq!(ranges.overlaps(from, to), overlaps, "{from}..{to}");
        }
        assert!(!ranges.overlaps(8, 12) && ranges.overlaps(8, 13) && !ranges.overlaps(16, 20));
        assert!(!ranges.is_start(16));
        assert!(ranges.add(2, 4) && ranges.add(8, 12));
        assert!(ranges.is_start(16) && !ranges.is_start(15));
    }

    #[test]
    fn the_number_of_gaps_is_bounded() {
        let mut ranges = Ranges::default();
        assert_eq!((0u32..).position(|n| !ranges.add(n * 2, n * 2 + 1)), Some(MAX_GAPS));
    }
}
