//! Sets of numbers that lie close together: chunks that are done, chunks that are to do.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers as ranges that neither overlap nor touch.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `range`.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&other_start, &other_end)) = self.0.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other_start);
            end = end.max(other_end);
            self.0.remove(&other_start);
        }
        self.0.insert(start, end);
    }

    /// Takes `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.0.range(..range.end).next_back() {
            if end <= range.start {
                break;
            }
            self.0.remove(&start);
            if start < range.start {
                self.0.insert(start, range.start);
            }
            if end > range.end {
                self.0.insert(range.end, end);
            }
        }
    }

    /// Adds all of `other`.
    pub(crate) fn extend(&mut self, other: &Ranges) {
        other.iter().for_each(|range| self.insert(range));
    }

    /// The first range.
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.iter().next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are in it.
    pub(crate) fn count(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }
}

impl From<Range<u64>> for Ranges {
    fn from(range: Range<u64>) -> Self {
        let mut set = Ranges::default();
        set.insert(range);
        set
    }
}

impl FromIterator<Range<u64>> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Ranges::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the set is what a plain list of flags would be. Method: many insertions and removals on both.
    #[test]
    fn it_agrees_with_a_list_of_flags() {
        let (mut set, mut flags) = (Ranges::default(), [false; 64]);
        let mut random = 12345_u64;
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (a, b) = ((random >> 20) % 65, (random >> 40) % 65);
            let range = a.min(b)..a.max(b);
            let add = random >> 63 == 0;
            (range.start..range.end).for_each(|at| flags[at as usize] = add);
            if add {
                set.insert(range)
            } else {
                set.remove(range)
            }
            let listed: Vec<u64> = set.iter().flatten().collect();
            let wanted: Vec<u64> = (0..64).filter(|at| flags[*at as usize]).collect();
            assert_eq!(listed, wanted);
            let pairs: Vec<_> = set.iter().collect();
            assert!(pairs.windows(2).all(|w| w[0].end < w[1].start), "ranges that touch are one: {pairs:?}");
            assert_eq!(set.count(), wanted.len() as u64);
        }
    }
}
