//! `copy` that fails before it has copied anything: the command that is right must find nothing in its way.

use std::io::ErrorKind;

use iscsicore_tokio::backend::{Fault, Gate, Kind};

use crate::copy_interrupted::{CHECKPOINTS, HELD, safe, wait_for};
use crate::support::{Rig, SIZE, command, noise, run};

fn files(rig: &Rig) -> Vec<String> {
    let files = std::fs::read_dir(rig.directory.path()).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// Goal: a wrong command line leaves no file, and the right one works.
#[test]
fn a_wrong_command_makes_no_file() {
    let rig = Rig::new();
    let (url, file) = (rig.url(0), rig.path("file"));
    let directory = rig.directory.path().display().to_string();
    for (wrong, part) in [
        (&["--chunk", "1000"][..], "multiple of the block size"),
        (&["--chunk", "512M"], "256M at most"),
        (&["--state", "/does/not/exist/state"], "cannot note the progress"),
        (&["--state", &directory], "cannot read"),
        (&["--state", &file], "in the destination itself"),
    ] {
        let said = run(&[&["copy", &url, &file], wrong].concat());
        assert!(said.code != Some(0) && said.stderr.contains(part), "{wrong:?}: {}", said.stderr);
        assert_eq!(files(&rig), [] as [&str; 0], "{wrong:?}");
    }
    std::fs::write(rig.path("precious"), "precious").unwrap();
    let said = run(&["copy", &url, &file, "--restart", "--state", &rig.path("precious")]).code(2);
    assert!(said.stderr.contains("not the state of a copy"), "{}", said.stderr);
    assert_eq!(files(&rig), ["precious"]);
    assert_eq!(std::fs::read(rig.path("precious")).unwrap(), b"precious");
    run(&["copy", &url, &file]).ok();
    assert_eq!(files(&rig), ["file", "precious"]);
}

// Goal: the same when the first chunk fails: a new file is removed, an empty one is empty again. With a chunk that is safe they stay.
#[test]
fn a_file_without_a_single_chunk_is_removed() {
    let rig = Rig::new();
    rig.put(0, noise(SIZE as usize, 31));
    let (url, file, empty) = (rig.url(0), rig.path("file"), rig.path("empty"));
    std::fs::write(&empty, "").unwrap();
    for destination in [&file, &empty] {
        rig.disk.next_at(Kind::Read, 0, Fault::Fail(ErrorKind::Other));
        let said = run(&["copy", &url, destination, "--depth", "1"]).code(1);
        assert!(said.stderr.contains("(nothing was copied)"), "{}", said.stderr);
        assert!(!said.stderr.contains("go on"), "{}", said.stderr);
        assert_eq!(files(&rig), ["empty"]);
        assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
    }
    rig.disk.next_at(Kind::Read, 1 << 20, Fault::Fail(ErrorKind::Other));
    let said = run(&["copy", &url, &file, "--depth", "1"]).code(1);
    assert!(said.stderr.contains("run the same command again to go on"), "{}", said.stderr);
    assert_eq!(files(&rig), ["empty", "file", "file.iscsictl-state"]);
    run(&["copy", &url, &file]).ok();
    assert!(std::fs::read(&file).unwrap() == rig.bytes(0, SIZE));
}

/// A copy of the first disk to `file` that was killed in the middle.
fn killed_copy(rig: &Rig, file: &str) {
    let gate = Gate::new();
    rig.disk.next_at(Kind::Read, HELD, Fault::Hold(gate.clone()));
    let mut child = command(&[&["copy", &rig.url(0), file], &CHECKPOINTS[..]].concat()).spawn().unwrap();
    wait_for("progress", || safe(&format!("{file}.iscsictl-state")) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
}

// Goal: --restart is enough for a file whose beginning is a copy of ours, and for no other file.
#[test]
fn restart_overwrites_the_file_that_is_a_copy_and_no_other() {
    let rig = Rig::new();
    rig.put(0, noise(SIZE as usize, 32));
    let (file, other) = (rig.path("file"), rig.path("other"));
    killed_copy(&rig, &file);
    std::fs::write(&other, "precious").unwrap();
    let state = format!("{file}.iscsictl-state");
    for arguments in [&["--restart", "--state", &state][..], &["--restart"]] {
        let said = run(&[&["copy", &rig.url(0), &other], arguments].concat()).code(2);
        assert!(said.stderr.contains("add --overwrite"), "{}", said.stderr);
        assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    }
    let json = run(&["copy", &rig.url(0), &file, "--restart", "--json"]).ok().json();
    assert_eq!(json["resumed_bytes"], 0);
    assert!(std::fs::read(&file).unwrap() == rig.bytes(0, SIZE));
}

// Goal: what is told of a note is that it tells of another copy, and not that the file has a wrong size.
#[test]
fn another_source_of_another_size_is_called_another_source() {
    let (rig, small) = (Rig::new(), Rig::new());
    rig.put(0, noise(SIZE as usize, 33));
    let (file, source) = (rig.path("file"), small.path("source"));
    killed_copy(&rig, &file);
    std::fs::write(&source, noise(1 << 20, 34)).unwrap();
    let said = run(&["copy", &source, &file]).code(2);
    assert!(said.stderr.contains("it tells of another copy: another source"), "{}", said.stderr);
    assert!(said.stderr.contains("add --restart"), "{}", said.stderr);
    run(&["copy", &source, &file, "--restart"]).ok();
    assert!(std::fs::read(&file).unwrap() == noise(1 << 20, 34));
}

#[test]
fn streams_are_refused() {
    let rig = Rig::new();
    let directory = rig.directory.path();
    for arguments in [["copy", &rig.url(0), "-"], ["copy", "-", &rig.url(0)]] {
        let mut program = command(&arguments);
        let said = crate::support::finish(program.current_dir(directory).spawn().unwrap()).code(2);
        assert!(said.stderr.contains("read URL -o -"), "{}", said.stderr);
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    }
    assert_eq!(files(&rig), [] as [&str; 0]);
}
