//! Small complete programs that drive `iscsicore` from different loops.
//!
//! - `target_std`: blocking threads of the standard library, a thread for each connection.
//! - `target_smol`: smol, one thread, a task for each connection.
//! - `initiator_std`: an initiator on a blocking socket, one thread.
//! - `initiator_smol`: an initiator on smol, with many commands under way at the same time.
//! - `custom_backend`: the ready-made server of `iscsicore-tokio` over storage of your own.
//!
//! The targets take `[--listen ADDRESS:PORT] [--disk FILE:SIZE]` and say where they serve. Begin with the `main`
//! of any and read on downwards. What has nothing to do with a loop is told once, here.

use std::sync::LazyLock;

use iscsicore::Instant;

pub mod initiator;
pub mod options;
pub mod storage;

/// The name of the target that the programs serve.
pub const TARGET: &str = "iqn.2026-01.dev.iscsicore:example";

static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// The present. The core never reads a clock: it is told the time, as nanoseconds since an origin that the program
/// chooses once.
pub fn now() -> Instant {
    Instant::from_nanos(u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// A seed that nobody can foresee: the core makes CHAP challenges of it.
///
/// # Errors
/// The system has no randomness to give.
pub fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}
