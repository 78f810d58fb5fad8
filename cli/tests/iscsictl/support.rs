//! A server to test against, the program, and what it said.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iscsicore::node::{IscsiName, TargetConfig, UnitAccess};
use iscsicore_tokio::Server;
use iscsicore_tokio::backend::{Backend, MemoryBackend, Scripted};
use serde_json::Value;
use tokio::runtime::Runtime;

pub(crate) const TARGET: &str = "iqn.2026-01.dev.iscsicore.test:disk";
pub(crate) const SIZE: u64 = 32 << 20;

/// A target with two disks in memory; what is done to the first can be watched, delayed and made fail.
pub(crate) struct Rig {
    pub(crate) runtime: Runtime,
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) memory: MemoryBackend,
    pub(crate) disk: Arc<Scripted>,
    pub(crate) other: MemoryBackend,
    pub(crate) directory: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut TargetConfig)) -> Self {
        let memory = MemoryBackend::new(SIZE);
        let disk = Arc::new(Scripted::new(Arc::new(memory.clone())));
        let other = MemoryBackend::new(SIZE);
        let disks: [(&str, Arc<dyn Backend>); 2] =
            [("first", disk.clone()), ("second", Arc::new(other.clone()))];
        let runtime = runtime();
        let any = "127.0.0.1:0".parse().unwrap();
        let server = runtime.block_on(serve(any, &disks, change));
        let address = server.addresses()[0];
        let directory = tempfile::tempdir().unwrap();
        Rig { runtime, server: Some(server), address, memory, disk, other, directory }
    }

    pub(crate) fn url(&self, lun: u16) -> String {
        format!("iscsi://{}/{TARGET}/{lun}", self.address)
    }

    pub(crate) fn portal(&self) -> String {
        self.address.to_string()
    }

    /// A path in a directory of this rig.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// What the first disk holds, past the server.
    pub(crate) fn bytes(&self, offset: u64, len: u64) -> Vec<u8> {
        read(&self.runtime, &self.memory, offset, len)
    }

    /// What the second disk holds.
    pub(crate) fn other_bytes(&self, offset: u64, len: u64) -> Vec<u8> {
        read(&self.runtime, &self.other, offset, len)
    }

    pub(crate) fn put(&self, offset: u64, data: Vec<u8>) {
        self.runtime.block_on(self.memory.write(offset, data.into(), false).wait()).unwrap();
    }

    /// The sessions that are left, once that is none, or after a while.
    pub(crate) fn sessions_left(&self) -> usize {
        let server = self.server.as_ref().unwrap();
        let count = || self.runtime.block_on(server.sessions()).len();
        let until = Instant::now() + Duration::from_secs(5);
        while count() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        count()
    }
}

fn read(runtime: &Runtime, disk: &MemoryBackend, offset: u64, len: u64) -> Vec<u8> {
    runtime.block_on(disk.read(offset, len as usize).wait()).unwrap().to_bytes().to_vec()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Serves disks, by their serial numbers, as LUN 0, 1, and so on of one target.
pub(crate) async fn serve(
    address: SocketAddr,
    disks: &[(&str, Arc<dyn Backend>)],
    change: impl FnOnce(&mut TargetConfig),
) -> Server {
    let mut builder = Server::builder();
    let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
    for (lun, (serial, disk)) in (0..).zip(disks) {
        let unit = builder.disk(serial, disk.clone());
        target.luns.insert(lun, unit, UnitAccess::ReadWrite).unwrap();
    }
    change(&mut target);
    builder.target_config(target);
    builder.serve(address).await.unwrap()
}

/// What the program said and how it ended.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Done {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.text(), self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON, an object a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The one object on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.text());
        lines.remove(0)
    }

    /// The failure as JSON on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stderr).expect("one JSON object");
        value["error"].clone()
    }
}

/// The program, with nothing from the environment that it would heed.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iscsictl"));
    let heeded = |name: &str| name.starts_with("ISCSICORE_") || name.starts_with("LIBISCSI_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(heeded)) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Done {
    finish(command(arguments).spawn().unwrap())
}

/// Runs the program to its end with this on standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Done {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may refuse before it has read everything.
    let writer = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
    let done = finish(child);
    writer.join().unwrap();
    done
}

/// Waits for the end of a program that runs; kills it after a minute.
pub(crate) fn finish(mut child: Child) -> Done {
    let (stdout, stderr) = (rest(child.stdout.take()), rest(child.stderr.take()));
    let until = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the program did not end");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
    Done { code: status.code(), stdout: stdout.join().unwrap(), stderr }
}

/// Reads what is left of a stream that nobody has taken.
fn rest(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        stream.map(|mut stream| stream.read_to_end(&mut all)).transpose().unwrap();
        all
    })
}

/// Sends a signal to a program that runs.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Bytes that look random and are always the same.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Bytes that a file takes on its file system.
pub(crate) fn allocated(path: &str) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).unwrap().blocks() * 512
}

/// The path of a program that others wrote; without it the test says so loudly and is left out, or fails when
/// ISCSICORE_REQUIRE_PEERS=1.
pub(crate) fn peer(name: &str) -> Option<String> {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let found = places.iter().map(|place| format!("{place}/{name}")).find(|path| Path::new(path).is_file());
    if found.is_none() {
        let required = std::env::var("ISCSICORE_REQUIRE_PEERS").as_deref() == Ok("1");
        assert!(!required, "{name} is missing");
        // Straight to the stream: what a passing test prints with a macro is swallowed.
        let skipped = format!("SKIPPED: {name} is missing, and what it would have judged is not tested\n");
        std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
    }
    found
}
