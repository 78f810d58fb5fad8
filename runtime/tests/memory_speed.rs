//! What a disk in memory costs: `cargo test --release --test memory_speed -- --ignored --nocapture`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Barrier;
use std::time::Instant;

use iscsicore::DataList;
use iscsicore_runtime::backend::{Backend, MemoryBackend, Reply};

mod support;
use support::Random;

const LARGE: u64 = 256 << 20;
/// Small enough that most writes meet a read of the same 64 KiB that is still on its way.
const HOT: u64 = 1 << 20;
/// So many answers are on their way at a time.
const DEPTH: usize = 32;
/// What each thread moves.
const BYTES: usize = 2 << 30;

#[derive(Clone, Copy)]
enum Work {
    Read,
    /// Copies what was read, as the kernel does when it is sent.
    ReadAndSend,
    Write,
    /// Reads and writes in turn, the reads sent when `DEPTH` more have been asked for.
    Mixed,
}

#[test]
#[ignore = "a measurement"]
fn memory() {
    println!("{:<34} {:>9} {:>9}", "", "CPU ns", "wall ns");
    for (disk_name, size) in [("large", LARGE), ("hot", HOT)] {
        let disk = MemoryBackend::new(size);
        for offset in (0..size).step_by(64 << 10) {
            write(&disk, offset, vec![1; 64 << 10].into());
        }
        for len in [4 << 10, 256 << 10] {
            for threads in [1, 2] {
                for (name, work) in [
                    ("read", Work::Read),
                    ("read+send", Work::ReadAndSend),
                    ("write", Work::Write),
                    ("mixed", Work::Mixed),
                ] {
                    let name = format!("{disk_name} {name} {} KiB, {threads} threads", len >> 10);
                    let parts = vec![0..size; threads];
                    measure(&name, &disk, work, len, &parts);
                }
            }
        }
    }
    // Each thread has 64 KiB to itself, and the other is its neighbour in memory.
    let disk = MemoryBackend::new(128 << 10);
    write(&disk, 0, vec![1; 128 << 10].into());
    let parts = [0..64 << 10, 64 << 10..128 << 10];
    for (name, work) in [("read", Work::Read), ("write", Work::Write)] {
        measure(&format!("apart {name} 4 KiB, 2 threads"), &disk, work, 4 << 10, &parts);
    }
}

/// Prints what one operation costs a thread, while there is one for each of `parts`.
fn measure(name: &str, disk: &MemoryBackend, work: Work, len: usize, parts: &[Range<u64>]) {
    let threads = parts.len();
    let count = (BYTES / len).min(1 << 18);
    let barrier = Barrier::new(threads);
    let start = &barrier;
    let spent = std::thread::scope(|scope| {
        let run = |(thread, part): (usize, &Range<u64>)| {
            let mut worker = Worker::new(disk, part.clone(), len, thread as u64 + 1);
            scope.spawn(move || {
                worker.run(work, count / 8);
                start.wait();
                let (cpu, wall) = (cpu_time(), Instant::now());
                worker.run(work, count);
                (cpu_time() - cpu, wall.elapsed().as_nanos() as u64)
            })
        };
        let all: Vec<_> = parts.iter().enumerate().map(run).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mean = |sum: u64| sum as f64 / (count * threads) as f64;
    let (cpu, wall) = (spent.iter().map(|s| s.0).sum(), spent.iter().map(|s| s.1).sum());
    println!("{name:<34} {:>9.1} {:>9.1}", mean(cpu), mean(wall));
}

struct Worker<'a> {
    disk: &'a MemoryBackend,
    part: Range<u64>,
    random: Random,
    data: DataList,
    sent: Vec<u8>,
    pending: VecDeque<DataList>,
}

impl<'a> Worker<'a> {
    fn new(disk: &'a MemoryBackend, part: Range<u64>, len: usize, seed: u64) -> Self {
        let (data, sent) = (vec![7; len].into(), vec![0; len]);
        let pending = VecDeque::with_capacity(DEPTH + 1);
        Worker { disk, part, random: Random(seed), data, sent, pending }
    }

    fn run(&mut self, work: Work, count: usize) {
        let len = self.data.len();
        for step in 0..count {
            let places = (self.part.end - self.part.start) / len as u64;
            let offset = self.part.start + self.random.below(places) * len as u64;
            match work {
                Work::Write => write(self.disk, offset, self.data.clone()),
                Work::Mixed if step % 2 == 0 => write(self.disk, offset, self.data.clone()),
                _ => {
                    let Reply::Now(Ok(data)) = self.disk.read(offset, len) else { panic!("a read failed") };
                    self.pending.push_back(data);
                    if self.pending.len() > DEPTH {
                        self.send(!matches!(work, Work::Read));
                    }
                }
            }
        }
    }

    fn send(&mut self, copy: bool) {
        let Some(data) = self.pending.pop_front() else { return };
        let mut at = 0;
        for chunk in data.chunks().filter(|_| copy) {
            self.sent[at..at + chunk.len()].copy_from_slice(chunk);
            at += chunk.len();
        }
        std::hint::black_box(&self.sent);
    }
}

fn write(disk: &MemoryBackend, offset: u64, data: DataList) {
    assert!(matches!(disk.write(offset, data, false), Reply::Now(Ok(()))));
}

/// Nanoseconds that this thread has had a processor for.
fn cpu_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}
