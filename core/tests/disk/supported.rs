//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.

use iscsicore::disk::*;

use crate::rig::*;

fn rsoc(options: u8, opcode: u8, action: u16, allocation: u32) -> Vec<u8> {
    let mut cdb = vec![0xa3, 0x0c, options, opcode];
    cdb.extend(action.to_be_bytes());
    cdb.extend(allocation.to_be_bytes());
    cdb.extend([0, 0]);
    cdb
}

#[test]
fn one_command() {
    let mut rig = Rig::new();
    let read_10 = [0x28, 0x18, 255, 255, 255, 255, 0, 255, 255, 0];
    let with = |head: [u8; 4], usage: &[u8], tail: &[u8]| [&head[..], usage, tail].concat();
    let timeouts = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60];
    assert_eq!(data(&rig.get(&rsoc(1, 0x28, 0, 255))), with([0, 3, 0, 10], &read_10, &[]));
    assert_eq!(data(&rig.get(&rsoc(0x81, 0x28, 0, 255))), with([0, 0x83, 0, 10], &read_10, &timeouts));
    assert_eq!(data(&rig.get(&rsoc(3, 0x28, 0, 255))), with([0, 3, 0, 10], &read_10, &[]));
    let capacity = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0];
    for options in [2, 3] {
        assert_eq!(data(&rig.get(&rsoc(options, 0x9e, 0x10, 255))), with([0, 3, 0, 16], &capacity, &[]));
    }
    for (options, opcode, action) in
        [(1, 0xc0, 0), (0x81, 0xff, 0), (2, 0xc0, 5), (3, 0x28, 1), (2, 0x9e, 0x11), (3, 0xa3, 0)]
    {
        assert_eq!(data(&rig.get(&rsoc(options, opcode, action, 255))), [0, 1, 0, 0]);
    }
    assert_cdb_field(&rig.get(&rsoc(1, 0x9e, 0, 255)), 3, None);
    assert_cdb_field(&rig.get(&rsoc(2, 0x28, 0, 255)), 3, None);
    for options in 4..8 {
        assert_cdb_field(&rig.get(&rsoc(options, 0, 0, 255)), 2, Some(2));
    }
    assert_cdb_field(&rig.get(&rsoc(0x08, 0, 0, 255)), 2, Some(3));
}

/// The list agrees with the answers for each command, and each listed command is one that the unit takes.
#[test]
fn the_list_is_what_is_dispatched() {
    for provisioning in [Provisioning::Full, Provisioning::Thin] {
        let mut rig = Rig::with(|c| c.provisioning = provisioning);
        for (options, entry) in [(0, 8), (0x80, 20)] {
            let list = data(&rig.get(&rsoc(options, 0, 0, 65536)));
            assert_eq!(u32::from_be_bytes(list[..4].try_into().unwrap()) as usize, list.len() - 4);
            let commands: Vec<&[u8]> = list[4..].chunks(entry).collect();
            assert_eq!(commands.len(), if provisioning == Provisioning::Thin { 34 } else { 32 });
            for command in commands {
                assert_eq!(command.len(), entry);
                assert_eq!(command[5] & 2 != 0, options != 0, "CTDP");
                let action = u16::from_be_bytes([command[2], command[3]]);
                let one =
                    data(&rig.get(&rsoc(if command[5] & 1 == 1 { 2 } else { 1 }, command[0], action, 65536)));
                assert_eq!((one[1], &one[2..4], one[4]), (3, &command[6..8], command[0]));
                let mut cdb = vec![0; one.len() - 4];
                cdb[0] = command[0];
                cdb[1] = action as u8;
                assert_ne!(sense(&rig.get(&cdb)), (5, 0x2000));
                // The opposite of what is advertised is refused at the first such bit.
                for (at, usage) in one[4..].iter().enumerate().skip(1) {
                    for bit in (0..8u8).filter(|bit| usage >> bit & 1 == 0) {
                        if at == 1 && command[5] & 1 == 1 && bit < 5 {
                            continue;
                        }
                        let mut bad = cdb.clone();
                        bad[at] |= 1 << bit;
                        assert_cdb_field(&rig.get(&bad), at as u16, Some(bit));
                    }
                }
            }
        }
    }
}

#[test]
fn provisioning_decides_what_there_is() {
    for (provisioning, unmap, flags) in [(Provisioning::Thin, 3, 0x09), (Provisioning::Full, 1, 0x01)] {
        let mut rig = Rig::with(|c| c.provisioning = provisioning);
        assert_eq!(data(&rig.get(&rsoc(1, 0x42, 0, 255)))[1], unmap);
        assert_eq!(data(&rig.get(&rsoc(1, 0x93, 0, 255)))[5], flags);
        assert_eq!(data(&rig.get(&rsoc(1, 0x41, 0, 255)))[5], flags & 0x08);
    }
}

#[test]
fn no_service_action_reaches_beyond_the_table() {
    let mut rig = Rig::new();
    for opcode in [0x9e, 0xa3, 0x28, 0xff] {
        for action in 0..=u16::MAX {
            let known = matches!((opcode, action), (0x9e, 0x10 | 0x12) | (0xa3, 0x0c | 0x0d) | (0x28, 0));
            let reply = rig.get(&rsoc(3, opcode, action, 8));
            assert_eq!(reply.data.to_bytes()[1] == 3, known, "{opcode:02x} {action:04x}");
        }
    }
}

#[test]
fn allocation_lengths_cut() {
    let mut rig = Rig::new();
    let whole = data(&rig.get(&rsoc(0x80, 0, 0, u32::MAX)));
    for allocation in 0..whole.len() + 10 {
        let got = data(&rig.get(&rsoc(0x80, 0, 0, allocation as u32)));
        assert_eq!(got, whole[..allocation.min(whole.len())]);
    }
}

#[test]
fn task_management_functions() {
    let mut rig = Rig::with(|c| {
        c.task_functions =
            TaskFunctions::default().and(TaskFunctions::QUERY_TASK).and(TaskFunctions::QUERY_TASK_SET);
    });
    let cdb = |repd, allocation| [0xa3, 0x0d, repd, 0, 0, 0, 0, 0, 0, allocation, 0, 0];
    assert_eq!(data(&rig.get(&cdb(0, 255))), [0xdc, 0x02, 0, 0]);
    let extended = [0xdc, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(data(&rig.get(&cdb(0x80, 255))), extended);
    assert_eq!(data(&rig.get(&cdb(0x80, 5))), extended[..5]);
    assert_cdb_field(&rig.get(&cdb(0, 3)), 6, None);
}
