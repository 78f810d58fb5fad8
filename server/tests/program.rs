//! The program as its users start it: exit codes, and what goes to which stream.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

#[cfg(unix)]
use support::{Initiator, Server};
use support::{Running, run, runtimes, text};

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
        (&["--check-config", "--log", "loud"], 2),
        (&["--version"], 0),
        (&["--help"], 0),
        (&["--check-config", "--disk", "memory:1M"], 0),
    ] {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
    let help = run(&["--help"]);
    for part in ["Exit codes:", "[default: info", "[default: text", "SIGHUP end the server"] {
        assert!(text(&help.stdout).contains(part), "{part}");
    }
}

// Goal: the server takes connections once it says so, ends with code 0 when asked to, and lets nobody serve the same file
// meanwhile. Method: a new file on a port of the system's choice, SIGTERM.
#[cfg(unix)]
#[test]
fn it_serves_until_it_is_asked_to_end() {
    runtimes().for_each(serves_until_it_is_asked_to_end);
}

#[cfg(unix)]
fn serves_until_it_is_asked_to_end(runtime: &str) {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("{}:1M", dir.path().join("disk.img").display());
    let arguments = ["--runtime", runtime, "--listen", "127.0.0.1:0", "--disk", &disk, "--log", "warn"];
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

// Goal: two servers with the same arguments in two places never show one disk, and disks keep their identities when
// their order changes. Method: starts, and what the banners say.
#[cfg(unix)]
#[test]
fn identities_follow_the_data() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let identities = |directory: &tempfile::TempDir, disks: [&str; 2]| {
        let disks = disks.map(|disk| format!("{disk}.img:1M"));
        let arguments =
            ["--listen", "127.0.0.1:0", "--log", "warn", "--disk", &disks[0], "--disk", &disks[1]];
        let mut server = Server::start(directory.path(), &arguments);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        let luns = server.banner.lines().filter(|line| line.starts_with("  LUN "));
        let identity = |line: &str| {
            let (_, identity) = line.split_once("serial ").unwrap();
            identity.to_owned()
        };
        luns.map(identity).collect::<Vec<_>>()
    };
    let first = identities(&places[0], ["a", "b"]);
    let elsewhere = identities(&places[1], ["a", "b"]);
    assert_eq!((first.len(), elsewhere.len()), (2, 2));
    assert!(first[0] != first[1] && !first.contains(&elsewhere[0]) && !first.contains(&elsewhere[1]));
    let swapped = identities(&places[0], ["b", "a"]);
    assert_eq!([&swapped[1], &swapped[0]], [&first[0], &first[1]]);
    let disk = format!("{}:1M", places[0].path().join("a.img").display());
    let checked = run(&["--check-config", "--listen", "127.0.0.1:0", "--disk", &disk]);
    assert!(text(&checked.stdout).contains(&first[0]), "{}", text(&checked.stdout));
}

#[test]
fn a_check_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("{}:1M", dir.path().join("disk.img").display());
    let output = run(&["--check-config", "--listen", "127.0.0.1:0", "--disk", &disk, "--disk", "memory:1M"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout)
            .contains("disk.img, 1 MiB, blocks of 512, serial and naa to be assigned at first")
    );
    assert!(text(&output.stdout).contains("memory, 1 MiB, blocks of 512, serial and naa new at each start"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn a_check_finds_what_a_start_would_fail_of() {
    let output = run(&["--check-config", "--listen", "192.0.2.1:0", "--disk", "/dev/null"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let said = text(&output.stderr);
    assert!(
        said.contains("command line: LUN 0 of iqn.2026-01.dev.iscsicore:disk0: /dev/null is neither"),
        "{said}"
    );
    assert!(said.contains("command line: portal 192.0.2.1:0: cannot listen: "), "{said}");
}

// Goal: a reader who has seen enough is no reason to panic. Method: output that no pipe holds, and a pipe that is closed.
#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big.toml");
    let mut luns = "[[target]]\nname = \"iqn.2026-01.com.example:t\"\n".to_owned();
    for number in 0..4000 {
        luns += &format!("[[target.lun]]\nnumber = {number}\nmemory = true\nsize = 512\n");
    }
    std::fs::write(&file, luns).unwrap();
    let arguments = ["--check-config", "--config", file.to_str().unwrap()];
    let mut child = Command::new(env!("CARGO_BIN_EXE_iscsicored"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "target iqn.2026-01.com.example:t\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"));
}

// Goal: once there is a log, it is all there is on standard error. Method: a warning and an error, as JSON.
#[cfg(unix)]
#[test]
fn everything_in_the_log_has_its_form() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    std::fs::write(&disk, [0; 1000]).unwrap();
    let disk = disk.to_str().unwrap();
    let log = ["--log-format", "json", "--listen", "192.0.2.1:0", "--disk", disk];
    let output = run(&log);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    assert!(lines.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{lines:?}");
    assert!(
        lines.iter().any(|l| l.contains("\"WARN\"") && l.contains("the last 488 of 1000 bytes")),
        "{lines:?}"
    );
    let last = lines.last().unwrap();
    assert!(last.contains("\"ERROR\"") && last.contains("portal 192.0.2.1:0: cannot listen"), "{last}");
    assert!(last.contains("\"target\":\"iscsicored\""), "{last}");
    let silent = run(&[&log[..], &["--log", "off"]].concat());
    assert!(text(&silent.stderr).starts_with("iscsicored: portal 192.0.2.1:0"), "{}", text(&silent.stderr));
}

#[cfg(unix)]
#[test]
fn a_hangup_ends_it_as_asked() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map_or("0", str::trim);
    if u64::from_str_radix(ignored, 16).unwrap() & 1 != 0 {
        return; // Under nohup the server is to ignore it; see the next test.
    }
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["--runtime", runtime, "--listen", "127.0.0.1:0", "--disk", "memory:1M"];
        let mut server = Server::start(dir.path(), &arguments);
        server.signal("HUP");
        assert_eq!(server.wait().code(), Some(0), "{runtime}");
    }
}

// Goal: what was started to outlive its terminal does. Method: as nohup does it; had the hangup counted, the next signal
// would not be the first.
#[cfg(target_os = "linux")]
#[test]
fn a_hangup_is_ignored_where_it_was_ignored_before() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' HUP; exec \"$0\" --listen 127.0.0.1:0 --disk memory:1M";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_iscsicored")]);
    let mut server = Server::spawn(dir.path(), shell);
    server.signal("HUP");
    let mut initiator = Initiator::login(server.address, 0);
    initiator.write(0, 1).unwrap();
    drop(initiator);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.log().contains("ending already"), "{}", server.log());
}
