//! `resize-watch`, and commands that are interrupted.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iscsicore_tokio::backend::{Backend, Fault, Gate, Kind, MemoryBackend};

use crate::support::{Rig, SIZE, TARGET, command, finish, run, runtime, serve, signal};

// Goal: a disk that comes back larger is told. Method: a server ends, and another one with a larger disk takes its place at the same
// address while the session dials again.
#[test]
fn a_disk_that_grows_is_told() {
    let runtime = runtime();
    let disk = |size| -> Arc<dyn Backend> { Arc::new(MemoryBackend::new(size)) };
    let any = "127.0.0.1:0".parse().unwrap();
    let server = runtime.block_on(serve(any, &[("disk", disk(SIZE))], |_| {}));
    let address = server.addresses()[0];
    let url = format!("iscsi://{address}/{TARGET}/0");
    let arguments = ["resize-watch", &url, "--count", "1", "--interval", "100ms", "--json"];
    let mut child = command(&arguments).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    let first = next();
    assert_eq!((&first["type"], &first["bytes"]), (&"capacity".into(), &SIZE.into()));
    assert_eq!(first["previous_bytes"], serde_json::Value::Null);
    runtime.block_on(server.shutdown_within(Duration::ZERO));
    let _larger = runtime.block_on(serve(address, &[("disk", disk(2 * SIZE))], |_| {}));
    let change = next();
    assert_eq!((&change["type"], &change["bytes"]), (&"change".into(), &(2 * SIZE).into()));
    assert_eq!(change["previous_bytes"], SIZE);
    finish(child).ok();
}

#[test]
fn watching_ends_with_its_time() {
    let rig = Rig::new();
    let said = run(&["resize-watch", &rig.url(0), "--time", "50ms"]).ok();
    assert_eq!(said.text(), "32 MiB (65536 blocks of 512 bytes)\n");
    assert_eq!(rig.sessions_left(), 0);
}

// Goal: whatever is under way, Ctrl-C ends it soon, with its exit code, and logs out.
#[test]
fn every_command_can_be_interrupted() {
    let rig = Rig::new();
    let (url, portal) = (rig.url(0), rig.portal());
    for arguments in [
        &["resize-watch", &url][..],
        &["ping", &url, "--count", "1000000", "--interval", "10ms"],
        &["ping", &portal, "--count", "1000000", "--interval", "10ms"],
        &["bench", &url, "--time", "1h"],
        &["bench", &url, "--time", "1h", "--rw", "0", "--write", "--verify"],
    ] {
        let child = command(arguments).spawn().unwrap();
        let begun = |rig: &Rig| !rig.runtime.block_on(rig.server.as_ref().unwrap().sessions()).is_empty();
        while !begun(&rig) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = Instant::now();
        signal(&child, "INT");
        let said = finish(child).code(130);
        assert!(asked.elapsed() < Duration::from_secs(4), "{arguments:?}: {:?}", asked.elapsed());
        assert!(said.stderr.contains("interrupted"), "{}", said.stderr);
        assert_eq!(rig.sessions_left(), 0, "{arguments:?}");
    }
}

// Goal: the same while the disk hangs.
#[test]
fn commands_that_hang_can_be_interrupted() {
    for kind in [Kind::Read, Kind::Flush] {
        let rig = Rig::new();
        let gate = Gate::new();
        rig.disk.next(kind, Fault::Hold(gate.clone()));
        let file = rig.path("file");
        std::fs::write(&file, [1; 512]).unwrap();
        let url = rig.url(0);
        let mut program = match kind {
            Kind::Read => command(&["read", &url, "-o", &file]),
            _ => command(&["write", &url, "--offset", "0", "-i", &file]),
        };
        let child = program.spawn().unwrap();
        rig.runtime.block_on(gate.reached(1));
        let asked = Instant::now();
        signal(&child, "INT");
        let said = finish(child).code(130);
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert_eq!(said.stderr, "iscsictl: interrupted\n");
        gate.open();
        assert_eq!(rig.sessions_left(), 0);
    }
}

#[test]
fn nobody_who_reads_on_is_no_failure() {
    let rig = Rig::new();
    let arguments = ["ping", &rig.url(0), "--count", "1000000", "--interval", "1ms"];
    let mut child = command(&arguments).spawn().unwrap();
    drop(child.stdout.take());
    let said = finish(child).ok();
    assert_eq!(said.stderr, "");
    assert_eq!(rig.sessions_left(), 0);
}
