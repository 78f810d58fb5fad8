//! The operations: one for every function of the library, and some that do what a program would do next.

mod command;
mod config;
mod driving;
mod host;
mod link;
mod nexus;
mod options;
mod scsi;
mod simple;
mod target;
mod unit;

pub use config::usual_config;
pub use driving::rounds as drive;
pub use options::{usual_initiator, usual_unit};

use iscsicore_ffi::host::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::simple::*;
use iscsicore_ffi::target::*;
use iscsicore_ffi::unit::*;

use crate::machine::Machine;

/// An operation; its call is checked where it stands.
type Op = fn(&Machine);

/// All of them. A byte of the input is an index here: after a change of a list, `run.py --minimize` makes the corpus anew.
const LISTS: [&[Op]; 10] = [
    driving::OPS,
    link::OPS,
    config::OPS,
    host::OPS,
    nexus::OPS,
    command::OPS,
    scsi::OPS,
    simple::OPS,
    target::OPS,
    unit::OPS,
];

/// Runs the operation that the input names: half of them drive.
pub fn one(machine: &Machine) {
    let list = machine.input.byte();
    let list = if list & 1 == 0 { driving::OPS } else { LISTS[usize::from(list / 2) % LISTS.len()] };
    list[machine.input.below(list.len())](machine);
}

/// Asks every handle something harmless, as a callback may.
pub fn ask_everything(machine: &Machine) {
    let (mut at, mut len) = (0, 0);
    for handle in machine.slots.transmitters.all() {
        machine.check(unsafe { iscsicore_transmitter_queued(handle, &mut len) });
    }
    for handle in machine.slots.receivers.all() {
        machine.check(unsafe { iscsicore_receiver_buffered(handle, &mut len) });
    }
    for handle in machine.slots.hosts.all() {
        machine.check(unsafe { iscsicore_host_timeout(handle, &mut at) });
    }
    for handle in machine.slots.nexuses.all() {
        machine.check(unsafe { iscsicore_nexus_timeout(handle, &mut at) });
    }
    for handle in machine.slots.targets.all() {
        machine.check(unsafe { iscsicore_target_timeout(handle, &mut at) });
    }
    for handle in machine.slots.simples.all() {
        machine.check(unsafe { iscsicore_simple_timeout(handle, &mut at) });
    }
    for handle in machine.slots.units.all() {
        machine.check(unsafe { iscsicore_unit_blocks(handle, &mut at, core::ptr::null_mut()) });
    }
}
