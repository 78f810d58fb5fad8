//! One session of a program that has device servers of its own.

use core::ptr::null;

use iscsicore_ffi::codes::{iscsicore_target_address, iscsicore_target_record};
use iscsicore_ffi::limits::iscsicore_parameters;
use iscsicore_ffi::target::admission::*;
use iscsicore_ffi::target::command::*;
use iscsicore_ffi::target::counters::*;
use iscsicore_ffi::target::event::*;
use iscsicore_ffi::target::kept::*;
use iscsicore_ffi::target::login::*;
use iscsicore_ffi::target::management::*;
use iscsicore_ffi::target::send_targets::*;
use iscsicore_ffi::target::*;

use super::{Op, options};
use crate::machine::{Machine, SECRET};
use crate::shown::Shown;

/// Takes the next event.
pub fn next_event(m: &Machine, target: *mut iscsicore_target) -> *const iscsicore_target_event {
    m.shelf.take(target.cast(), Shown::TargetEvent);
    let mut event = null();
    if !m.check(unsafe { iscsicore_target_next_event(target, &mut event) }) || event.is_null() {
        return null();
    }
    m.shelf.put(target.cast(), Shown::TargetEvent, 0, event);
    use iscsicore_target_event_kind as K;
    let told = unsafe { &*event };
    match told.kind {
        K::Command => m.keep_id(unsafe { told.u.command.task }),
        K::TaskManagement => m.keep_id(unsafe { told.u.task_management.request }),
        K::SendTargets => m.keep_id(unsafe { told.u.send_targets.request }),
        _ => {}
    }
    event
}

/// Keeps the payload that the last event has shown.
pub fn keep(m: &Machine, target: *mut iscsicore_target) -> *mut iscsicore_kept_data {
    let event = m.shelf.find::<iscsicore_target_event>(target.cast(), Shown::TargetEvent);
    // What is made may free what was kept before; the event stays.
    let kept = m.create(|place| unsafe { iscsicore_target_keep_data(target, place) });
    if let (false, Some(event)) = (kept.is_null(), event) {
        let data = unsafe { (*event).u.data };
        m.shelf.put_kept(kept.cast(), data.data, data.data_count);
    }
    kept
}

/// The terms of a login: usually those that the usual initiator meets.
pub fn admission(m: &Machine) -> *const iscsicore_admission {
    let account = |m: &Machine| {
        let (name, secret) = (m.words(b"user"), m.memory.bytes(SECRET));
        let usual = iscsicore_account { name, secret, secret_len: SECRET.len() };
        if m.input.byte() < 192 {
            return usual;
        }
        let (secret, secret_len) = m.bytes(30);
        iscsicore_account { name: m.text(), secret, secret_len }
    };
    let style = m.input.byte();
    let accounts: Vec<_> = (0..style % 3).map(|_| account(m)).collect();
    let mutual = if style < 200 { null() } else { m.memory.list(&[account(m)]) };
    m.options(iscsicore_admission {
        offer: options::offer(m),
        alias: if style < 128 { null() } else { m.text() },
        // A pointer to no accounts lets nobody in.
        accounts: if accounts.is_empty() && style < 240 { null() } else { m.memory.list(&accounts) },
        account_count: accounts.len(),
        mutual,
        portal_group_tag: if style < 128 { 1 } else { m.input.option() as u16 },
        reserved: if m.input.seldom(64) { 1 } else { 0 },
        ..options::zeroed()
    })
}

/// Targets to tell an initiator.
fn records(m: &Machine) -> Vec<iscsicore_target_record> {
    let address =
        |_| iscsicore_target_address { address: m.text(), portal_group_tag: m.input.option() as u16 };
    let record = |_| {
        let addresses: Vec<_> = (0..m.input.below(3)).map(address).collect();
        let list = m.memory.list(&addresses);
        iscsicore_target_record { name: m.text(), addresses: list, address_count: addresses.len() }
    };
    (0..m.input.below(4)).map(record).collect()
}

/// Sense data: usually as it should be.
fn sense(m: &Machine, status: u8) -> (*const u8, usize) {
    match m.input.byte() {
        0..200 if status == 2 => (m.memory.bytes(&[0x72, 5, 0x24, 0, 0, 0, 0, 0]), 8),
        0..200 => (null(), 0),
        _ => m.bytes(300),
    }
}

pub const OPS: &[Op] = &[
    |m| {
        let (limits, seed, now) = (options::limits(m), m.seed(), m.now());
        m.create(|place| unsafe { iscsicore_target_new(limits, seed, now, place) });
    },
    |m| m.free(m.any::<iscsicore_target>()),
    |m| {
        m.check(unsafe { iscsicore_target_receive(m.any(), m.now(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_transmit(m.any(), m.now(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_lost(m.any(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_timeout(m.any(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_handle_timeout(m.any(), m.now()) });
    },
    |m| {
        next_event(m, m.any());
    },
    |m| {
        m.check(unsafe { iscsicore_target_request_logout(m.any(), m.now(), m.input.number()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_terminate(m.any(), m.now()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_parameters(m.any(), m.out::<iscsicore_parameters>()) });
        m.check(unsafe { iscsicore_target_outstanding(m.any(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_accept(m.any(), m.id(), m.input.number() as u32) });
    },
    |m| {
        let (target, task) = (m.any(), m.id());
        let status = m.with_payload(None, |data| unsafe { iscsicore_target_send_data(target, task, data) });
        m.check(status);
    },
    |m| {
        let status = m.input.pick(&[0, 2, 8, 0x18, 0x28, 0xff]);
        let ((sense, len), moved) = (sense(m, status), m.input.number() as u32);
        m.check(unsafe { iscsicore_target_complete(m.any(), m.id(), status, sense, len, moved) });
    },
    |m| {
        let status = m.input.pick(&[0, 2, 8]);
        let ((sense, len), moved) = (sense(m, status), m.input.number() as u32);
        let (target, task) = (m.any(), m.id());
        let status = m.with_payload(None, |data| unsafe {
            iscsicore_target_complete_with(target, task, data, status, sense, len, moved)
        });
        m.check(status);
    },
    |m| {
        let (sense, len) = sense(m, 2);
        m.check(unsafe { iscsicore_target_notify_sense(m.any(), m.input.option(), sense, len) });
    },
    |m| {
        let (target, place) = (m.any::<iscsicore_target>(), m.out());
        m.shelf.take(target.cast(), Shown::Counters);
        if m.check(unsafe { iscsicore_target_counters(target, place) }) {
            let counters: *const iscsicore_counters = m.got(place);
            m.shelf.put(target.cast(), Shown::Counters, 0, counters);
        }
    },
    |m| {
        keep(m, m.any());
    },
    |m| m.free(m.any::<iscsicore_kept_data>()),
    |m| {
        m.check(unsafe { iscsicore_target_admit(m.any(), admission(m)) });
    },
    |m| {
        let why = if m.input.byte() < 128 { null() } else { m.text() };
        m.check(unsafe { iscsicore_target_refuse(m.any(), m.input.int(), why) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_redirect(m.any(), m.input.choice(), m.text()) });
    },
    |m| {
        m.check(unsafe { iscsicore_target_establish(m.any(), m.now(), m.input.number() as u16) });
    },
    |m| {
        let (target, login) = (m.any(), m.any());
        m.twice.set(target == login);
        m.check(unsafe { iscsicore_target_reinstate(target, m.now(), login) });
        m.twice.set(false);
    },
    |m| {
        m.check(unsafe { iscsicore_target_answer_task_management(m.any(), m.id(), m.input.int()) });
    },
    |m| {
        let (scope, lun, request) = (m.input.int() % 4, m.input.option(), m.id());
        m.learn(|place| unsafe {
            iscsicore_target_abort_tasks(m.any(), m.now(), scope, lun, request, place)
        });
    },
    |m| {
        let records = records(m);
        let (list, count) = (m.memory.list(&records), records.len());
        m.check(unsafe { iscsicore_target_answer_send_targets(m.any(), m.id(), list, count) });
    },
];
