//! A whole target server.

use iscsicore_ffi::host::control::*;
use iscsicore_ffi::host::job::*;
use iscsicore_ffi::host::session::*;
use iscsicore_ffi::host::*;

use super::Op;
use crate::machine::Machine;
use crate::shown::Shown;
use crate::wire::End;

/// A job of a host that is not finished, or an invented one.
fn job(m: &Machine, host: *mut iscsicore_host) -> (u64, usize) {
    let jobs = m.shelf.jobs(host.cast());
    if jobs.is_empty() || m.input.seldom(16) {
        return (m.id(), m.input.number() as usize % 65536);
    }
    let job = unsafe { &*jobs[m.input.below(jobs.len())] };
    (job.id, job.op.len as usize)
}

/// Takes the next job, and keeps it in view.
pub fn next_job(m: &Machine, host: *mut iscsicore_host) -> *const iscsicore_job {
    let mut job = core::ptr::null();
    if !m.check(unsafe { iscsicore_host_next_job(host, &mut job) }) || job.is_null() {
        return core::ptr::null();
    }
    let id = unsafe { (*job).id };
    m.keep_id(id);
    m.shelf.put(host.cast(), Shown::Job, id, job);
    job
}

/// The first extents of a range.
pub fn extents(m: &Machine) -> Vec<iscsicore_ffi::op::iscsicore_extent> {
    let count = m.input.below(5);
    (0..count)
        .map(|_| iscsicore_ffi::op::iscsicore_extent {
            len: m.input.number().wrapping_mul(512),
            mapped: m.input.choice(),
        })
        .collect()
}

pub const OPS: &[Op] = &[
    |m| {
        let config = m.any();
        m.create(|place| unsafe { iscsicore_host_new(config, place) });
    },
    |m| m.free(m.any::<iscsicore_host>()),
    |m| {
        let (now, address, seed) = (m.now(), m.text(), m.seed());
        let link = m.learn(|place| unsafe { iscsicore_host_connect(m.any(), now, address, seed, place) });
        let host = m.slots.hosts.all().next().and_then(|host| m.slots.hosts.index_of(host));
        if let (Some(host), true) = (host, link != 0) {
            // The other end is whatever bytes come.
            let halves = m.input.below(4);
            m.join(End::Link { host, link, halves }, End::Link { host, link, halves });
        }
    },
    |m| {
        m.check(unsafe { iscsicore_host_receive(m.any(), m.now(), m.id(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_transmit(m.any(), m.now(), m.id(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_is_closing(m.any(), m.id(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_lost(m.any(), m.now(), m.id()) });
    },
    |m| {
        m.learn(|place| unsafe { iscsicore_host_next_wake(m.any(), place) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_timeout(m.any(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_handle_timeout(m.any(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_reconfigure(m.any(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_request_logout(m.any(), m.now(), m.input.number()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_resize(m.any(), (m.input.byte() % 3).into(), m.input.number()) });
    },
    |m| {
        m.check(unsafe { iscsicore_host_set_service(m.any(), m.text(), m.input.int()) });
    },
    |m| {
        next_job(m, m.any());
        m.check(unsafe { iscsicore_host_next_job(core::ptr::null_mut(), m.out()) });
    },
    |m| {
        let host = m.any();
        let (job, _) = job(m, host);
        m.shelf.verify();
        if m.check(unsafe { iscsicore_host_finish(host, m.now(), job, m.input.int(), m.input.number()) }) {
            m.shelf.forget_job(host.cast(), job);
        }
    },
    |m| {
        let host = m.any();
        let (job, len) = job(m, host);
        let len = if m.input.seldom(8) { len + 1 } else { len };
        m.shelf.verify();
        let now = m.now();
        let status = m.with_payload(Some(len.min(1 << 20)), |data| unsafe {
            iscsicore_host_finish_read(host, now, job, data)
        });
        if m.check(status) {
            m.shelf.forget_job(host.cast(), job);
        }
    },
    |m| {
        let host = m.any();
        let (job, _) = job(m, host);
        let extents = extents(m);
        let list = m.memory.list(&extents);
        if m.check(unsafe { iscsicore_host_finish_extents(host, m.now(), job, list, extents.len()) }) {
            m.shelf.forget_job(host.cast(), job);
        }
    },
    |m| {
        let (host, place) = (m.any::<iscsicore_host>(), m.out());
        m.shelf.take(host.cast(), Shown::Session);
        if m.check(unsafe { iscsicore_host_session(host, m.id(), place) }) {
            let session: *const iscsicore_session = m.got(place);
            if !session.is_null() {
                m.shelf.put(host.cast(), Shown::Session, 0, session);
            }
        }
    },
    |m| {
        m.check(unsafe { iscsicore_host_session_count(m.any(), m.out()) });
    },
    |m| {
        let (host, link, place) = (m.any(), m.id(), m.out());
        let context = core::ptr::without_provenance_mut(m.input.number() as usize);
        if m.check(unsafe { iscsicore_host_set_context(host, link, context) })
            && m.check(unsafe { iscsicore_host_context(host, link, place) })
        {
            assert_eq!(m.got(place), context);
        }
    },
];
