//! Peers that are slow, many, fast or gone at the wrong moment. Each test names the class of defect and where it has
//! bitten others; each asserts that well-behaved sessions are served meanwhile and afterwards.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::platform::backend::{Fault, Kind};
use iscsicore::Limits;
use iscsicore::wire::{Bhs, Itt, Opcode, TaskManagementFunction as Function};

use crate::support::initiator::{Login, Session};
use crate::support::serving::{Bystander, Serving, TARGET};
use crate::support::stops::Stops;

/// A peer that asks for much and reads nothing: what waits for it is bounded (the memory is measured in
/// `server_memory`), and it is no obstacle to others, to its own reinstatement, or to a stop of the server.
#[test]
fn a_peer_that_does_not_read_is_in_nobodys_way() {
    let mut serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut slow = serving.login("slow");
    for n in 0..100 {
        slow.start_read(0, n, 2000);
    }
    std::thread::sleep(Duration::from_millis(200));
    bystander.is_served(&serving);
    let reads = serving.disk.calls().iter().filter(|c| c.kind == Kind::Read && c.len == 1_024_000).count();
    assert!(reads < 30, "{reads} reads of 1 MB for a peer that takes none of them");
    // A reset from elsewhere does not wait for it.
    let mut other = serving.login("other");
    let reset = other.start_management(Function::LogicalUnitReset, 0, Itt::RESERVED);
    other.management_result(reset);
    // It comes back by another connection, while the old one still does not read.
    let began = Instant::now();
    let mut again = serving.login("slow");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    again.write(0, 0, &[4; 512]);
    for n in 0..100 {
        again.start_read(0, n, 2000);
    }
    bystander.session_ready();
    bystander.is_served(&serving);
    let began = Instant::now();
    assert!(serving.shutdown(Duration::from_millis(100)).is_empty());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(slow);
}

/// A peer that logs out, or breaks the protocol, without ever reading again: the session still ends.
#[test]
fn a_session_ends_although_its_last_words_are_not_read() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut deaf: Vec<Session> = Vec::new();
    for n in 0..3 {
        let mut session = serving.login(&format!("deaf-{n}"));
        for lba in 0..20 {
            session.start_read(0, lba, 2000);
        }
        std::thread::sleep(Duration::from_millis(100));
        match n {
            0 => {
                session.start_logout();
            }
            1 => session.raw.send_bytes(&[0xff; 48]),
            _ => {
                let _ = session.raw.stream.shutdown(Shutdown::Write);
            }
        }
        deaf.push(session);
    }
    bystander.is_served(&serving);
    // Nothing reads. The time that the last words are given is bounded, and then only the bystander is left.
    std::thread::sleep(Duration::from_secs(5));
    serving.wait_for_sessions(1);
    drop(deaf);
    bystander.is_served(&serving);
}

/// A flood of pings whose answers nobody reads (resource exhaustion): the peer is not listened to any more.
#[test]
fn a_flood_of_pings_is_stopped_by_its_own_answers() {
    let mut limits = Limits::default();
    limits.transmit_bytes = 256 << 10;
    let serving = Serving::with(|b| {
        b.limits(limits);
    });
    let mut bystander = Bystander::new(&serving);
    let mut flood = serving.login("flood");
    let mut nop = Bhs::new(Opcode::NopOut);
    nop.set_immediate();
    nop.0[1] = 0x80;
    nop.0[19] = 1;
    nop.0[20..24].fill(0xff);
    nop.0[24..28].copy_from_slice(&flood.cmd_sn.0.to_be_bytes());
    nop.set_data_segment_len(4096);
    let ping = [&nop.0[..], &[0x55; 4096]].concat();
    flood.raw.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0usize;
    while sent < 400 << 20 {
        match flood.raw.stream.write(&ping[sent % ping.len()..]) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent < 100 << 20, "{sent} bytes taken from a peer that reads nothing");
    bystander.is_served(&serving);
    drop(flood);
    serving.wait_for_sessions(1);
    bystander.is_served(&serving);
}

/// A peer whose pings and commands never end does not keep others from their turn.
#[test]
fn a_busy_session_does_not_starve_the_others() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stops = Stops(&stop);
        for n in 0..3 {
            let (stop, serving) = (&stop, &serving);
            scope.spawn(move || {
                let mut busy = serving.login(&format!("busy-{n}"));
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let reads: Vec<_> = (0..64).map(|lba| busy.start_read(0, lba, 8)).collect();
                    reads.into_iter().for_each(|itt| assert_eq!(busy.finish(itt).status, 0));
                }
            });
        }
        let began = Instant::now();
        for _ in 0..50 {
            bystander.is_served_here();
        }
        drop(stops);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
    bystander.is_served(&serving);
}

/// Connections that close while others complete, reinstate or reset (LIO CVE-2026-23216: use after free in the close
/// race), with storage that answers at once and later.
#[test]
fn connections_that_go_at_any_moment_leave_nothing_behind() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let address = serving.address;
    for _ in 0..200 {
        serving.disk.next(Kind::Write, Fault::Delay(Duration::from_millis(3)));
    }
    std::thread::scope(|scope| {
        for thread in 0..6u64 {
            scope.spawn(move || {
                for round in 0..40u64 {
                    // Three threads share each of two names: they reinstate each other all the time.
                    let login = Login::to(TARGET, &format!("racer-{}", thread % 2));
                    let mut raw = crate::support::initiator::Raw::connect(address);
                    let (bhs, text) = login.request();
                    raw.send(bhs, text);
                    let answered = raw.receive_within(Duration::from_millis(20)).is_some();
                    if !answered {
                        continue;
                    }
                    let mut out = Vec::new();
                    for n in 0..8u8 {
                        let mut command = Bhs::new(Opcode::ScsiCommand);
                        command.0[1] = 0xa0;
                        command.0[19] = n;
                        command.0[22] = 2; // 512 bytes
                        command.0[27] = n + 1;
                        command.0[32..48]
                            .copy_from_slice(&crate::support::initiator::write16(10_000 + thread, 1));
                        command.set_data_segment_len(512);
                        out.extend_from_slice(&command.0);
                        out.extend_from_slice(&[n; 512]);
                    }
                    let cut = (round * 97 + thread * 31) as usize % out.len();
                    raw.send_bytes(&out[..cut]);
                    if round % 3 == 0 {
                        std::thread::sleep(Duration::from_micros(round * 50));
                    }
                    if round % 4 == 0 {
                        let _ = raw.stream.shutdown(Shutdown::Both);
                    }
                }
            });
        }
        for _ in 0..20 {
            bystander.is_served_here();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    serving.wait_for_sessions(1);
    bystander.is_served(&serving);
    let mut again = Session::login(address, &Login::to(TARGET, "racer-0"));
    again.write(0, 10_000, &[9; 512]);
    again.logout();
}

/// Control for the tests above: a session that does everything right, as fast as it can, sees all of its data.
#[test]
fn a_fast_well_behaved_session_sees_its_data_under_attack() {
    let serving = Serving::new();
    let address = serving.address;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let _stops = Stops(stop);
        scope.spawn(move || {
            let mut n = 0u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                n = n.wrapping_add(1);
                let mut raw = crate::support::initiator::Raw::connect(address);
                raw.send_bytes(&n.to_le_bytes().repeat(1 + n as usize % 40));
            }
        });
        let mut session = serving.login("honest");
        for round in 0..200u64 {
            let data = [round as u8 ^ 0x5a; 8192];
            session.write(0, round * 16, &data);
            assert_eq!(session.read(0, round * 16, 16), data);
        }
    });
}
