//! Connections in one handle.

use iscsicore_ffi::simple::*;

use super::{Op, nexus, options};
use crate::machine::Machine;
use crate::shown::Shown;

/// Takes the next event, with the job or the event of the nexus that it brings.
pub fn next_event(m: &Machine, simple: *mut iscsicore_simple) -> *const iscsicore_simple_event {
    let inner = m.slots.simples.index_of(simple).map_or(core::ptr::null_mut(), |index| m.inner.get(index));
    m.shelf.take(simple.cast(), Shown::SimpleEvent);
    if !inner.is_null() {
        m.shelf.take(inner.cast(), Shown::NexusEvent);
    }
    let mut event = core::ptr::null();
    if !m.check(unsafe { iscsicore_simple_next_event(simple, &mut event) }) || event.is_null() {
        return core::ptr::null();
    }
    m.shelf.put(simple.cast(), Shown::SimpleEvent, 0, event);
    let told = unsafe { &*event };
    nexus::see(m, inner, told.nexus);
    if let Some(job) = unsafe { told.job.as_ref() } {
        // It is of the host that this connection belongs to; scenes have one alone.
        m.keep_id(job.id);
        let host = m.slots.hosts.all().next().unwrap_or(core::ptr::null_mut());
        if m.slots.hosts.all().count() == 1 {
            m.shelf.put(host.cast(), Shown::Job, job.id, told.job);
        }
    }
    event
}

pub const OPS: &[Op] = &[
    |m| {
        let (host, now, address, seed) = (m.any(), m.now(), m.text(), m.seed());
        m.create(|place| unsafe { iscsicore_simple_target(host, now, address, seed, place) });
    },
    |m| {
        let (options, seed, now) = (options::initiator(m), m.seed(), m.now());
        let simple = m.create(|place| unsafe { iscsicore_simple_initiator(options, seed, now, place) });
        m.learn_inner(simple);
    },
    |m| m.free(m.any::<iscsicore_simple>()),
    |m| {
        let place = m.memory.room(size_of::<usize>()).cast();
        m.check(unsafe { iscsicore_simple_nexus(m.any(), place) });
    },
    |m| {
        let (bytes, len) = m.bytes(1000);
        m.check(unsafe { iscsicore_simple_feed(m.any(), m.now(), bytes.cast(), len) });
    },
    |m| {
        let capacity = m.input.number() as usize % 65536;
        let buffer = if m.input.seldom(64) { core::ptr::null_mut() } else { m.memory.room(capacity) };
        m.check(unsafe { iscsicore_simple_take(m.any(), m.now(), buffer.cast(), capacity, m.out()) });
    },
    |m| {
        next_event(m, m.any());
    },
    |m| {
        m.check(unsafe { iscsicore_simple_lost(m.any(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_simple_timeout(m.any(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_simple_handle_timeout(m.any(), m.now()) });
    },
];
