//! Sessions that share a shard: one that keeps the server as busy as it can does not keep another one from its answers.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::initiator::{Session, read16};
use crate::support::serving::Serving;
use crate::support::stops::Stops;
use iscsicore::wire::{CmdSn, Itt};

/// How long each kind of load lasts.
const LASTS: Duration = Duration::from_millis(1500);
/// What nine answers of ten may take beside such a load, and all of them, on a machine that has other work too. Without
/// any load it is a tenth of a millisecond.
const BOUND: Duration = Duration::from_millis(100);
const WORST: Duration = Duration::from_secs(2);
const MIB: usize = 1 << 20;
/// Held by the test that measures.
static ALONE: Mutex<()> = Mutex::new(());

/// Reads one block again and again while `load` runs, and returns how long the answers took, the longest last.
fn latencies(serving: &Serving, load: impl Fn(Session, &AtomicBool) + Sync) -> Vec<Duration> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut session = serving.login("patient");
    session.write(0, 100_000, &[1; 512]);
    let (stop, busy) = (AtomicBool::new(false), serving.login("busy"));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let (stop, load) = (&stop, &load);
        let _stops = Stops(stop);
        scope.spawn(move || load(busy, stop));
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        while began.elapsed() < LASTS {
            let asked = Instant::now();
            assert_eq!(session.read(0, 100_000, 1), [1; 512]);
            times.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    times.sort();
    times
}

fn assert_fair(what: &str, times: &[Duration]) {
    let [middle, most, last] =
        [50, 90, 100].map(|percent| times[(times.len() * percent / 100).min(times.len() - 1)]);
    let count = times.len();
    println!(
        "beside {what}: {count} answers, half within {middle:?}, 90 % within {most:?}, all within {last:?}"
    );
    assert!(most < BOUND && last < WORST, "beside {what}: 90 % within {most:?}, all within {last:?}");
}

/// Keeps `depth` commands in flight whose answers have `answer` bytes each, without looking at what is in them.
fn keep_in_flight(
    session: &mut Session,
    stop: &AtomicBool,
    depth: usize,
    answer: usize,
    cdb: &[u8],
    len: u32,
) {
    let mut sink = vec![0; MIB];
    let (mut sent, mut received) = (0usize, 0usize);
    let mut reader = session.raw.stream.try_clone().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let mut requests = Vec::new();
        while sent < received / answer + depth {
            let command = session.command(0, cdb);
            let command = iscsicore::wire::ScsiCommand { read: len > 0, expected_len: len, ..command };
            requests.extend_from_slice(&command.emit().0);
            sent += 1;
        }
        session.raw.stream.write_all(&requests).unwrap();
        received += reader.read(&mut sink).unwrap();
    }
    assert!(received > 10 * answer, "{received} bytes of answers are no load");
}

#[test]
fn large_reads_leave_room_for_others() {
    let serving = Serving::on_shards(1, |_| {});
    let times = latencies(&serving, |mut busy, stop| {
        // Four Data-In PDUs a command, the last of them with the status.
        keep_in_flight(&mut busy, stop, 128, MIB + 4 * 48, &read16(0, 2048), MIB as u32);
    });
    assert_fair("large reads", &times);
}

#[test]
fn large_writes_leave_room_for_others() {
    let serving = Serving::on_shards(1, |_| {});
    let times = latencies(&serving, |mut busy, stop| {
        let data = vec![7; MIB];
        let mut writes: std::collections::VecDeque<Itt> = std::collections::VecDeque::new();
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            while writes.len() < 32 {
                n += 1;
                writes.push_back(busy.start_write(0, n % 32 * 2048, &data));
            }
            assert_eq!(busy.finish(writes.pop_front().unwrap()).status, 0);
        }
    });
    assert_fair("large writes", &times);
}

#[test]
fn small_commands_without_end_leave_room_for_others() {
    let serving = Serving::on_shards(1, |_| {});
    let times = latencies(&serving, |mut busy, stop| {
        keep_in_flight(&mut busy, stop, 128, 48, &[0; 6], 0);
    });
    assert_fair("small commands", &times);
    let times = latencies(&serving, |mut busy, stop| {
        // Pings need no place in the command window. They are sent and taken by two threads, as fast as those can.
        let mut ping = iscsicore::wire::Bhs::new(iscsicore::wire::Opcode::NopOut);
        ping.set_immediate();
        ping.0[1] = 0x80;
        ping.0[19] = 1;
        ping.0[20..24].fill(0xff);
        let CmdSn(next) = busy.cmd_sn;
        ping.0[24..28].copy_from_slice(&next.to_be_bytes());
        let pings = ping.0.repeat(100);
        let (mut reader, mut sink) = (busy.raw.stream.try_clone().unwrap(), vec![0; 1 << 16]);
        std::thread::scope(|scope| {
            scope.spawn(move || while reader.read(&mut sink).is_ok_and(|n| n > 0) {});
            while !stop.load(Ordering::Relaxed) {
                busy.raw.stream.write_all(&pings).unwrap();
            }
            let _ = busy.raw.stream.shutdown(std::net::Shutdown::Both);
        });
    });
    assert_fair("pings", &times);
}

/// Peers that ask for much and take nothing.
#[test]
fn slow_readers_leave_room_for_others() {
    let serving = Serving::on_shards(1, |_| {});
    let mut slow: Vec<_> = (0..8).map(|n| serving.login(&format!("slow-{n}"))).collect();
    for session in &mut slow {
        for n in 0..64 {
            session.start_read(0, n, 2048);
        }
    }
    let times = latencies(&serving, |mut trickling, stop| {
        // One that takes a little now and then has work for the server each time.
        for n in 0..64 {
            trickling.start_read(0, n, 2048);
        }
        let mut little = vec![0; 64 << 10];
        while !stop.load(Ordering::Relaxed) {
            trickling.raw.stream.read_exact(&mut little).unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    assert_fair("slow readers", &times);
}
