//! Disks to test, and the real devices and file systems below some of them.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore_runtime::backend::{Backend, FileBackend, MemoryBackend, Reply};

/// A disk under test and what must live as long as it. The disk is dropped first.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) disk: Arc<dyn Backend>,
    _below: Vec<Box<dyn std::any::Any>>,
}

/// Every kind of back end of `size` bytes that this machine can make.
pub(crate) fn subjects(size: u64) -> Vec<Subject> {
    let mut all =
        vec![Subject { name: "memory", disk: Arc::new(MemoryBackend::new(size)), _below: Vec::new() }];
    let mut file = |name, directory: tempfile::TempDir| {
        let disk = FileBackend::create(directory.path().join("disk"), size).unwrap();
        all.push(Subject { name, disk: Arc::new(disk), _below: vec![Box::new(directory)] });
    };
    file("file", tempfile::tempdir().unwrap());
    if let Ok(directory) = tempfile::tempdir_in("/dev/shm") {
        file("file on tmpfs", directory);
    } else {
        skip("a file on /dev/shm");
    }
    let directory = tempfile::tempdir().unwrap();
    if let Some(device) = Loop::new(&directory.path().join("image"), size, 512) {
        let disk = FileBackend::open(&device.path).unwrap();
        let below: Vec<Box<dyn std::any::Any>> = vec![Box::new(device), Box::new(directory)];
        all.push(Subject { name: "block device", disk: Arc::new(disk), _below: below });
    }
    all
}

/// A loop device over a sparse image. The kernel removes it when nobody has it open any more, however a test
/// ends.
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
        if run(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref(), at],
        ) {
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
pub(crate) async fn error<T>(reply: Reply<std::io::Result<T>>) -> std::io::Error {
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
