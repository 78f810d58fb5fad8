//! What keeps a write that reads before it writes apart from other writes.
//!
//! A direct write of a part of a block reads the block, changes the part, and writes the block back. Whatever else is
//! written to the block in between would be lost, so such a write must be alone with its blocks, on every shard. Writes
//! of whole blocks need no protection from each other: the storage puts them in some order. So this is a lock with two
//! modes, which writes of whole blocks *share* and the others *own*; one lock for each 64 KiB, 256 of them in turn. To
//! share costs an atomic operation and waits for owners alone. Reads need no lock at all: each block that an owner
//! writes back holds, outside of the part that changes, what was there before.
//!
//! When the unit of direct I/O is 512 bytes, the smallest block of a disk, no write is ever a part, and there is no lock.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Debug)]
pub(super) struct Stripes(Box<[RwLock<()>]>);

/// The locks of a range: the first, and the others of a long one.
pub(super) struct Held<G> {
    _first: Option<G>,
    _others: Vec<G>,
}

impl Stripes {
    pub(super) fn new() -> Self {
        Stripes((0..STRIPES).map(|_| RwLock::new(())).collect())
    }

    pub(super) async fn share(&self, offset: u64, len: u64) -> Held<RwLockReadGuard<'_, ()>> {
        let mut stripes = self.of(offset, len);
        let mut held = Held::none();
        if let Some(first) = stripes.next() {
            held._first = Some(first.read().await);
        }
        for stripe in stripes {
            held._others.push(stripe.read().await);
        }
        held
    }

    pub(super) async fn own(&self, offset: u64, len: u64) -> Held<RwLockWriteGuard<'_, ()>> {
        let mut held = Held::none();
        for stripe in self.of(offset, len) {
            held._others.push(stripe.write().await);
        }
        held
    }

    /// As [`share`](Self::share), on a thread that may wait.
    pub(super) fn share_here(&self, offset: u64, len: u64) -> Held<RwLockReadGuard<'_, ()>> {
        Held { _first: None, _others: self.of(offset, len).map(RwLock::blocking_read).collect() }
    }

    /// As [`own`](Self::own), on a thread that may wait.
    pub(super) fn own_here(&self, offset: u64, len: u64) -> Held<RwLockWriteGuard<'_, ()>> {
        Held { _first: None, _others: self.of(offset, len).map(RwLock::blocking_write).collect() }
    }

    /// The stripes of a range. Everybody takes them in this order, the one in which they stand, so that no two wait for
    /// each other.
    fn of(&self, offset: u64, len: u64) -> impl Iterator<Item = &RwLock<()>> {
        let (first, last) = (offset / REGION, (offset + len.max(1) - 1) / REGION);
        let all = last - first >= STRIPES as u64;
        let (low, high) = (first as usize % STRIPES, last as usize % STRIPES);
        // A range that goes on from the last stripe to the first has two parts; its lower one comes first here.
        let (a, b) = match (all, low <= high) {
            (true, _) => (0..STRIPES, 0..0),
            (false, true) => (low..high + 1, 0..0),
            (false, false) => (0..high + 1, low..STRIPES),
        };
        a.chain(b).map(|index| &self.0[index])
    }
}

impl<G> Held<G> {
    fn none() -> Self {
        Held { _first: None, _others: Vec::new() }
    }
}

const REGION: u64 = 64 << 10;
const STRIPES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(stripes: &Stripes, offset: u64, len: u64) -> Vec<usize> {
        let place = |lock: &RwLock<()>| stripes.0.iter().position(|other| std::ptr::eq(other, lock)).unwrap();
        stripes.of(offset, len).map(place).collect()
    }

    #[test]
    fn every_byte_has_a_stripe_and_stripes_come_in_one_order() {
        let stripes = Stripes::new();
        let turn = REGION * STRIPES as u64;
        for (offset, len) in [
            (0, 1),
            (REGION - 1, 2),
            (turn - 1, 2),
            (turn - 3 * REGION, 5 * REGION),
            (5 * turn - 7, turn),
            (0, turn),
            (1, turn - 1),
            (123, 10 * turn),
        ] {
            let got = indices(&stripes, offset, len);
            assert!(got.is_sorted_by(|a, b| a < b), "{offset} {len}: {got:?}");
            let mut want: Vec<_> = (offset / REGION..=(offset + len - 1) / REGION)
                .map(|region| region as usize % STRIPES)
                .collect();
            want.sort_unstable();
            want.dedup();
            assert_eq!(got, want, "{offset} {len}");
        }
    }

    #[tokio::test]
    async fn owners_wait_for_everybody_and_sharers_for_owners_alone() {
        let stripes = Stripes::new();
        let now = |future: std::pin::Pin<&mut dyn Future<Output = ()>>| {
            future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        let shared = stripes.share(0, 4096).await;
        assert!(now(std::pin::pin!(async { drop(stripes.share(0, 100_000).await) })));
        assert!(now(std::pin::pin!(async { drop(stripes.own(REGION, 1).await) })));
        assert!(!now(std::pin::pin!(async { drop(stripes.own(0, 1).await) })));
        assert!(!now(std::pin::pin!(async { drop(stripes.own(0, 100_000).await) })));
        drop(shared);
        let _own = stripes.own(0, 1).await;
        assert!(!now(std::pin::pin!(async { drop(stripes.own(100, 1).await) })));
        assert!(!now(std::pin::pin!(async { drop(stripes.share(100, 1).await) })));
        assert!(now(std::pin::pin!(async { drop(stripes.share(REGION, 1).await) })));
    }
}
