//! VERIFY, and WRITE AND VERIFY.

use iscsicore::disk::*;

use crate::rig::*;

const VERIFY: [u8; 3] = [0x2f, 0xaf, 0x8f];

#[test]
fn bytchk_0_reads_in_pieces() {
    let mut rig = Rig::new();
    for opcode in VERIFY {
        let reply = rig.get(&block_cdb(opcode, 0x10, 10, 20));
        assert_good(&reply);
        assert_eq!(reply.transfer_len, 0);
        let read = |offset, len| Op::Read { offset, len };
        assert_eq!(rig.ops, [read(5120, 4096), read(9216, 4096), read(13312, 2048)]);
    }
}

#[test]
fn bytchk_1_compares_every_byte() {
    let mut rig = Rig::new();
    let bytes = pattern(20 * 512);
    rig.fill(10 * 512, &bytes);
    for opcode in VERIFY {
        let cdb = block_cdb(opcode, 0x02, 10, 20);
        let reply = rig.put(&cdb, &bytes);
        assert_good(&reply);
        assert_eq!((reply.transfer_len as usize, rig.ops.len()), (bytes.len(), 3));
        for at in [0, 1, 4095, 4096, 5000, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let reply = rig.put(&cdb, &other);
            assert_eq!((sense(&reply), information(&reply)), ((0x0e, 0x1d00), Some(at as u32)));
        }
    }
}

#[test]
fn bytchk_3_compares_every_block_with_one() {
    for opcode in VERIFY {
        let mut rig = Rig::new();
        let block = pattern(512);
        rig.fill(512, &block.repeat(20));
        let cdb = block_cdb(opcode, 0x06, 1, 20);
        let reply = rig.put(&cdb, &block);
        assert_good(&reply);
        assert_eq!((reply.transfer_len, rig.ops.len()), (512, 3));
        for at in [0, 512, 4096 + 3, 20 * 512 - 1] {
            let old = rig.bytes(512 + at, 1)[0];
            rig.fill(512 + at, &[old ^ 1]);
            let reply = rig.put(&cdb, &block);
            assert_eq!((sense(&reply), information(&reply)), ((0x0e, 0x1d00), Some(at as u32)));
            rig.fill(512 + at, &[old]);
        }
        assert_eq!(sense(&rig.put(&cdb, &block[..511])), (5, 0x2400), "no block to compare with");
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0x04, 1, 20), &block), 1, Some(2));
    }
}

#[test]
fn only_whole_blocks_that_arrived_are_compared() {
    let mut rig = Rig::new();
    rig.fill(0, &[9; 1024]);
    assert_good(&rig.put(&block_cdb(0x2f, 2, 0, 4), &[&[9; 1024][..], &[1; 100]].concat()));
    assert_eq!(rig.ops, [Op::Read { offset: 0, len: 1024 }]);
    assert_good(&rig.put(&block_cdb(0x2f, 2, 0, 4), &[1; 100]));
    assert!(rig.ops.is_empty());
}

#[test]
fn write_and_verify_writes_through_and_reads_back() {
    for opcode in [0x2e, 0xae, 0x8e] {
        for flags in [0x00, 0x02, 0x12] {
            let mut rig = Rig::new();
            let bytes = pattern(10 * 512);
            assert_good(&rig.put(&block_cdb(opcode, flags, 3, 10), &bytes));
            assert_eq!(rig.bytes(3 * 512, bytes.len()), bytes);
            let write = Op::Write { offset: 1536, data: list(&bytes), fua: true };
            let read = |offset, len| Op::Read { offset, len };
            assert_eq!(rig.ops, [write, read(1536, 4096), read(5632, 1024)]);
        }
        let mut rig = Rig::new();
        assert_cdb_field(&rig.put(&block_cdb(opcode, 0x04, 3, 1), &[0; 512]), 1, Some(2));
    }
}

/// A medium that does not hold what was written.
#[test]
fn write_and_verify_notices_a_bad_medium() {
    for (flags, want) in [(0x00, (0, 0)), (0x02, (0x0e, 0x1d00))] {
        let mut rig = Rig::new();
        let cdb = iscsicore::scsi::Cdb::from_slice(&block_cdb(0x2e, flags, 0, 2)).unwrap();
        let request = Request { cdb: &cdb, data_in: 0, data_out: 1024, attribute: Default::default() };
        let Step::NeedData { len: 1024, task } = rig.unit.start(ME, &request) else { panic!() };
        let Step::Io { op: Op::Write { .. }, task } = rig.unit.resume(task, Resume::Data(list(&[7; 1024])))
        else {
            panic!()
        };
        let Step::Io { op: Op::Read { .. }, task } = rig.unit.resume(task, Resume::Io(Outcome::Done)) else {
            panic!()
        };
        let mut read = [7; 1024];
        read[700] = 6;
        let Step::Done(reply) = rig.unit.resume(task, Resume::Io(Outcome::Data(list(&read)))) else {
            panic!()
        };
        assert_eq!(sense(&reply), want);
        assert_eq!(information(&reply), (flags != 0).then_some(700));
    }
}
