//! The initiators on a blocking socket and on smol, against the targets of these examples: directly, and over a wire that
//! is cut again and again.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use iscsicore_examples::initiator::pattern;
use support::{Program, image};

const STD: &str = env!("CARGO_BIN_EXE_initiator_std");
const SMOL: &str = env!("CARGO_BIN_EXE_initiator_smol");
const TARGETS: [&str; 2] = [env!("CARGO_BIN_EXE_target_std"), env!("CARGO_BIN_EXE_target_smol")];

const MIB: usize = 1 << 20;
const BLOCK: usize = 512;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs an initiator to its end; one that does not come to it is killed.
fn run(program: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let readers = [thread::spawn(move || drain(&mut stdout)), thread::spawn(move || drain(&mut stderr))];
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
    Output { status, stdout, stderr }
}

fn drain(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

#[track_caller]
fn success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// A target whose disk is a file with these bytes.
fn serve(program: &str, bytes: &[u8]) -> (Program, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk");
    std::fs::write(&file, bytes).unwrap();
    let disk = format!("{}:{}", file.display(), bytes.len());
    (Program::start(program, &["--listen", "127.0.0.1:0", "--disk", &disk]), folder, file)
}

fn read_to(address: &str, target: &str, blocks: usize, file: &Path) -> Output {
    run(STD, &[address, target, "0", &blocks.to_string(), file.to_str().unwrap()])
}

#[test]
fn blocks_are_read_to_a_file_and_to_the_standard_output() {
    let disk = image(1, 8 * MIB);
    for target in TARGETS {
        let (program, folder, _) = serve(target, &disk);
        let file = folder.path().join("copy");
        success(&read_to(program.address(), program.target(), disk.len() / BLOCK, &file));
        assert!(std::fs::read(&file).unwrap() == disk, "the copy differs");

        let output = run(STD, &[program.address(), program.target(), "0", "777"]);
        success(&output);
        assert!(output.stdout == disk[..777 * BLOCK], "the output differs");
    }
}

#[test]
fn what_many_commands_write_is_there() {
    for target in TARGETS {
        let (program, folder, file) = serve(target, &image(2, 12 * MIB));
        let output = run(SMOL, &[program.address(), program.target(), "0", "8"]);
        success(&output);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "8388608 bytes written, read and compared\n");
        // The other initiator reads it, too: what was written and what was not.
        let copy = folder.path().join("copy");
        success(&read_to(program.address(), program.target(), 12 * MIB / BLOCK, &copy));
        let copy = std::fs::read(&copy).unwrap();
        assert!(copy[..8 * MIB] == pattern(0, 8 * MIB, 0), "what was written differs");
        assert!(copy[8 * MIB..] == image(2, 12 * MIB)[8 * MIB..], "what was not written differs");
        drop(program);
        assert!(std::fs::read(&file).unwrap() == copy, "the disk differs");
    }
}

// Goal: connections that are lost cost time, and no data. Method: a proxy that lets only so much pass each of the first
// connections, in one direction or the other: at first less than what is under way at a time.
#[test]
fn a_wire_that_is_cut_again_and_again_loses_nothing() {
    for target in TARGETS {
        let (program, folder, file) = serve(target, &vec![0; 8 * MIB]);
        let proxy = Proxy::start(program.address(), 8);
        let output = run(SMOL, &[&proxy.address, program.target(), "0", "8"]);
        success(&output);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("again"), "{said}");
        assert!(proxy.cuts() >= 8, "{} cuts: {said}", proxy.cuts());
        assert!(std::fs::read(&file).unwrap() == pattern(0, 8 * MIB, 0), "what was written differs");

        let proxy = Proxy::start(program.address(), 4);
        let copy = folder.path().join("copy");
        success(&read_to(&proxy.address, program.target(), 8 * MIB / BLOCK, &copy));
        assert_eq!(proxy.cuts(), 4);
        assert!(std::fs::read(&copy).unwrap() == pattern(0, 8 * MIB, 0), "what was read differs");
    }
}

#[test]
fn what_cannot_be_is_told() {
    let (program, folder, _) = serve(TARGETS[0], &image(3, MIB));
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (address, target) = (program.address(), program.target());
    let no_such = "iqn.2026-01.dev.iscsicore:none";
    let copy = folder.path().join("copy");
    let copy = copy.to_str().unwrap();
    for (arguments, words) in [
        (vec![address, target, "0", "99999999", copy], "the logical unit has 2048 blocks"),
        (vec![address, no_such, "0", "1", copy], "there is no target of this name"),
        (vec![&nowhere, target, "0", "1", copy], "cannot connect to 127.0.0.1:"),
        (vec![address, "disk", "0", "1", copy], "disk: "),
        (vec![address, target, "x", "1", copy], "LUN x: "),
        (vec![address, target, "1", "1", copy], "LOGICAL UNIT NOT SUPPORTED"),
        (vec![address, target, "0", "y", copy], ": invalid digit"),
        (vec![address, target], "usage: initiator_"),
    ] {
        for program in [STD, SMOL] {
            let output = run(program, &arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.contains(words), "{arguments:?}: {said}");
        }
    }
}

/// Passes bytes on, and cuts the first connections.
struct Proxy {
    address: String,
    cuts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: &str, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped, to) = (done.clone(), stop.clone(), to.to_owned());
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
                let limit = if number < cuts { 600_000 + number * 177_777 } else { usize::MAX };
                let count = count.clone();
                thread::spawn(move || {
                    if pass(&client, &server, limit) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Proxy { address, cuts: done, stop }
    }

    fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

/// Passes bytes both ways until `limit` of them have gone either way, or an end has closed. Whether it was the limit.
fn pass(client: &TcpStream, server: &TcpStream, limit: usize) -> bool {
    let cut = AtomicBool::new(false);
    thread::scope(|scope| {
        for (mut from, mut to) in [(client, server), (server, client)] {
            let cut = &cut;
            scope.spawn(move || {
                let (mut left, mut bytes) = (limit, [0; 16 * 1024]);
                while let Ok(len @ 1..) = from.read(&mut bytes) {
                    let len = len.min(left);
                    if to.write_all(&bytes[..len]).is_err() {
                        break;
                    }
                    left -= len;
                    if left == 0 {
                        cut.store(true, Ordering::Relaxed);
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    });
    cut.into_inner()
}
