//! What a host is told about units, targets and who may log in.

use iscsicore_ffi::host::accounts::*;
use iscsicore_ffi::host::config::*;

use super::{Op, options};
use crate::machine::{ADDRESS, INITIATOR, Machine, SECRET, TARGET};

/// The number of a unit or target: mostly the first.
fn number(m: &Machine) -> u32 {
    match m.input.byte() {
        0..160 => 0,
        160..200 => ISCSICORE_DISCOVERY,
        small => (small % 8).into(),
    }
}

/// A configuration with a disk that the usual initiator may use, with CHAP or without.
pub fn usual_config(m: &Machine, chap: bool) -> *mut iscsicore_host_config {
    let config = m.create(|place| unsafe { iscsicore_host_config_new(place) });
    if config.is_null() {
        return config;
    }
    let (mut unit, mut target) = (0, 0);
    let disk = iscsicore_ffi::unit_options::iscsicore_unit_options {
        size: size_of::<iscsicore_ffi::unit_options::iscsicore_unit_options>(),
        ..options::usual_unit(m)
    };
    unsafe {
        let (name, address) = (m.words(TARGET), m.words(ADDRESS));
        m.check(iscsicore_host_config_add_unit(config, &disk, &mut unit));
        m.check(iscsicore_host_config_add_target(config, name, core::ptr::null(), &mut target));
        m.check(iscsicore_host_config_add_portal(config, target, 1, address, core::ptr::null()));
        m.check(iscsicore_host_config_add_lun(config, target, core::ptr::null(), 0, unit, 0));
        if chap {
            let (user, secret) = (m.words(b"user"), m.memory.bytes(SECRET));
            let any = core::ptr::null();
            m.check(iscsicore_host_config_add_account(config, target, user, secret, SECRET.len(), any));
            let only = m.words(INITIATOR);
            m.check(iscsicore_host_config_allow_initiator(config, target, only));
        }
    }
    config
}

pub const OPS: &[Op] = &[
    |m| {
        m.create(|place| unsafe { iscsicore_host_config_new(place) });
    },
    |m| m.free(m.any::<iscsicore_host_config>()),
    |m| {
        usual_config(m, m.input.seldom(3));
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_set_limits(m.any(), options::limits(m)) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_set_node_limits(m.any(), options::node_limits(m)) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_add_unit(m.any(), options::unit(m), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_add_target(m.any(), m.text(), m.text(), m.out()) });
    },
    |m| {
        let tag = m.input.number() as u16;
        let announce = if m.input.byte() < 128 { core::ptr::null() } else { m.text() };
        m.check(unsafe { iscsicore_host_config_add_portal(m.any(), number(m), tag, m.text(), announce) });
    },
    |m| {
        let initiator = if m.input.byte() < 128 { core::ptr::null() } else { m.text() };
        let (lun, access) = (m.input.number() as u16, m.input.int());
        m.check(unsafe {
            iscsicore_host_config_add_lun(m.any(), number(m), initiator, lun, number(m), access)
        });
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_set_offer(m.any(), number(m), options::offer(m)) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_config_allow_initiator(m.any(), number(m), m.text()) });
    },
    |m| {
        let (secret, len) = m.bytes(30);
        let initiator = if m.input.byte() < 128 { core::ptr::null() } else { m.text() };
        m.check(unsafe {
            iscsicore_host_config_add_account(m.any(), number(m), m.text(), secret, len, initiator)
        });
    },
    |m| {
        let (secret, len) = m.bytes(30);
        m.check(unsafe { iscsicore_host_config_set_mutual(m.any(), number(m), m.text(), secret, len) });
    },
    |m| {
        let count = m.input.below(6);
        let algorithms: Vec<_> = (0..count).map(|_| m.input.int()).collect();
        let list = m.memory.list(&algorithms);
        m.check(unsafe { iscsicore_host_config_set_chap_algorithms(m.any(), number(m), list, count) });
    },
];
