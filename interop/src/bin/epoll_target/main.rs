//! The loop of `examples/c/target_epoll.c` in Rust: what the same server costs without C between it and the core.
//!
//! One thread, epoll, `iscsicore::simple::Host`, a disk in memory (a memfd, as there). It reads, writes and asks for the time as often as the
//! example does, and lends what it reads from the disk without a copy. What it has not: files, CHAP, threads for slow
//! disks, a pause for descriptors. `interop/bench_c.py` compares the two.

#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    server::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("epoll is on Linux alone");
    std::process::exit(2);
}
