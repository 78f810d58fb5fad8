//! How shards are set up, where they cannot be, and how they end.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iscsicore_glommio::backend::MemoryBackend;
use iscsicore_glommio::{Server, Shards, Unavailable, available};

/// Set for a child process of a test, which then says what [`available`] does.
const CHILD: &str = "SHARDS_SETUP_CHILD";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn server(shards: Shards) -> Server {
    let mut builder = Server::builder();
    builder.runtime(shards);
    let unit = builder.disk("setup-0", Arc::new(MemoryBackend::new(1 << 20)));
    builder.target("iqn.2026-01.dev.iscsicore.test:setup", &[unit]).unwrap();
    block_on(builder.serve("127.0.0.1:0".parse().unwrap())).unwrap()
}

/// Names of this process's threads that are shards.
fn shard_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("shard-")).collect()
}

fn with(change: impl FnOnce(&mut Shards)) -> Shards {
    let mut shards = Shards::default();
    change(&mut shards);
    shards
}

/// One after the other, because their threads are counted.
#[test]
fn shards_of_any_number_start_serve_and_end() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut loose = Shards::new(2);
    loose.pinned = false;
    let mut spinning = Shards::new(1);
    spinning.spin = Duration::from_micros(50);
    let cases = [
        (Shards::default(), cores),
        (Shards::new(0), cores),
        (Shards::new(1), 1),
        (Shards::new(cores + 3), cores + 3),
        (loose, 2),
        (spinning, 1),
        // Far more memory than may be locked: it is used without being registered.
        (with(|shards| shards.io_memory = 16 << 20), cores),
    ];
    for (shards, count) in cases {
        assert_eq!(shards.count(), count);
        let server = server(shards.clone());
        assert_eq!(iscsicore_runtime::Runtime::shards(server.runtime()), count, "{shards:?}");
        assert!(shard_threads().len() >= count, "{:?} of {shards:?}", shard_threads());
        let address = server.addresses()[0];
        assert!(std::net::TcpStream::connect(address).is_ok());
        let end = server.runtime().end();
        assert!(!end.wait(Duration::from_millis(10)), "it has not been asked to");
        if count % 2 == 0 {
            let errors = block_on(server.shutdown_within(Duration::from_secs(1)));
            assert!(errors.is_empty(), "{errors:?}");
        } else {
            drop(server);
        }
        assert!(end.wait(Duration::from_secs(5)), "{shards:?}");
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
        let began = Instant::now();
        while !shard_threads().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", shard_threads());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn this_machine_has_what_shards_need() {
    let told = available(&Shards::new(1));
    match std::env::var_os(CHILD) {
        None => assert!(told.is_ok(), "{told:?}"),
        Some(_) => {
            let (variant, text) = match told {
                Ok(()) => ("available", String::new()),
                Err(error) => {
                    let variant = match error {
                        Unavailable::IoUring(_) => "io_uring",
                        Unavailable::MemLock { .. } => "memlock",
                        _ => "other",
                    };
                    (variant, error.to_string())
                }
            };
            let mut builder = Server::builder();
            builder.runtime(Shards::new(1));
            let started = block_on(builder.serve("127.0.0.1:0".parse().unwrap()));
            let started = started.map_or_else(|error| error.to_string(), |_| "started".to_owned());
            let _ = writeln!(std::io::stdout(), "\nchild: {variant}: {text}; {started}");
        }
    }
}

/// What [`available`] says in a process that `wrapper` starts; none when that cannot be had on this machine.
fn told_under(wrapper: &[&str]) -> Option<String> {
    let this = std::env::current_exe().unwrap();
    let child = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(this)
        .args(["--exact", "this_machine_has_what_shards_need", "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output();
    let output = child.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("child: ")).map(str::to_owned);
    if line.is_none() {
        let _ = writeln!(std::io::stderr(), "\n*** NOT TESTED on this machine: {} ***", wrapper.join(" "));
    }
    line
}

#[test]
fn too_little_memory_that_may_be_locked_is_named() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let Some(told) = told_under(&["prlimit", "--memlock=65536:65536"]) else { return };
    assert!(told.starts_with("memlock: RLIMIT_MEMLOCK is 64 KiB, and "), "{told}");
    assert!(told.contains("ulimit -l") && told.contains("LimitMEMLOCK="), "{told}");
}

#[test]
fn a_system_that_refuses_io_uring_is_named() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    for error in ["EPERM", "ENOSYS"] {
        let inject = format!("inject=io_uring_setup:error={error}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e", &inject];
        let Some(told) = told_under(&strace) else { return };
        assert!(told.starts_with("io_uring: io_uring is not to be had"), "{error}: {told}");
        assert!(told.contains("seccomp") && told.contains("kernel.io_uring_disabled"), "{told}");
        assert!(told.contains("; cannot start the server's threads: io_uring is not to be had"), "{told}");
    }
}
