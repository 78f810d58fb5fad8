//! The command window of a target: CmdSN order, ExpCmdSN and MaxCmdSN, RFC 7143 section 4.2.2.1.

use crate::wire::CmdSn;

/// What to do with a non-immediate request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is the next one: deliver it.
    Deliver,
    /// Earlier ones are missing: it is to be kept until they are here.
    Early,
    /// Outside the window, or seen before: ignore it without a word.
    Ignore,
}

/// The window of CmdSNs that a target is ready to take, and the order in which it delivers them.
///
/// `T` is what is kept of a request that arrived before an earlier one. At most as many are kept as the window is
/// wide.
#[derive(Debug)]
pub struct CommandWindow<T> {
    expected: CmdSn,
    max: CmdSn,
    /// Sorted by distance from `expected`; `None` marks a number that counts as received without a request.
    early: Vec<(CmdSn, Option<T>)>,
}

impl<T> CommandWindow<T> {
    /// A window of `depth` commands that starts at `expected`.
    pub fn new(expected: CmdSn, depth: u32) -> Self {
        CommandWindow { expected, max: expected.plus(depth.max(1)).plus(u32::MAX), early: Vec::new() }
    }

    /// The next CmdSN to be delivered: what PDUs carry as ExpCmdSN.
    pub const fn expected(&self) -> CmdSn {
        self.expected
    }

    /// The last CmdSN that the peer may use.
    pub const fn max(&self) -> CmdSn {
        self.max
    }

    /// Opens the window by one: a command has left the queue.
    pub fn open(&mut self) {
        self.max = self.max.next();
    }

    /// Judges a non-immediate request numbered `sn`. Nothing changes: a request may yet be rejected, in which case
    /// its number counts as not received (RFC 7143 section 7.3).
    pub fn judge(&self, sn: CmdSn) -> Arrival {
        if sn.is_before(self.expected) || sn.is_after(self.max) {
            return Arrival::Ignore;
        }
        if sn == self.expected {
            return Arrival::Deliver;
        }
        match self.early.iter().any(|(have, _)| *have == sn) {
            true => Arrival::Ignore,
            false => Arrival::Early,
        }
    }

    /// Counts the expected request as received.
    pub fn advance(&mut self) {
        self.expected = self.expected.next();
    }

    /// Keeps a request that [`judge`](Self::judge) called early.
    pub fn keep(&mut self, sn: CmdSn, request: T) {
        self.insert(sn, Some(request));
    }

    /// Counts `sn` as received although no request of that number is here (RFC 7143 section 7.11: an ABORT TASK for a
    /// command that has not arrived). Returns whether `sn` was awaited.
    ///
    /// The window opens by one when the number's turn comes, and no sooner: what is kept stays bounded.
    pub fn plug(&mut self, sn: CmdSn) -> bool {
        match self.judge(sn) {
            Arrival::Ignore => return false,
            Arrival::Deliver => {
                self.expected = sn.next();
                self.open();
            }
            Arrival::Early => self.insert(sn, None),
        }
        true
    }

    /// Drops the request kept under `sn`; its number counts as received all the same.
    pub fn void(&mut self, sn: CmdSn) {
        if let Some(slot) = self.early.iter_mut().find(|(have, _)| *have == sn) {
            slot.1 = None;
        }
    }

    /// Drops the requests that satisfy `unwanted`; their numbers are awaited again.
    pub fn forget(&mut self, mut unwanted: impl FnMut(&T) -> bool) {
        self.early.retain(|(_, request)| !request.as_ref().is_some_and(&mut unwanted));
    }

    /// The first of the requests kept that satisfies `wanted`.
    pub fn find_early(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<&T> {
        self.early.iter().filter_map(|(_, request)| request.as_ref()).find(|request| wanted(request))
    }

    /// The next request that was kept and whose turn has come.
    pub fn next_ready(&mut self) -> Option<T> {
        while let Some((sn, _)) = self.early.first() {
            if *sn != self.expected {
                return None;
            }
            let (sn, request) = self.early.remove(0);
            self.expected = sn.next();
            if request.is_some() {
                return request;
            }
            self.open();
        }
        None
    }

    fn insert(&mut self, sn: CmdSn, request: Option<T>) {
        let at = self.early.partition_point(|(have, _)| have.is_before(sn));
        self.early.insert(at, (sn, request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(at: u32) -> CommandWindow<u32> {
        CommandWindow::new(CmdSn(at), 4)
    }

    /// Judges, and takes what is to be delivered.
    fn arrive(w: &mut CommandWindow<u32>, sn: CmdSn) -> Arrival {
        let arrival = w.judge(sn);
        if arrival == Arrival::Deliver {
            w.advance();
        }
        arrival
    }

    // covers: 7143-4.2.2.1-7 7143-4.2.2.1-9
    #[test]
    fn delivers_in_order_whatever_the_order_of_arrival() {
        // Every order of four arrivals, around the wrap of the number.
        let mut orders = 0;
        for code in 0..256u32 {
            let order: Vec<u32> = (0..4).map(|i| code >> (2 * i) & 3).collect();
            if (0..4).any(|n| !order.contains(&n)) {
                continue;
            }
            orders += 1;
            let base = u32::MAX - 1;
            let mut w = window(base);
            let mut delivered = Vec::new();
            for n in order {
                let sn = CmdSn(base).plus(n);
                match arrive(&mut w, sn) {
                    Arrival::Deliver => delivered.push(n),
                    Arrival::Early => w.keep(sn, n),
                    Arrival::Ignore => panic!("{sn:?} is inside the window"),
                }
                // What ExpCmdSN acknowledges has been delivered without a hole.
                while let Some(n) = w.next_ready() {
                    delivered.push(n);
                }
                assert_eq!(w.expected(), CmdSn(base).plus(delivered.len() as u32));
            }
            assert_eq!(delivered, [0, 1, 2, 3]);
        }
        assert_eq!(orders, 24);
    }

    // covers: 7143-4.2.2.1-12
    #[test]
    fn ignores_duplicates_and_what_lies_outside() {
        let mut w = window(10);
        assert_eq!(arrive(&mut w, CmdSn(9)), Arrival::Ignore);
        assert_eq!(arrive(&mut w, CmdSn(14)), Arrival::Ignore);
        assert_eq!(arrive(&mut w, CmdSn(13)), Arrival::Early);
        w.keep(CmdSn(13), 3);
        assert_eq!(arrive(&mut w, CmdSn(13)), Arrival::Ignore);
        assert_eq!(arrive(&mut w, CmdSn(10)), Arrival::Deliver);
        assert_eq!(arrive(&mut w, CmdSn(10)), Arrival::Ignore);
        assert_eq!(w.next_ready(), None);
    }

    // covers: 7143-4.2.2.1-11
    #[test]
    fn max_never_falls_below_expected_less_one() {
        let mut w = window(0);
        for sn in 0..4 {
            assert_eq!(arrive(&mut w, CmdSn(sn)), Arrival::Deliver);
            assert!(w.max().distance_from(w.expected()) >= -1);
        }
        assert_eq!((w.expected(), w.max()), (CmdSn(4), CmdSn(3)), "shut");
        assert_eq!(arrive(&mut w, CmdSn(4)), Arrival::Ignore);
        w.open();
        assert_eq!(arrive(&mut w, CmdSn(4)), Arrival::Deliver);
    }

    #[test]
    fn a_plugged_number_counts_as_received() {
        let mut w = window(5);
        assert_eq!(arrive(&mut w, CmdSn(6)), Arrival::Early);
        w.keep(CmdSn(6), 1);
        assert!(w.plug(CmdSn(5)));
        assert_eq!(w.next_ready(), Some(1));
        assert_eq!(w.expected(), CmdSn(7));
        assert!(w.plug(CmdSn(8)));
        assert_eq!(w.max(), CmdSn(9), "8 opens the window when its turn comes");
        assert_eq!(arrive(&mut w, CmdSn(8)), Arrival::Ignore, "too late: it was aborted");
        assert_eq!(arrive(&mut w, CmdSn(7)), Arrival::Deliver);
        assert_eq!(w.next_ready(), None);
        assert_eq!((w.expected(), w.max()), (CmdSn(9), CmdSn(10)));
        assert!(!w.plug(CmdSn(8)));
    }

    #[test]
    fn plugging_ahead_of_a_gap_never_widens_the_window() {
        let mut w = window(0);
        for sn in 1..1000 {
            assert_eq!(w.plug(CmdSn(sn)), sn < 4);
        }
        assert_eq!((w.max(), w.early.len()), (CmdSn(3), 3));
    }

    #[test]
    fn a_kept_request_can_be_voided_or_forgotten() {
        let mut w = window(0);
        w.keep(CmdSn(1), 1);
        w.keep(CmdSn(2), 2);
        w.void(CmdSn(1));
        w.forget(|n| *n == 2);
        assert_eq!(w.judge(CmdSn(1)), Arrival::Ignore, "it counts as received");
        assert_eq!(w.judge(CmdSn(2)), Arrival::Early, "it is awaited again");
        assert_eq!(arrive(&mut w, CmdSn(0)), Arrival::Deliver);
        assert_eq!(w.next_ready(), None);
        assert_eq!((w.expected(), w.max()), (CmdSn(2), CmdSn(4)));
    }
}
