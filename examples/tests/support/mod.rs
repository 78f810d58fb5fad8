//! The programs as children, and the tools that others wrote to drive them.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that serves; it ends with this value.
pub(crate) struct Program {
    child: Child,
    /// What it printed: where it serves.
    pub(crate) url: String,
}

impl Program {
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Self {
        let child = Command::new(path).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        // From here on the child is killed however the test ends.
        let mut program = Program { child, url: String::new() };
        let stdout = program.child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut program.url).unwrap();
        program.url = program.url.trim_end().to_owned();
        assert!(program.url.starts_with("iscsi://127.0.0.1:"), "{:?}", program.url);
        program
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("iscsi://").split('/').next().unwrap()
    }

    /// The target's name.
    pub(crate) fn target(&self) -> &str {
        self.url.rsplit('/').nth(1).unwrap()
    }

    /// Still there, after whatever was done to it.
    pub(crate) fn assert_alive(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the program has ended");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tool under way; it ends with this value.
pub(crate) struct Tool {
    name: String,
    child: Option<Child>,
}

impl Tool {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Tool { name: format!("{name} {}", arguments.join(" ")), child: Some(child) }
    }

    /// Waits for its end. The tools print little, so that they do not wait for somebody who reads it.
    pub(crate) fn output(mut self) -> Output {
        let end = Instant::now() + PATIENCE;
        while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{}: no end after {PATIENCE:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.take().unwrap().wait_with_output().unwrap()
    }

    /// What it printed; it must succeed.
    pub(crate) fn success(self) -> String {
        let name = self.name.clone();
        let output = self.output();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
        stdout.into_owned()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a tool to its end, and returns what it printed.
pub(crate) fn run(name: &str, arguments: &[&str]) -> String {
    Tool::start(name, arguments).success()
}

/// Copies a file onto the disk at `url`.
pub(crate) fn copy_in(from: &Path, url: &str) {
    run("qemu-img", &["convert", "-n", "-f", "raw", "-O", "raw", from.to_str().unwrap(), url]);
}

/// Copies the disk at `url` into a file.
pub(crate) fn copy_out(url: &str, to: &Path) {
    run("qemu-img", &["convert", "-f", "raw", "-O", "raw", url, to.to_str().unwrap()]);
}

/// Runs commands of qemu-io on the disk at `url`; all must succeed.
pub(crate) fn qemu_io(url: &str, commands: &[&str]) {
    let output = start_qemu_io(url, commands).output();
    let printed =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Not every failed command has always been a failed run.
    let bad = printed.contains("fail") || printed.contains("error");
    assert!(output.status.success() && !bad, "{commands:?}: {}\n{printed}", output.status);
}

pub(crate) fn start_qemu_io(url: &str, commands: &[&str]) -> Tool {
    let mut arguments = vec!["-f", "raw"];
    commands.iter().for_each(|command| arguments.extend(["-c", command]));
    arguments.push(url);
    Tool::start("qemu-io", &arguments)
}

/// Whether all `tools` are there. Where they are not, the test has proved nothing: it says so, or fails when
/// ISCSICORE_REQUIRE_PEERS=1.
pub(crate) fn have(tools: &[&str]) -> bool {
    let missing: Vec<_> = tools.iter().filter(|tool| !is_there(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var("ISCSICORE_REQUIRE_PEERS").as_deref() != Ok("1"), "missing: {missing:?}");
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {missing:?} not installed");
    false
}

fn is_there(tool: &str) -> bool {
    let quiet = Command::new(tool).arg("--help").stdin(Stdio::null()).output();
    quiet.is_ok()
}

/// `len` bytes that look random, with some blocks of zeroes between them.
pub(crate) fn image(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let zero = (bytes.len() >> 16) % 5 == 4;
        bytes.extend(if zero { [0; 4] } else { ((state >> 32) as u32).to_le_bytes() });
    }
    bytes
}
