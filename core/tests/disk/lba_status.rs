//! GET LBA STATUS: extents of the storage in, descriptors out.

use Allocation::{Deallocated, Mapped};
use iscsicore::disk::*;
use proptest::prelude::*;

use crate::rig::*;

fn cdb(lba: u64, allocation: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (0x9e, 0x12);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&allocation.to_be_bytes());
    cdb
}

/// LBA, number of blocks and provisioning status of each descriptor, of a reply that is whole.
#[track_caller]
fn descriptors(reply: &Reply) -> Vec<(u64, u32, u8)> {
    let data = data(reply);
    let (header, rest) = data.split_at(8);
    assert_eq!(header, [(data.len() as u32 - 4).to_be_bytes(), [0; 4]].concat());
    let (descriptors, odd) = rest.as_chunks::<16>();
    assert!(odd.is_empty() && !descriptors.is_empty());
    let parse = |d: &[u8; 16]| {
        assert_eq!(d[13..], [0; 3]);
        (
            u64::from_be_bytes(d[..8].try_into().unwrap()),
            u32::from_be_bytes(d[8..12].try_into().unwrap()),
            d[12],
        )
    };
    descriptors.iter().map(parse).collect()
}

#[test]
fn extents_become_descriptors() {
    let mut rig = Rig::new();
    rig.extents = vec![(512, Mapped), (1024, Deallocated), (5 * 512, Mapped), (992 * 512, Deallocated)];
    let reply = rig.get(&cdb(0, 4096));
    assert_eq!(rig.ops, [Op::Extents { offset: 0, len: BLOCKS * 512, most: 255 }]);
    let want = [(0, 1, 0), (1, 2, 1), (3, 5, 0), (8, 992, 1)];
    assert_eq!(descriptors(&reply), want);
    // The first descriptor, byte by byte.
    rig.extents = vec![(10 * 512, Deallocated)];
    let mut want = [0u8; 24];
    (want[3], want[14], want[15], want[19], want[20]) = (20, 3, 0xde, 10, 1);
    assert_eq!(data(&rig.get(&cdb(990, 24))), want);
    assert_eq!(rig.ops, [Op::Extents { offset: 990 * 512, len: 10 * 512, most: 1 }]);
}

#[test]
fn equal_neighbours_are_one_and_nothing_reaches_beyond_the_end() {
    let mut rig = Rig::new();
    rig.extents =
        vec![(512, Mapped), (0, Deallocated), (512, Mapped), (256, Deallocated), (u64::MAX, Deallocated)];
    assert_eq!(descriptors(&rig.get(&cdb(998, 4096))), [(998, 2, 0)]);
    assert_eq!(descriptors(&rig.get(&cdb(990, 4096))), [(990, 2, 0), (992, 8, 1)]);
    rig.extents = vec![(u64::MAX, Mapped), (u64::MAX, Deallocated)];
    assert_eq!(descriptors(&rig.get(&cdb(0, 4096))), [(0, 1000, 0)]);
}

/// What no block can say of itself is mapped; parts of a hole that meet in a block make it deallocated.
#[test]
fn a_block_is_deallocated_only_as_a_whole() {
    let mut rig = Rig::with(|c| c.block_size = BlockSize::B4096);
    let cases: [(&[_], &[_]); 8] = [
        (&[(4095, Deallocated), (4097, Mapped)], &[(0, 2, 0)]),
        (&[(4097, Deallocated), (4095, Mapped)], &[(0, 1, 1), (1, 1, 0)]),
        (&[(1, Mapped), (8191, Deallocated)], &[(0, 1, 0), (1, 1, 1)]),
        (&[(4097, Mapped), (8191, Deallocated)], &[(0, 2, 0), (2, 1, 1)]),
        (&[(4096, Mapped), (4000, Deallocated), (96, Mapped), (4096, Deallocated)], &[(0, 2, 0), (2, 1, 1)]),
        (&[(96, Deallocated), (4000, Deallocated)], &[(0, 1, 1)]),
        // The answer ends within a block: it is left out, unless there would be nothing to tell.
        (&[(4096, Mapped), (4100, Deallocated)], &[(0, 1, 0), (1, 1, 1)]),
        (&[(512, Deallocated)], &[(0, 1, 0)]),
    ];
    for (extents, want) in cases {
        rig.extents = extents.to_vec();
        assert_eq!(descriptors(&rig.get(&cdb(0, 4096))), want, "{extents:?}");
    }
}

/// Storage that tells nothing, or cannot, leaves one descriptor for all; any other failure is one.
#[test]
fn what_is_not_known_is_mapped() {
    let mut rig = Rig::new();
    assert_eq!(descriptors(&rig.get(&cdb(10, 4096))), [(10, 990, 0)]);
    rig.fail = Some((0, IoError::Unsupported));
    assert_eq!(descriptors(&rig.get(&cdb(999, 24))), [(999, 1, 0)]);
    rig.fail = Some((0, IoError::Medium { offset: 512 }));
    let reply = rig.get(&cdb(0, 24));
    assert_eq!((sense(&reply), information(&reply)), ((3, 0x1100), Some(1)));
    rig.fail = Some((0, IoError::Other));
    assert_eq!(sense(&rig.get(&cdb(0, 24))), (4, 0x4400));
}

/// The allocation length limits the whole descriptors, of which there is one at least, and cuts that one.
#[test]
fn allocation_lengths() {
    let mut rig = Rig::new();
    rig.extents = (0..1000).map(|i| (512, if i % 2 == 0 { Mapped } else { Deallocated })).collect();
    for (allocation, count) in [(24, 1), (25, 1), (39, 1), (40, 2), (4096, 255), (4104, 256), (u32::MAX, 256)]
    {
        let reply = rig.get(&cdb(0, allocation));
        let want: Vec<_> = (0..count).map(|i| (i, 1, (i % 2) as u8)).collect();
        assert_eq!(descriptors(&reply), want);
        assert_eq!(rig.ops, [Op::Extents { offset: 0, len: BLOCKS * 512, most: count as u32 }]);
        assert_eq!(reply.transfer_len as u64, 8 + 16 * count);
    }
    let whole = data(&rig.get(&cdb(3, 24)));
    for allocation in 0..24 {
        assert_eq!(data(&rig.get(&cdb(3, allocation))), whole[..allocation as usize]);
    }
    let reply = rig.run_as(ME, &cdb(3, 4096), 20, &[]);
    assert_eq!((reply.data.len(), reply.transfer_len), (20, 8 + 255 * 16));
}

#[test]
fn the_first_block_must_exist() {
    let mut rig = Rig::new();
    for lba in [BLOCKS, BLOCKS + 1, u64::MAX] {
        assert_eq!(sense(&rig.get(&cdb(lba, 24))), (5, 0x2100));
        assert!(rig.ops.is_empty());
    }
    assert_cdb_field(&rig.get(&[0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 1, 0]), 14, Some(0));
    let mut full = Rig::with(|c| c.provisioning = Provisioning::Full);
    assert_cdb_field(&full.get(&cdb(0, 24)), 1, Some(4));
    assert_eq!(sense(&full.get(&[0x9e, 0x12])), (5, 0x2400));
}

/// A descriptor counts 2^32 - 1 blocks at most.
#[test]
fn a_long_run_takes_several_descriptors() {
    let max = u64::from(u32::MAX);
    let mut rig = Rig::with(|c| c.blocks = 2 * max + 8);
    rig.extents = vec![((2 * max + 3) * 512, Deallocated), (512, Mapped), (512, Deallocated)];
    let all =
        [(0, u32::MAX, 1), (max, u32::MAX, 1), (2 * max, 3, 1), (2 * max + 3, 1, 0), (2 * max + 4, 1, 1)];
    for count in 1..=5 {
        assert_eq!(descriptors(&rig.get(&cdb(0, 8 + 16 * count as u32))), all[..count]);
    }
    assert_good(&rig.get(&cdb(0, 24)));
    assert_eq!(rig.ops, [Op::Extents { offset: 0, len: max * 512, most: 1 }], "no more than can be told");
}

/// The capacity shrinks while storage looks.
#[test]
fn nothing_is_told_of_blocks_that_are_gone() {
    use iscsicore::scsi::Cdb;
    use iscsicore::wire::TaskAttribute;
    for (blocks, want) in [(600, Some(100)), (500, None)] {
        let mut rig = Rig::new();
        let question = Cdb::from_slice(&cdb(500, 24)).unwrap();
        let request = Request { cdb: &question, data_in: 24, data_out: 0, attribute: TaskAttribute::Simple };
        let Step::Io { task, .. } = rig.unit.start(ME, &request) else { panic!("nothing to do") };
        rig.unit.resize(blocks);
        let answer = Resume::Io(Outcome::Extents(vec![(500 * 512, Deallocated)]));
        let Step::Done(reply) = rig.unit.resume(task, answer) else { panic!("more to do") };
        match want {
            Some(count) => assert_eq!(descriptors(&reply), [(500, count, 1)]),
            None => assert_eq!(sense(&reply), (5, 0x2100)),
        }
    }
}

/// An answer of another kind than was asked for is a fault of the caller, not a statement about blocks.
#[test]
fn another_outcome_is_an_internal_failure() {
    use iscsicore::scsi::Cdb;
    use iscsicore::wire::TaskAttribute;
    for (question, outcome) in [
        (cdb(0, 24).to_vec(), Outcome::Done),
        (cdb(0, 24).to_vec(), Outcome::Data(list(&[0; 24]))),
        (block_cdb(0x28, 0, 0, 1), Outcome::Extents(vec![(512, Mapped)])),
        (block_cdb(0x35, 0, 0, 1), Outcome::Extents(Vec::new())),
    ] {
        let mut rig = Rig::new();
        let question = Cdb::from_slice(&question).unwrap();
        let request = Request { cdb: &question, data_in: 512, data_out: 0, attribute: TaskAttribute::Simple };
        let Step::Io { task, .. } = rig.unit.start(ME, &request) else { panic!("nothing to do") };
        let Step::Done(reply) = rig.unit.resume(task, Resume::Io(outcome)) else { panic!("more to do") };
        assert_eq!(sense(&reply), (4, 0x4400));
    }
}

proptest! {
    /// Against a map of single bytes: a prefix of the blocks is told, each of them rightly, in runs that differ.
    #[test]
    fn every_answer_is_right_block_by_block(
        extents in prop::collection::vec((0..3000u64, any::<bool>()), 0..40),
        lba in 0..BLOCKS,
        room in 1..20u32,
    ) {
        let mut rig = Rig::new();
        rig.extents = extents.iter().map(|&(len, hole)| (len, if hole { Deallocated } else { Mapped })).collect();
        let bytes: Vec<bool> =
            extents.iter().flat_map(|&(len, hole)| std::iter::repeat_n(hole, len as usize)).collect();
        let told = descriptors(&rig.get(&cdb(lba, 8 + 16 * room)));
        prop_assert!(told.len() <= room as usize);
        prop_assert!(told.windows(2).all(|pair| pair[0].2 != pair[1].2));
        let mut at = lba;
        for (start, count, status) in told {
            prop_assert!(start == at && count > 0);
            at += u64::from(count);
            prop_assert!(at <= BLOCKS);
            for block in start - lba..at - lba {
                let place = block as usize * 512..(block as usize + 1) * 512;
                let hole = bytes.get(place).is_some_and(|block| block.iter().all(|hole| *hole));
                prop_assert_eq!(status, u8::from(hole), "block {}", block);
            }
        }
        // All whole blocks of the answer were told, where there was room.
        let known = (bytes.len() as u64 / 512).min(BLOCKS - lba);
        prop_assert!(at - lba >= known || rig_is_full(&rig.extents, room), "{} of {}", at - lba, known);
    }
}

/// Whether the extents may be more runs than there is room for.
fn rig_is_full(extents: &[(u64, Allocation)], room: u32) -> bool {
    extents.iter().filter(|(len, _)| *len > 0).count() > room as usize
}
