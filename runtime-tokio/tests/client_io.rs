//! Reading and writing with the client, against the server of this crate: sizes, buffers, many at once, given up halfway.

#[path = "support/target.rs"]
mod target;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsicore::disk::{BlockSize, UnitConfig};
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::node::UnitAccess;
use iscsicore::{DataList, Limits};
use iscsicore_tokio::backend::{Kind, MemoryBackend};
use iscsicore_tokio::client::{Client, FlushCoverage};
use tokio::task::JoinSet;

use target::{BLOCK, SIZE, Target, pattern, within};

const BLOCKS: u64 = SIZE / BLOCK as u64;

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

#[tokio::test]
async fn what_is_written_is_read_by_every_way() {
    let target = Target::new().await;
    let disk = target.connect().await;
    assert_eq!((disk.block_size(), disk.blocks(), disk.lun()), (512, BLOCKS, 0));

    for (round, blocks) in [1, 3, 31, 32, 33, 512, 513, 4096].into_iter().enumerate() {
        let (lba, data) = (7 * round as u64, pattern(7, blocks, round as u64));
        match round % 3 {
            0 => disk.write(lba, Bytes::from(data.clone())).await.unwrap(),
            1 => disk.write_from(lba, &data).await.unwrap(),
            _ => {
                let slices: DataList = data.chunks(1000).map(Bytes::copy_from_slice).collect();
                disk.write_fua(lba, slices).await.unwrap();
            }
        }
        assert_eq!(target.bytes(lba * 512, data.len()).await, data, "{blocks} blocks on the disk");
        assert_eq!(disk.read(lba, blocks as u32).await.unwrap(), data, "{blocks} blocks read");
        let mut into = vec![0; data.len()];
        disk.read_into(lba, &mut into).await.unwrap();
        assert_eq!(into, data, "{blocks} blocks read into a slice");
        let (done, buffer) = disk.read_buf(lba, BytesMut::zeroed(data.len())).await;
        done.unwrap();
        assert_eq!(buffer, data, "{blocks} blocks read into a buffer");
    }
    assert_eq!(disk.flush().await.unwrap(), FlushCoverage::All);
    assert_eq!(target.disk.calls().iter().filter(|c| c.kind == Kind::Flush).count(), 1);
    disk.logout().await.unwrap();
}

#[tokio::test]
async fn one_command_of_16_mib_and_transfers_beyond_it() {
    let target = Target::new().await;
    for digest in [DigestOffer::NoneOnly, DigestOffer::Crc32cOnly] {
        let connecting = target.builder().data_digest(digest).connect();
        let disk = within("connected", connecting).await.unwrap();
        for mib in [16, 40] {
            let data = Bytes::from(pattern(3, mib << 11, mib as u64));
            within("written", disk.write(3, data.clone())).await.unwrap();
            assert_eq!(within("read", disk.read(3, (mib << 11) as u32)).await.unwrap(), data);
            let (done, buffer) = within("read", disk.read_buf(3, BytesMut::zeroed(data.len()))).await;
            done.unwrap();
            assert_eq!(buffer, data);
        }
    }
}

// Goal: a buffer comes back whole whatever happened to the parts of a transfer. Method: a read that ends behind the last
// block, in one command and in several.
#[tokio::test]
async fn a_buffer_comes_back_after_an_error() {
    let target = Target::new().await;
    let disk = target.connect().await;
    for mib in [1, 40] {
        let lba = BLOCKS - (mib << 11) + 1;
        let (done, buffer) = disk.read_buf(lba, BytesMut::zeroed((mib << 20) as usize)).await;
        assert!(done.is_err());
        assert_eq!(buffer.len() as u64, mib << 20);
    }
    let (done, buffer) = disk.read_buf(0, BytesMut::zeroed(100)).await;
    assert!(done.is_err() && buffer.len() == 100);
}

/// Writes and reads blocks of its own share of the disk at random, and verifies every one.
async fn exercise(disk: Client, share: u64, shares: u64, rounds: u64) {
    let mut random = Random(share);
    let size = disk.blocks() / shares;
    let begin = share * size;
    let mut written = vec![0; size as usize];
    for round in 1..=rounds {
        let blocks = 1 + random.below(if round % 4 == 0 { 128 } else { 8 });
        let at = random.below(size - blocks);
        let lba = begin + at;
        if random.below(2) == 0 {
            let data = pattern(lba, blocks as usize, round);
            if random.below(2) == 0 {
                disk.write(lba, data).await.unwrap();
            } else {
                disk.write_from(lba, &data).await.unwrap();
            }
            written[at as usize..][..blocks as usize].fill(round);
        }
        let data = disk.read(lba, blocks as u32).await.unwrap();
        for (block, bytes) in data.chunks(BLOCK).enumerate() {
            let (lba, round) = (lba + block as u64, written[at as usize + block]);
            let want = if round == 0 { vec![0; BLOCK] } else { pattern(lba, 1, round) };
            assert!(bytes == want, "block {lba} as of round {round}");
        }
    }
}

async fn exercise_all(disks: &[Client], tasks: u64, rounds: u64) {
    let mut running = JoinSet::new();
    for share in 0..tasks {
        let disk = disks[share as usize % disks.len()].clone();
        running.spawn(exercise(disk, share, tasks, rounds));
    }
    while let Some(ended) = within("all tasks end", running.join_next()).await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_over_one_session() {
    let target = Target::new().await;
    let disk = target.connect().await;
    exercise_all(std::slice::from_ref(&disk), 64, 40).await;
    let stats = disk.stats();
    assert!(stats.answered > 64 * 40 && stats.unanswered == 0 && stats.in_flight == 0, "{stats:?}");
    assert_eq!(target.sessions().await, 1);
}

// Goal: every key that changes the data path leaves data alone. Method: short bursts and segments, R2T for all, digests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_with_short_bursts() {
    let target = Target::new().await;
    for initial_r2t in [false, true] {
        let mut offer = Offer::default();
        (offer.initial_r2t, offer.immediate_data) = (initial_r2t, !initial_r2t);
        (offer.max_segment, offer.first_burst, offer.max_burst) = (4096, 2048, 6144);
        offer.header_digest = DigestOffer::Crc32cOnly;
        let disk = within("connected", target.builder().offer(offer).connect()).await.unwrap();
        assert_eq!(disk.parameters().initial_r2t, initial_r2t);
        exercise_all(std::slice::from_ref(&disk), 16, 20).await;
        disk.write_zeroes(0, disk.blocks()).await.unwrap();
        disk.logout().await.unwrap();
    }
}

// Goal: more commands than the session takes wait their turn, first come first served. Method: a queue of two, a held
// disk, and the order in which the disk sees the rest.
#[tokio::test]
async fn commands_beyond_the_queue_wait_in_their_order() {
    let target = Target::new().await;
    let mut limits = Limits::default();
    limits.queue_depth = 2;
    let disk = target.builder().limits(limits).connect().await.unwrap();
    let gates = [target.hold(Kind::Read, 0), target.hold(Kind::Read, 512)];
    let mut running = JoinSet::new();
    for lba in 0..40 {
        let reader = disk.clone();
        running.spawn(async move { reader.read(lba, 1).await.unwrap() });
        // In this order, and not as the runtime likes.
        while disk.stats().in_flight <= lba {
            tokio::task::yield_now().await;
        }
    }
    for gate in &gates {
        within("held", gate.reached(1)).await;
    }
    // Two that are given up make no gap.
    let mut given_up = disk.clone();
    for _ in 0..2 {
        let reading = async { given_up.read(99, 1).await };
        assert!(tokio::time::timeout(Duration::from_millis(10), reading).await.is_err());
        given_up = disk.clone();
    }
    gates.iter().for_each(|gate| gate.open());
    while let Some(ended) = within("all are read", running.join_next()).await {
        ended.unwrap();
    }
    let order: Vec<u64> =
        target.disk.calls().iter().filter(|c| c.kind == Kind::Read).map(|c| c.offset / 512).collect();
    assert_eq!(order, (0..40).collect::<Vec<_>>());
    assert_eq!((disk.stats().in_flight, disk.stats().cancelled), (0, 2));
}

// Goal: a future that is dropped harms nobody: neither data of others, nor memory, nor the room in the command window.
// Method: tasks that give up reads and writes of a region of their own at random moments, beside tasks that verify.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn futures_are_dropped_at_random_moments() {
    let target = Target::new().await;
    let mut limits = Limits::default();
    limits.queue_depth = 16;
    let disk = target.builder().limits(limits).connect().await.unwrap();
    let upper = disk.blocks() / 2;
    let mut droppers = JoinSet::new();
    for task in 0..8u64 {
        let disk = disk.clone();
        droppers.spawn(async move {
            let mut random = Random(1000 + task);
            for round in 0..60 {
                let (lba, blocks) = (upper + random.below(upper - 2048), 1 + random.below(2048) as u32);
                let patience = Duration::from_micros(random.below(3000));
                let work = async {
                    match round % 3 {
                        0 => disk.read(lba, blocks).await.map(drop),
                        1 => disk.write(lba, vec![0xee; blocks as usize * BLOCK]).await,
                        _ => disk.read_into(lba, &mut vec![0; blocks as usize * BLOCK]).await,
                    }
                };
                if let Ok(done) = tokio::time::timeout(patience, work).await {
                    done.unwrap();
                }
            }
        });
    }
    let mut workers = JoinSet::new();
    for share in 0..8 {
        workers.spawn(exercise(disk.clone(), share, 16, 60));
    }
    while let Some(ended) = within("all workers end", workers.join_next()).await {
        ended.unwrap();
    }
    while let Some(ended) = within("all droppers end", droppers.join_next()).await {
        ended.unwrap();
    }
    let stats = disk.stats();
    assert!(stats.cancelled > 0 && stats.in_flight == 0 && stats.disconnects == 0, "{stats:?}");
    // All of the queue is there again: more commands than it takes, at once.
    let reads = (0..64).map(|lba| disk.read(lba, 1));
    for read in within("read", futures_util::future::join_all(reads)).await {
        read.unwrap();
    }
    disk.logout().await.unwrap();
}

// Goal: the same when connections end in the middle of transfers all the time. Method: the connection is given up every few
// milliseconds, beside tasks that verify and tasks that drop futures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_end_in_the_middle_of_transfers() {
    let target = Target::new().await;
    let mut limits = Limits::default();
    limits.queue_depth = 8;
    let disk = target.builder().limits(limits).connect().await.unwrap();
    let chaos = tokio::spawn({
        let disk = disk.clone();
        async move {
            let mut random = Random(5);
            loop {
                tokio::time::sleep(Duration::from_millis(5 + random.below(20))).await;
                disk.reconnect();
                let lba = disk.blocks() / 2 + random.below(disk.blocks() / 2 - 4096);
                let patience = Duration::from_micros(random.below(2000));
                let _ = tokio::time::timeout(patience, disk.read_buf(lba, BytesMut::zeroed(2 << 20))).await;
            }
        }
    });
    let mut workers = JoinSet::new();
    for share in 0..8 {
        workers.spawn(exercise(disk.clone(), share, 16, 100));
    }
    let large = pattern(66_000, 4096, 1);
    for _ in 0..10 {
        within("written", disk.write_from(66_000, &large)).await.unwrap();
        let (done, buffer) = within("read", disk.read_buf(66_000, BytesMut::zeroed(large.len()))).await;
        done.unwrap();
        assert!(buffer == large, "a large transfer is whole");
    }
    while let Some(ended) = within("all workers end", workers.join_next()).await {
        ended.unwrap();
    }
    chaos.abort();
    assert!(chaos.await.is_err(), "it was going on until then");
    let stats = disk.stats();
    assert!(stats.reconnects > 5 && stats.unanswered == 0, "{stats:?}");
    disk.logout().await.unwrap();
}

// The first answer has no room for so many: the rest is asked for.
#[tokio::test]
async fn more_units_than_one_answer_holds() {
    let target = Target::with(|builder, target| {
        let memory = Arc::new(MemoryBackend::new(1 << 20));
        for lun in 1..1500u16 {
            let unit =
                builder.unit(UnitConfig::new(&format!("unit-{lun}"), BlockSize::B512, 2048), memory.clone());
            target.luns.insert(lun, unit, UnitAccess::ReadWrite).unwrap();
        }
    })
    .await;
    let luns = target.connect().await.report_luns().await.unwrap();
    assert!(luns.iter().filter_map(|lun| lun.number()).eq(0..1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_units_over_one_session() {
    let target = Target::with(|builder, target| {
        for lun in 1..=20u16 {
            let number = if lun == 20 { 300 } else { lun };
            let memory = Arc::new(MemoryBackend::new(4 << 20));
            let mut config = UnitConfig::new(&format!("unit-{lun}"), BlockSize::B512, 8192);
            config.write_cache = true;
            let unit = builder.unit(config, memory);
            target.luns.insert(number, unit, UnitAccess::ReadWrite).unwrap();
        }
    })
    .await;
    let first = target.connect().await;
    let luns: Vec<u16> = first.report_luns().await.unwrap().iter().filter_map(|l| l.number()).collect();
    assert_eq!(luns.len(), 21);
    let mut disks = Vec::new();
    for lun in &luns {
        let disk = first.with_lun(*lun).await.unwrap();
        assert_eq!(disk.lun(), *lun);
        disk.write_from(0, &pattern(u64::from(*lun), 1, 5)).await.unwrap();
        disks.push(disk);
    }
    for (lun, disk) in luns.iter().zip(&disks) {
        assert_eq!(disk.read(0, 1).await.unwrap(), pattern(u64::from(*lun), 1, 5), "LUN {lun}");
    }
    let error = first.with_lun(50).await.unwrap_err().to_string();
    assert!(error.contains("has no LUN 50; it has 0, 1, 2"), "{error}");
    assert_eq!(target.sessions().await, 1);

    for disk in &disks[1..] {
        disk.write_zeroes(0, 1).await.unwrap();
    }
    // A share each of disks of the same size.
    exercise_all(&disks[1..], 20, 30).await;
}

#[tokio::test]
async fn blocks_of_4096_bytes() {
    let target = Target::with(|builder, target| {
        let config = UnitConfig::new("large-blocks", BlockSize::B4096, 1024);
        let unit = builder.unit(config, Arc::new(MemoryBackend::new(4 << 20)));
        target.luns.insert(1, unit, UnitAccess::ReadWrite).unwrap();
    })
    .await;
    let disk = target.builder().lun(1).connect().await.unwrap();
    assert_eq!((disk.block_size(), disk.blocks()), (4096, 1024));
    disk.write_from(1, &pattern(0, 32, 1)).await.unwrap();
    assert_eq!(disk.read(1, 4).await.unwrap(), pattern(0, 32, 1));
    assert!(disk.write_from(0, &[0; 512]).await.is_err());
}
