//! Servers that are dropped without a word, whatever their sessions are doing: they take everything with them. A process
//! of its own, as descriptors and threads are the process's.

use std::time::{Duration, Instant};

use iscsicore::wire::{Itt, TaskManagementFunction as Function};

use crate::platform::backend::{Gate, Kind};
use crate::support::initiator::{Login, Raw, Session};
use crate::support::process;
use crate::support::serving::{Serving, TARGET};

const ROUNDS: usize = 50;
const SHARDS: usize = 3;

/// What peers of a server have in their hands.
struct Peers {
    sessions: Vec<Session>,
    /// A login that waits for an old session to end, one that is half done, and one that has not begun.
    logins: Vec<Raw>,
    gate: Gate,
}

/// A server with sessions at rest, at work, in storage that hangs, waiting for each other, and logging in.
fn busy_server(round: usize) -> (Serving, Peers) {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut sessions: Vec<_> = (0..6).map(|n| serving.login(&format!("dropped-{n}"))).collect();
    for session in &mut sessions {
        session.write(0, 100, &[1; 4096]);
        session.start_read(0, 100, 8);
    }
    let gate = serving.hold(Kind::Write, 0);
    sessions[0].start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let mut logins = vec![Raw::connect(serving.address), Raw::connect(serving.address)];
    let half = Login::to(TARGET, "half").request();
    logins[0].send_bytes(&half.0.0[..20 + round % 28]);
    if round.is_multiple_of(2) {
        // Waits for the held write, by way of another shard.
        sessions[1].start_management(Function::LogicalUnitReset, 0, Itt::RESERVED);
    }
    let mut again = Raw::connect(serving.address);
    let (bhs, text) = Login::to(TARGET, "dropped-0").request();
    again.send(bhs, text);
    logins.push(again);
    if round.is_multiple_of(3) {
        while sessions[0].next_pdu().is_some() {}
    }
    (serving, Peers { sessions, logins, gate })
}

#[test]
fn servers_that_are_dropped_leave_nothing_behind() {
    let (mut descriptors, mut threads) = (0, 0);
    for round in 0..ROUNDS {
        let (mut serving, peers) = busy_server(round);
        let address = serving.address;
        let Peers { sessions, logins, gate } = peers;
        if round % 4 == 1 {
            // The storage answers while nobody is there any more, or just is.
            let gate = gate.clone();
            std::thread::spawn(move || gate.open());
        }
        let began = Instant::now();
        drop(serving.server.take());
        for mut session in sessions {
            while session.next_pdu().is_some() {}
        }
        for mut raw in logins {
            raw.drain();
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "peers see the end after {took:?}");
        while let Ok(stream) = std::net::TcpStream::connect(address) {
            assert!(began.elapsed() < Duration::from_secs(2), "somebody still listens: {stream:?}");
        }
        drop(serving);
        gate.open();
        if round == 4 {
            // Threads that end by themselves after a while: those for blocking work.
            std::thread::sleep(Duration::from_secs(1));
            (descriptors, threads) = (process::descriptors(), process::threads());
        }
    }
    descriptors += (ROUNDS - 5) * SHARDS * crate::platform::DESCRIPTORS_LEFT;
    let left = process::settles(process::descriptors, descriptors);
    assert!(left <= descriptors, "{left} descriptors after {ROUNDS} servers, not {descriptors}");
    let left = process::settles(process::threads, threads);
    assert!(left <= threads, "{left} threads after {ROUNDS} servers, {threads} after few");
}
