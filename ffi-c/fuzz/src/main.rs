//! Drives the C functions of libiscsicore in random order with random bytes: see README.md.
//!
//! An input is a program. Its first byte sets a scene ([`scene`]), and each byte after that names an operation ([`ops`]),
//! which takes its arguments from the bytes that follow. The program obeys the rules of the header about pointers and
//! lifetimes, and breaks every other one. What the library does in return is checked after each call ([`machine`]).
#![no_main]
// Every call is one of a C function whose rules for pointers the machine keeps: it frees no handle twice, and lends no
// memory that does not live. A comment at each would say this.
#![allow(clippy::undocumented_unsafe_blocks)]

mod input;
mod loans;
mod machine;
mod memory;
mod ops;
mod scene;
mod shown;
mod slots;
mod wire;

use libfuzzer_sys::fuzz_target;

/// The most operations of one input, so that a run ends soon.
const MOST: usize = 400;

fuzz_target!(|data: &[u8]| {
    let machine = machine::Machine::new(data);
    machine.enter();
    scene::set(&machine);
    for _ in 0..MOST {
        if machine.input.is_empty() {
            break;
        }
        ops::one(&machine);
        machine.memory.clear();
    }
    machine.end();
});
