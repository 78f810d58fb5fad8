//! The initiator.

use iscsicore_ffi::command::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::iscsicore_iovec;

use super::{Op, options};
use crate::machine::{Buffer, Machine, Owner};
use crate::shown::Shown;

/// Takes the next event. What a command was to read into is the program's again as soon as its end was told.
pub fn next_event(m: &Machine, nexus: *mut iscsicore_nexus) -> *const iscsicore_nexus_event {
    m.shelf.take(nexus.cast(), Shown::NexusEvent);
    let mut event = core::ptr::null();
    if m.check(unsafe { iscsicore_nexus_next_event(nexus, &mut event) }) {
        see(m, nexus, event);
    }
    event
}

/// Looks at an event of a nexus, from wherever it came.
pub fn see(m: &Machine, nexus: *mut iscsicore_nexus, event: *const iscsicore_nexus_event) {
    let Some(told) = (unsafe { event.as_ref() }) else { return };
    m.shelf.put(nexus.cast(), Shown::NexusEvent, 0, event);
    if told.kind == iscsicore_nexus_event_kind::Completed {
        let task = unsafe { told.u.completed.task };
        m.drop_buffers(|owner| owner == Owner::Task(nexus, task));
    }
}

/// Submits a command. Its buffer goes with the task, and the command gets another one, as two tasks must not share one.
pub fn submit(m: &Machine, nexus: *mut iscsicore_nexus, now: u64, command: *mut iscsicore_command) {
    let task = m.learn(|place| unsafe { iscsicore_nexus_submit(nexus, now, command, place) });
    if task == 0 {
        return;
    }
    let mut len = None;
    for buffer in m.buffers.borrow_mut().iter_mut() {
        if buffer.owner == Owner::Command(command) {
            buffer.owner = Owner::Task(nexus, task);
            len = Some(buffer.memory.len());
        }
    }
    if let Some(len) = len {
        assert!(super::command::set_buffer(m, command, len), "another buffer of the same length is refused");
    }
}

pub const OPS: &[Op] = &[
    |m| {
        let (options, seed, now) = (options::initiator(m), m.seed(), m.now());
        m.create(|place| unsafe { iscsicore_nexus_new(options, seed, now, place) });
    },
    |m| m.free(m.any::<iscsicore_nexus>()),
    |m| {
        // The nexus of a simple connection is not the program's to free.
        if let Some(nexus) = m.inner.all().next() {
            assert!(
                !m.check(unsafe { iscsicore_nexus_free(nexus) }),
                "the nexus of a simple connection was freed"
            );
        }
    },
    |m| {
        next_event(m, m.nexus());
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_connected(m.nexus(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_dial_failed(m.nexus(), m.now(), m.text()) });
    },
    |m| {
        let capacity = m.input.below(4);
        let slices = m.memory.room(capacity * size_of::<iscsicore_iovec>()).cast::<iscsicore_iovec>();
        let count = m.out();
        if m.check(unsafe { iscsicore_nexus_want(m.nexus(), m.any(), slices, capacity, count) }) {
            for index in 0..m.got(count) {
                let slice = unsafe { slices.add(index).read() };
                unsafe { slice.iov_base.cast::<u8>().write_bytes(m.input.byte(), slice.iov_len) };
            }
        }
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_advance(m.nexus(), m.any(), m.input.number() as usize) });
    },
    |m| {
        let bytes = m.input.take(usize::from(m.input.byte()));
        m.read_nexus(m.nexus(), m.any(), &bytes);
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_receive(m.nexus(), m.now(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_transmit(m.nexus(), m.now(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_lost(m.nexus(), m.now(), m.input.int() % 3) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_timeout(m.nexus(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_handle_timeout(m.nexus(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_reconnect(m.nexus(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_logout(m.nexus(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_end(m.nexus(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_nexus_is_up(m.nexus(), m.out()) });
        m.check(unsafe { iscsicore_nexus_window(m.nexus(), m.out()) });
        m.check(unsafe { iscsicore_nexus_outstanding(m.nexus(), m.out()) });
        m.check(unsafe { iscsicore_nexus_parameters(m.nexus(), m.out()) });
    },
    |m| submit(m, m.nexus(), m.now(), m.any()),
    |m| submit(m, m.nexus(), m.now(), m.any()),
    |m| {
        m.check(unsafe { iscsicore_nexus_abort(m.nexus(), m.now(), m.id()) });
    },
    |m| {
        let (nexus, task) = (m.nexus(), m.id());
        if m.check(unsafe { iscsicore_nexus_cancel(nexus, m.now(), task) }) {
            m.drop_buffers(|owner| owner == Owner::Task(nexus, task));
        }
    },
    |m| {
        let (function, lun) = (m.input.int(), m.input.option());
        m.learn(|place| unsafe { iscsicore_nexus_task_management(m.nexus(), m.now(), function, lun, place) });
    },
    |m| {
        let target = if m.input.byte() < 160 { core::ptr::null() } else { m.text() };
        m.learn(|place| unsafe { iscsicore_nexus_send_targets(m.nexus(), m.now(), target, place) });
    },
    |m| {
        let (nexus, now, place) = (m.nexus(), m.now(), m.out());
        let status = m.with_payload(None, |data| unsafe { iscsicore_nexus_ping(nexus, now, data, place) });
        if m.check(status) {
            m.keep_id(m.got(place));
        }
    },
];

/// A buffer that a command reads into.
pub fn buffer(command: *mut iscsicore_command, len: usize) -> Buffer {
    Buffer { owner: Owner::Command(command), memory: vec![0; len].into_boxed_slice() }
}
