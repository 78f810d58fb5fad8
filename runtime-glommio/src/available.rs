//! Whether this machine has what glommio needs.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use io_uring::{IoUring, Probe, opcode};
use iscsicore_runtime::Runtime;

use crate::{Glommio, Shards};

/// Why shards cannot run here, in words for an operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The kernel, or a filter in front of it, refuses io_uring.
    #[error(
        "io_uring is not to be had ({0}): the kernel is older than 5.8 or was built without it, or a container's seccomp filter or kernel.io_uring_disabled forbids it"
    )]
    IoUring(io::Error),
    /// Too little memory may be locked.
    #[error(
        "RLIMIT_MEMLOCK is {} KiB, and {shards} shards need {} KiB: raise it (ulimit -l, LimitMEMLOCK= of systemd), or start fewer",
        have >> 10, need.div_ceil(1024)
    )]
    MemLock {
        /// How many are to start.
        shards: usize,
        /// The bytes that are allowed.
        have: u64,
        /// The bytes that are needed.
        need: u64,
    },
    /// Too few files may be open.
    #[error(
        "{shards} shards need {need} file descriptors to start with, and fewer are free: raise the limit (ulimit -n, LimitNOFILE= of systemd), or start fewer"
    )]
    Descriptors {
        /// How many are to start.
        shards: usize,
        /// The descriptors that are needed.
        need: usize,
    },
    /// Something else.
    #[error("a shard does not start: {0}")]
    Other(io::Error),
}

/// Finds out whether `shards` can run here, by starting them and ending them.
///
/// Whoever is going to serve on them does better to [`start`] them once: the memory of those that were ended comes back a
/// little later, and counts against the limit until then.
///
/// # Errors
/// Why not.
pub fn available(shards: &Shards) -> Result<(), Unavailable> {
    let probe = start(shards)?;
    probe.abandon();
    if !probe.end().wait(PATIENCE) {
        return Err(Unavailable::Other(io::Error::other("it does not end")));
    }
    Ok(())
}

/// Starts shards for a [`Builder`](crate::Builder), and where they cannot run says why.
///
/// It takes some milliseconds of the calling thread, which must not be a shard.
///
/// # Errors
/// Why not; nothing is left then of those that did start.
pub fn start(shards: &Shards) -> Result<Glommio, Unavailable> {
    let count = shards.count();
    let need = shards.locked_memory().max(LEAST_MEMLOCK) as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    if let Some(have) = limit.filter(|have| *have < need) {
        return Err(Unavailable::MemLock { shards: count, have, need });
    }
    let need = DESCRIPTORS + count * SHARD_DESCRIPTORS;
    if !are_free(need) {
        return Err(Unavailable::Descriptors { shards: count, need });
    }
    let since = Instant::now();
    loop {
        match Glommio::launch(shards.clone()) {
            Ok(started) => return Ok(started),
            // The limit is that of all processes of the user, and the memory of one that has just ended comes back later.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && since.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(refusal(error)),
        }
    }
}

/// Sorts an error of the start.
pub(crate) fn refusal(error: io::Error) -> Unavailable {
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::Unsupported => Unavailable::IoUring(error),
        Some(EPERM | EACCES | EINVAL) => Unavailable::IoUring(error),
        _ => Unavailable::Other(error),
    }
}

/// Whether io_uring is there, with every operation that glommio asks for.
///
/// It is to be asked before glommio is: that panics when it is refused a ring, which loses the reason, and ends the
/// process when the ring lacks an operation.
pub(crate) fn io_uring() -> io::Result<()> {
    let ring = IoUring::new(1)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    match OPERATIONS.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, name)) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("it has no operation {name}")))
        }
    }
}

/// Whether so many descriptors could be opened.
fn are_free(count: usize) -> bool {
    let Ok(null) = File::open("/dev/null") else { return false };
    let copies: io::Result<Vec<_>> = (1..count).map(|_| null.try_clone()).collect();
    copies.is_ok()
}

const OPERATIONS: [(u8, &str); 23] = [
    (opcode::Nop::CODE, "NOP"),
    (opcode::Readv::CODE, "READV"),
    (opcode::Writev::CODE, "WRITEV"),
    (opcode::Fsync::CODE, "FSYNC"),
    (opcode::ReadFixed::CODE, "READ_FIXED"),
    (opcode::WriteFixed::CODE, "WRITE_FIXED"),
    (opcode::PollAdd::CODE, "POLL_ADD"),
    (opcode::PollRemove::CODE, "POLL_REMOVE"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::RecvMsg::CODE, "RECVMSG"),
    (opcode::Timeout::CODE, "TIMEOUT"),
    (opcode::TimeoutRemove::CODE, "TIMEOUT_REMOVE"),
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::LinkTimeout::CODE, "LINK_TIMEOUT"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::Fallocate::CODE, "FALLOCATE"),
    (opcode::OpenAt::CODE, "OPENAT"),
    (opcode::Close::CODE, "CLOSE"),
    (opcode::Statx::CODE, "STATX"),
    (opcode::Read::CODE, "READ"),
    (opcode::Write::CODE, "WRITE"),
    (opcode::Send::CODE, "SEND"),
    (opcode::Recv::CODE, "RECV"),
];

/// glommio refuses to start below it.
const LEAST_MEMLOCK: usize = 512 << 10;
/// Three rings, an eventfd, and a listener for each of some portals.
const SHARD_DESCRIPTORS: usize = 8;
/// What a server needs beside its shards: disks, signals, and initiators that it is there for.
const DESCRIPTORS: usize = 32;
/// How long to wait for shards that do nothing to end, and for memory to come back.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// How io_uring is refused, beside ENOSYS and EOPNOTSUPP: these are `Unsupported`.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted_and_given_back() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        assert!(are_free(5) && !are_free(100_000_000));
        // Other tests of this process open some of their own.
        assert!(open() < before + 1000);
    }

    #[test]
    fn an_operator_reads_figures_in_the_units_of_ulimit() {
        let said = Unavailable::MemLock { shards: 2, have: 65536, need: 3 << 20 }.to_string();
        assert!(said.starts_with("RLIMIT_MEMLOCK is 64 KiB, and 2 shards need 3072 KiB: raise it"), "{said}");
    }
}
