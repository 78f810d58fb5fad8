//! What there is at the beginning: nothing, or ends that are logged in, so that an input need not find out how.

use iscsicore_ffi::host::iscsicore_host_new;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::simple::*;
use iscsicore_ffi::target::iscsicore_target_new;
use iscsicore_ffi::unit::*;

use crate::machine::{ADDRESS, Machine};
use crate::ops;
use crate::wire::End;

const SEED: [u8; 32] = [42; 32];

pub fn set(m: &Machine) {
    match m.input.byte() % 8 {
        0 => {}
        1 => {
            host(m, false);
        }
        2 => simple(m, false),
        3 => simple(m, true),
        4 => {
            host(m, false);
            nexus(m, false);
        }
        5 => {
            host(m, true);
            nexus(m, false);
        }
        6 => {
            host(m, false);
            nexus(m, true);
        }
        _ => target(m),
    }
    ops::drive(m, 6);
    m.memory.clear();
}

fn host(m: &Machine, chap: bool) {
    let config = ops::usual_config(m, chap);
    m.create(|place| unsafe { iscsicore_host_new(config, place) });
}

fn options(m: &Machine, discovery: bool) -> *const iscsicore_initiator_options {
    let usual = ops::usual_initiator(m, discovery);
    m.memory.list(&[iscsicore_initiator_options { size: size_of::<iscsicore_initiator_options>(), ..usual }])
}

fn nexus(m: &Machine, discovery: bool) {
    let (options, seed, now) = (options(m, discovery), m.memory.bytes(&SEED), m.tick());
    m.create(|place| unsafe { iscsicore_nexus_new(options, seed, now, place) });
}

/// Two simple connections, one of each kind.
fn simple(m: &Machine, chap: bool) {
    host(m, chap);
    let host = m.slots.hosts.get(0);
    let (address, seed, now) = (m.words(ADDRESS), m.memory.bytes(&SEED), m.tick());
    m.create(|place| unsafe { iscsicore_simple_target(host, now, address, seed, place) });
    let options = options(m, false);
    let initiator = m.create(|place| unsafe { iscsicore_simple_initiator(options, seed, now, place) });
    m.learn_inner(initiator);
    m.join(End::Simple { simple: 0 }, End::Simple { simple: 1 });
}

/// A target with a unit behind it, and an initiator.
fn target(m: &Machine) {
    let (seed, now) = (m.memory.bytes(&SEED), m.tick());
    m.create(|place| unsafe { iscsicore_target_new(core::ptr::null(), seed, now, place) });
    let disk = iscsicore_ffi::unit_options::iscsicore_unit_options {
        size: size_of::<iscsicore_ffi::unit_options::iscsicore_unit_options>(),
        ..ops::usual_unit(m)
    };
    let unit = m.create(|place| unsafe { iscsicore_unit_new(&disk, place) });
    m.check(unsafe { iscsicore_unit_attach(unit, 1, 0) });
    nexus(m, false);
}
