//! Memory that a target can make the client hold, measured as the resident size of this process. One test, so that nothing
//! else runs in it.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::time::Duration;

use iscsicore::nexus::ReconnectPolicy;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientBuilder, discover};

#[path = "support/fake_target.rs"]
mod fake_target;

use fake_target::{FakeTarget, Flow, content, op, put};

/// Sessions at one time, against each kind of target.
const SESSIONS: usize = 32;
/// What a login that never ends may cost: 16 KiB of text (`Limits::login_text_bytes`), a read buffer, its task, and the
/// thread of the target, which is in this process as well.
const PER_LOGIN: usize = 256;
/// What a session may cost that is flooded with pings: its read buffer (128 KiB), and the answers that wait to be sent.
const PER_FLOOD: usize = 1024;
/// The same with messages of 4 KiB: the first KiB of 256 of them waits for somebody who does not listen; and the read buffer.
const PER_LISTENER: usize = 256 + 512;

/// What targets send, so that their own memory does not count.
static FILLING: [u8; 8192] = [b'X'; 8192];

/// Resident size in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn report(what: &str, before: usize, bound: usize) {
    let each = resident().saturating_sub(before) / SESSIONS;
    let _ = writeln!(std::io::stderr(), "{what}: {each} KiB each, of at most {bound}");
    assert!(each <= bound, "{what}: {each} KiB each, of at most {bound}");
}

fn builder(target: &FakeTarget) -> ClientBuilder {
    let mut policy = ReconnectPolicy::default();
    policy.enabled = false;
    let builder = Client::builder().without_environment().url(&target.url()).unwrap();
    builder.reconnect(policy).command_timeout(Some(Duration::from_secs(5)))
}

/// Announces 16 MiB of text in one PDU, and sends on and on.
fn announces() -> FakeTarget {
    FakeTarget::raw(|mut conn| {
        let Some(request) = conn.receive() else { return };
        let mut header = conn.login_response(&request, 0x81);
        header[5..8].copy_from_slice(&[0xFF; 3]);
        conn.send_bytes(&header);
        for _ in 0..256 {
            conn.send_bytes(&FILLING);
        }
    })
}

/// Text without end, PDU after PDU.
fn talks() -> FakeTarget {
    FakeTarget::raw(|mut conn| {
        while let Some(request) = conn.receive() {
            let header = conn.login_response(&request, 0x40);
            conn.send_status(header, &FILLING);
        }
    })
}

/// At the first READ, a flood of pings whose answers nobody reads.
fn pings() -> FakeTarget {
    FakeTarget::start(|conn, request| {
        if !request.is_read() {
            return Flow::Normal;
        }
        let mut header = conn.header(op::NOP_IN, 0x80, u32::MAX);
        put(&mut header, 20, 0x42);
        let flood = header.repeat(1000);
        // It stops when the client does not take more, which it may.
        conn.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        for _ in 0..400 {
            conn.send_bytes(&flood);
        }
        std::thread::sleep(Duration::from_secs(2));
        Flow::Close
    })
}

/// At the first READ, a flood of messages.
fn messages() -> FakeTarget {
    FakeTarget::start(|conn, request| {
        if !request.is_read() {
            return Flow::Normal;
        }
        for _ in 0..600 {
            let mut header = conn.header(op::ASYNC, 0x80, u32::MAX);
            header[36] = 255;
            conn.send_status(header, &FILLING[..4096]);
        }
        Flow::Normal
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_can_make_the_client_hold_is_bounded() {
    let good = FakeTarget::start(|_, _| Flow::Normal);
    let bystander = builder(&good).connect().await.unwrap();
    assert_eq!(bystander.read(9, 1).await.unwrap(), content(9));

    for (what, target) in [("announcements of 16 MiB", announces()), ("logins that never end", talks())] {
        let before = resident();
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..SESSIONS {
            let builder = builder(&target);
            logins.spawn(async move { builder.connect().await.map(drop) });
        }
        while let Some(ended) = logins.join_next().await {
            ended.unwrap().unwrap_err();
        }
        report(what, before, PER_LOGIN);
    }

    // A list without end: `Limits::text_bytes` each, while it lasts.
    let lists = FakeTarget::start(|conn, request| {
        if request.opcode() != op::TEXT {
            return Flow::Normal;
        }
        let mut header = conn.header(op::TEXT_RESPONSE, 0x40, request.itt());
        put(&mut header, 20, 0x99);
        conn.send_status(header, &b"TargetName=iqn.2026-01.x:y\0".repeat(300));
        Flow::Done
    });
    let before = resident();
    let portal = lists.address.to_string();
    for _ in 0..SESSIONS {
        discover(&portal, builder(&lists)).await.unwrap_err();
    }
    report("lists that never end", before, PER_LOGIN);

    for (what, target, bound) in
        [("floods of pings", pings(), PER_FLOOD), ("floods of messages", messages(), PER_LISTENER)]
    {
        let before = resident();
        let mut clients = Vec::new();
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..SESSIONS {
            let client = builder(&target).connect().await.unwrap();
            clients.push((client.events(), client.clone()));
            reads.spawn(async move { client.read(9, 1).await.is_ok() });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        report(what, before, bound);
        while reads.join_next().await.is_some() {}
        report(what, before, bound);
        drop(clients);
    }
    assert_eq!(bystander.read(10, 1).await.unwrap(), content(10));
    bystander.logout().await.unwrap();
}
