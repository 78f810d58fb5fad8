//! The program as its users start it: exit codes, and what goes to which stream.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

/// A server that is killed when a test gives up.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iscsicored")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_example_is_accepted() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/iscsicored.example.toml");
    let output = run(&["--config", example, "--check-config"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let summary = text(&output.stdout);
    assert!(summary.contains("target iqn.2026-01.com.example:disk0 (a first disk)\n"));
    assert!(summary.contains("  portal 127.0.0.1:3261 group 2, announced as localhost:3261\n"));
    assert!(
        summary.contains("CHAP as alice, bob, mutual\n") && summary.contains("discovery: CHAP as finder\n")
    );
}

#[test]
fn a_wrong_file_ends_with_code_2_and_all_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    std::fs::write(&file, "[server]\nlog = 1\nlgo = 2\n").unwrap();
    for more in [&[][..], &["--check-config"]] {
        let output = run(&[&["--config", file.to_str().unwrap()], more].concat());
        assert_eq!(output.status.code(), Some(2));
        assert_eq!((text(&output.stderr).lines().count(), output.stdout.len()), (2, 0));
    }
}

#[test]
fn wrong_usage_ends_with_code_2_and_questions_with_0() {
    for (arguments, code) in [
        (&["--nonsense"][..], 2),
        (&["--disk", "disk.img:10X"], 2),
        (&["--config", "/does/not/exist.toml"], 2),
        (&["--check-config", "--disk", "does-not-exist.img"], 2),
        (&["--check-config", "--log", "a=b=c"], 2),
        (&["--version"], 0),
        (&["--help"], 0),
        (&["--check-config", "--disk", "memory:1M"], 0),
    ] {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
    assert!(text(&run(&["--help"]).stdout).contains("Exit codes:"));
}

// Goal: the server takes connections once it says so, ends with code 0 when asked to, and lets nobody serve the same file
// meanwhile. Method: a new file on a port of the system's choice, SIGTERM.
#[cfg(unix)]
#[test]
fn it_serves_until_it_is_asked_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("{}:1M", dir.path().join("disk.img").display());
    let arguments = ["--listen", "127.0.0.1:0", "--disk", &disk, "--log", "warn"];
    let start = Command::new(env!("CARGO_BIN_EXE_iscsicored")).args(arguments).stdout(Stdio::piped()).spawn();
    let mut server = Running(start.unwrap());
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let last = lines.filter_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).next().unwrap();
    let address: SocketAddr = last.parse().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    assert_eq!(std::fs::metadata(dir.path().join("disk.img")).unwrap().len(), 1 << 20);

    let second = run(&arguments);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("disk.img is in use"), "{}", text(&second.stderr));

    assert!(Command::new("kill").arg(server.0.id().to_string()).status().unwrap().success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}
