//! Disks to test, below them real file systems and devices; and shards to test them on.
#![allow(dead_code, reason = "each test program uses a part")]

use std::future::Future;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures_util::FutureExt;
use glommio::{LocalExecutorBuilder, Placement};
use iscsicore::DataList;
use iscsicore_glommio::backend::{Backend, Direct, FileOptions, Files, IoReply, Uring};

/// A disk under test and what must live as long as it. The disk is dropped first.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) disk: Arc<dyn Backend>,
    below: Vec<Box<dyn std::any::Any + Send>>,
}

/// Every kind of file of `size` bytes, or as near to that as its blocks are, that this machine can make.
pub(crate) fn subjects(size: u64) -> Vec<Subject> {
    let options = FileOptions::new().size(size);
    let mut all = Vec::new();
    let mut add = |name: &str, disk: Arc<dyn Backend>, below: Vec<Box<dyn std::any::Any + Send>>| {
        all.push(Subject { name: name.into(), disk, below });
    };
    let directory = scratch();
    add("cached", Arc::new(options.open_with::<Uring>(directory.path().join("c")).unwrap()), vec![]);
    match options.open_with::<Direct>(directory.path().join("d")) {
        Ok(disk) => add("direct", Arc::new(disk), vec![Box::new(directory)]),
        Err(error) => skip(&format!("direct I/O in {}: {error}", directory.path().display())),
    }
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    add("cached on tmpfs", Arc::new(options.open_with::<Uring>(directory.path().join("c")).unwrap()), vec![]);
    match options.open_with::<Direct>(directory.path().join("d")) {
        Ok(disk) => add("direct on tmpfs", Arc::new(disk), vec![Box::new(directory)]),
        Err(_) => skip("direct I/O on tmpfs (since Linux 6.6)"),
    }
    for block in [512, 4096] {
        let directory = scratch();
        // A device has whole blocks.
        let size = size - size % u64::from(block);
        if let Some(device) = Loop::new(&directory.path().join("image"), size, block) {
            let disk = FileOptions::new().open_with::<Direct>(&device.path).unwrap();
            let below: Vec<Box<dyn std::any::Any + Send>> = vec![Box::new(device), Box::new(directory)];
            add(&format!("direct on a device of {block}-byte blocks"), Arc::new(disk), below);
        }
    }
    all
}

/// A directory on a real file system.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Runs `work` on a shard of its own and returns what it returns; waits for that.
pub(crate) fn on_shard<T: Send + 'static, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> T {
    start_shard(work).join().unwrap()
}

/// Runs `work` on a shard of its own.
pub(crate) fn start_shard<T: Send + 'static, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> glommio::ExecutorJoinHandle<T> {
    LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(512 << 10)
        .ring_depth(256)
        .spawn(async move || {
            let files = Files::enter();
            // A test that fails must not leave operations behind that others wait for.
            let done = AssertUnwindSafe(work()).catch_unwind().await;
            files.close().await;
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .unwrap()
}

/// Runs a future to its end on a thread that is no shard.
pub(crate) fn off_shard<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A loop device over a sparse image. The kernel removes it when nobody has it open any more, however a test ends.
pub(crate) struct Loop {
    pub(crate) path: PathBuf,
    _open: std::fs::File,
}

impl Loop {
    pub(crate) fn new(image: &Path, size: u64, block: u32) -> Option<Self> {
        std::fs::File::create(image).unwrap().set_len(size).unwrap();
        let output = Command::new("losetup")
            .args(["--find", "--show", "--sector-size", &block.to_string()])
            .arg(image)
            .output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            skip("a loop device (losetup as root)");
            return None;
        };
        let path: PathBuf = String::from_utf8(output.stdout).unwrap().trim().into();
        let open = std::fs::File::open(&path).unwrap();
        assert!(run("losetup", &["-d".as_ref(), path.as_os_str()]));
        Some(Loop { path, _open: open })
    }
}

/// A file system of a few bytes.
pub(crate) struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    pub(crate) fn new(size: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let at = directory.path().as_os_str();
        let how = ["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref(), at];
        if run("mount", &how) {
            return Some(Tmpfs(directory));
        }
        skip("a small file system (mount as root)");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &[self.path().as_os_str()]);
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Says what is not tested, past the capture of the test harness.
pub(crate) fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** NOT TESTED on this machine: {what} ***");
}

/// Bytes of a disk, or a failed test.
pub(crate) async fn read(disk: &(impl Backend + ?Sized), offset: u64, len: usize) -> Vec<u8> {
    disk.read(offset, len).wait().await.unwrap().to_bytes().to_vec()
}

/// The error of a reply, or a failed test.
pub(crate) async fn error<T>(reply: IoReply<T>) -> std::io::Error {
    match reply.wait().await {
        Ok(_) => panic!("it did not fail"),
        Err(error) => error,
    }
}

/// `len` bytes of `value`, in slices of odd lengths.
pub(crate) fn filled(value: u8, len: usize) -> DataList {
    vec![value; len].chunks(1717).map(bytes::Bytes::copy_from_slice).collect()
}

/// A small generator of numbers that look random (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}
