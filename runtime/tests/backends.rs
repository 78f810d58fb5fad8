//! What every back end must do, tried on each of them: memory, files on two file systems, a block device.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::disk::Allocation;
use iscsicore_runtime::backend::{Backend, IoReply, MemoryBackend, Reply, Zeroes};

#[path = "support/extents.rs"]
mod extents;
mod support;
use extents::extents;
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
                7 => {
                    for (place, allocation) in extents(disk, offset, len, 1 + value as usize % 4).await {
                        let (from, to) = (place.start as usize, place.end as usize);
                        let zero =
                            allocation == Allocation::Mapped || model[from..to].iter().all(|b| *b == 0);
                        assert!(zero, "{context}: {place:?} is told to be a hole");
                    }
                }
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
                error(disk.extents(offset, BLOCK, 1)).await.kind(),
            ];
            assert_eq!(kinds, [ErrorKind::InvalidInput; 5], "{} at {offset}", subject.name);
        }
        assert_eq!(disk.size(), SIZE);
    }
}

/// Asked again from where an answer ended, and for few extents at a time or for many, a disk tells of every byte;
/// what was written is never a hole, and a back end that knows its holes has one where it was unmapped.
#[tokio::test]
async fn extents_follow_one_another_to_the_end() {
    const GRAIN: u64 = 128 << 10; // no file system here has larger blocks
    for subject in subjects(SIZE) {
        let disk = &subject.disk;
        let whole = [(0..SIZE, Allocation::Deallocated)];
        let fresh = extents(disk, 0, SIZE, 1).await;
        let knows = fresh == whole;
        assert!(knows || fresh == [(0..SIZE, Allocation::Mapped)], "{}: {fresh:?}", subject.name);
        assert_eq!(knows, subject.name != "block device", "{}", subject.name);
        for grain in [2, 5, 6, 7, 23] {
            disk.write(grain * GRAIN, filled(1, GRAIN as usize), false).wait().await.unwrap();
        }
        if disk.info().unmap.is_some() {
            disk.unmap(6 * GRAIN, GRAIN).wait().await.unwrap();
        }
        let mut want = Vec::new();
        for (grains, written) in [
            (0..2, false),
            (2..3, true),
            (3..5, false),
            (5..6, true),
            (6..7, false),
            (7..8, true),
            (8..23, false),
        ] {
            let allocation = if written { Allocation::Mapped } else { Allocation::Deallocated };
            want.push((grains.start * GRAIN..grains.end * GRAIN, allocation));
        }
        want.push((23 * GRAIN..SIZE, Allocation::Mapped));
        if !knows {
            want = vec![(0..SIZE, Allocation::Mapped)];
        }
        for most in [0, 1, 2, 3, 4, 100] {
            assert_eq!(extents(disk, 0, SIZE, most).await, want, "{}: {most} at a time", subject.name);
        }
        // A part of it, whose ends are within extents.
        let part = extents(disk, GRAIN + 512, 2 * GRAIN, 2).await;
        let cut = |(place, allocation): &(std::ops::Range<u64>, Allocation)| {
            let place = place.start.max(GRAIN + 512)..place.end.min(3 * GRAIN + 512);
            (place.start < place.end).then_some((place, *allocation))
        };
        assert_eq!(part, want.iter().filter_map(cut).collect::<Vec<_>>(), "{}", subject.name);
        assert_eq!(extents(disk, SIZE, 0, 4).await, [], "{}", subject.name);
    }
}

/// An answer is bounded, however large the disk: the rest is told when it is asked for.
#[test]
fn memory_tells_no_more_than_it_looks_at_in_a_moment() {
    let size = 16 << 40;
    let disk = MemoryBackend::new(size);
    let (mut at, mut answers) = (0, 0);
    while at < size {
        let Reply::Now(Ok(extents)) = disk.extents(at, size - at, 8) else { panic!("later") };
        let [(len, Allocation::Deallocated)] = extents[..] else { panic!("{extents:?}") };
        assert!(len > 0);
        (at, answers) = (at + len, answers + 1);
    }
    assert!(at == size && (2..=1000).contains(&answers), "{answers}");
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

/// What was read is the disk's own memory, in few slices, written or not.
#[test]
fn memory_reads_without_a_copy_and_in_few_slices() {
    let disk = MemoryBackend::new(8 << 20);
    now(disk.write(0, filled(1, 1 << 20), false));
    let (first, again) = (now(disk.read(512, 256 << 10)), now(disk.read(512, 256 << 10)));
    assert!(first.chunks().zip(again.chunks()).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    let slices = |offset, len: usize| {
        let data = now(disk.read(offset, len));
        assert_eq!(data.len(), len);
        data.chunks().count()
    };
    assert_eq!(slices(4096, 4096), 1);
    assert!(slices(256 << 10, 256 << 10) <= 8, "a read of 256 KiB");
    assert!(slices(2 << 20, 1 << 20) <= 16, "a hole of 1 MiB");
    assert!(slices((1 << 20) - 512, (1 << 20) + 512) <= 17, "some data and a hole");
}

/// Whoever holds what was read sees it as it was, whatever becomes of the disk.
#[test]
fn memory_leaves_what_was_read_to_its_readers() {
    const LEN: usize = 192 << 10;
    type Change = fn(&MemoryBackend);
    let changes: [(&str, Change); 6] = [
        ("a small write", |disk| now(disk.write(70_144, filled(9, 512), false))),
        ("a write of all", |disk| now(disk.write(0, filled(9, LEN), false))),
        ("a write beside it", |disk| now(disk.write(512, filled(9, 1024), false))),
        ("unmapping all", |disk| now(disk.unmap(0, LEN as u64))),
        ("unmapping a part", |disk| now(disk.unmap(1536, 100 << 10))),
        ("zeroing", |disk| now(disk.write_zeroes(2048, 65 << 10, Zeroes::KeepAllocated))),
    ];
    for (name, change) in changes {
        let disk = MemoryBackend::new(LEN as u64);
        now(disk.write(0, filled(3, LEN / 2), false)); // what follows is a hole
        let held = now(disk.read(1536, LEN - 1536));
        let want = held.to_bytes().to_vec();
        assert!(
            want[..LEN / 2 - 1536].iter().all(|b| *b == 3) && want[LEN / 2 - 1536..].iter().all(|b| *b == 0)
        );
        for _ in 0..3 {
            change(&disk);
            now(disk.write(80 << 10, filled(4, 64 << 10), false));
            assert!(held.to_bytes() == want, "{name}");
        }
        drop(disk);
        assert!(held.to_bytes() == want, "{name}, and the end of the disk");
    }
}

/// As `random_operations_do_what_they_do_to_an_array`, while many reads of all ages are held; and the memory
/// that is counted is that of the 64 KiB which were written since they were last unmapped.
#[test]
fn memory_with_readers_does_what_an_array_does() {
    const CHUNK: u64 = 64 << 10;
    for seed in 0..8 {
        let size = 5 * CHUNK + 512 * seed;
        let disk = MemoryBackend::new(size);
        let (mut model, mut written) = (vec![0u8; size as usize], [false; 6]);
        let mut held: Vec<(DataList, Vec<u8>)> = Vec::new();
        let mut random = Random(seed);
        for step in 0..600 {
            let offset = random.below(size / BLOCK) * BLOCK;
            let most = if random.below(3) == 0 { 3 * CHUNK } else { 8 << 10 };
            let end = (offset + (1 + random.below(most / BLOCK)) * BLOCK).min(size);
            let (range, len) = (offset as usize..end as usize, end - offset);
            let chunks = (offset / CHUNK) as usize..end.div_ceil(CHUNK) as usize;
            match random.below(8) {
                0..3 => {
                    let data: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
                    model[range].copy_from_slice(&data);
                    written[chunks].fill(true);
                    now(disk.write(offset, data.chunks(4000).map(Bytes::copy_from_slice).collect(), false));
                }
                3 => {
                    now(disk.unmap(offset, len));
                    model[range].fill(0);
                    for chunk in chunks {
                        let (from, to) = (chunk as u64 * CHUNK, ((chunk as u64 + 1) * CHUNK).min(size));
                        written[chunk] &= offset > from || end < to;
                    }
                }
                4 if held.len() > 4 => {
                    let (data, want) = held.swap_remove(random.below(held.len() as u64) as usize);
                    assert!(data.to_bytes() == want, "seed {seed}, step {step}: a reader sees a change");
                }
                _ => {
                    let data = now(disk.read(offset, len as usize));
                    assert!(data.to_bytes() == model[range.clone()], "seed {seed}, step {step}");
                    held.push((data, model[range].to_vec()));
                }
            }
            let count = written.iter().filter(|written| **written).count() as u64;
            assert_eq!(disk.allocated(), count * CHUNK, "seed {seed}, step {step}");
        }
        assert!(held.iter().all(|(data, want)| data.to_bytes() == want), "seed {seed}: at the end");
    }
}

/// Threads that write blocks of their own, which lie between those of the others: each reads what it wrote last,
/// what it holds never changes, and a block of another is never seen half written.
#[test]
fn memory_serves_threads_that_hold_what_they_read() {
    const THREADS: u64 = 4;
    const BLOCKS: u64 = 160; // of 512 bytes, in two chunks
    let disk = MemoryBackend::new(BLOCKS * BLOCK);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let disk = &disk;
            scope.spawn(move || {
                let mut random = Random(thread);
                let mut model = [0u8; (BLOCKS / THREADS) as usize];
                let mut held = std::collections::VecDeque::new();
                for step in 0..6000u32 {
                    let own = random.below(BLOCKS / THREADS);
                    let offset = (own * THREADS + thread) * BLOCK;
                    if step % 2 == 0 {
                        model[own as usize] = random.below(256) as u8;
                        now(disk.write(offset, filled(model[own as usize], BLOCK as usize), false));
                    }
                    let data = now(disk.read(offset, BLOCK as usize));
                    held.push_back((data, model[own as usize]));
                    if held.len() > 20 {
                        let (data, want) = held.pop_front().unwrap();
                        assert_eq!(
                            data.to_bytes(),
                            vec![want; BLOCK as usize],
                            "thread {thread}, step {step}"
                        );
                    }
                    let other = now(disk.read(random.below(BLOCKS) * BLOCK, BLOCK as usize)).to_bytes();
                    assert!(other.iter().all(|b| *b == other[0]), "thread {thread}, step {step}: torn");
                }
            });
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

/// The answer of a back end that answers at once, and without an error.
fn now<T>(reply: IoReply<T>) -> T {
    let Reply::Now(Ok(answer)) = reply else { panic!("neither there nor good") };
    answer
}
