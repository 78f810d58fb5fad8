//! What programs do next: bytes go over the wires, events are acted on, jobs are done.

use iscsicore_ffi::host::job::*;
use iscsicore_ffi::host::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::op::iscsicore_op_kind;
use iscsicore_ffi::payload::iscsicore_iovec;
use iscsicore_ffi::simple::*;
use iscsicore_ffi::target::command::*;
use iscsicore_ffi::target::event::*;
use iscsicore_ffi::target::login::*;
use iscsicore_ffi::target::management::*;
use iscsicore_ffi::target::send_targets::*;
use iscsicore_ffi::target::*;
use iscsicore_ffi::unit::command::*;
use iscsicore_ffi::unit::*;

use super::{Op, command, host, nexus, simple, target, unit};
use crate::machine::Machine;
use crate::wire::End;

/// Opens the connection that a nexus wants: to a target if there is one, else to a host.
pub fn dial(m: &Machine, nexus: *mut iscsicore_nexus) {
    let Some(index) = m.slots.nexuses.index_of(nexus).filter(|_| !nexus.is_null()) else { return };
    let target = m.slots.targets.all().next().and_then(|target| m.slots.targets.index_of(target));
    let Some(halves) = m.halves() else { return };
    let other = match target {
        Some(target) => m.halves().map(|halves| End::Target { target, halves }),
        None => m.link_end(),
    };
    let Some(other) = other else { return };
    if m.check(unsafe { iscsicore_nexus_connected(nexus, m.tick()) }) {
        m.join(End::Nexus { nexus: index, halves }, other);
    }
}

/// Takes the events of a nexus, and dials when it wants to.
fn nexus_events(m: &Machine, nexus: *mut iscsicore_nexus) {
    for _ in 0..64 {
        let Some(event) = (unsafe { nexus::next_event(m, nexus).as_ref() }) else { return };
        if event.kind == iscsicore_nexus_event_kind::Dial {
            dial(m, nexus);
        }
    }
}

/// Does a job as a disk of any contents would, which fails now and then.
fn do_job(m: &Machine, host: *mut iscsicore_host, job: *const iscsicore_job) {
    let iscsicore_job { id, op, .. } = unsafe { *job };
    m.shelf.verify();
    let now = m.tick();
    let failed = if m.input.seldom(16) { 1 + m.input.int() % 5 } else { 0 };
    let status = if failed != 0 || op.len > 1 << 20 && op.kind == iscsicore_op_kind::Read {
        unsafe { iscsicore_host_finish(host, now, id, failed.max(1), op.offset) }
    } else if op.kind == iscsicore_op_kind::Read {
        m.with_payload(Some(op.len as usize), |data| unsafe {
            iscsicore_host_finish_read(host, now, id, data)
        })
    } else if op.kind == iscsicore_op_kind::Extents {
        let extents = host::extents(m);
        unsafe { iscsicore_host_finish_extents(host, now, id, m.memory.list(&extents), extents.len()) }
    } else {
        unsafe { iscsicore_host_finish(host, now, id, 0, 0) }
    };
    if m.check(status) {
        m.shelf.forget_job(host.cast(), id);
    }
}

/// Does the jobs of a host, those that it told before, too.
fn host_jobs(m: &Machine, host: *mut iscsicore_host) {
    for _ in 0..16 {
        if host::next_job(m, host).is_null() {
            break;
        }
    }
    for job in m.shelf.jobs(host.cast()) {
        do_job(m, host, job);
        m.memory.clear();
    }
    let (mut link, mut closing) = (0, false);
    if m.check(unsafe { iscsicore_host_next_wake(host, &mut link) }) && link != 0 {
        m.check(unsafe { iscsicore_host_is_closing(host, link, &mut closing) });
        if closing {
            m.check(unsafe { iscsicore_host_lost(host, m.tick(), link) });
        }
    }
}

/// Takes the events of a simple connection; a job waits for its host's turn.
fn simple_events(m: &Machine, connection: *mut iscsicore_simple) {
    for _ in 0..32 {
        let Some(event) = (unsafe { simple::next_event(m, connection).as_ref() }) else { return };
        if event.kind == iscsicore_simple_event_kind::Close {
            m.check(unsafe { iscsicore_simple_lost(connection, m.tick()) });
        }
    }
}

/// Takes the events of a target, and answers them.
fn target_events(m: &Machine, target: *mut iscsicore_target) {
    for _ in 0..32 {
        let Some(event) = (unsafe { target::next_event(m, target).as_ref() }) else { return };
        answer(m, target, *event);
        m.memory.clear();
    }
}

fn answer(m: &Machine, target: *mut iscsicore_target, event: iscsicore_target_event) {
    use iscsicore_target_event_kind as K;
    let now = m.tick();
    let (none, u) = (core::ptr::null(), event.u);
    let done = |task, status| unsafe { iscsicore_target_complete(target, task, status, none, 0, 0) };
    // Now and then an event is only looked at.
    if m.input.seldom(16) {
        return;
    }
    let status = unsafe {
        match event.kind {
            K::Login => iscsicore_target_admit(target, target::admission(m)),
            K::Ready => iscsicore_target_establish(target, now, 1 + u16::from(m.input.byte() % 4)),
            K::Command if u.command.data_out > 0 => {
                iscsicore_target_accept(target, u.command.task, u.command.data_out)
            }
            K::Command => return command_by_unit(m, target, u.command),
            K::Data => {
                target::keep(m, target);
                done(u.data.task, 0)
            }
            K::Abort => done(u.abort.task, 8),
            K::TaskManagement => {
                iscsicore_target_answer_task_management(target, u.task_management.request, 0)
            }
            K::SendTargets => {
                iscsicore_target_answer_send_targets(target, u.send_targets.request, none.cast(), 0)
            }
            K::Close => iscsicore_target_lost(target, now),
            K::TasksAborted | K::Ended => return,
        }
    };
    m.check(status);
}

/// Has the first unit do a command of a session, and hands the reply over as it is: the command is freed when it was sent.
fn command_by_unit(m: &Machine, target: *mut iscsicore_target, asked: iscsicore_target_command_event) {
    let device = m.any::<iscsicore_unit>();
    if device.is_null() {
        let (status, len) = (m.input.pick(&[0, 8]), asked.data_in as usize % 65536);
        let sent = m.with_payload(Some(len), |data| unsafe {
            iscsicore_target_complete_with(target, asked.task, data, status, core::ptr::null(), 0, len as u32)
        });
        m.check(sent);
        return;
    }
    let attribute = asked.attribute as i32;
    let command = m.create(|place| unsafe {
        let cdb = asked.cdb;
        iscsicore_unit_start(device, 1, cdb, asked.cdb_len, attribute, asked.data_in, asked.data_out, place)
    });
    if command.is_null() {
        return;
    }
    for _ in 0..8 {
        // A callback may have freed it.
        if m.slots.disk_commands.index_of(command).is_none() {
            return;
        }
        let Some(step) = (unsafe { unit::step(m, command).as_ref() }) else { return };
        if step.kind != iscsicore_step_kind::Done {
            unit::go_on(m, device, command);
            continue;
        }
        let reply = unsafe { *step.reply };
        let slices: *const iscsicore_iovec = reply.data;
        m.with_handle(command, slices, reply.data_count, |data| unsafe {
            iscsicore_target_complete_with(
                target,
                asked.task,
                data,
                reply.status,
                reply.sense,
                reply.sense_len,
                reply.transfer_len,
            )
        });
        return;
    }
}

/// Moves bytes on all wires and has everybody act, some rounds of it.
pub fn rounds(m: &Machine, rounds: usize) {
    for _ in 0..rounds {
        let wires = m.wires.borrow().len();
        for index in 0..wires {
            m.pump(index, 1 << 18, false);
        }
        act(m);
    }
}

fn act(m: &Machine) {
    let nexuses: Vec<_> = m.slots.nexuses.all().collect();
    nexuses.into_iter().for_each(|nexus| nexus_events(m, nexus));
    let simples: Vec<_> = m.slots.simples.all().collect();
    simples.into_iter().for_each(|simple| simple_events(m, simple));
    let targets: Vec<_> = m.slots.targets.all().collect();
    targets.into_iter().for_each(|target| target_events(m, target));
    let hosts: Vec<_> = m.slots.hosts.all().collect();
    hosts.into_iter().for_each(|host| host_jobs(m, host));
}

/// Time passes: everybody is told.
fn timeouts(m: &Machine) {
    let now = m.now();
    for host in m.slots.hosts.all() {
        m.check(unsafe { iscsicore_host_handle_timeout(host, now) });
    }
    for nexus in m.slots.nexuses.all().chain(m.inner.all()) {
        m.check(unsafe { iscsicore_nexus_handle_timeout(nexus, now) });
    }
    for target in m.slots.targets.all() {
        m.check(unsafe { iscsicore_target_handle_timeout(target, now) });
    }
}

/// Makes a command that every disk takes, and submits it.
fn traffic(m: &Machine) {
    command::OPS[m.input.below(command::OPS.len())](m);
    let command = m.slots.commands.all().last().unwrap_or(core::ptr::null_mut());
    nexus::submit(m, m.nexus(), m.tick(), command);
}

/// Writes straight into an end of a wire, as a hostile peer.
fn inject(m: &Machine) {
    let receiver = m.any();
    let mut bytes = m.input.take(48);
    bytes.resize(48, 0);
    // The length of what follows is of use now and then.
    if m.input.byte() < 200 {
        (bytes[4], bytes[5], bytes[6]) = (0, 0, 0);
    }
    m.read_staging(receiver, &bytes);
}

pub const OPS: &[Op] = &[
    |m| rounds(m, 1),
    |m| rounds(m, 4),
    traffic,
    traffic,
    traffic,
    |m| m.pump(m.input.below(4), usize::from(m.input.byte()), false),
    |m| m.pump(m.input.below(4), 1 << 16, true),
    act,
    timeouts,
    inject,
    |m| m.shelf.verify(),
    |m| dial(m, m.any()),
    |m| simple_events(m, m.any()),
    |m| target_events(m, m.any()),
    |m| host_jobs(m, m.any()),
    |m| nexus_events(m, m.any()),
];
