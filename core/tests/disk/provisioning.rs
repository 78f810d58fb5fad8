//! UNMAP and WRITE SAME.

use iscsicore::disk::*;

use crate::rig::*;

/// An UNMAP parameter list of these ranges.
fn ranges(list: &[(u64, u32)]) -> Vec<u8> {
    let len = list.len() as u16 * 16;
    let mut out = (len + 6).to_be_bytes().to_vec();
    out.extend(len.to_be_bytes());
    out.extend([0; 4]);
    for (lba, count) in list {
        out.extend(lba.to_be_bytes());
        out.extend(count.to_be_bytes());
        out.extend([0; 4]);
    }
    out
}

fn unmap_cdb(len: usize) -> [u8; 10] {
    let [high, low] = (len as u16).to_be_bytes();
    [0x42, 0, 0, 0, 0, 0, 0, high, low, 0]
}

fn unmap(rig: &mut Rig, list: &[(u64, u32)]) -> Reply {
    let list = ranges(list);
    rig.put(&unmap_cdb(list.len()), &list)
}

#[test]
fn unmap_gives_ranges_up() {
    let mut rig = Rig::new();
    rig.fill(0, &pattern(20 * 512));
    let reply = unmap(&mut rig, &[(1, 2), (5, 0), (10, 3)]);
    assert_good(&reply);
    assert_eq!(rig.ops, [Op::Unmap { ranges: vec![(512, 1024), (5120, 1536)] }]);
    let read = data(&rig.get(&block_cdb(0x28, 0, 0, 20)));
    for (i, byte) in read.iter().enumerate() {
        let gone = matches!(i / 512, 1..3 | 10..13);
        assert_eq!(*byte, if gone { 0 } else { pattern(i + 1)[i] });
    }
    for nothing in [&[][..], &[(5, 0)], &[(BLOCKS, 0)]] {
        assert_good(&unmap(&mut rig, nothing));
        assert!(rig.ops.is_empty());
    }
    assert_good(&rig.put(&unmap_cdb(0), &[]));
}

#[test]
fn unmap_checks_before_it_begins() {
    let mut rig = Rig::new();
    let cases: [(&[(u64, u32)], u64); 4] = [
        (&[(0, 1), (BLOCKS, 1)], BLOCKS),
        (&[(0, 1), (BLOCKS - 1, 2)], BLOCKS),
        (&[(u64::from(u32::MAX), 1)], u64::from(u32::MAX)),
        (&[(BLOCKS + 1, 0)], BLOCKS + 1),
    ];
    for (list, first) in cases {
        let reply = unmap(&mut rig, list);
        assert_eq!((sense(&reply), information(&reply)), ((5, 0x2100), Some(first as u32)));
        assert!(rig.ops.is_empty());
    }
    assert_eq!(sense(&unmap(&mut rig, &[(u64::MAX, 500)])), (5, 0x2100));
    assert_good(&unmap(&mut rig, &[(0, 500)]));
    assert_list_field(&unmap(&mut rig, &[(0, 501)]), 16, None);
    assert_list_field(&unmap(&mut rig, &[(0, 300), (0, u32::MAX)]), 32, None);
    assert_list_field(&unmap(&mut rig, &[(0, 300), (300, 201)]), 32, None);
    assert_good(&unmap(&mut rig, &[(0, 300), (300, 200)]));
    assert_good(&unmap(&mut rig, &[(0, 1); 4]));
    assert_list_field(&unmap(&mut rig, &[(0, 1); 5]), 2, None);
    assert_cdb_field(&rig.put(&[0x42, 1, 0, 0, 0, 0, 0, 0, 24, 0], &ranges(&[(0, 1)])), 1, Some(0));
}

#[test]
fn unmap_parameter_lists_of_every_length() {
    let mut rig = Rig::new();
    let list = ranges(&[(0, 1), (2, 1)]);
    for len in 1..list.len() {
        assert_eq!(sense(&rig.put(&unmap_cdb(len), &list[..len])), (5, 0x1a00), "the CDB cuts at {len}");
        assert_eq!(sense(&rig.put(&unmap_cdb(list.len()), &list[..len])), (5, 0x1a00), "{len} arrive");
    }
    // An incomplete descriptor at the end is ignored.
    let mut odd = ranges(&[(0, 1)]);
    odd[3] = 31;
    odd.resize(8 + 31, 0xff);
    assert_good(&rig.put(&unmap_cdb(odd.len()), &odd));
    assert_eq!(rig.ops, [Op::Unmap { ranges: vec![(0, 512)] }]);
}

#[test]
fn storage_that_cannot_unmap_is_no_failure() {
    let mut rig = Rig::new();
    rig.fail = Some((0, IoError::Unsupported));
    assert_good(&unmap(&mut rig, &[(0, 1)]));
    rig.fail = Some((0, IoError::Other));
    assert_eq!(sense(&unmap(&mut rig, &[(0, 1)])), (4, 0x4400));
}

#[test]
fn a_fully_provisioned_unit_has_no_unmap() {
    let mut rig = Rig::with(|c| c.provisioning = Provisioning::Full);
    assert_eq!(sense(&unmap(&mut rig, &[(0, 1)])), (5, 0x2000));
    for opcode in [0x41, 0x93] {
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0x08, 0, 1), &[0; 512]), 1, Some(3));
        assert_good(&rig.put(&block_cdb(opcode, 0, 0, 1), &[0; 512]));
        assert_eq!(rig.ops, [Op::WriteZeroes { offset: 0, len: 512, may_unmap: false }]);
    }
}

#[test]
fn write_same_repeats_a_block_in_pieces() {
    for opcode in [0x41, 0x93] {
        for flags in [0, 0x08] {
            let mut rig = Rig::new();
            let block = pattern(512);
            let reply = rig.put(&block_cdb(opcode, flags, 7, 20), &block);
            assert_good(&reply);
            assert_eq!(reply.transfer_len, 512);
            assert_eq!(rig.bytes(7 * 512, 20 * 512), block.repeat(20));
            assert_eq!(rig.bytes(0, 7 * 512), vec![0; 7 * 512]);
            assert_eq!(rig.store.len(), 27 * 512);
            let lengths = rig.ops.iter().map(|op| match op {
                Op::Write { data, fua: false, .. } => data.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(lengths.collect::<Vec<_>>(), [4096, 4096, 2048]);
        }
    }
}

#[test]
fn write_same_of_zeros() {
    for (opcode, flags, sent) in
        [(0x41, 0, 512), (0x41, 8, 512), (0x93, 0, 512), (0x93, 8, 512), (0x93, 1, 0), (0x93, 9, 0)]
    {
        let mut rig = Rig::new();
        rig.fill(0, &pattern(32 * 512));
        let reply = rig.put(&block_cdb(opcode, flags, 7, 20), &vec![0; sent]);
        assert_good(&reply);
        assert_eq!(reply.transfer_len as usize, sent);
        let op = Op::WriteZeroes { offset: 7 * 512, len: 20 * 512, may_unmap: flags & 8 != 0 };
        assert_eq!(rig.ops, [op]);
        assert_eq!(rig.bytes(7 * 512, 20 * 512), vec![0; 20 * 512]);

        // A store that cannot make zeros gets them written; without a write cache they go through.
        let mut rig = Rig::with(|c| c.write_cache = false);
        rig.makes_zeroes = false;
        rig.fill(0, &pattern(32 * 512));
        assert_good(&rig.put(&block_cdb(opcode, flags, 7, 20), &vec![0; sent]));
        assert_eq!(rig.bytes(7 * 512, 20 * 512), vec![0; 20 * 512]);
        assert_eq!(rig.bytes(0, 7 * 512), pattern(7 * 512));
        assert!(rig.ops[1..].iter().all(|op| matches!(op, Op::Write { fua: true, .. })));
        assert_eq!(rig.ops.len(), 4);
    }
    let mut rig = Rig::with(|c| c.write_cache = false);
    assert_good(&rig.put(&block_cdb(0x93, 1, 0, 1), &[]));
    assert_eq!(rig.ops[1..], [Op::Flush]);
}

#[test]
fn write_same_limits() {
    let mut rig = Rig::new();
    for (opcode, at) in [(0x41, 7), (0x93, 10)] {
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0, 0, 0), &[1; 512]), at, None);
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0, 0, 301), &[1; 512]), at, None);
        assert_good(&rig.put(&block_cdb(opcode, 0, 0, 300), &[1; 512]));
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0x10, 0, 1), &[1; 512]), 1, Some(4));
        assert_eq!(sense(&rig.put(&block_cdb(opcode, 0, 0, 1), &[1; 511])), (5, 0x2400));
        assert_eq!(sense(&rig.put(&block_cdb(opcode, 0, 0, 1), &[1; 1024])), (5, 0x2400));
        assert!(rig.ops.is_empty());
    }
    assert_cdb_field(&rig.put(&block_cdb(0x41, 1, 0, 1), &[1; 512]), 1, Some(0));
}

/// Larger ranges of zeros are made in several operations.
#[test]
fn zeros_come_in_bounded_pieces() {
    let mut rig = Rig::with(|c| {
        c.blocks = 1 << 40;
        c.max_write_same_blocks = u32::MAX;
    });
    assert_good(&rig.put(&block_cdb(0x93, 9, 1 << 35, 1 << 18), &[]));
    let want = [(1u64 << 44, 64u64 << 20), ((1 << 44) + (64 << 20), 64 << 20)]
        .map(|(offset, len)| Op::WriteZeroes { offset, len, may_unmap: true });
    assert_eq!(rig.ops, want);
}
