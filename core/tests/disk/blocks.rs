//! READ, WRITE and SYNCHRONIZE CACHE.

use iscsicore::disk::*;

use crate::rig::*;

const READS: [u8; 4] = [0x08, 0x28, 0xa8, 0x88];
const WRITES: [u8; 4] = [0x0a, 0x2a, 0xaa, 0x8a];

/// What is written with one command is read with every other, at both ends of the unit.
#[test]
fn every_write_is_read_back_by_every_read() {
    for block_size in [BlockSize::B512, BlockSize::B4096] {
        let size = block_size.bytes() as usize;
        for (i, write) in WRITES.into_iter().enumerate() {
            for lba in [0, BLOCKS - 3] {
                let mut rig = Rig::with(|c| c.block_size = block_size);
                let bytes = pattern(3 * size + i)[i..].to_vec();
                let reply = rig.put(&block_cdb(write, 0, lba, 3), &bytes);
                assert_good(&reply);
                assert_eq!(reply.transfer_len as usize, 3 * size);
                let want = Op::Write { offset: lba * size as u64, data: list(&bytes), fua: false };
                assert_eq!(rig.ops, [want]);
                for read in READS {
                    let reply = rig.get(&block_cdb(read, 0, lba, 3));
                    assert_eq!(data(&reply), bytes, "{write:02x} {read:02x}");
                    assert_eq!(reply.transfer_len as usize, 3 * size);
                }
            }
        }
    }
}

#[test]
fn a_length_of_zero_is_256_blocks_in_six_bytes_and_nothing_elsewhere() {
    let mut rig = Rig::new();
    assert_eq!(data(&rig.get(&block_cdb(0x08, 0, 0, 0))).len(), 256 * 512);
    let bytes = pattern(256 * 512);
    assert_good(&rig.put(&block_cdb(0x0a, 0, 5, 0), &bytes));
    assert_eq!(rig.bytes(5 * 512, bytes.len()), bytes);
    for opcode in [0x28, 0xa8, 0x88, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e, 0x2f, 0xaf, 0x8f] {
        let reply = rig.get(&block_cdb(opcode, 0, BLOCKS - 1, 0));
        assert_good(&reply);
        assert_eq!((rig.ops.len(), reply.transfer_len), (0, 0));
        assert_eq!(sense(&rig.get(&block_cdb(opcode, 0, BLOCKS, 0))), (5, 0x2100), "{opcode:02x}");
    }
}

#[test]
fn addresses_outside_name_the_first_block_that_is_not_there() {
    let mut rig = Rig::new();
    let ten = [0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0xa8, 0xaa, 0xae, 0xaf];
    let sixteen = [0x88, 0x8a, 0x8e, 0x8f, 0x91, 0x93];
    let cases = [
        (BLOCKS - 1, 2, BLOCKS),
        (BLOCKS, 1, BLOCKS),
        (0, 1001, BLOCKS),
        (u64::from(u32::MAX), 1, u64::from(u32::MAX)),
        (1 << 31, 0xffff, 1 << 31),
    ];
    for (lba, count, first) in cases {
        for opcode in ten.into_iter().chain(sixteen) {
            let reply = rig.get(&block_cdb(opcode, 0, lba, count));
            assert_eq!(sense(&reply), (5, 0x2100), "{opcode:02x} {lba} {count}");
            assert_eq!(information(&reply), Some(first as u32));
            assert_eq!((rig.ops.len(), reply.transfer_len), (0, 0));
        }
    }
    for (lba, count) in [(u64::MAX, 1), (u64::MAX, u32::MAX), (1 << 63, 1), (1 << 55, 0xffff), (1 << 32, 1)] {
        for opcode in sixteen {
            let reply = rig.get(&block_cdb(opcode, 0, lba, count));
            assert_eq!(sense(&reply), (5, 0x2100), "{opcode:02x} {lba} {count}");
            assert_eq!(information(&reply), None, "more than 32 bits");
        }
    }
    for opcode in [0x08, 0x0a] {
        let reply = rig.get(&block_cdb(opcode, 0, 0x1f_ffff, 1));
        assert_eq!((sense(&reply), information(&reply)), ((5, 0x2100), Some(0x1f_ffff)));
    }
}

#[test]
fn more_than_the_maximum_transfer_length_is_refused() {
    let mut rig = Rig::new();
    for (opcode, at) in
        [(0x28, 7), (0x2a, 7), (0x2f, 7), (0xa8, 6), (0xae, 6), (0x88, 10), (0x8a, 10), (0x8f, 10)]
    {
        assert_cdb_field(&rig.get(&block_cdb(opcode, 0, 0, 257)), at, None);
    }
    assert_eq!(data(&rig.get(&block_cdb(0x28, 0, 0, 256))).len(), 256 * 512);
}

#[test]
fn reserved_and_protection_bits_are_refused_at_their_place() {
    let mut rig = Rig::new();
    for opcode in READS.into_iter().chain(WRITES).chain([0x2e, 0xae, 0x8e, 0x2f, 0xaf, 0x8f, 0x41, 0x93]) {
        for bit in 5..8 {
            let mut cdb = block_cdb(opcode, 0, 0, 1);
            cdb[1] |= 1 << bit;
            assert_cdb_field(&rig.get(&cdb), 1, Some(bit));
        }
        let mut cdb = block_cdb(opcode, 0, 0, 1);
        let control = cdb.len() - 1;
        cdb[control] = 0x04;
        assert_cdb_field(&rig.get(&cdb), control as u16, Some(2));
    }
}

#[test]
fn fua_and_the_write_cache() {
    let mut rig = Rig::new();
    let block = pattern(512);
    let fua = |op: &Op| matches!(op, Op::Write { fua: true, .. });
    for opcode in [0x2a, 0xaa, 0x8a] {
        assert_good(&rig.put(&block_cdb(opcode, 0x18, 0, 1), &block));
        assert!(fua(&rig.ops[0]));
        assert_good(&rig.put(&block_cdb(opcode, 0x10, 0, 1), &block));
        assert!(!fua(&rig.ops[0]));
    }
    for opcode in [0x28, 0xa8, 0x88] {
        assert_eq!(data(&rig.get(&block_cdb(opcode, 0x08, 0, 1))), block);
        assert_eq!(rig.ops, [Op::Flush, Op::Read { offset: 0, len: 512 }]);
    }
    let mut rig = Rig::with(|c| c.write_cache = false);
    assert_good(&rig.put(&block_cdb(0x2a, 0, 0, 1), &block));
    assert!(fua(&rig.ops[0]));
    assert_good(&rig.get(&block_cdb(0x28, 0x08, 0, 1)));
    assert_eq!(rig.ops, [Op::Read { offset: 0, len: 512 }]);
}

/// The bit that is FUA elsewhere is part of the address in six bytes.
#[test]
fn six_bytes_have_no_fua() {
    let mut rig = Rig::with(|c| c.blocks = 1 << 20);
    assert_good(&rig.get(&block_cdb(0x08, 0, 0x08_0000, 1)));
    assert_eq!(rig.ops, [Op::Read { offset: 1 << 28, len: 512 }]);
    let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(0x0a, 0, 0x08_0000, 1)).unwrap();
    let request = Request { cdb: &cdb, data_in: 0, data_out: 512, attribute: Default::default() };
    let Step::NeedData { len: 512, task } = rig.unit.start(ME, &request) else { panic!() };
    let Step::Io { op, .. } = rig.unit.resume(task, Resume::Data(list(&[1; 512]))) else { panic!() };
    assert_eq!(op, Op::Write { offset: 1 << 28, data: list(&[1; 512]), fua: false });
}

/// The write cache may be turned off while a write waits for its data.
#[test]
fn the_write_cache_counts_when_the_data_is_there() {
    let mut rig = Rig::new();
    let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(0x2a, 0, 0, 1)).unwrap();
    let request = Request { cdb: &cdb, data_in: 0, data_out: 512, attribute: Default::default() };
    let Step::NeedData { task, .. } = rig.unit.start(ME, &request) else { panic!() };
    let caching = [&[0, 0, 0, 0, 0x08, 0x12][..], &[0; 18]].concat();
    assert_good(&rig.put(&[0x15, 0x10, 0, 0, 24, 0], &caching));
    let step = rig.unit.resume(task, Resume::Data(list(&[1; 512])));
    assert!(matches!(step, Step::Io { op: Op::Write { fua: true, .. }, .. }));
}

/// An initiator that expects more or less than the CDB says gets what it takes, and both numbers.
#[test]
fn residuals_of_reads() {
    let mut rig = Rig::new();
    rig.fill(0, &pattern(2048));
    for (expected, delivered, read) in
        [(0, 0, 0), (100, 100, 512), (512, 512, 512), (513, 513, 1024), (9999, 1024, 1024)]
    {
        let reply = rig.run_as(ME, &block_cdb(0x28, 0, 0, 2), expected, &[]);
        assert_eq!(data(&reply), pattern(2048)[..delivered]);
        assert_eq!(reply.transfer_len, 1024);
        let want: &[Op] = if read == 0 { &[] } else { &[Op::Read { offset: 0, len: read }] };
        assert_eq!(rig.ops, want);
    }
}

#[test]
fn residuals_of_writes() {
    for opcode in [0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e] {
        for (sent, written) in [(0, 0), (511, 0), (512, 512), (1000, 512), (1024, 1024), (5000, 1024)] {
            let mut rig = Rig::new();
            let reply = rig.put(&block_cdb(opcode, 0, 1, 2), &pattern(8192)[..sent]);
            assert_good(&reply);
            assert_eq!(reply.transfer_len, 1024);
            let mut want = pattern(8192)[..written].to_vec();
            want.resize(4096, 0);
            assert_eq!(rig.bytes(512, 4096), want, "{opcode:02x} {sent}");
        }
    }
}

#[test]
fn synchronize_cache_flushes() {
    let mut rig = Rig::new();
    for opcode in [0x35, 0x91] {
        for (flags, lba, count) in [(0, 0, 0), (2, BLOCKS - 1, 0), (0, 0, 1000), (2, 999, 1)] {
            assert_good(&rig.get(&block_cdb(opcode, flags, lba, count)));
            assert_eq!(rig.ops, [Op::Flush]);
        }
        assert_cdb_field(&rig.get(&block_cdb(opcode, 4, 0, 0)), 1, Some(2));
    }
}

#[test]
fn failures_become_sense_data() {
    let medium = IoError::Medium { offset: 3 * 512 + 17 };
    let cases = [
        (0x28, medium, (3, 0x1100), Some(3)),
        (0x28, IoError::Other, (4, 0x4400), None),
        (0x2f, medium, (3, 0x1100), Some(3)),
        (0x2a, medium, (3, 0x0c00), Some(3)),
        (0x2a, IoError::NoSpace, (7, 0x2707), None),
        (0x2a, IoError::ReadOnly, (7, 0x2700), None),
        (0x2a, IoError::Unsupported, (4, 0x4400), None),
        (0x35, IoError::Other, (4, 0x4400), None),
        (0x41, IoError::NoSpace, (7, 0x2707), None),
    ];
    for (opcode, error, want, lba) in cases {
        let mut rig = Rig::new();
        rig.fail = Some((0, error));
        let len = if opcode == 0x41 { 512 } else { 4096 };
        let reply = rig.run_as(ME, &block_cdb(opcode, 0, 0, 8), 4096, &vec![7; len]);
        assert_eq!((sense(&reply), information(&reply)), (want, lba), "{opcode:02x} {error:?}");
    }
}

/// The store answers a read with less than it was asked for.
#[test]
fn a_short_read_is_a_medium_error_at_the_first_missing_block() {
    let mut rig = Rig::new();
    let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(0x28, 0, 10, 4)).unwrap();
    let request = Request { cdb: &cdb, data_in: 2048, data_out: 0, attribute: Default::default() };
    let Step::Io { task, .. } = rig.unit.start(ME, &request) else { panic!() };
    let Step::Done(reply) = rig.unit.resume(task, Resume::Io(Outcome::Data(list(&[0; 1024])))) else {
        panic!()
    };
    assert_eq!((sense(&reply), information(&reply)), ((3, 0x1100), Some(12)));
}

#[test]
fn a_resumption_that_does_not_fit_ends_the_command() {
    let mut rig = Rig::new();
    let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(0x28, 0, 10, 4)).unwrap();
    let request = Request { cdb: &cdb, data_in: 2048, data_out: 0, attribute: Default::default() };
    for wrong in [Resume::Data(list(&[0; 2048])), Resume::Io(Outcome::Done)] {
        let Step::Io { task, .. } = rig.unit.start(ME, &request) else { panic!() };
        let Step::Done(reply) = rig.unit.resume(task, wrong) else { panic!() };
        assert_eq!(sense(&reply), (4, 0x4400));
    }
}

/// A caller that hands over more than was asked for does not make the unit write it.
#[test]
fn data_behind_the_length_is_ignored() {
    let mut rig = Rig::new();
    for opcode in [0x2a, 0x2e] {
        let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(opcode, 0, 4, 2)).unwrap();
        let request = Request { cdb: &cdb, data_in: 0, data_out: 4096, attribute: Default::default() };
        let Step::NeedData { len: 1024, task } = rig.unit.start(ME, &request) else { panic!() };
        let Step::Io { op, .. } = rig.unit.resume(task, Resume::Data(list(&[1; 4096]))) else { panic!() };
        assert!(matches!(op, Op::Write { offset: 2048, data, .. } if data.len() == 1024));
    }
}
