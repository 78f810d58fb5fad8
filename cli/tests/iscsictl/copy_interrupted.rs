//! `copy` that is killed, interrupted, or whose target forgets what it has not flushed.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::disk::Allocation;
use iscsicore_tokio::backend::{
    Backend, Fault, Gate, Info, IoReply, Kind, MemoryBackend, Reply, Scripted, Zeroes,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Rig, SIZE, TARGET, command, finish, noise, run, runtime, serve, signal};

pub(crate) fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < until, "{what} does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes that a state file calls safe.
pub(crate) fn safe(path: &str) -> u64 {
    let Ok(text) = std::fs::read(path) else { return 0 };
    let state: serde_json::Value = serde_json::from_slice(&text).expect("the file is whole at any time");
    let ranges = state["safe"].as_array().unwrap().iter();
    ranges.map(|range| range[1].as_u64().unwrap() - range[0].as_u64().unwrap()).sum()
}

pub(crate) const HELD: u64 = 20 << 20;
pub(crate) const CHECKPOINTS: [&str; 2] = ["--checkpoint", "10ms"];

/// A copy of a disk full of data to a file, which hangs at a read in the middle and has noted what came before.
fn hanging_copy(rig: &Rig, file: &str, gate: &Gate) -> Child {
    rig.disk.next_at(Kind::Read, HELD, Fault::Hold(gate.clone()));
    let child = command(&[&["copy", &rig.url(0), file], &CHECKPOINTS[..]].concat()).spawn().unwrap();
    let state = format!("{file}.iscsictl-state");
    wait_for("progress", || safe(&state) >= HELD / 2);
    child
}

/// Runs the copy again; it must go on and not read again what was safe.
fn goes_on(rig: &Rig, file: &str) {
    let before = rig.disk.calls().len();
    let json = run(&["copy", &rig.url(0), file, "--json", "--verify"]).ok().json();
    let resumed = json["resumed_bytes"].as_u64().unwrap();
    assert!(resumed >= HELD / 2, "{json}");
    let read: u64 = rig.disk.calls()[before..].iter().filter(|c| c.kind == Kind::Read).map(|c| c.len).sum();
    assert_eq!(read, SIZE - resumed + SIZE, "the rest, and everything once more to verify it");
    assert!(std::fs::read(file).unwrap() == rig.bytes(0, SIZE));
    assert!(!std::path::Path::new(&format!("{file}.iscsictl-state")).exists());
}

#[test]
fn a_copy_that_was_killed_goes_on() {
    let rig = Rig::new();
    rig.put(0, noise(SIZE as usize, 11));
    let (file, gate) = (rig.path("file"), Gate::new());
    let mut child = hanging_copy(&rig, &file, &gate);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    goes_on(&rig, &file);
}

// Goal: Ctrl-C ends a copy within two seconds although the disk hangs, with its own exit code, logged out, and able to go on.
#[test]
fn an_interrupted_copy_logs_out_and_goes_on() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let rig = Rig::new();
        rig.put(0, noise(SIZE as usize, 12));
        let (file, gate) = (rig.path("file"), Gate::new());
        let child = hanging_copy(&rig, &file, &gate);
        let begun = Instant::now();
        signal(&child, name);
        let said = finish(child).code(code);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert!(said.stderr.contains("run the same command again to go on"), "{}", said.stderr);
        gate.open();
        assert_eq!(rig.sessions_left(), 0);
        goes_on(&rig, &file);
    }
}

#[test]
fn a_copy_to_a_disk_goes_on_with_a_state() {
    let rig = Rig::new();
    let (file, state, gate) = (rig.path("file"), rig.path("state"), Gate::new());
    let data = noise(SIZE as usize, 13);
    std::fs::write(&file, &data).unwrap();
    rig.disk.next_at(Kind::Write, HELD, Fault::Hold(gate.clone()));
    let arguments = ["copy", &file, &rig.url(0), "--state", &state];
    let mut child = command(&[&arguments[..], &CHECKPOINTS].concat()).spawn().unwrap();
    wait_for("progress", || safe(&state) >= HELD / 2);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let said = run(&["copy", &rig.url(0), &rig.url(1), "--state", &state]).code(2);
    assert!(said.stderr.contains("it tells of another copy"), "{}", said.stderr);
    let json = run(&[&arguments[..], &["--json", "--verify", "--chunk", "256K"]].concat()).ok().json();
    assert!(json["resumed_bytes"].as_u64().unwrap() >= HELD / 2, "{json}");
    assert!(rig.bytes(0, SIZE) == data);
}

// Goal: a source that was changed since is not glued to the first half of what it was.
#[test]
fn a_changed_source_is_noticed() {
    let rig = Rig::new();
    let (file, state, gate) = (rig.path("file"), rig.path("state"), Gate::new());
    std::fs::write(&file, noise(SIZE as usize, 14)).unwrap();
    rig.disk.next_at(Kind::Write, HELD, Fault::Hold(gate.clone()));
    let arguments = ["copy", &file, &rig.url(0), "--state", &state];
    let mut child = command(&[&arguments[..], &CHECKPOINTS].concat()).spawn().unwrap();
    wait_for("progress", || safe(&state) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let data = noise(SIZE as usize, 15);
    std::fs::write(&file, &data).unwrap();
    let said = run(&arguments).code(2);
    assert!(
        said.stderr.contains("the source was changed since") && said.stderr.contains("--restart"),
        "{}",
        said.stderr
    );
    run(&[&arguments[..], &["--restart"]].concat()).ok();
    assert!(rig.bytes(0, SIZE) == data);
}

/// A disk with a volatile cache: what is not flushed can be lost.
struct Volatile {
    memory: MemoryBackend,
    /// What was there before each write since the last flush.
    before: Mutex<Vec<(u64, Bytes)>>,
}

impl Volatile {
    fn now<T>(reply: IoReply<T>) -> T {
        match reply {
            Reply::Now(answer) => answer.unwrap(),
            Reply::Later(_) => panic!("memory answers at once"),
        }
    }

    fn remember(&self, offset: u64, len: u64) {
        let old = Self::now(self.memory.read(offset, len as usize)).to_bytes();
        self.before.lock().unwrap().push((offset, old));
    }

    /// Loses everything since the last flush; how much that was.
    fn lose(&self) -> usize {
        let mut before = self.before.lock().unwrap();
        let lost = before.iter().map(|(_, old)| old.len()).sum();
        for (offset, old) in before.drain(..).rev() {
            Self::now(self.memory.write(offset, old.into(), false));
        }
        lost
    }

    fn unflushed(&self) -> usize {
        self.before.lock().unwrap().iter().map(|(_, old)| old.len()).sum()
    }
}

impl Backend for Volatile {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn info(&self) -> Info {
        Info::default().with_unmap(65536)
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        self.memory.read(offset, len)
    }

    fn write(&self, offset: u64, data: DataList, _: bool) -> IoReply<()> {
        self.remember(offset, data.len() as u64);
        self.memory.write(offset, data, false)
    }

    fn flush(&self) -> IoReply<()> {
        self.before.lock().unwrap().clear();
        Reply::now(Ok(()))
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        self.remember(offset, len);
        self.memory.unmap(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        self.remember(offset, len);
        self.memory.write_zeroes(offset, len, how)
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        self.memory.extents(offset, len, most)
    }
}

/// Passes connections on for as long as it is open; closing cuts them.
pub(crate) async fn passage(
    listener: TcpListener,
    target: std::net::SocketAddr,
    open: watch::Receiver<bool>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut open = open.clone();
        tokio::spawn(async move {
            if !*open.borrow() {
                return;
            }
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}

// Goal: a target that restarts and has lost what it acknowledged without a flush gets that again. Method: one write is held until all
// others are acknowledged; then the connection is cut, everything since the last flush (that is, everything) is lost, and the way is
// open again. The disk then holds nothing of what was acknowledged, so that only copying all of it again helps.
#[test]
fn what_a_target_lost_before_a_flush_is_copied_again() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let disk = Arc::new(Volatile { memory: MemoryBackend::new(SIZE), before: Mutex::default() });
    let scripted = Arc::new(Scripted::new(disk.clone()));
    let gate = Gate::new();
    scripted.next_at(Kind::Write, HELD, Fault::Hold(gate.clone()));
    let server = runtime.block_on(serve("127.0.0.1:0".parse().unwrap(), &[("volatile", scripted)], |_| {}));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (open, is_open) = watch::channel(true);
    runtime.spawn(passage(listener, server.addresses()[0], is_open));

    let (file, data) = (directory.path().join("file").display().to_string(), noise(SIZE as usize, 16));
    std::fs::write(&file, &data).unwrap();
    let url = format!("iscsi://{address}/{TARGET}/0");
    let child = command(&["copy", &file, &url, "--checkpoint", "1h"]).spawn().unwrap();
    wait_for("all but the held write", || disk.unflushed() as u64 >= SIZE - (1 << 20));
    open.send_replace(false);
    gate.open();
    wait_for("the end of the session", || runtime.block_on(server.sessions()).is_empty());
    assert!(disk.lose() as u64 >= SIZE - (1 << 20));
    let all = |disk: &Volatile| Volatile::now(disk.memory.read(0, SIZE as usize)).to_bytes();
    assert!(all(&disk).iter().all(|byte| *byte == 0), "all is lost");
    open.send_replace(true);

    let said = finish(child).ok();
    assert!(said.stderr.contains("chunks are copied again to be sure"), "{}", said.stderr);
    assert!(
        said.text().ends_with(": 32 MiB data, 0 bytes zeroes\n"),
        "each chunk counts once: {}",
        said.text()
    );
    assert!(all(&disk) == data);
    assert_eq!(disk.unflushed(), 0);
}
