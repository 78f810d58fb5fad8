//! What every back end must do, tried on each of them: memory, files on two file systems, a block device.

use std::io::ErrorKind;
use std::sync::Arc;

use iscsicore_tokio::backend::Backend;
use iscsicore_tokio::backend::{MemoryBackend, Reply, Zeroes};

mod support;
use support::{Random, error, filled, read, subjects};

const SIZE: u64 = 3 << 20;
const BLOCK: u64 = 512;

/// A long random conversation with the disk and with an array of bytes must have the same answers.
#[tokio::test]
async fn random_operations_do_what_they_do_to_an_array() {
    for subject in subjects(SIZE) {
        let mut model = vec![0u8; SIZE as usize];
        let mut random = Random(SIZE);
        for step in 0..1500 {
            let offset = random.below(SIZE / BLOCK) * BLOCK;
            let most = if random.below(4) == 0 { 1 << 20 } else { 16 << 10 };
            let len = ((1 + random.below(most / BLOCK)) * BLOCK).min(SIZE - offset);
            let range = offset as usize..(offset + len) as usize;
            let context = format!("{}: step {step}, {len} bytes at {offset}", subject.name);
            let value = random.below(256) as u8;
            let disk = &subject.disk;
            match random.below(12) {
                0..4 => {
                    let fua = random.below(8) == 0;
                    disk.write(offset, filled(value, len as usize), fua).wait().await.expect(&context);
                    model[range].fill(value);
                }
                4 if disk.info().unmap.is_some() => {
                    disk.unmap(offset, len).wait().await.expect(&context);
                    model[range].fill(0);
                }
                5 => {
                    let how = if value.is_multiple_of(2) { Zeroes::MayUnmap } else { Zeroes::KeepAllocated };
                    disk.write_zeroes(offset, len, how).wait().await.expect(&context);
                    model[range].fill(0);
                }
                6 => disk.flush().wait().await.expect(&context),
                _ => assert!(read(disk, offset, len as usize).await == model[range], "{context}"),
            }
        }
        assert!(read(&subject.disk, 0, SIZE as usize).await == model, "{}: all of it", subject.name);
    }
}

#[tokio::test]
async fn a_new_disk_is_zero_from_end_to_end() {
    for subject in subjects(SIZE) {
        assert_eq!(subject.disk.size(), SIZE, "{}", subject.name);
        assert!(read(&subject.disk, 0, SIZE as usize).await.iter().all(|b| *b == 0), "{}", subject.name);
    }
}

#[tokio::test]
async fn the_first_and_the_last_block_are_there_and_nothing_beyond() {
    for subject in subjects(SIZE) {
        let disk = &subject.disk;
        for offset in [0, SIZE - BLOCK] {
            disk.write(offset, filled(0xA5, BLOCK as usize), true).wait().await.unwrap();
            assert_eq!(read(disk, offset, BLOCK as usize).await, [0xA5; BLOCK as usize], "{}", subject.name);
        }
        assert_eq!(read(disk, SIZE, 0).await, [0; 0], "{}", subject.name);
        for offset in [SIZE - BLOCK + 1, SIZE, u64::MAX - 1, u64::MAX] {
            let kinds = [
                error(disk.read(offset, BLOCK as usize)).await.kind(),
                error(disk.write(offset, filled(1, BLOCK as usize), false)).await.kind(),
                error(disk.unmap(offset, BLOCK)).await.kind(),
                error(disk.write_zeroes(offset, BLOCK, Zeroes::MayUnmap)).await.kind(),
            ];
            assert_eq!(kinds, [ErrorKind::InvalidInput; 4], "{} at {offset}", subject.name);
        }
        assert_eq!(disk.size(), SIZE);
    }
}

/// Many more operations at a time than a back end has threads, each on its own blocks: all end, none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_operations_all_end_and_keep_apart() {
    const LEN: usize = 6 * 512;
    for subject in subjects(SIZE) {
        let tasks: Vec<_> = (0..SIZE as usize / LEN)
            .map(|index| {
                let disk = Arc::clone(&subject.disk);
                tokio::spawn(async move {
                    let offset = (index * LEN) as u64;
                    let value = index as u8;
                    disk.write(offset, filled(value, LEN), index % 16 == 0).wait().await.unwrap();
                    if index % 32 == 0 {
                        disk.flush().wait().await.unwrap();
                    }
                    assert_eq!(read(&disk, offset, LEN).await, [value; LEN]);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let all = read(&subject.disk, 0, SIZE as usize).await;
        for (index, part) in all.chunks(LEN).enumerate() {
            assert!(part.iter().all(|b| *b == index as u8), "{}: part {index}", subject.name);
        }
    }
}

/// Readers and writers of the same 64 KiB of memory: a read must see one write whole.
#[test]
fn memory_does_not_tear_within_64_kib() {
    const CHUNK: usize = 64 << 10;
    let disk = MemoryBackend::new(2 * CHUNK as u64);
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let disk = &disk;
            scope.spawn(move || {
                for round in 0..400u32 {
                    let reply = disk.write(CHUNK as u64, filled((round as u8) ^ (writer << 7), CHUNK), false);
                    assert!(matches!(reply, Reply::Now(Ok(()))));
                }
            });
        }
        for _ in 0..800 {
            let Reply::Now(Ok(data)) = disk.read(CHUNK as u64, CHUNK) else { panic!("later") };
            let data = data.to_bytes();
            assert!(data.iter().all(|b| *b == data[0]), "a read saw two writes");
        }
    });
}

/// A write that nobody waits for any more must not keep its place in the queue for ever.
#[tokio::test]
async fn a_dropped_operation_leaves_the_disk_usable() {
    for subject in subjects(SIZE) {
        for round in 0..100 {
            if let Reply::Later(mut future) = subject.disk.write(0, filled(round, 4096), false) {
                // Polled once, so that it has begun.
                let waker = std::task::Waker::noop();
                let _ = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
            }
        }
        subject.disk.write(8192, filled(7, 4096), false).wait().await.unwrap();
        subject.disk.flush().wait().await.unwrap();
        assert_eq!(read(&subject.disk, 8192, 4096).await, [7; 4096], "{}", subject.name);
    }
}
