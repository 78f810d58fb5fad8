//! Writes that are done at once, and when they no longer are.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice};

use super::*;

const MS: u64 = 1_000_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    /// How long the next write takes.
    static TAKES: Cell<u64> = const { Cell::new(0) };
    /// Whether the page cache has what is asked for.
    static CACHED: Cell<bool> = const { Cell::new(true) };
    static WRITES: Cell<u32> = const { Cell::new(0) };
}

fn slow_write(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    NOW.set(NOW.get() + TAKES.get());
    WRITES.set(WRITES.get() + 1);
    sys::write(file, slices, offset)
}

fn read_cached(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    if CACHED.get() { sys::read(file, room, offset) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

fn unsupported(_: &File, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A disk whose clock is `NOW` and whose writes take `TAKES`.
fn disk(write_cached: sys::Write) -> (tempfile::TempDir, FileBackend) {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileBackend::create(directory.path().join("disk"), 1 << 20).unwrap();
    let file = Arc::get_mut(&mut disk.file).unwrap();
    file.calls = mover::Calls { write: slow_write, write_cached, read_cached, now: || NOW.get() };
    (directory, disk)
}

fn is_now(reply: &IoReply<()>) -> bool {
    matches!(reply, Reply::Now(Ok(())))
}

/// A file system that never says that it would wait: after a write that did, others go elsewhere until the pause is over.
#[tokio::test]
async fn after_a_write_that_waited_others_go_elsewhere_for_a_while() {
    let (_directory, disk) = disk(unsupported);
    let page = || DataList::from(vec![7; 4096]);
    assert!(is_now(&disk.write(0, page(), false)));
    TAKES.set(3 * MS);
    assert!(is_now(&disk.write(4096, page(), false)), "it is done, if late");
    TAKES.set(0);
    let elsewhere = disk.write(8192, page(), false);
    assert!(!is_now(&elsewhere));
    elsewhere.wait().await.unwrap();
    NOW.set(NOW.get() + 100 * MS);
    assert!(is_now(&disk.write(0, page(), false)));
    assert_eq!(disk.read(0, 12 << 10).wait().await.unwrap().to_bytes(), vec![7; 12 << 10]);
}

/// Where the kernel says that it would wait, nothing is tried that could.
#[tokio::test]
async fn a_write_that_would_wait_goes_elsewhere() {
    let (_directory, disk) = disk(|_, _, _| Err(io::ErrorKind::WouldBlock.into()));
    let reply = disk.write(0, DataList::from(vec![7; 4096]), false);
    assert!(!is_now(&reply) && WRITES.get() == 0);
    reply.wait().await.unwrap();
    assert_eq!(disk.read(0, 4096).wait().await.unwrap().to_bytes(), vec![7; 4096]);
}

/// A write that the kernel takes in part without waiting is done again from its beginning, elsewhere.
#[tokio::test]
async fn a_write_that_is_taken_in_part_is_done_elsewhere() {
    let (_directory, disk) = disk(|file, slices, offset| {
        sys::write(file, &[IoSlice::new(&slices[0][..slices[0].len().min(512)])], offset)
    });
    let reply = disk.write(0, DataList::from(vec![7; 4096]), false);
    assert!(!is_now(&reply));
    reply.wait().await.unwrap();
    assert_eq!(disk.read(0, 4096).wait().await.unwrap().to_bytes(), vec![7; 4096]);
}

/// A part of a page that is not in memory would have to be read first; long writes take long.
#[tokio::test]
async fn parts_of_unknown_pages_and_long_writes_go_elsewhere() {
    let (_directory, disk) = disk(unsupported);
    CACHED.set(false);
    for (offset, len) in [(0, 512), (512, 512), (512, 4096), (8192, 4096 + 512), (0, (256 << 10) + 4096)] {
        assert!(!is_now(&disk.write(offset, DataList::from(vec![1; len]), false)), "{len} bytes at {offset}");
    }
    assert!(is_now(&disk.write(0, DataList::from(vec![2; 256 << 10]), false)));
    CACHED.set(true);
    for (offset, len) in [(0, 512), (512, 512), (512, 4096), (8192, 4096 + 512)] {
        assert!(is_now(&disk.write(offset, DataList::from(vec![1; len]), false)), "{len} bytes at {offset}");
    }
    assert!(!is_now(&disk.write(0, DataList::from(vec![1; 4096]), true)), "the medium takes its time");
}

/// A write of many chunks, as payload of many PDUs is.
#[tokio::test]
async fn a_write_of_many_chunks_arrives() {
    let (_directory, disk) = disk(unsupported);
    for chunks in [1, 7, 8, 9, 1500] {
        let bytes: Vec<u8> = (0..chunks * 101).map(|n| (n % 251) as u8).collect();
        let data: DataList = bytes.chunks(101).map(bytes::Bytes::copy_from_slice).collect();
        disk.write(0, data, false).wait().await.unwrap();
        assert_eq!(disk.read(0, bytes.len()).wait().await.unwrap().to_bytes(), bytes);
    }
}
