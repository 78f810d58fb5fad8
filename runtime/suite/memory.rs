//! Memory that a peer can make the server hold, measured as the resident size of this process. One test, so that
//! nothing else runs in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use iscsicore::wire::ScsiCommand;

use crate::support::initiator::{Login, Raw, write16};
use crate::support::serving::{Bystander, Serving, TARGET};

/// Half-open connections at one time.
const CONNECTIONS: usize = 200;
/// What each of them may cost before anybody has logged in: 16 KiB of text (`Limits::login_text_bytes`), a read buffer
/// of 16 KiB, and its task.
const PER_CONNECTION: usize = 48;
/// What a session may cost whose peer reads nothing: 8 MiB of answers (`Limits::transmit_bytes`), one command more,
/// and what the allocator keeps.
const PER_SLOW_READER: usize = 12 << 10;
/// What a session may cost whose peer sends the beginning of as many writes as the window takes: 128 times 64 KiB of
/// immediate data, each of which may hold more of the read buffer that it came in.
const PER_OWING_WRITER: usize = 12 << 10;

/// Resident size in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn report(what: &str, each: usize, bound: usize) {
    let _ = writeln!(std::io::stderr(), "{what}: {each} KiB each, of at most {bound}");
    assert!(each <= bound, "{what}: {each} KiB each, of at most {bound}");
}

/// A connection that sends as much as a login takes without ending it, and half a PDU more.
fn half_open(serving: &Serving) -> TcpStream {
    let mut stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bhs = Login::to(TARGET, "half").header();
    bhs.0[1] = 0x44;
    bhs.set_data_segment_len(8192);
    let request = [&bhs.0[..], &[b'X'; 8192]].concat();
    for _ in 0..1 {
        stream.write_all(&request).unwrap();
        stream.read_exact(&mut [0; 48]).unwrap();
    }
    stream.write_all(&request[..request.len() - 1]).unwrap();
    stream
}

#[test]
fn what_a_peer_can_make_the_server_hold_is_bounded() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    bystander.is_served(&serving);
    drop(half_open(&serving));

    let before = resident();
    let held: Vec<_> = (0..CONNECTIONS).map(|_| half_open(&serving)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let each = resident().saturating_sub(before) / CONNECTIONS;
    assert!(each > 16, "{each} KiB: this does not measure what it is to measure");
    report("half-open logins", each, PER_CONNECTION);
    bystander.is_served(&serving);
    drop(held);

    // Headers that announce 16 MiB, with as much behind them as the server takes.
    let before = resident();
    for _ in 0..CONNECTIONS {
        let mut bhs = Login::to(TARGET, "long").header();
        bhs.set_data_segment_len((1 << 24) - 1);
        let mut raw = Raw::connect(serving.address);
        raw.send_bytes(&bhs.0);
        raw.send_bytes(&[0; 65536]);
    }
    report("announcements of 16 MiB", resident().saturating_sub(before) / CONNECTIONS, 16);
    bystander.is_served(&serving);

    let mut filler = serving.login("filler");
    for n in 0..16u64 {
        filler.write(0, 4096 + n * 256, &[n as u8 + 1; 131_072]);
    }
    filler.logout();
    let before = resident();
    let slow: Vec<_> = (0..8)
        .map(|n| {
            let mut session = serving.login(&format!("slow-{n}"));
            (0..120).for_each(|n| {
                session.start_read(0, 4096 + n, 2048);
            });
            session
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    report("peers that do not read", resident().saturating_sub(before) / slow.len(), PER_SLOW_READER);
    bystander.is_served(&serving);
    drop(slow);
    serving.wait_for_sessions(1);

    let before = resident();
    let owing: Vec<_> = (0..8)
        .map(|n| {
            let mut session = serving.login(&format!("owing-{n}"));
            for n in 0..120 {
                let command = session.command(0, &write16(n * 2048, 2048));
                let command = ScsiCommand { write: true, expected_len: 1 << 20, ..command };
                session.raw.send(command.emit(), vec![1; 65536]);
            }
            session
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let each = resident().saturating_sub(before) / owing.len();
    assert!(each > 4 << 10, "{each} KiB: this does not measure what it is to measure");
    report("peers that owe payload", each, PER_OWING_WRITER);
    bystander.is_served(&serving);
}
