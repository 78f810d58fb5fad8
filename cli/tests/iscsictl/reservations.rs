//! `keys`, `register`, `reserve`, `release`, `clear` and `preempt`, against istgt; and against tgt, where a registration ends with
//! its session.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{TARGET, peer, run};

/// A target that others wrote.
struct Foreign {
    child: Child,
    directory: tempfile::TempDir,
    url: String,
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that is free.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn disk(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("disk").display().to_string();
    std::fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    path
}

fn spawn(directory: &tempfile::TempDir, command: &mut Command) -> Child {
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// Waits until a target that has just been started is ready.
fn wait_for(directory: &tempfile::TempDir, ready: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !ready() {
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "the target does not start: {log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// tgtd with a control socket of its own; its disk is LUN 1.
fn tgt() -> Option<Foreign> {
    let (tgtd, tgtadm) = (peer("tgtd")?, peer("tgtadm")?);
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let socket = directory.path().join("control");
    let mut command = Command::new(tgtd);
    command.args(["-f", "-C", "1", "--iscsi", &format!("portal=127.0.0.1:{port}")]);
    let child = spawn(&directory, command.env("TGT_IPC_SOCKET", &socket));
    let admin = |arguments: &[&str]| {
        let mut command = Command::new(&tgtadm);
        command.args(["-C", "1", "--lld", "iscsi", "--tid", "1"]).args(arguments);
        command.env("TGT_IPC_SOCKET", &socket).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    wait_for(&directory, || admin(&["--mode", "target", "--op", "new", "--targetname", TARGET]));
    assert!(admin(&["--mode", "logicalunit", "--op", "new", "--lun", "1", "-b", &disk(&directory)]));
    assert!(admin(&["--mode", "target", "--op", "bind", "-I", "ALL"]));
    Some(Foreign { child, directory, url: format!("iscsi://127.0.0.1:{port}/{TARGET}/1") })
}

/// istgt in the foreground; its disk is LUN 0.
fn istgt() -> Option<Foreign> {
    let istgt = peer("istgt")?;
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let (folder, disk) = (directory.path().display(), disk(&directory));
    let configuration = format!(
        "[Global]\n NodeBase \"iqn.2026-01.dev.iscsicore\"\n PidFile {folder}/pid\n AuthFile {folder}/auth\n \
         MediaDirectory {folder}\n LogFacility \"local7\"\n DiscoveryAuthMethod None\n DiscoveryAuthGroup AuthGroup1\n\
         [UnitControl]\n AuthMethod CHAP Mutual\n AuthGroup AuthGroup2\n Netmask 127.0.0.1\n\
         [PortalGroup1]\n Portal DA1 127.0.0.1:{port}\n\
         [InitiatorGroup1]\n InitiatorName \"ALL\"\n Netmask 127.0.0.0/8\n\
         [LogicalUnit1]\n TargetName {TARGET}\n Mapping PortalGroup1 InitiatorGroup1\n AuthMethod None\n \
         AuthGroup AuthGroup1\n UnitType Disk\n LUN0 Storage {disk} 8MB\n"
    );
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("conf"), configuration).unwrap();
    std::fs::write(at("auth"), "[AuthGroup1]\n[AuthGroup2]\n Auth \"nobody\" \"nobody-uses-this\"\n")
        .unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(at("auth"), private).unwrap();
    let child = spawn(&directory, Command::new(istgt).arg("-D").arg("-c").arg(at("conf")));
    wait_for(&directory, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(Foreign { child, directory, url: format!("iscsi://127.0.0.1:{port}/{TARGET}/0") })
}

// Goal: two initiators (two ISIDs) reserve, are kept out, preempt and release, and are told the truth about it.
#[test]
fn two_initiators_share_a_disk() {
    let Some(target) = istgt() else { return };
    let url = target.url.clone();
    let other = ["--isid", "80aabbccdd01"];
    let keys = || run(&["keys", &url, "--json"]).ok().json();
    assert_eq!((&keys()["keys"], &keys()["reservation"]), (&json!([]), &serde_json::Value::Null));

    let done = run(&["register", &url, "--key", "0x1234", "--json"]).ok().json();
    assert_eq!(done["done"], "registered 0x0000000000001234");
    assert_eq!(done["isid"].as_str().unwrap().len(), 12);
    run(&["reserve", &url, "--key", "0x1234", "--type", "write-exclusive"]).ok();
    let held = keys();
    assert_eq!(held["keys"], json!(["0x0000000000001234"]));
    assert_eq!(held["reservation"], json!({"key": "0x0000000000001234", "type": "Write Exclusive"}));

    // Another nexus neither reserves nor writes, and may read.
    run(&[&["register", &url, "--key", "99"], &other[..]].concat()).ok();
    let error = run(&[&["reserve", &url, "--key", "99", "--json"], &other[..]].concat()).code(5).error();
    assert_eq!((&error["kind"], &error["where"]), (&"reserved".into(), &url.clone().into()));
    let block = target.directory.path().join("block").display().to_string();
    std::fs::write(&block, [7; 512]).unwrap();
    let write = ["write", &url, "--offset", "0", "-i", &block];
    let said = run(&[&write[..], &other].concat()).code(5);
    assert!(said.stderr.contains("RESERVATION CONFLICT"), "{}", said.stderr);
    run(&["read", &url, "--length", "512"]).ok();
    let text = run(&["keys", &url]).ok().text();
    assert!(text.contains("reserved: Write Exclusive, key 0x0000000000001234"), "{text}");

    run(&[&["preempt", &url, "--key", "99", "--victim", "0x1234"], &other[..]].concat()).ok();
    assert_eq!(keys()["reservation"]["key"], "0x0000000000000063");
    // istgt calls the registration that is left by the victim's key, so its number alone is looked at, and it is renewed.
    assert_eq!(keys()["keys"].as_array().unwrap().len(), 1);
    run(&["reserve", &url, "--key", "0x1234"]).code(5);
    run(&[&["register", &url, "--key", "99"], &other[..]].concat()).ok();
    run(&[&write[..], &other].concat()).ok();
    let registrations = keys()["registrations"].clone();
    assert_eq!(registrations[0]["isid"], "80aabbccdd01", "{registrations}");
    run(&[&["release", &url, "--key", "99"], &other[..]].concat()).ok();
    assert_eq!(keys()["reservation"], serde_json::Value::Null);
    let text = run(&[&["release", &url, "--key", "99"], &other[..]].concat()).ok().text();
    assert!(text.contains("there was no reservation"), "{text}");
    run(&[&["register", &url, "--old-key", "1", "--key", "2"], &other[..]].concat()).code(5);
    run(&[&["clear", &url, "--key", "99"], &other[..]].concat()).ok();
    assert_eq!(keys()["keys"], json!([]));
    let back = || run(&["register", &url, "--key", "0"]).ok().text();
    assert!(back().starts_with("there was no registration"), "{}", back());
    run(&["register", &url, "--key", "5"]).ok();
    assert!(back().starts_with("registration taken back"));
    assert!(back().starts_with("there was no registration"));
}

// Goal: the error is clear where registrations do not outlast a session. Method: tgt, which forgets whose a key is.
#[test]
fn a_target_that_forgets_registrations_is_told_apart() {
    let Some(target) = tgt() else { return };
    run(&["register", &target.url, "--key", "7"]).ok();
    assert_eq!(run(&["keys", &target.url, "--json"]).ok().json()["keys"], json!(["0x0000000000000007"]));
    let error = run(&["reserve", &target.url, "--key", "7", "--json"]).code(5).error();
    assert!(error["what"].as_str().unwrap().contains("PERSISTENT RESERVE OUT (RESERVE)"), "{error}");
    assert!(error["try"].as_str().unwrap().contains("not registered"), "{error}");
}
