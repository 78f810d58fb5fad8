//! Where the operations of a benchmark go, and what is known of these places.

use super::pattern::Words;

/// The places of a range, each as long as one operation.
pub(crate) struct Places {
    count: u64,
    next: Option<u64>,
    random: Words,
    /// Of each place; only when data is checked.
    states: Option<Vec<State>>,
    /// The places that were written, when data is checked.
    written: Vec<u32>,
    /// Of `written`, the one to be read next in sequential order.
    next_read: usize,
}

/// What is known of a place.
#[derive(Clone, Copy, Default)]
struct State {
    /// The last write that was acknowledged; 0 when there was none.
    generation: u32,
    /// Whether an operation is under way: two at a time would make it unknown what is there.
    busy: bool,
}

/// The next operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    pub(crate) place: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// To read; and when it is to be checked, which write is there.
    Read { generation: Option<u32> },
    /// To write, and which write of this place it is.
    Write { generation: u32 },
}

/// The most places that can be kept track of.
pub(crate) const MOST_CHECKED: u64 = 1 << 26;

impl Places {
    pub(crate) fn new(count: u64, sequential: bool, seed: u64, check: bool) -> Self {
        Places {
            count,
            next: sequential.then_some(0),
            random: Words::from_seed(seed),
            states: check.then(|| vec![State::default(); count as usize]),
            written: Vec::new(),
            next_read: 0,
        }
    }

    /// The next operation, of which `reads` in a hundred are reads; `None` when all places are busy.
    ///
    /// When data is checked, only what this run has written can be read. So what is to be read is taken from the places that
    /// were written, and only as long as there are none free is one written instead. Of reads alone each place is written once
    /// before: else only the few places of the beginning would ever be read.
    pub(crate) fn take(&mut self, reads: u8) -> Option<Operation> {
        let mut place = match &mut self.next {
            Some(next) => std::mem::replace(next, (*next + 1) % self.count),
            None => self.random.below(self.count),
        };
        let read = self.random.below(100) < u64::from(reads);
        if read && reads < 100 {
            place = self.readable(place).unwrap_or(place);
        }
        let Some(states) = &mut self.states else {
            let what = if read { What::Read { generation: None } } else { What::Write { generation: 0 } };
            return Some(Operation { place, what });
        };
        let mut tried = 0;
        while states[place as usize].busy {
            place = (place + 1) % self.count;
            tried += 1;
            if tried == self.count {
                return None;
            }
        }
        let state = &mut states[place as usize];
        state.busy = true;
        let what = match state.generation {
            0 => What::Write { generation: 1 },
            generation if read => What::Read { generation: Some(generation) },
            generation => What::Write { generation: generation.wrapping_add(1).max(1) },
        };
        Some(Operation { place, what })
    }

    /// A place that was written and is free: `place` if it is one, else any, in sequential order the next one.
    fn readable(&mut self, place: u64) -> Option<u64> {
        let states = self.states.as_ref()?;
        let is_readable = |place: u64| {
            let state = &states[place as usize];
            state.generation > 0 && !state.busy
        };
        if is_readable(place) {
            return Some(place);
        }
        let count = self.written.len();
        if count == 0 {
            return None;
        }
        let from = match self.next {
            Some(_) => self.next_read,
            None => self.random.below(count as u64) as usize,
        };
        // No more than there are operations under way are busy, so that one is found soon.
        let at = (0..count).map(|n| (from + n) % count).find(|at| is_readable(self.written[*at].into()))?;
        self.next_read = at + 1;
        Some(self.written[at].into())
    }

    /// The operation was carried out.
    pub(crate) fn done(&mut self, operation: Operation) {
        if let Some(states) = &mut self.states {
            let state = &mut states[operation.place as usize];
            state.busy = false;
            if let What::Write { generation } = operation.what {
                if state.generation == 0 {
                    self.written.push(operation.place as u32);
                }
                state.generation = generation;
            }
        }
    }

    /// The next place from `from` on that was written and is not being written; what is there.
    pub(crate) fn written_from(&self, from: u64) -> Option<(u64, u32)> {
        let states = self.states.as_ref()?;
        let rest = states.get(from as usize..)?.iter().enumerate();
        let mut written = rest.filter(|(_, state)| state.generation > 0 && !state.busy);
        written.next().map(|(at, state)| (from + at as u64, state.generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_places_come_in_order_and_begin_anew() {
        let mut places = Places::new(3, true, 1, false);
        let taken: Vec<_> = (0..7).map(|_| places.take(100).unwrap().place).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn the_mix_is_what_was_asked_for() {
        for (reads, bounds) in [(0, 0..1), (30, 250..350), (100, 1000..1001)] {
            let mut places = Places::new(1000, false, 7, false);
            let operations: Vec<_> = (0..1000).map(|_| places.take(reads).unwrap()).collect();
            let count = operations.iter().filter(|o| matches!(o.what, What::Read { .. })).count();
            assert!(bounds.contains(&count), "{reads}: {count}");
            assert!(operations.iter().all(|o| o.place < 1000));
        }
    }

    // Goal: the mix is what was asked for with checks, too, in a range that is never written through. Method: as many
    // operations under way as a benchmark has.
    #[test]
    fn the_mix_is_what_was_asked_for_with_checks() {
        for sequential in [false, true] {
            for (reads, bounds) in [(0, 0..1), (30, 2800..3200), (50, 4700..5200), (90, 8700..9100)] {
                let mut places = Places::new(1 << 20, sequential, 7, true);
                let mut under_way = std::collections::VecDeque::new();
                let mut count = 0;
                for _ in 0..10_000 {
                    if under_way.len() == 32 {
                        places.done(under_way.pop_front().unwrap());
                    }
                    let operation = places.take(reads).unwrap();
                    assert!(under_way.iter().all(|other: &Operation| other.place != operation.place));
                    count += usize::from(matches!(operation.what, What::Read { generation: Some(1..) }));
                    under_way.push_back(operation);
                }
                assert!(bounds.contains(&count), "{reads}, sequential {sequential}: {count}");
            }
        }
    }

    // Goal: with checks no two operations meet, nothing is read before it was written, and each write has a number of its own.
    #[test]
    fn checked_places_are_taken_once_at_a_time() {
        let mut places = Places::new(2, false, 3, true);
        let (first, second) = (places.take(100).unwrap(), places.take(100).unwrap());
        assert_ne!(first.place, second.place);
        assert_eq!((first.what, second.what), (What::Write { generation: 1 }, What::Write { generation: 1 }));
        assert_eq!(places.take(100), None, "all are busy");
        places.done(first);
        assert_eq!(places.written_from(0), Some((first.place, 1)));
        let read = places.take(100).unwrap();
        assert_eq!(read, Operation { place: first.place, what: What::Read { generation: Some(1) } });
        places.done(read);
        let write = places.take(0).unwrap();
        assert_eq!(write, Operation { place: first.place, what: What::Write { generation: 2 } });
        assert_eq!(places.written_from(0), None, "nobody knows while it is being written");
    }
}
