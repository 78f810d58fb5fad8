//! Commands of well-behaved sessions: payload both ways, several units and targets, discovery, and no waiting for
//! each other.

use std::sync::Arc;
use std::time::Duration;

use crate::platform::backend::{Fault, Kind, MemoryBackend};
use iscsicore::node::{IscsiName, LunMap, TargetConfig, UnitAccess};
use iscsicore::wire::{Itt, LoginStatus, TaskManagementFunction, TaskManagementResult};

use crate::support::initiator::{Login, Session};
use crate::support::serving::{SIZE, Serving, TARGET, WHILE};

const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:other";

fn pattern(seed: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

#[test]
fn writes_and_reads_of_all_sizes_come_back_as_they_went() {
    for digest in ["None", "CRC32C"] {
        let serving = Serving::new();
        let login = Login::to(TARGET, "io").key("HeaderDigest", digest).key("DataDigest", digest);
        let mut session = Session::login(serving.address, &login);
        for (seed, blocks) in [1usize, 2, 15, 16, 17, 127, 128, 129, 2048, 5000].into_iter().enumerate() {
            let data = pattern(seed as u32, blocks * 512);
            session.write(0, 64 + seed as u64, &data);
            assert!(
                session.read(0, 64 + seed as u64, blocks as u32) == data,
                "{blocks} blocks, digest {digest}"
            );
            assert!(serving.bytes((64 + seed as u64) * 512, data.len()) == data);
        }
        session.logout();
    }
}

#[test]
fn many_commands_of_one_session_are_in_flight_at_once() {
    let serving = Serving::new();
    let mut session = serving.login("many");
    // 4 MiB each way, twice as much as the default window holds would not be sent by an initiator.
    let writes: Vec<_> =
        (0..32u64).map(|n| session.start_write(0, n * 256, &pattern(n as u32, 131_072))).collect();
    for itt in writes {
        assert_eq!(session.finish(itt).status, 0);
    }
    let reads: Vec<_> = (0..32u64).map(|n| (n, session.start_read(0, n * 256, 256))).collect();
    for (n, itt) in reads {
        assert!(session.finish(itt).data == pattern(n as u32, 131_072), "command {n}");
    }
}

/// Commands that the core holds back for want of room go on when the room is there, without anything else happening.
#[test]
fn reads_beyond_the_transmit_budget_all_come() {
    let mut limits = iscsicore::Limits::default();
    limits.transmit_bytes = 64 << 10;
    let serving = Serving::with(|b| {
        b.limits(limits);
    });
    let mut session = serving.login("budget");
    for round in 0..20u64 {
        let reads: Vec<_> = (0..16).map(|n| session.start_read(0, round + n, 100)).collect();
        for itt in reads {
            assert_eq!(session.finish(itt).data.len(), 51_200);
        }
    }
}

#[test]
fn each_lun_of_each_target_is_its_own_disk_and_a_shared_one_is_shared() {
    let serving = Serving::with(|b| {
        let shared = b.disk("shared", Arc::new(MemoryBackend::new(1 << 20)));
        let own = b.disk("own", Arc::new(MemoryBackend::new(2 << 20)));
        b.target(OTHER, &[own, shared]).unwrap();
        let mut third = TargetConfig::new(IscsiName::parse("iqn.2026-01.dev.iscsicore.test:third").unwrap());
        let mut luns = LunMap::new();
        luns.insert(7, shared, UnitAccess::ReadWrite).unwrap();
        luns.insert(300, own, UnitAccess::ReadWrite).unwrap();
        third.luns = luns;
        b.target_config(third);
    });
    let mut first = serving.login("luns");
    let mut second = Session::login(serving.address, &Login::to(OTHER, "luns"));
    let third = Login::to("iqn.2026-01.dev.iscsicore.test:third", "luns");
    let mut third = Session::login(serving.address, &third);
    assert_eq!((first.report_luns(), second.report_luns()), (vec![0], vec![0, 1]));
    assert_eq!(third.report_luns(), [7, 300]);
    first.write(0, 5, &[1; 512]);
    second.write(0, 5, &[2; 512]);
    second.write(1, 5, &[3; 512]);
    assert_eq!(first.read(0, 5, 1), [1; 512]);
    assert_eq!(third.read(300, 5, 1), [2; 512]);
    assert_eq!(third.read(7, 5, 1), [3; 512]);
    let absent = third.test_unit_ready(0);
    assert_eq!(absent.sense, Some((5, 0x25, 0)), "LOGICAL UNIT NOT SUPPORTED");
}

#[test]
fn discovery_names_every_target_and_its_address_and_carries_no_commands() {
    let serving = Serving::with(|b| {
        let unit = b.disk("own", Arc::new(MemoryBackend::new(2 << 20)));
        b.target(OTHER, &[unit]).unwrap();
    });
    let mut session = Session::login(serving.address, &Login::discovery("finder"));
    let address = format!("{},1", serving.address);
    let record = |name: &str| {
        [("TargetName".to_owned(), name.to_owned()), ("TargetAddress".to_owned(), address.clone())]
    };
    assert_eq!(session.send_targets("All"), [record(TARGET), record(OTHER)].concat());
    assert_eq!(session.send_targets(OTHER), record(OTHER));
    assert_eq!(session.send_targets("iqn.2026-01.dev.iscsicore.test:absent"), []);
    session.logout();
    let unknown =
        Session::login_only(serving.address, &Login::to("iqn.2026-01.dev.iscsicore.test:absent", "x"));
    assert_eq!(unknown.err(), Some(LoginStatus::NOT_FOUND));
}

#[test]
fn a_lun_that_is_read_only_for_one_initiator_is_writable_for_others() {
    const SHARED: &str = "iqn.2026-01.dev.iscsicore.test:shared";
    let serving = Serving::with(|b| {
        let unit = b.disk("shared", Arc::new(MemoryBackend::new(1 << 20)));
        let mut target = TargetConfig::new(IscsiName::parse(SHARED).unwrap());
        target.luns.insert(0, unit, UnitAccess::ReadWrite).unwrap();
        let mut luns = LunMap::new();
        luns.insert(0, unit, UnitAccess::ReadOnly).unwrap();
        // The same unit once more, writable: the LUN decides, not the unit.
        luns.insert(1, unit, UnitAccess::ReadWrite).unwrap();
        target.luns_for.insert(IscsiName::parse("iqn.2026-01.dev.iscsicore.test:reader").unwrap(), luns);
        b.target_config(target);
    });
    let mut writer = Session::login(serving.address, &Login::to(SHARED, "writer"));
    let mut reader = Session::login(serving.address, &Login::to(SHARED, "reader"));
    writer.write(0, 0, &[1; 512]);
    let refused = reader.start_write(0, 0, &[2; 512]);
    assert_eq!(reader.finish(refused).sense, Some((7, 0x27, 0)), "WRITE PROTECTED");
    assert_eq!(reader.read(0, 0, 1), [1; 512]);
    reader.write(1, 0, &[3; 512]);
    let refused = reader.start_write(0, 0, &[2; 512]);
    assert_eq!(reader.finish(refused).sense, Some((7, 0x27, 0)), "still");
    assert_eq!(writer.read(0, 0, 1), [3; 512]);
}

#[test]
fn nothing_waits_for_the_input_or_output_of_a_command_but_that_command() {
    let serving = Serving::new();
    let mut session = serving.login("holder");
    session.write(0, 10, &[7; 512]);
    let (read_gate, write_gate) = (serving.hold(Kind::Read, 5120), serving.hold(Kind::Write, 0));
    let held_read = session.start_read(0, 10, 1);
    let held_write = session.start_write(0, 0, &[1; 512]);
    serving.reached(&read_gate);
    serving.reached(&write_gate);
    // In the same session: other commands, a ping, management of other tasks.
    for n in 0..50 {
        session.write(0, 20 + n, &[n as u8; 512]);
        assert_eq!(session.read(0, 20 + n, 1), [n as u8; 512]);
        session.nop();
    }
    let abort = session.start_management(TaskManagementFunction::AbortTask, 0, Itt(0x5555));
    assert_eq!(session.management_result(abort), TaskManagementResult::TaskDoesNotExist);
    // In another session: everything.
    let mut other = serving.login("other");
    other.write(0, 90, &[9; 512]);
    assert_eq!(session.read(0, 90, 1), [9; 512]);
    assert!(session.is_silent_about(held_read, WHILE) && session.is_silent_about(held_write, WHILE / 10));
    read_gate.open();
    assert_eq!(session.finish(held_read).data, [7; 512]);
    write_gate.open();
    assert_eq!(session.finish(held_write).status, 0);
    assert_eq!(serving.bytes(0, 512), [1; 512]);
}

#[test]
fn commands_of_one_session_reach_the_storage_together() {
    let serving = Serving::new();
    let mut session = serving.login("parallel");
    let gates: Vec<_> = (0..16u64).map(|n| serving.hold(Kind::Write, n * 4096)).collect();
    let held: Vec<_> = (0..16u64).map(|n| session.start_write(0, n * 8, &[n as u8; 4096])).collect();
    gates.iter().for_each(|gate| serving.reached(gate));
    // They end in the order in which storage ends them.
    for n in (0..16).rev() {
        gates[n].open();
        assert_eq!(session.finish(held[n]).status, 0);
        assert_eq!(serving.bytes(n as u64 * 4096, 4096), [n as u8; 4096]);
    }
}

#[test]
fn a_storage_error_is_the_commands_own() {
    let serving = Serving::new();
    let mut session = serving.login("errors");
    serving.disk.next(Kind::Read, Fault::Medium(512));
    serving.disk.next(Kind::Write, Fault::Fail(std::io::ErrorKind::StorageFull));
    let read = session.start_read(0, 0, 8);
    let write = session.start_write(0, 0, &[1; 512]);
    assert_eq!(session.finish(read).sense, Some((3, 0x11, 0)), "UNRECOVERED READ ERROR");
    assert_eq!(session.finish(write).sense, Some((7, 0x27, 7)), "SPACE ALLOCATION FAILED");
    session.write(0, 0, &[2; 512]);
    assert_eq!(session.read(0, 0, 1), [2; 512]);
}

#[test]
fn sessions_and_their_counters_can_be_looked_at() {
    let serving = Serving::new();
    let mut session = serving.login("watched");
    session.write(0, 0, &[1; 1024]);
    session.read(0, 0, 4);
    let gate = serving.hold(Kind::Read, 0);
    let held = session.start_read(0, 0, 1);
    serving.reached(&gate);
    let reports = serving.runtime.block_on(serving.server().sessions());
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.initiator, "iqn.2026-01.dev.iscsicore.test:watched");
    assert_eq!((report.target.as_deref(), report.tsih), (Some(TARGET), session.tsih.0));
    assert_eq!(report.connections, [session.raw.stream.local_addr().unwrap()]);
    assert_eq!((report.outstanding, report.counters.bytes_out), (1, 1024));
    assert!(report.counters.bytes_in >= 2048 && report.counters.commands >= 4);
    gate.open();
    session.finish(held);
    session.logout();
    serving.wait_for_sessions(0);
}

#[test]
fn the_ends_of_the_disk_are_reached_and_not_passed() {
    let serving = Serving::new();
    let mut session = serving.login("ends");
    let last = SIZE / 512 - 1;
    session.write(0, last, &[3; 512]);
    assert_eq!(session.read(0, last, 1), [3; 512]);
    let beyond = session.start_read(0, last, 2);
    assert_eq!(session.finish(beyond).sense, Some((5, 0x21, 0)), "LBA OUT OF RANGE");
    assert!(session.is_silent_about(beyond, Duration::from_millis(20)), "answered once");
}
