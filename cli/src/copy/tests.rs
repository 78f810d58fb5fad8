//! Copies between storage in memory, and what they leave behind when they are cut short.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iscsicore_tokio::backend::{Backend, Fault, Gate, Kind as Op, MemoryBackend, Scripted};

use super::end::End;
use super::engine::{Job, ZeroesAre};
use super::ledger::Ledger;
use super::note::{Note, Traces};
use super::progress::{Progress, Show};
use super::ranges::Ranges;
use super::state::State;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::Output;

const CHUNK: u64 = 64 << 10;
const CHUNKS: u64 = 16;

struct Rig {
    memory: [MemoryBackend; 2],
    disks: [Arc<Scripted>; 2],
    directory: tempfile::TempDir,
}

impl Rig {
    /// A source with data in some chunks, and an empty destination.
    async fn new() -> Self {
        let memory = [(); 2].map(|()| MemoryBackend::new(CHUNK * CHUNKS));
        for chunk in [0, 1, 5, 9, 10, 11, 15] {
            let mut data = vec![chunk as u8 + 1; CHUNK as usize];
            data[8192..20_480].fill(0);
            memory[0].write(chunk * CHUNK, data.into(), false).wait().await.unwrap();
        }
        let disks = memory.each_ref().map(|memory| Arc::new(Scripted::new(Arc::new(memory.clone()))));
        Rig { memory, disks, directory: tempfile::tempdir().unwrap() }
    }

    fn job(&self, zeroes: ZeroesAre) -> Job {
        let [source, destination] = ["source", "destination"].map(|name| {
            let disk = self.disks[usize::from(name == "destination")].clone();
            End::storage(Path::new(name), name.to_owned(), disk, false)
        });
        Job { source, destination, chunk: CHUNK, depth: 2, zeroes, checkpoint: Duration::from_secs(3600) }
    }

    async fn run(&self, job: &Job, interrupt: &Interrupt) -> Result<u64, Failure> {
        let path = self.directory.path().join("state");
        let state = State::new(job.source.identity.clone(), job.destination.identity.clone());
        let earlier = State::load(&path).unwrap();
        let safe = earlier.map_or(Ranges::default(), |earlier| earlier.safe_chunks(CHUNK));
        let mut ledger = Ledger::new(job.chunks(), safe.clone());
        let mut note = Note::new(Some((path, state)), Traces::Kept);
        let progress = Progress::begin("copying", 0, job.source.size(), Show::Never, Output { json: true });
        job.run(&mut ledger, &mut note, &progress, interrupt).await?;
        Ok(safe.count())
    }

    async fn bytes(&self, end: usize) -> bytes::Bytes {
        let all = self.memory[end].read(0, (CHUNK * CHUNKS) as usize).wait().await;
        all.unwrap().to_bytes()
    }

    async fn assert_same(&self) {
        assert!(self.bytes(0).await == self.bytes(1).await, "the copy differs");
    }
}

fn never() -> Interrupt {
    let (sender, interrupt) = Interrupt::by_hand();
    // It lives as long as the test.
    std::mem::forget(sender);
    interrupt
}

// Goal: the copy is the same, whatever the destination held, and holes are neither read nor written as data.
#[tokio::test]
async fn holes_are_copied_as_holes() {
    let rig = Rig::new().await;
    rig.memory[1].write(0, vec![0xee; (CHUNK * CHUNKS) as usize].into(), false).wait().await.unwrap();
    rig.run(&rig.job(ZeroesAre::Holes), &never()).await.unwrap();
    rig.assert_same().await;
    assert_eq!(rig.memory[1].allocated(), rig.memory[0].allocated());
    let reads = rig.disks[0].calls().iter().filter(|call| call.kind == Op::Read).count();
    assert_eq!(reads, 7, "one for each chunk with data");
    let writes: Vec<_> = rig.disks[1].calls().into_iter().filter(|call| call.kind == Op::Write).collect();
    assert_eq!(writes.iter().map(|call| call.len).sum::<u64>(), 7 * (CHUNK - 12_288));
}

#[tokio::test]
async fn zeroes_are_data_or_left_out_when_asked_for() {
    let rig = Rig::new().await;
    rig.run(&rig.job(ZeroesAre::Data), &never()).await.unwrap();
    rig.assert_same().await;
    let sum = |calls: Vec<iscsicore_tokio::backend::Call>, kind| {
        calls.iter().filter(|call| call.kind == kind).map(|call| call.len).sum::<u64>()
    };
    assert_eq!(sum(rig.disks[1].calls(), Op::Write), CHUNK * CHUNKS);

    let rig = Rig::new().await;
    rig.run(&rig.job(ZeroesAre::LeftOut), &never()).await.unwrap();
    rig.assert_same().await;
    let calls = rig.disks[1].calls();
    assert!(calls.iter().all(|call| matches!(call.kind, Op::Write | Op::Flush)), "{calls:?}");
}

// Goal: a failure in the middle leaves a note of what is safe, the next run copies the rest, and nothing else.
#[tokio::test]
async fn a_copy_goes_on_after_a_failure() {
    let rig = Rig::new().await;
    rig.disks[0].next_at(Op::Read, 9 * CHUNK, Fault::Fail(ErrorKind::TimedOut));
    // One after the other, so that nothing is under way beside what fails.
    let job = Job { depth: 1, ..rig.job(ZeroesAre::Holes) };
    let failure = rig.run(&job, &never()).await.unwrap_err();
    assert_eq!((failure.kind, failure.place.as_deref()), (Kind::Operation, Some("source")));
    assert!(failure.line().contains("run the same command again"), "{}", failure.line());
    let written_before = rig.disks[1].calls().len();
    assert_eq!(rig.run(&rig.job(ZeroesAre::Holes), &never()).await.unwrap(), 9, "chunks 0 to 8 were safe");
    rig.assert_same().await;
    let calls = &rig.disks[1].calls()[written_before..];
    assert!(calls.iter().all(|call| call.kind == Op::Flush || call.offset >= 9 * CHUNK), "{calls:?}");
}

// Goal: what was written counts as safe only when the flush after it has succeeded.
#[tokio::test]
async fn nothing_is_safe_after_a_flush_that_failed() {
    let rig = Rig::new().await;
    rig.disks[1].next(Op::Flush, Fault::Fail(ErrorKind::Other));
    let failure = rig.run(&rig.job(ZeroesAre::Holes), &never()).await.unwrap_err();
    assert!(failure.line().contains("cannot flush"), "{}", failure.line());
    assert_eq!(rig.run(&rig.job(ZeroesAre::Holes), &never()).await.unwrap(), 0);
    rig.assert_same().await;
}

// Goal: asked to end while a write hangs, a copy ends all the same within its time, and the next run completes it.
#[tokio::test(start_paused = true)]
async fn an_interrupted_copy_ends_soon_and_goes_on() {
    let rig = Rig::new().await;
    let gate = Gate::new();
    rig.disks[1].next_at(Op::Write, 5 * CHUNK, Fault::Hold(gate.clone()));
    let (signal, interrupt) = Interrupt::by_hand();
    let job = rig.job(ZeroesAre::Holes);
    let asked = async {
        gate.reached(1).await;
        signal.send_replace(Some(Kind::Interrupted));
    };
    let begun = tokio::time::Instant::now();
    let (done, ()) = tokio::join!(rig.run(&job, &interrupt), asked);
    assert_eq!(done.unwrap_err().kind, Kind::Interrupted);
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(rig.run(&rig.job(ZeroesAre::Holes), &never()).await.unwrap() >= 5);
    rig.assert_same().await;
}

#[tokio::test]
async fn verification_finds_what_differs() {
    let rig = Rig::new().await;
    let job = rig.job(ZeroesAre::Holes);
    let progress = Progress::begin("verifying", 0, 0, Show::Never, Output { json: true });
    rig.run(&job, &never()).await.unwrap();
    assert_eq!(job.verify(&progress, &never()).await.unwrap(), None);
    for place in [3 * CHUNK + 7, 9 * CHUNK + 1] {
        rig.memory[1].write(place, vec![0x99].into(), false).wait().await.unwrap();
    }
    let found = job.verify(&progress, &never()).await.unwrap().unwrap();
    assert_eq!((found.first, found.bytes), (3 * CHUNK + 7, 2), "one in a hole, one in data");
}
