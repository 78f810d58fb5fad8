//! The runtimes: which one is taken and why, what each does at its end, and how it ends when something is missing.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use iscsicore_tokio::Client;
use support::{Initiator, Server, glommio_is_there, is_installed, run, runtimes, text};

/// A way to keep glommio from running: a command that starts another, and what is to be said.
struct Refusal {
    command: &'static [&'static str],
    reason: &'static str,
    remedy: &'static str,
}

/// Runs a program and lets every io_uring_setup of it fail. The tracer steps aside (-D), so that signals reach the program.
const REFUSED_WITH_EPERM: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=io_uring_setup",
    "-e",
    "inject=io_uring_setup:error=EPERM",
];
const REFUSED_WITH_ENOSYS: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=io_uring_setup",
    "-e",
    "inject=io_uring_setup:error=ENOSYS",
];

const REFUSALS: [Refusal; 4] = [
    Refusal {
        command: &["prlimit", "--memlock=65536"],
        reason: "RLIMIT_MEMLOCK is 64 KiB, and ",
        remedy: "raise it (ulimit -l, LimitMEMLOCK= of systemd)",
    },
    Refusal {
        command: &["prlimit", "--nofile=24"],
        reason: "file descriptors to start with, and fewer are free",
        remedy: "raise the limit (ulimit -n, LimitNOFILE= of systemd)",
    },
    Refusal {
        command: REFUSED_WITH_EPERM,
        reason: "io_uring is not to be had (Operation not permitted",
        remedy: "a container's seccomp filter or kernel.io_uring_disabled forbids it",
    },
    Refusal {
        command: REFUSED_WITH_ENOSYS,
        reason: "io_uring is not to be had (Function not implemented",
        remedy: "the kernel is older than 5.8 or was built without it",
    },
];

impl Refusal {
    /// The server under it, or nothing when the means is missing.
    fn server(&self, arguments: &[&str]) -> Option<Command> {
        let program = self.command[0];
        is_installed(program).then(|| {
            let mut command = Command::new(program);
            command.args(&self.command[1..]).arg(env!("CARGO_BIN_EXE_iscsicored"));
            command.args(["--listen", "127.0.0.1:0", "--disk", "memory:1M"]).args(arguments);
            command
        })
    }
}

// Goal: without what glommio needs the server serves all the same, and one line says why. Method: each thing that can be
// missing, an initiator that writes and reads back.
#[test]
fn auto_falls_back_to_tokio_and_says_why() {
    for refusal in REFUSALS {
        let dir = tempfile::tempdir().unwrap();
        let Some(command) = refusal.server(&[]) else { continue };
        let mut server = Server::spawn(dir.path(), command);
        let start = "runtime: tokio, because glommio cannot run: ";
        let line = server.banner.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| {
            panic!("{}", server.banner);
        });
        assert!(line.contains(refusal.reason) && line.contains(refusal.remedy), "{line}");
        write_and_read_back(server.address);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        let warnings: Vec<_> = log.lines().filter(|l| !l.contains(" INFO ")).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(warnings[0].contains(" WARN ") && warnings[0].contains(refusal.reason), "{log}");
        assert!(warnings[0].contains("running on tokio, because glommio cannot run"), "{log}");
        assert!(warnings[0].contains(refusal.remedy), "{log}");
        assert!(log.contains("serving runtime=tokio addresses="), "{log}");
    }
}

// Goal: glommio that was asked for and cannot run is an error with its reason and remedy, and nothing else.
#[test]
fn glommio_by_name_fails_with_the_reason() {
    for refusal in REFUSALS {
        for (more, code) in [(&[][..], 1), (&["--check-config"], 2)] {
            let Some(mut command) = refusal.server(&[&["--runtime", "glommio"], more].concat()) else {
                continue;
            };
            let output = command.output().unwrap();
            let said = text(&output.stderr);
            assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
            assert!(said.lines().count() == 1 && said.contains("cannot run on glommio: "), "{said}");
            assert!(said.contains(refusal.reason) && said.contains(refusal.remedy), "{said}");
            assert!(said.ends_with("; or choose --runtime tokio\n"), "{said}");
        }
    }
}

#[test]
fn a_check_says_which_runtime_would_be_taken() {
    for refusal in REFUSALS {
        let Some(mut command) = refusal.server(&["--check-config"]) else { continue };
        let output = command.output().unwrap();
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let line = said.lines().last().unwrap();
        assert!(line.starts_with("runtime: tokio, because glommio cannot run: "), "{said}");
        assert!(line.contains(refusal.reason), "{said}");
    }
    let check = ["--check-config", "--listen", "127.0.0.1:0", "--disk", "memory:1M"];
    let output = run(&[&check[..], &["--runtime", "tokio"]].concat());
    assert!(text(&output.stdout).ends_with("\nruntime: tokio\n"));
    if glommio_is_there() {
        let output = run(&[&check[..], &["--shards", "1"]].concat());
        assert!(text(&output.stdout).ends_with("\nruntime: glommio, 1 shard, pinned\n"));
    }
}

// Goal: there are as many shards as were asked for, each on one core, or on none in particular. Method: the threads of
// the process, by what the system says of them.
#[test]
fn shards_are_threads_on_cores_of_their_own() {
    if !glommio_is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = "[server]\nruntime = \"glommio\"\nshards = 1\npinned = false\n[[portal]]\naddress = \"127.0.0.1:0\"\n\
                [[target]]\nname = \"iqn.2026-01.dev.iscsicore:disk0\"\n[[target.lun]]\nnumber = 0\nmemory = true\nsize = \"1M\"\n";
    std::fs::write(dir.path().join("server.toml"), file).unwrap();
    let of_this = allowed_cpus(Path::new("/proc/self"));
    for (more, line, count) in
        [(&[][..], "runtime: glommio, 1 shard", 1), (&["--shards", "2"], "runtime: glommio, 2 shards", 2)]
    {
        let server = Server::start(dir.path(), &[&["--config", "server.toml"], more].concat());
        assert!(server.banner.lines().any(|l| l == line), "{}", server.banner);
        write_and_read_back(server.address);
        let shards = shards(server.id());
        assert_eq!(shards.len(), count, "{shards:?}");
        assert!(shards.values().flatten().all(|cpus| *cpus == of_this), "{shards:?}");
    }
    let arguments =
        ["--runtime", "glommio", "--shards", "1", "--listen", "127.0.0.1:0", "--disk", "memory:1M"];
    let server = Server::start(dir.path(), &arguments);
    let shards = shards(server.id());
    let on_one = |threads: &Vec<String>| threads.iter().any(|cpus| cpus.parse::<u32>().is_ok());
    assert!(shards.len() == 1 && shards.values().all(on_one), "{shards:?}");
}

// Goal: a limit that is tight does with less memory for direct I/O, instead of doing without glommio.
#[test]
fn shards_make_do_with_the_memory_that_may_be_locked() {
    if !glommio_is_there() || !is_installed("prlimit") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("prlimit");
    command.args(["--memlock=1048576", env!("CARGO_BIN_EXE_iscsicored"), "--shards", "2"]);
    command.args(["--listen", "127.0.0.1:0", "--disk", "memory:1M"]);
    let mut server = Server::spawn(dir.path(), command);
    assert!(server.banner.contains("\nruntime: glommio, 2 shards, pinned\n"), "{}", server.banner);
    write_and_read_back(server.address);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains(" WARN ") && log.contains("serving runtime=glommio shards=2 addresses="), "{log}");
}

// Goal: a disk that was to go past the page cache is not served through it.
#[test]
fn a_direct_disk_needs_glommio() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    std::fs::write(&path, [0; 4096]).unwrap();
    let disk = format!("direct:{}", path.display());
    let arguments = ["--runtime", "tokio", "--listen", "127.0.0.1:0", "--disk", &disk];
    for (more, code) in [(&[][..], 1), (&["--check-config"], 2)] {
        let output = run(&[&arguments[..], more].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
        assert!(
            said.contains("LUN 0 of iqn.2026-01.dev.iscsicore:disk0: direct I/O needs glommio"),
            "{said}"
        );
        assert!(said.ends_with("; leave direct out, or see what --runtime glommio says\n"), "{said}");
    }
}

// Goal: signals that follow the first one at once do not end it before the initiators had their time, and data that was
// acknowledged is in the file. Method: initiators that write on and never log out.
#[test]
fn repeated_signals_under_load_end_it_well() {
    on_each_runtime(|runtime| {
        let (code, log, lasted) = end_under_load(runtime, &[("TERM", 0), ("INT", 200), ("TERM", 200)]);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("ending already") && !log.contains("cut short by"), "{log}");
        assert!(log.lines().last().is_some_and(|l| l.ends_with("all disks flushed, ended disks=1")), "{log}");
        assert!(log.contains(&format!("serving runtime={runtime} ")), "{log}");
        assert!(lasted >= Duration::from_secs(4), "{lasted:?}");
    });
}

// Goal: somebody who insists is obeyed, and the data is safe all the same.
#[test]
fn a_late_second_signal_under_load_hurries_it() {
    on_each_runtime(|runtime| {
        let (code, log, lasted) = end_under_load(runtime, &[("TERM", 0), ("TERM", 3300)]);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("cut short by another signal"), "{log}");
        assert!(log.lines().last().is_some_and(|l| l.ends_with("all disks flushed, ended disks=1")), "{log}");
        assert!(lasted < Duration::from_secs(5), "sooner than the initiators' time is over: {lasted:?}");
    });
}

/// The runtimes at a time: ends take seconds.
fn on_each_runtime(test: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| {
        for runtime in runtimes() {
            scope.spawn(|| test(runtime));
        }
    });
}

/// Logs in as initiators do, and finds what it wrote.
fn write_and_read_back(address: SocketAddr) {
    let url = format!("iscsi://{address}/iqn.2026-01.dev.iscsicore:disk0/0");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let disk = Client::connect(&url).await.unwrap();
        disk.write_fua(7, vec![0x5a; 8192]).await.unwrap();
        assert_eq!(disk.read(7, 16).await.unwrap(), vec![0x5a; 8192]);
        disk.logout().await.unwrap();
    });
}

/// The threads of each shard of a process, and the CPUs that they may use. Those that a shard starts to wait in its place
/// have its name.
fn shards(process: u32) -> BTreeMap<String, Vec<String>> {
    let mut shards: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let task = task.unwrap().path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap();
        if name.starts_with("shard") {
            shards.entry(name).or_default().push(allowed_cpus(&task));
        }
    }
    shards
}

fn allowed_cpus(task: &Path) -> String {
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
}

/// Sends signals, each so many milliseconds after the one before, to a server that several initiators write to; verifies
/// that what it acknowledged is in the file. Returns the exit code, the log, and the time from the first signal to the end.
fn end_under_load(runtime: &str, signals: &[(&str, u64)]) -> (Option<i32>, String, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--runtime", runtime, "--listen", "127.0.0.1:0", "--disk", "disk.img:1M"];
    let mut server = Server::start(dir.path(), &arguments);
    let address = server.address;
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (started, begun) = std::sync::mpsc::channel();
            let writer = std::thread::spawn(move || write_on(address, number, &started));
            begun.recv().unwrap();
            writer
        })
        .collect();
    let began = Instant::now();
    for (signal, pause) in signals {
        std::thread::sleep(Duration::from_millis(*pause));
        server.signal(signal);
    }
    let code = server.wait().code();
    let lasted = began.elapsed();
    let data = std::fs::read(dir.path().join("disk.img")).unwrap();
    for (number, writer) in (0..WRITERS).zip(writers) {
        let acknowledged = writer.join().unwrap();
        assert!(acknowledged > 0);
        for write in acknowledged.saturating_sub(SPAN)..acknowledged {
            let at = (u32::from(number) * SPAN + write % SPAN) as usize * 512;
            let found = u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
            // One more may have been carried out than was acknowledged.
            assert!(
                found == write || found == write + SPAN,
                "{number}, block {at}: {found} instead of {write}"
            );
        }
    }
    (code, server.log(), lasted)
}

/// Writes numbers to blocks of its own, over and over, until the connection ends; returns how many were acknowledged.
fn write_on(address: SocketAddr, number: u16, started: &Sender<()>) -> u32 {
    let mut initiator = Initiator::login(address, number);
    let mut acknowledged: u32 = 0;
    while initiator.write(u32::from(number) * SPAN + acknowledged % SPAN, acknowledged).is_ok() {
        acknowledged += 1;
        let _ = started.send(());
    }
    acknowledged
}

/// As many as make sure that every shard has some.
const WRITERS: u16 = 4;
/// The blocks of each.
const SPAN: u32 = 512;
