//! What a call across the C ABI costs: single calls, and whole 4 KiB reads through the C functions and through the Rust
//! functions behind them, without sockets and storage.
//!
//!     cargo bench -p iscsicore-ffi --bench calls
//!
//! The C functions are called by pointers that the compiler does not see through, as a program calls a shared library.
//! Both kinds take turns; told are the medians, and the least and the most.

mod ends;
mod initiator;

use std::hint::black_box;
use std::time::Instant;

use ends::{InC, InRust};
use initiator::Reads;

/// Commands that arrive together, and are answered together.
const DEPTH: usize = 32;
/// Without optimisation, as in tests of all targets, it is only shown that it runs.
const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 31 };

/// Nanoseconds for each of `count` runs.
fn time(count: usize, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..count {
        run();
    }
    begun.elapsed().as_nanos() as f64 / count as f64
}

struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Spread { median: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
    }

    fn tell(&self, what: &str, unit: &str) {
        println!("{what:52}{:9.2} {unit} ({:.2}..{:.2})", self.median, self.least, self.most);
    }
}

fn calls() {
    let mut end = InC::new();
    for (what, call) in end.calls() {
        let values = (0..ROUNDS).map(|_| time(20_000, || call(black_box(&mut end)))).collect();
        Spread::of(values).tell(what, "ns");
    }
}

fn reads() {
    let (mut c, mut rust) = (InC::new(), InRust::new());
    let (mut to_c, mut to_rust) = (Reads::begin(&mut c, DEPTH), Reads::begin(&mut rust, DEPTH));
    let (mut in_c, mut in_rust, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let one = time(300, || to_c.next(&mut c)) / DEPTH as f64;
        let other = time(300, || to_rust.next(&mut rust)) / DEPTH as f64;
        in_c.push(one);
        in_rust.push(other);
        ratios.push(one / other);
    }
    let (c, rust) = (Spread::of(in_c), Spread::of(in_rust));
    c.tell("a 4 KiB read of 32 at a time, C functions", "ns");
    rust.tell("a 4 KiB read of 32 at a time, Rust functions", "ns");
    Spread::of(ratios).tell("C / Rust", "");
    // iscsicore_host_next_job and iscsicore_host_finish_read; the other calls are one for all reads of a batch.
    println!("{:52}{:9.2} ns", "more for each of its 2 events", (c.median - rust.median) / 2.0);
}

fn main() {
    calls();
    reads();
}
