//! Whether this machine has what glommio needs.

use std::io;
use std::panic::catch_unwind;

use crate::Shards;

/// Why shards cannot run here, in words for an operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The kernel, or a filter in front of it, refuses io_uring.
    #[error(
        "io_uring is not to be had ({0}): the kernel is too old or was built without it, or a container's seccomp filter or kernel.io_uring_disabled forbids it"
    )]
    IoUring(io::Error),
    /// Too little memory may be locked.
    #[error(
        "RLIMIT_MEMLOCK is {have} bytes, and shards need {need}: raise it (ulimit -l, LimitMEMLOCK= of systemd)"
    )]
    MemLock {
        /// What is allowed.
        have: u64,
        /// What is needed.
        need: u64,
    },
    /// Something else.
    #[error("a shard does not start: {0}")]
    Other(io::Error),
}

/// Finds out whether `shards` can run here, by starting one and ending it.
///
/// # Errors
/// Why not.
pub fn available(shards: &Shards) -> Result<(), Unavailable> {
    io_uring()?;
    let need = (3 * shards.io_memory * shards.count()).max(LEAST_MEMLOCK) as u64;
    // Executors are bound to threads, and what one leaves behind should not stay with the caller's.
    let shards = Shards { pinned: false, ..shards.clone() };
    let probe = std::thread::spawn(move || catch_unwind(|| shards.executor(0, &[]).map(drop)));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    if let Some(have) = limit.filter(|have| *have < need) {
        let _ = probe.join();
        return Err(Unavailable::MemLock { have, need });
    }
    match probe.join() {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(match error.raw_os_error() {
            Some(EPERM | EACCES | ENOSYS | EINVAL | EOPNOTSUPP) => Unavailable::IoUring(error),
            _ => Unavailable::Other(error),
        }),
        _ => Err(Unavailable::Other(io::Error::other("glommio panicked"))),
    }
}

/// Finds out whether the system lets this process have an io_uring at all; glommio panics where it does not.
#[allow(unsafe_code, reason = "there is no safe way to ask")]
pub(crate) fn io_uring() -> Result<(), Unavailable> {
    let mut parameters = rustix::io_uring::io_uring_params::default();
    // SAFETY: the parameters are all zero, so that the kernel takes no address and no descriptor from them; it fills
    // them in. The ring is closed at once, without having been mapped or used.
    match unsafe { rustix::io_uring::io_uring_setup(2, &mut parameters) } {
        Ok(_ring) => Ok(()),
        // That is for the limit of locked memory, on kernels before 5.12.
        Err(rustix::io::Errno::NOMEM) => Ok(()),
        Err(error) => Err(Unavailable::IoUring(error.into())),
    }
}

/// glommio refuses to start below it.
const LEAST_MEMLOCK: usize = 512 << 10;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;
