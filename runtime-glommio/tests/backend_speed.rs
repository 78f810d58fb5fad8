//! Measurements: `cargo test --release -p iscsicore-glommio --test backend_speed -- --ignored --nocapture`.
//!
//! CPU time of the whole process, kernel and all threads included, for each operation at a queue depth of 32.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glommio::io::{BufferedFile, DmaFile, OpenOptions};
use iscsicore::DataList;
use iscsicore_glommio::backend::{Backend, Direct, FileBackend, FileOptions, IoReply, Reply, Uring};
use rustix::time::{ClockId, clock_gettime};

mod backend_support;
use backend_support::{Random, on_shard, scratch};

const SIZE: u64 = 256 << 20;
const DEPTH: u64 = 32;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Calls `operation` `count` times with random offsets, `DEPTH` at a time.
async fn measure<F: Future<Output = ()>>(what: &str, len: usize, count: u64, operation: impl Fn(u64) -> F) {
    let operation = &operation;
    let (cpu_before, before) = (cpu(), Instant::now());
    let lanes = (0..DEPTH).map(async |lane| {
        let mut random = Random(lane);
        for _ in 0..count / DEPTH {
            operation(random.below(SIZE / len as u64) * len as u64).await;
        }
    });
    futures_util::future::join_all(lanes).await;
    let (cpu, wall) = (cpu() - cpu_before, before.elapsed());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!("{what:<44} {len:>7} bytes {:>8.2} us of CPU {:>8.2} us", each(cpu), each(wall));
}

async fn both(what: &str, disk: &Arc<dyn Backend>, len: usize, count: u64) {
    measure(&format!("{what}: read"), len, count, |at| wait(disk.read(at, len))).await;
    let data = DataList::from(vec![7; len]);
    measure(&format!("{what}: write"), len, count, |at| wait(disk.write(at, data.clone(), false))).await;
}

async fn wait<T>(reply: IoReply<T>) {
    drop(reply.wait().await.unwrap());
}

fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

fn fill(path: &Path) {
    let file = File::options().create(true).truncate(true).write(true).open(path).unwrap();
    for offset in (0..SIZE).step_by(1 << 20) {
        file.write_all_at(&vec![1; 1 << 20], offset).unwrap();
    }
    file.sync_all().unwrap();
}

const SIZES: [(usize, u64); 2] = [(4096, 64_000), (256 << 10, 2_048)];

#[test]
#[ignore = "a measurement"]
fn cached() {
    let directory = scratch();
    for place in [directory.path(), Path::new("/dev/shm")] {
        let path = place.join("iscsicore-speed");
        fill(&path);
        println!("{}", place.display());
        for (len, count) in SIZES {
            let at = path.clone();
            on_shard(async move || {
                let disk: Arc<dyn Backend> = Arc::new(FileOptions::new().open_with::<Uring>(&at).unwrap());
                both("cached, at once", &disk, len, count).await;
            });
            let file = Arc::new(File::options().read(true).write(true).open(&path).unwrap());
            on_shard(async move || {
                let hop = |at| {
                    let file = Arc::clone(&file);
                    wait(Reply::blocking(move || file.read_exact_at(&mut vec![0; len], at)))
                };
                measure("cached, thread: read", len, count, hop).await;
                let hop = |at| {
                    let (file, data) = (Arc::clone(&file), vec![7; len]);
                    wait(Reply::blocking(move || file.write_all_at(&data, at)))
                };
                measure("cached, thread: write", len, count, hop).await;
            });
            let at = path.clone();
            on_shard(async move || {
                let file = OpenOptions::new().read(true).write(true).buffered_open(&at).await.unwrap();
                raw_buffered(&file, len, count).await;
                file.close().await.unwrap();
            });
        }
        std::fs::remove_file(path).unwrap();
    }
}

async fn raw_buffered(file: &BufferedFile, len: usize, count: u64) {
    let read = async |at| assert_eq!(file.read_at(at, len).await.unwrap().len(), len);
    measure("cached, glommio's BufferedFile: read", len, count, read).await;
    let write = async |at| assert_eq!(file.write_at(vec![7; len], at).await.unwrap(), len);
    measure("cached, glommio's BufferedFile: write", len, count, write).await;
}

#[test]
#[ignore = "a measurement"]
fn missed() {
    let directory = scratch();
    let path = directory.path().join("disk");
    fill(&path);
    for (len, count) in [(4096, 16_000), (256 << 10, 1_024)] {
        for uring in [true, false] {
            forget(&path);
            let at = path.clone();
            on_shard(async move || {
                let disk: Arc<dyn Backend> = match uring {
                    true => Arc::new(FileOptions::new().open_with::<Uring>(&at).unwrap()),
                    false => Arc::new(FileBackend::open(&at).unwrap()),
                };
                let what = if uring { "not cached, io_uring: read" } else { "not cached, thread: read" };
                measure(what, len, count, |at| wait(disk.read(at, len))).await;
            });
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn direct() {
    let directory = scratch();
    let path = directory.path().join("disk");
    fill(&path);
    for (len, count) in [(4096, 64_000), (256 << 10, 2_048)] {
        let at = path.clone();
        on_shard(async move || {
            let disk: Arc<dyn Backend> = Arc::new(FileOptions::new().open_with::<Direct>(&at).unwrap());
            both("direct, io_uring", &disk, len, count).await;
        });
        let at = path.clone();
        on_shard(async move || {
            let file = OpenOptions::new().read(true).write(true).dma_open(&at).await.unwrap();
            raw_direct(&Rc::new(file), len, count).await;
        });
        let disk: Arc<dyn Backend> = Arc::new(FileOptions::new().open_with::<Direct>(&path).unwrap());
        // No shard, so threads.
        backend_support::off_shard(both("direct, threads", &disk, len, count / 2));
    }
}

async fn raw_direct(file: &Rc<DmaFile>, len: usize, count: u64) {
    let read = async |at| assert_eq!(file.read_at_aligned(at, len).await.unwrap().len(), len);
    measure("direct, glommio's DmaFile awaited: read", len, count, read).await;
    let write = async |at| {
        let mut buffer = file.alloc_dma_buffer(len);
        buffer.as_bytes_mut().fill(7);
        assert_eq!(file.write_at(buffer, at).await.unwrap(), len);
    };
    measure("direct, glommio's DmaFile awaited: write", len, count, write).await;
}
