//! `capture`, judged by Wireshark's own dissectors.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use crate::support::{Rig, command, finish, noise, peer, run, signal};

/// Frames of a capture that `filter` of Wireshark selects; `None` without tshark.
fn frames(path: &str, filter: &str) -> Option<usize> {
    let tshark = peer("tshark")?;
    let fields = [
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-T",
        "fields",
        "-e",
        "frame.number",
    ];
    let done = Command::new(tshark).args(["-n", "-r", path, "-Y", filter]).args(fields).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap().lines().count())
}

// Goal: what a program does through the relay stands in the file, whole and without anything that Wireshark finds odd.
#[test]
fn a_program_is_recorded() {
    let rig = Rig::new();
    let (capture, data, file) = (rig.path("a.pcapng"), noise(1 << 20, 4), rig.path("data"));
    std::fs::write(&file, &data).unwrap();
    let url = rig.url(0).replace(&rig.portal(), "{}");
    let digests = ["--header-digest", "crc32c", "--data-digest", "crc32c"];
    let program = ["iscsictl", "write", &url, "--offset", "0", "-i", &file];
    let arguments = ["capture", "--to", &rig.portal(), "-o", &capture, "--"];
    let said = run(&[&arguments[..], &program, &digests].concat()).ok();
    assert_eq!(said.text(), "wrote 1 MiB at byte 0, on stable storage\n");
    assert!(
        said.stderr.contains("recorded ") && said.stderr.contains(" of 1 connections"),
        "{}",
        said.stderr
    );
    assert_eq!(rig.bytes(0, 1 << 20), data);
    let Some(odd) = frames(
        &capture,
        "tcp.analysis.flags or _ws.malformed or tcp.checksum.status==0 or ip.checksum.status==0",
    ) else {
        return;
    };
    assert_eq!(odd, 0);
    // Login requests and responses, SCSI commands, the logout and its answer.
    for (opcode, least) in [(0x03, 2), (0x23, 2), (0x01, 2), (0x21, 1), (0x06, 1), (0x26, 1)] {
        let found = frames(&capture, &format!("iscsi.opcode == {opcode:#04x}")).unwrap();
        assert!(found >= least, "opcode {opcode:#04x}: {found}");
    }
    assert_eq!(frames(&capture, "tcp.flags.syn == 1"), Some(2));
    assert_eq!(frames(&capture, "tcp.flags.fin == 1"), Some(2));
}

#[test]
fn the_exit_code_of_the_program_is_passed_on() {
    let rig = Rig::new();
    let arguments = ["capture", "--to", &rig.portal(), "-o", &rig.path("a.pcapng"), "--"];
    run(&[&arguments[..], &["sh", "-c", "exit 7"]].concat()).code(7);
    let said = run(&[&arguments[..], &["/does/not/exist"]].concat()).code(1);
    assert!(said.stderr.contains("cannot be run"), "{}", said.stderr);
    let said = run(&["capture", "--to", &rig.portal(), "-o", "/does/not/exist", "--", "true"]).code(1);
    assert!(said.stderr.contains("cannot create it"), "{}", said.stderr);
}

// Goal: a relay serves several initiators until it is interrupted, which is its ordinary end.
#[test]
fn a_relay_runs_until_it_is_interrupted() {
    let rig = Rig::new();
    let capture = rig.path("b.pcapng");
    let mut child = command(&["capture", "--json", "--to", &rig.portal(), "-o", &capture]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    let listening = next();
    let address = listening["address"].as_str().unwrap();
    assert_eq!((&listening["type"], &listening["to"]), (&"listening".into(), &rig.portal().into()));
    let url = rig.url(0).replace(&rig.portal(), address);
    for _ in 0..2 {
        run(&["ping", &url, "--count", "2", "--interval", "1ms"]).ok();
    }
    signal(&child, "INT");
    let recorded = next();
    finish(child).ok();
    assert_eq!((&recorded["type"], &recorded["connections"]), (&"recorded".into(), &2.into()));
    assert!(recorded["bytes_from_target"].as_u64().unwrap() > 0);
    if let Some(pings) = frames(&capture, "iscsi.opcode == 0x20") {
        assert_eq!(pings, 4, "NOP-In");
        assert_eq!(frames(&capture, "iscsi and tcp.port == 3260"), frames(&capture, "iscsi"));
    }
}
