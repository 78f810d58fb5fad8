//! Measurements: `cargo test --release --test speed -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use iscsicore::DataList;
use iscsicore_runtime::backend::{Backend, FileBackend, MemoryBackend};

mod support;
use support::Random;

const LARGE: u64 = 256 << 20;
/// Fits into the caches of the processor, so that what is left is the work of the back end.
const SMALL: u64 = 256 << 10;

fn report(what: &str, len: usize, count: u64, start: Instant) {
    let each = start.elapsed().as_nanos() as f64 / count as f64;
    println!("{what:<28} {len:>7} bytes {each:>9.0} ns {:>7.2} GB/s", len as f64 / each);
}

async fn measure(name: &str, disk: &dyn Backend, len: usize, count: u64) {
    let mut random = Random(1);
    let size = disk.size();
    let mut offset = || random.below(size / len as u64) * len as u64;
    let data = DataList::from(vec![7; len]);
    let start = Instant::now();
    for _ in 0..count {
        disk.write(offset(), data.clone(), false).wait().await.unwrap();
    }
    report(&format!("{name} write"), len, count, start);
    let mut kept = std::collections::VecDeque::new();
    let start = Instant::now();
    for _ in 0..count {
        // 32 answers are on their way at a time, as they are at a queue depth of 32.
        kept.push_back(disk.read(offset(), len).wait().await.unwrap());
        if kept.len() > 32 {
            kept.pop_front();
        }
    }
    report(&format!("{name} read"), len, count, start);
}

async fn fill(disk: &dyn Backend) {
    for offset in (0..disk.size()).step_by(64 << 10) {
        disk.write(offset, vec![1; 64 << 10].into(), false).wait().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn memory() {
    for (name, size) in [("small memory", SMALL), ("memory", LARGE)] {
        let disk = MemoryBackend::new(size);
        fill(&disk).await;
        measure(name, &disk, 512, 2_000_000).await;
        measure(name, &disk, 4096, 2_000_000).await;
        measure(name, &disk, 256 << 10, 20_000).await;
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn file() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FileBackend::create(directory.path().join("disk"), LARGE).unwrap();
    fill(&disk).await;
    measure("cached file", &disk, 4096, 100_000).await;
    measure("cached file", &disk, 256 << 10, 5_000).await;
}
