//! The end of the file descriptors: accepting fails, and goes on when there are some again. A process of its own, as
//! the limit is the process's.

use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use bytes::Buf;
use iscsicore::link::Transmitter;

use crate::support::initiator::Login;
use crate::support::serving::{Bystander, Serving, TARGET};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Processor time of this process so far, in clock ticks of 10 ms.
fn ticks(file: &mut std::fs::File) -> u64 {
    let mut stat = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut stat).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn no_descriptors_left() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    bystander.is_served(&serving);
    let mut stat = std::fs::File::open("/proc/self/stat").unwrap();
    let limit = open_descriptors() + 40;
    let limited = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), &format!("--nofile={limit}:")])
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        let _ =
            writeln!(std::io::stderr(), "\n*** NOT TESTED on this machine: file descriptors (prlimit) ***");
        return;
    }
    // Each connection takes one descriptor at each end, both in this process: the server's accepts fail first
    // or last, as it comes, and there are connections that wait in vain.
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect(serving.address) {
        held.push(stream);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(held.len() >= 15, "{}", held.len());
    let (before, began) = (ticks(&mut stat), std::time::Instant::now());
    std::thread::sleep(Duration::from_millis(500));
    let busy = (ticks(&mut stat) - before) * 10;
    assert!(busy < began.elapsed().as_millis() as u64 / 2, "{busy} ms of work while nothing can be accepted");
    bystander.is_served_here();
    // Logins on connections that were accepted in time: some become sessions, and a runtime that needs a descriptor for
    // that loses some. None holds up the others, and none keeps its place.
    for (n, stream) in held.iter_mut().take(12).enumerate() {
        let (bhs, text) = Login::to(TARGET, &format!("in-need-{n}")).request();
        let mut tx = Transmitter::new();
        tx.push(bhs, text.into());
        let mut bytes = vec![0; tx.remaining()];
        tx.copy_to_slice(&mut bytes);
        stream.write_all(&bytes).unwrap();
        bystander.is_served_here();
    }
    std::thread::sleep(Duration::from_millis(200));
    bystander.is_served_here();
    drop(held);
    serving.wait_for_sessions(1);
    bystander.is_served(&serving);
    assert_eq!(serving.loads().iter().sum::<usize>(), 1);
}
