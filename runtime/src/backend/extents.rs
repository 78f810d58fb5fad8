//! A list of extents that is being found.

use iscsicore::disk::Allocation;

/// Consecutive extents, of which neighbours differ, up to a number of them.
pub(super) struct Extents {
    list: Vec<(u64, Allocation)>,
    most: usize,
}

impl Extents {
    /// An empty list for `most` extents; one at least, because an answer that tells nothing is of no use.
    pub(super) fn new(most: usize) -> Self {
        Extents { list: Vec::new(), most: most.max(1) }
    }

    /// Adds `len` bytes; whether there was room for them.
    #[must_use]
    pub(super) fn push(&mut self, len: u64, allocation: Allocation) -> bool {
        if len == 0 {
            return true;
        }
        let takes = self.takes(allocation);
        match self.list.last_mut() {
            Some(last) if last.1 == allocation => last.0 += len,
            _ if takes => self.list.push((len, allocation)),
            _ => {}
        }
        takes
    }

    /// Whether there is room for an extent of this kind.
    pub(super) fn takes(&self, allocation: Allocation) -> bool {
        self.list.len() < self.most || self.list.last().is_some_and(|last| last.1 == allocation)
    }

    pub(super) fn into_list(self) -> Vec<(u64, Allocation)> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Allocation::{Deallocated, Mapped};

    #[test]
    fn neighbours_differ_and_the_list_is_bounded() {
        let mut extents = Extents::new(2);
        for (len, allocation) in [(1, Mapped), (0, Deallocated), (2, Mapped), (3, Deallocated), (0, Mapped)] {
            assert!(extents.push(len, allocation));
        }
        assert!(!extents.takes(Mapped) && extents.takes(Deallocated));
        assert!(!extents.push(4, Mapped));
        assert!(extents.push(5, Deallocated));
        assert_eq!(extents.into_list(), [(3, Mapped), (8, Deallocated)]);
        let mut one = Extents::new(0);
        assert!(one.push(1, Mapped) && !one.push(1, Deallocated));
    }
}
