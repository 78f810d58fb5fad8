//! What this process holds, as the system tells it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::time::{Duration, Instant};

/// Open file descriptors, but for the one that counts them.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Threads.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Resident memory in KiB.
pub(crate) fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until a count has come down to `most`; what it is then, or after a while.
pub(crate) fn settles(count: impl Fn() -> usize, most: usize) -> usize {
    let began = Instant::now();
    loop {
        let now = count();
        if now <= most || began.elapsed() > Duration::from_secs(5) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
