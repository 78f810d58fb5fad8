//! The load itself: workers that each keep one operation under way.

use std::cell::RefCell;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use iscsicore_tokio::Client;
use tokio::time::Instant;

use crate::connect::failed;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

use super::pattern::{self, Words, Wrong};
use super::places::{Places, What};
use super::tally::Tally;

/// What to do.
pub(crate) struct Load {
    /// The first block of the range.
    pub(crate) first: u64,
    /// Places in the range, each as long as an operation.
    pub(crate) places: u64,
    /// Blocks of an operation.
    pub(crate) blocks: u32,
    pub(crate) block_size: u32,
    pub(crate) depth: usize,
    /// Reads in a hundred operations.
    pub(crate) reads: u8,
    pub(crate) sequential: bool,
    pub(crate) seed: u64,
    pub(crate) verify: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) reads: Tally,
    pub(crate) writes: Tally,
    pub(crate) time: Duration,
    /// CPU time of this process meanwhile.
    pub(crate) cpu: Option<Duration>,
    /// Reads whose data was checked.
    pub(crate) checked: u64,
    pub(crate) wrong: WrongBlocks,
    pub(crate) interrupted: Option<Failure>,
}

/// Blocks that did not hold what was written.
#[derive(Default)]
pub(crate) struct WrongBlocks {
    pub(crate) count: u64,
    pub(crate) first: Option<Wrong>,
}

/// What the workers share. They run on one thread, and nobody borrows across a wait.
struct Shared {
    places: RefCell<Places>,
    reads: RefCell<Tally>,
    writes: RefCell<Tally>,
    checked: RefCell<u64>,
    wrong: RefCell<WrongBlocks>,
}

impl Load {
    pub(crate) fn first_byte(&self) -> u64 {
        self.first * u64::from(self.block_size)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.places * self.len() as u64
    }

    fn len(&self) -> usize {
        self.blocks as usize * self.block_size as usize
    }

    /// Loads the disk for `time`.
    ///
    /// # Errors
    /// The first operation that failed.
    pub(crate) async fn run(
        self,
        client: &Client,
        time: Duration,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Failure> {
        let tally = || Tally::new().ok_or_else(|| Failure::operation("there is no memory for the figures"));
        let shared = Shared {
            places: RefCell::new(Places::new(self.places, self.sequential, self.seed, self.verify)),
            reads: RefCell::new(tally()?),
            writes: RefCell::new(tally()?),
            checked: RefCell::default(),
            wrong: RefCell::default(),
        };
        let (begun, cpu_before) = (Instant::now(), cpu_time());
        let until = begun + time;
        let data = self.unchecked_data();
        let workers: FuturesUnordered<_> =
            (0..self.depth).map(|_| self.work(client, &shared, until, interrupt, &data)).collect();
        let mut interrupted = join(workers, interrupt).await?;
        let (time, cpu) =
            (begun.elapsed(), cpu_time().zip(cpu_before).map(|(now, then)| now.saturating_sub(then)));
        if self.verify && interrupted.is_none() {
            let next = RefCell::new(0);
            let workers: FuturesUnordered<_> =
                (0..self.depth).map(|_| self.read_back(client, &shared, &next, interrupt)).collect();
            interrupted = join(workers, interrupt).await?;
        }
        Ok(Outcome {
            reads: shared.reads.into_inner(),
            writes: shared.writes.into_inner(),
            time,
            cpu,
            checked: shared.checked.into_inner(),
            wrong: shared.wrong.into_inner(),
            interrupted,
        })
    }

    async fn work(
        &self,
        client: &Client,
        shared: &Shared,
        until: Instant,
        interrupt: &Interrupt,
        data: &Bytes,
    ) -> Result<(), Failure> {
        let mut buffer = BytesMut::zeroed(self.len());
        while Instant::now() < until && !interrupt.is_requested() {
            let taken = shared.places.borrow_mut().take(self.reads);
            let Some(operation) = taken else {
                // Fewer places than workers: others have them all.
                tokio::task::yield_now().await;
                continue;
            };
            let lba = self.lba(operation.place);
            match operation.what {
                What::Read { generation } => {
                    let begun = Instant::now();
                    let (read, back) = client.read_buf(lba, buffer).await;
                    buffer = back;
                    read.map_err(|error| failed(&error))?;
                    shared.reads.borrow_mut().count(self.len() as u64, begun.elapsed());
                    if let Some(generation) = generation {
                        self.check(shared, &buffer, lba, generation);
                    }
                }
                What::Write { generation } => {
                    let data = if self.verify { self.data(lba, generation) } else { data.clone() };
                    let begun = Instant::now();
                    client.write(lba, data).await.map_err(|error| failed(&error))?;
                    shared.writes.borrow_mut().count(self.len() as u64, begun.elapsed());
                }
            }
            shared.places.borrow_mut().done(operation);
        }
        Ok(())
    }

    /// Reads everything that was written once more.
    async fn read_back(
        &self,
        client: &Client,
        shared: &Shared,
        next: &RefCell<u64>,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        while !interrupt.is_requested() {
            let from = *next.borrow();
            let Some((place, generation)) = shared.places.borrow().written_from(from) else { break };
            *next.borrow_mut() = place + 1;
            let lba = self.lba(place);
            let data = client.read(lba, self.blocks).await.map_err(|error| failed(&error))?;
            self.check(shared, &data, lba, generation);
        }
        Ok(())
    }

    fn check(&self, shared: &Shared, data: &[u8], lba: u64, generation: u32) {
        *shared.checked.borrow_mut() += 1;
        let checked = pattern::check(data, self.block_size as usize, lba, u64::from(generation), self.seed);
        if let Err(first) = checked {
            let mut wrong = shared.wrong.borrow_mut();
            wrong.count += 1;
            wrong.first.get_or_insert(first);
        }
    }

    fn lba(&self, place: u64) -> u64 {
        self.first + place * u64::from(self.blocks)
    }

    fn data(&self, lba: u64, generation: u32) -> Bytes {
        let mut data = vec![0; self.len()];
        pattern::fill(&mut data, self.block_size as usize, lba, u64::from(generation), self.seed);
        data.into()
    }

    /// What is written where nobody checks: nothing that a target could make smaller.
    fn unchecked_data(&self) -> Bytes {
        let mut words = Words::from_seed(self.seed);
        let mut data = vec![0; self.len()];
        data.chunks_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&words.next().to_le_bytes()[..chunk.len()]));
        data.into()
    }
}

/// Waits for all workers; the interruption, when that was faster.
async fn join(
    mut workers: FuturesUnordered<impl Future<Output = Result<(), Failure>>>,
    interrupt: &Interrupt,
) -> Result<Option<Failure>, Failure> {
    let all = async {
        while let Some(ended) = workers.next().await {
            ended?;
        }
        Ok(())
    };
    tokio::select! {
        // The workers see the interruption, too, and may be faster.
        ended = all => match ended {
            Ok(()) if interrupt.is_requested() => Ok(Some(interrupt.requested().await)),
            ended => ended.map(|()| None),
        },
        interrupted = interrupt.requested() => Ok(Some(interrupted)),
    }
}

/// CPU time that this process has used, in its own code and in the kernel's for it.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}
