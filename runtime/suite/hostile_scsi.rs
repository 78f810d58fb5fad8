//! Commands that no driver would send. Each test names the class of defect and where it has bitten others; each
//! asserts the answer, and that a well-behaved session is served afterwards.

use std::sync::Arc;

use crate::platform::backend::{Call, Kind, MemoryBackend};
use iscsicore::DataList;
use iscsicore::wire::{Lun, Residual, ScsiCommand};

use crate::support::initiator::{Login, Session, read16, write16};
use crate::support::serving::{Bystander, SIZE, Serving};

const PRIVATE: &str = "iqn.2026-01.dev.iscsicore.test:private";

/// A server with a second target, whose disk may be stopped and spoilt.
fn with_private_disk() -> Serving {
    Serving::with(|b| {
        let unit = b.disk("private", Arc::new(MemoryBackend::new(1 << 20)));
        b.target(PRIVATE, &[unit]).unwrap();
    })
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A table indexed by the service action of REPORT SUPPORTED OPERATION CODES (FreeBSD CVE-2024-42416).
#[test]
fn report_supported_operation_codes_with_every_operation_and_service_action() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("opcodes");
    let mut supported = 0;
    for options in 0..8u8 {
        for opcode in 0..=255u8 {
            for action in [0u16, 1, 0x10, 0x1f, 0x20, 0xff, 0x7fff, 0xffff] {
                let [high, low] = action.to_be_bytes();
                let cdb = [0xa3, 0x0c, options | (opcode & 0x80), opcode, high, low, 0, 0, 0x10, 0, 0, 0];
                let itt = session.start_in(0, &cdb, 4096);
                let done = session.finish(itt);
                assert!(done.status == 0 || done.sense.is_some_and(|s| s.0 == 5), "{cdb:?}: {done:?}");
                supported += usize::from(done.data.get(1).is_some_and(|b| b & 7 == 3));
                if options == 0 {
                    break; // these fields mean nothing here
                }
            }
        }
    }
    assert!(supported > 10, "{supported}");
    // Every service action for one operation code that has them.
    for action in 0..=0xffffu16 {
        if action > 64 && action % 251 != 0 {
            continue;
        }
        let [high, low] = action.to_be_bytes();
        let itt = session.start_in(0, &[0xa3, 0x0c, 3, 0x9e, high, low, 0, 0, 1, 0, 0, 0], 256);
        let done = session.finish(itt);
        assert!(done.status == 0 || done.sense.is_some_and(|s| s.0 == 5), "{action:#x}: {done:?}");
    }
    bystander.is_served(&serving);
}

/// Data beyond what there is: memory that nobody initialised (FreeBSD CVE-2024-43110, REQUEST SENSE), and answers
/// longer than the initiator takes.
#[test]
fn no_more_data_than_there_is_and_no_more_than_is_taken() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("lengths");
    let commands: [(&str, Vec<u8>, usize); 8] = [
        ("INQUIRY", vec![0x12, 0, 0, 0xff, 0xff, 0], 300),
        ("INQUIRY, page 0", vec![0x12, 1, 0, 0xff, 0xff, 0], 64),
        ("INQUIRY, page 83h", vec![0x12, 1, 0x83, 0xff, 0xff, 0], 1000),
        ("REQUEST SENSE", vec![3, 0, 0, 0, 255, 0], 18),
        ("MODE SENSE(10)", vec![0x5a, 0, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0], 1000),
        ("READ CAPACITY(16)", vec![0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], 32),
        ("REPORT LUNS", vec![0xa0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], 16),
        ("all operation codes", vec![0xa3, 0x0c, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], 4000),
    ];
    for (name, cdb, most) in commands {
        let itt = session.start_in(0, &cdb, 65535);
        let done = session.finish(itt);
        assert_eq!(done.status, 0, "{name}");
        assert!(!done.data.is_empty() && done.data.len() <= most, "{name}: {} bytes", done.data.len());
        assert_eq!(done.residual, Residual::Underflow(65535 - done.data.len() as u32), "{name}");
        let whole = done.data;
        for taken in [1u32, 3, 4, 5, 7, 8, 15] {
            let itt = session.start_in(0, &cdb, taken);
            let done = session.finish(itt);
            assert_eq!(done.data, whole[..whole.len().min(taken as usize)], "{name}, {taken} bytes taken");
            let more = (whole.len() as u32).saturating_sub(taken);
            assert_eq!(
                done.residual,
                if more > 0 { Residual::Overflow(more) } else { done.residual },
                "{name}"
            );
        }
        // And an allocation length of nearly nothing.
        let itt = session.start_in(0, &cdb, 0);
        assert_eq!(session.finish(itt).data, b"", "{name}");
    }
    bystander.is_served(&serving);
}

/// LBA + length that overflows, length x block size that overflows (SCST 2bafc3bd5), and a transfer of 2 TiB that is
/// believed before the LBA is looked at (`iscsi-target` 1.0.0).
#[test]
fn blocks_beyond_the_end_by_any_arithmetic() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("overflow");
    let end = SIZE / 512;
    let before = serving.disk.calls().len();
    for lba in [u64::MAX, u64::MAX - 1, u64::MAX - 8, 1 << 63, u64::MAX / 512, (1 << 55) - 1, end, end - 1] {
        for blocks in [2u32, 8, 0x0080_0000, 0x7fff_ffff, 0xffff_ffff] {
            // READ, WRITE, VERIFY, WRITE AND VERIFY, WRITE SAME, SYNCHRONIZE CACHE, PRE-FETCH, all of 16 bytes.
            for opcode in [0x88, 0x8a, 0x8f, 0x8e, 0x93, 0x91, 0x90] {
                let mut cdb = read16(lba, blocks);
                cdb[0] = opcode;
                let itt = match opcode {
                    0x88 => session.start_in(0, &cdb, 4096),
                    0x8f..=0x91 => session.start_in(0, &cdb, 0),
                    _ => session.start_out(0, &cdb, &[0xee; 512]),
                };
                let done = session.finish(itt);
                let refused =
                    done.sense.is_some_and(|(key, code, _)| key == 5 && [0x20, 0x21, 0x24].contains(&code));
                assert!(refused, "{opcode:#x} {lba:#x} {blocks:#x}: {done:?}");
            }
        }
        // UNMAP, GET LBA STATUS.
        let mut list = vec![0, 22, 0, 16, 0, 0, 0, 0];
        list.extend_from_slice(&lba.to_be_bytes());
        list.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let itt = session.start_out(0, &[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], &list);
        assert!(session.finish(itt).sense.is_some_and(|s| s.0 == 5));
        let mut cdb = read16(lba, 0xffff_ffff);
        cdb[0] = 0x9e;
        cdb[1] = 0x12;
        let itt = session.start_in(0, &cdb, 4096);
        let done = session.finish(itt);
        assert!(done.sense.is_some_and(|s| s.0 == 5) || lba == end - 1, "{lba:#x}: {done:?}");
    }
    // The last block is there to be asked about; nothing else reached the storage.
    let question = Call { kind: Kind::Extents, offset: SIZE - 512, len: 512, fua: false };
    assert_eq!(serving.disk.calls()[before..], [question]);
    bystander.is_served(&serving);
}

/// A WRITE(16) of 0xffffffff blocks with every expectation of the initiator: neither memory nor the medium follows.
#[test]
fn a_write_of_two_tebibytes() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("huge");
    for expected in [0u32, 512, 1 << 20, u32::MAX] {
        let command = session.command(0, &write16(0, u32::MAX));
        let command = ScsiCommand { write: expected > 0, expected_len: expected, ..command };
        session.raw.send(command.emit(), vec![0xee; expected.min(512) as usize]);
        let done = session.finish(command.itt);
        assert!(done.sense.is_some_and(|s| s.0 == 5), "{expected}: {done:?}");
    }
    assert_eq!(serving.bytes(0, 512), [0; 512]);
    bystander.is_served(&serving);
}

/// Parameter lists whose inner lengths lie: TransportID (SCST 6138af919), UNMAP descriptors, mode pages, and lists that
/// are shorter than their header.
#[test]
fn parameter_lists_that_lie() {
    let serving = with_private_disk();
    let mut bystander = Bystander::new(&serving);
    let mut session = Session::login(serving.address, &Login::to(PRIVATE, "lists"));
    for len in [0usize, 1, 2, 3, 4, 7, 8, 9, 12, 23, 24, 25, 28, 40, 255, 1000] {
        for fill in [0x00u8, 0x01, 0x7f, 0xff] {
            let list = vec![fill; len];
            let [high, low] = (len as u16).to_be_bytes();
            for cdb in [
                vec![0x42, 0, 0, 0, 0, 0, 0, high, low, 0],    // UNMAP
                vec![0x5f, 0, 0, 0, 0, 0, 0, high, low, 0],    // PERSISTENT RESERVE OUT, REGISTER
                vec![0x5f, 7, 0, 0, 0, 0, 0, high, low, 0],    // REGISTER AND MOVE
                vec![0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], // MODE SELECT(10)
                vec![0x15, 0x10, 0, 0, len.min(255) as u8, 0], // MODE SELECT(6)
                vec![0x83, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low, 0, 0], // EXTENDED COPY
                vec![0x3b, 2, 0, 0, 0, 0, 0, high, low, 0],    // WRITE BUFFER
                vec![0xa4, 0x0a, 0, 0, 0, 0, 0, 0, high, low, 0, 0], // SET TARGET PORT GROUPS
                vec![0x04, 0x10, 0, 0, 0, 0],                  // FORMAT UNIT
            ] {
                let itt = session.start_out(0, &cdb, &list);
                let done = session.finish(itt);
                assert!([0, 2, 0x18].contains(&done.status), "{cdb:x?}, {len} of {fill:#x}: {done:?}");
            }
        }
    }
    bystander.is_served(&serving);
}

/// Third-party copy without authorisation (LIO CVE-2020-28374, tcmu-runner CVE-2021-3139): it is not offered at all.
#[test]
fn third_party_copy_is_not_there() {
    let serving = with_private_disk();
    let mut bystander = Bystander::new(&serving);
    let mut session = Session::login(serving.address, &Login::to(PRIVATE, "copy"));
    for opcode in [0x83, 0x84] {
        for action in 0..32u8 {
            let cdb = [opcode, action, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
            let itt = if opcode == 0x83 {
                session.start_out(0, &cdb, &[0; 512])
            } else {
                session.start_in(0, &cdb, 512)
            };
            let done = session.finish(itt);
            assert!(done.data.is_empty());
            assert!(done.sense.is_some_and(|s| s.0 == 5), "{opcode:#x} {action:#x}: {done:?}");
        }
    }
    bystander.is_served(&serving);
}

/// LUNs in every form: all that do not name the one unit are absent.
#[test]
fn luns_that_are_not_there() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("luns");
    for lun in [
        1u64 << 48,
        0xff << 48,
        0x4001 << 48,
        0x7fff << 48,
        0xc101 << 48,
        1,
        u64::MAX,
        0x0100 << 48,
        0x8000 << 48,
    ] {
        for cdb in [read16(0, 1), write16(0, 1)] {
            let command = session.command(0, &cdb);
            let read = cdb[0] == 0x88;
            let command = ScsiCommand { lun: Lun(lun), read, write: !read, expected_len: 512, ..command };
            let data = if read { Vec::new() } else { vec![0xee; 512] };
            session.raw.send(command.emit(), data);
            assert_eq!(session.finish(command.itt).sense, Some((5, 0x25, 0)), "{lun:#x}");
        }
    }
    assert_eq!(serving.bytes(0, 512), [0; 512]);
    bystander.is_served(&serving);
}

/// Any CDB at all, with any expectation: each gets one answer.
#[test]
fn random_commands_are_all_answered() {
    let serving = with_private_disk();
    let mut bystander = Bystander::new(&serving);
    let mut session = Session::login(serving.address, &Login::to(PRIVATE, "random"));
    let mut seed = 7;
    for n in 0..4000u32 {
        let mut cdb = [0; 16];
        cdb[..8].copy_from_slice(&random(&mut seed).to_be_bytes());
        cdb[8..].copy_from_slice(&random(&mut seed).to_be_bytes());
        if n % 2 == 0 {
            cdb[0] = [0x12, 0x1a, 0x5a, 0x9e, 0xa3, 0x28, 0x2a, 0x88, 0x8a, 0x41, 0x93, 0x42, 0x2f, 0x25]
                [n as usize / 2 % 14];
            // Most of the other bytes zero, so that the command goes deeper.
            (2..15).filter(|i| !random(&mut seed).is_multiple_of(4) && *i < 14).for_each(|i| cdb[i] = 0);
        }
        let len = (random(&mut seed) % 9000) as u32;
        let command = session.command(0, &cdb);
        let itt = match random(&mut seed) % 3 {
            0 => {
                session.raw.send(command.emit(), DataList::new());
                command.itt
            }
            1 => {
                let command = ScsiCommand { read: len > 0, expected_len: len, ..command };
                session.raw.send(command.emit(), DataList::new());
                command.itt
            }
            _ => {
                let data = vec![n as u8; len as usize];
                let now = (random(&mut seed) % u64::from(len + 1)) as usize;
                session.outgoing.insert(command.itt, data.clone().into());
                let command = ScsiCommand { write: len > 0, expected_len: len, ..command };
                session.raw.send(command.emit(), data[..now].to_vec());
                command.itt
            }
        };
        let done = session.finish(itt);
        assert!([0, 2, 8, 0x18, 0x28].contains(&done.status), "{cdb:x?}: {done:?}");
    }
    session.nop();
    bystander.is_served(&serving);
}
