//! What every file must do, through io_uring and past the page cache, on shards and off them.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use iscsicore::disk::Allocation;
use iscsicore_glommio::backend::{Backend, Zeroes};

mod backend_support;
use backend_support::{Random, error, filled, off_shard, on_shard, read, start_shard, subjects};

/// No multiple of a page, as the sizes of some disks are.
const SIZE: u64 = (3 << 20) + 1536;
const EVEN: u64 = 3 << 20;
const BLOCK: u64 = 512;

/// A long random conversation with the disk and with an array of bytes must have the same answers.
async fn converse(name: String, disk: Arc<dyn Backend>, seed: u64) {
    let size = disk.size();
    let mut model = vec![0u8; size as usize];
    let mut random = Random(seed);
    for step in 0..600 {
        let offset = random.below(size / BLOCK) * BLOCK;
        let most = if random.below(4) == 0 { 1 << 20 } else { 16 << 10 };
        let len = ((1 + random.below(most / BLOCK)) * BLOCK).min(size - offset);
        let context = format!("{name}: step {step}, {len} bytes at {offset}");
        exchange(&disk, &mut random, offset..offset + len, &mut model, &context).await;
    }
    assert!(read(&disk, 0, size as usize).await == model, "{name}: all of it");
}

/// One random operation on `range`, of the disk and of the model.
async fn exchange(
    disk: &Arc<dyn Backend>,
    random: &mut Random,
    range: Range<u64>,
    model: &mut [u8],
    context: &str,
) {
    let (offset, len) = (range.start, range.end - range.start);
    let range = range.start as usize..range.end as usize;
    let value = random.below(256) as u8;
    match random.below(12) {
        0..5 => {
            let fua = random.below(8) == 0;
            disk.write(offset, filled(value, len as usize), fua).wait().await.expect(context);
            model[range].fill(value);
        }
        5 if disk.info().unmap.is_some() => {
            disk.unmap(offset, len).wait().await.expect(context);
            model[range].fill(0);
        }
        6 => {
            let how = if value.is_multiple_of(2) { Zeroes::MayUnmap } else { Zeroes::KeepAllocated };
            disk.write_zeroes(offset, len, how).wait().await.expect(context);
            model[range].fill(0);
        }
        7 => disk.flush().wait().await.expect(context),
        8 => {
            let mut at = offset;
            for (len, allocation) in disk.extents(offset, len, 4).wait().await.expect(context) {
                let part = &model[at as usize..(at + len) as usize];
                let true_hole = allocation == Allocation::Mapped || part.iter().all(|byte| *byte == 0);
                assert!(true_hole, "{context}: {len} bytes at {at} are told to be a hole");
                at += len;
            }
        }
        _ => assert!(read(disk, offset, len as usize).await == model[range], "{context}"),
    }
}

#[test]
fn random_operations_do_what_they_do_to_an_array() {
    for size in [SIZE, EVEN] {
        for subject in subjects(size) {
            let (name, disk) = (subject.name.clone(), Arc::clone(&subject.disk));
            on_shard(move || converse(name, disk, size));
        }
    }
}

#[test]
fn random_operations_do_the_same_without_a_shard() {
    for subject in subjects(SIZE) {
        off_shard(converse(subject.name.clone(), Arc::clone(&subject.disk), 7));
    }
}

/// Pieces of three blocks, neighbours of which belong to different lanes: units of direct I/O that have several owners.
const PIECE: u64 = 3 * BLOCK;
const LANES: u64 = 24;

/// One of the lanes: random operations, one after the other, on the pieces that are its own.
async fn lane(name: String, disk: Arc<dyn Backend>, lane: u64) -> Vec<u8> {
    let size = disk.size();
    let mut model = vec![0u8; size as usize];
    let mut random = Random(lane);
    let pieces = size / PIECE / LANES;
    for step in 0..250 {
        // Lanes stay near each other, so that they meet.
        let place = (step / 25) % pieces;
        let start = (place * LANES + lane) * PIECE + random.below(3) * BLOCK;
        let end = (start / PIECE + 1) * PIECE;
        let range = start..start + (1 + random.below((end - start) / BLOCK)) * BLOCK;
        let context = format!("{name}: lane {lane}, step {step}, {range:?}");
        exchange(&disk, &mut random, range, &mut model, &context).await;
    }
    model
}

/// Two shards and a thread that is none work on neighbouring blocks at the same time: nobody undoes what another did.
#[test]
fn neighbours_on_several_shards_do_not_disturb_each_other() {
    for subject in subjects(SIZE) {
        let lanes = |from: u64, to: u64| {
            let (name, disk) = (subject.name.clone(), Arc::clone(&subject.disk));
            async move || {
                let all = (from..to).map(|number| lane(name.clone(), Arc::clone(&disk), number));
                futures_util::future::join_all(all).await
            }
        };
        let shards = [start_shard(lanes(0, 8)), start_shard(lanes(8, 16))];
        let mut models = off_shard(lanes(16, LANES)());
        for (index, shard) in shards.into_iter().enumerate() {
            models.splice(index * 8..index * 8, shard.join().unwrap());
        }
        let all = off_shard(read(&subject.disk, 0, subject.disk.size() as usize));
        for (index, piece) in all.chunks_exact(PIECE as usize).enumerate() {
            let owner = index % LANES as usize;
            let want = &models[owner][index * PIECE as usize..][..PIECE as usize];
            assert!(piece == want, "{}: piece {index} of lane {owner}", subject.name);
        }
    }
}

/// Writes of whole units and of parts of the same units, from two shards: each unit ends up as one of them left it.
#[test]
fn a_part_does_not_undo_the_whole() {
    const ROUNDS: usize = 60;
    for subject in subjects(EVEN) {
        for round in 0..ROUNDS {
            let write = |value: u8, offset: u64, len: usize| {
                let disk = Arc::clone(&subject.disk);
                async move || {
                    let many = (0..16)
                        .map(|unit| disk.write(unit * 4096 + offset, filled(value, len), false).wait());
                    futures_util::future::join_all(many).await.into_iter().for_each(Result::unwrap);
                }
            };
            let value = round as u8;
            // The second only ever changes the second block of a unit.
            let shards = [start_shard(write(value, 0, 4096)), start_shard(write(0xF0, 512, 512))];
            shards.into_iter().for_each(|shard| shard.join().unwrap());
            let all = off_shard(read(&subject.disk, 0, 64 << 10));
            for (unit, bytes) in all.chunks_exact(4096).enumerate() {
                let right =
                    |(at, byte): (usize, &u8)| *byte == value || ((512..1024).contains(&at) && *byte == 0xF0);
                assert!(bytes.iter().enumerate().all(right), "{}: round {round}, unit {unit}", subject.name);
            }
            if round > 5 && !subject.name.starts_with("direct") {
                break;
            }
        }
    }
}

#[test]
fn the_first_and_the_last_block_are_there_and_nothing_beyond() {
    for subject in subjects(SIZE) {
        let (name, disk) = (subject.name.clone(), Arc::clone(&subject.disk));
        on_shard(async move || {
            let size = disk.size();
            for offset in [0, size - BLOCK, size - 3 * BLOCK] {
                disk.write(offset, filled(0xA5, BLOCK as usize), true).wait().await.unwrap();
                assert_eq!(read(&disk, offset, BLOCK as usize).await, [0xA5; BLOCK as usize], "{name}");
            }
            assert_eq!(read(&disk, size, 0).await, [0; 0], "{name}");
            disk.write(size, filled(0, 0), false).wait().await.unwrap();
            for offset in [size - BLOCK + 1, size, u64::MAX - 1, u64::MAX] {
                let kinds = [
                    error(disk.read(offset, BLOCK as usize)).await.kind(),
                    error(disk.write(offset, filled(1, BLOCK as usize), false)).await.kind(),
                    error(disk.unmap(offset, BLOCK)).await.kind(),
                    error(disk.write_zeroes(offset, BLOCK, Zeroes::MayUnmap)).await.kind(),
                    error(disk.extents(offset, BLOCK, 1)).await.kind(),
                ];
                assert_eq!(kinds, [ErrorKind::InvalidInput; 5], "{name} at {offset}");
            }
            assert_eq!(disk.size(), size);
        });
    }
}

/// What nobody waits for is done all the same, and leaves no lock behind.
#[test]
fn a_dropped_operation_leaves_the_disk_usable() {
    for subject in subjects(SIZE) {
        let (name, disk) = (subject.name.clone(), Arc::clone(&subject.disk));
        on_shard(async move || {
            for round in 0..100 {
                drop(disk.write(512, filled(round, 4096), false));
            }
            disk.write(8192 + 512, filled(7, 4096), false).wait().await.unwrap();
            disk.flush().wait().await.unwrap();
            assert_eq!(read(&disk, 8192 + 512, 4096).await, [7; 4096], "{name}");
        });
    }
}
