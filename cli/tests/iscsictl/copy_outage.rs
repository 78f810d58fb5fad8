//! `copy` while its target is away, for a while or for good.

use std::io::{BufRead as _, BufReader};

use iscsicore_tokio::backend::{Fault, Gate, Kind};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::copy_interrupted::{CHECKPOINTS, HELD, passage, safe, wait_for};
use crate::support::{Rig, SIZE, TARGET, command, finish, noise};

/// A way to a target that can be closed.
struct Way {
    rig: Rig,
    url: String,
    open: watch::Sender<bool>,
}

impl Way {
    fn new() -> Self {
        let rig = Rig::new();
        rig.put(0, noise(SIZE as usize, 41));
        let listener = rig.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("iscsi://{}/{TARGET}/0", listener.local_addr().unwrap());
        let (open, is_open) = watch::channel(true);
        rig.runtime.spawn(passage(listener, rig.address, is_open));
        Way { rig, url, open }
    }

    /// Goes on when the disk has got an operation that waits for `gate`.
    fn wait_until_held(&self, gate: &Gate) {
        self.rig.runtime.block_on(gate.reached(1));
    }
}

// Goal: people are told that the target is away and when it is back; nothing of it is on standard output.
#[test]
fn an_outage_is_told() {
    let way = Way::new();
    let gate = Gate::new();
    way.rig.disk.next_at(Kind::Read, HELD, Fault::Hold(gate.clone()));
    let mut child = command(&["copy", &way.url, &way.rig.path("file")]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    way.wait_until_held(&gate);
    way.open.send_replace(false);
    let line = stderr.next().unwrap().unwrap();
    assert!(line.starts_with(&format!("iscsictl: {}: disconnected: ", way.url)), "{line}");
    assert!(line.ends_with("; dialing again"), "{line}");
    gate.open();
    way.open.send_replace(true);
    let line = stderr.next().unwrap().unwrap();
    assert_eq!(line, format!("iscsictl: {}: connected again", way.url));
    let said = finish(child).ok();
    assert!(
        said.text().starts_with("copied 32 MiB in ") && said.text().lines().count() == 1,
        "{}",
        said.text()
    );
    assert!(std::fs::read(way.rig.path("file")).unwrap() == way.rig.bytes(0, SIZE));
}

// Goal: programs that ask for progress get it as objects, and others nothing.
#[test]
fn an_outage_is_told_to_programs_that_ask() {
    let way = Way::new();
    let gate = Gate::new();
    way.rig.disk.next_at(Kind::Read, HELD, Fault::Hold(gate.clone()));
    let arguments = ["copy", &way.url, &way.rig.path("file"), "--json", "--progress", "always"];
    let mut child = command(&arguments).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = stdout.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    way.wait_until_held(&gate);
    way.open.send_replace(false);
    let lost = lines.by_ref().find(|line| line["type"] != "progress").unwrap();
    assert_eq!((&lost["type"], &lost["where"]), (&"disconnected".into(), &way.url.clone().into()));
    assert!(!lost["why"].as_str().unwrap().is_empty());
    gate.open();
    way.open.send_replace(true);
    let back = lines.by_ref().find(|line| line["type"] != "progress").unwrap();
    assert_eq!((&back["type"], &back["where"]), (&"connected".into(), &way.url.clone().into()));
    assert_eq!(lines.last().unwrap()["type"], "copied");
    assert_eq!(finish(child).ok().stderr, "");
}

// Goal: a target that stays away is the cause that is told, with a remedy that is true for a copy: to run it again, and to go on only
// where progress is noted. For either direction.
#[test]
fn a_target_that_stays_away_is_told_with_a_remedy_that_is_true() {
    for (writes, noted) in [(true, true), (true, false), (false, true)] {
        let way = Way::new();
        let (file, state, gate) = (way.rig.path("file"), way.rig.path("state"), Gate::new());
        if writes {
            std::fs::write(&file, noise(SIZE as usize, 42)).unwrap();
        }
        let (kind, ends) =
            if writes { (Kind::Write, [&file, &way.url]) } else { (Kind::Read, [&way.url, &file]) };
        way.rig.disk.next_at(kind, HELD, Fault::Hold(gate.clone()));
        let mut arguments = vec!["copy", ends[0], ends[1], "--reconnect-for", "300ms"];
        arguments.extend(CHECKPOINTS);
        if noted {
            arguments.extend(["--state", &state]);
        }
        let child = command(&arguments).spawn().unwrap();
        way.wait_until_held(&gate);
        if noted {
            wait_for("progress", || safe(&state) > 0);
        }
        way.open.send_replace(false);
        let said = finish(child).code(3);
        gate.open();
        assert!(said.stderr.contains("the session") && said.stderr.contains("ended"), "{}", said.stderr);
        for wrong in ["read back", "unknown outcome", "sent again"] {
            assert!(!said.stderr.contains(wrong), "{}", said.stderr);
        }
        let goes_on = said.stderr.contains("run the same command again to go on from there (noted in ");
        assert_eq!(goes_on, noted, "{}", said.stderr);
        assert_eq!(said.stderr.contains("with --state FILE"), !noted, "{}", said.stderr);
    }
}
