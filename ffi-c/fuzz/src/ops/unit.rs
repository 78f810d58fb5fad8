//! The disk device server by itself.

use core::ptr::null_mut;

use iscsicore_ffi::op::iscsicore_op_kind;
use iscsicore_ffi::target::kept::iscsicore_kept_data;
use iscsicore_ffi::unit::command::*;
use iscsicore_ffi::unit::resume::*;
use iscsicore_ffi::unit::*;

use super::{Op, host, options};
use crate::machine::Machine;
use crate::shown::Shown;

/// The number of an initiator.
fn nexus(m: &Machine) -> u64 {
    if m.input.seldom(16) { m.input.number() } else { 1 + u64::from(m.input.byte() % 2) }
}

/// A CDB of a command that disks know, or any.
fn cdb(m: &Machine) -> (*const u8, usize) {
    const KNOWN: [(u8, usize); 24] = [
        (0x28, 10),
        (0x2a, 10),
        (0x88, 16),
        (0x8a, 16),
        (0x42, 10),
        (0x41, 10),
        (0x93, 16),
        (0x89, 16),
        (0x35, 10),
        (0x9e, 16),
        (0x12, 6),
        (0x1a, 6),
        (0x5a, 10),
        (0x15, 6),
        (0x55, 10),
        (0x03, 6),
        (0x25, 10),
        (0x5e, 10),
        (0x5f, 10),
        (0xa3, 12),
        (0x00, 6),
        (0x1b, 6),
        (0x2f, 10),
        (0xa0, 12),
    ];
    if m.input.seldom(8) {
        return m.bytes(270);
    }
    let (opcode, len) = m.input.pick(&KNOWN);
    let mut cdb = vec![0; len];
    cdb[0] = opcode;
    let given = m.input.take(m.input.below(len));
    cdb[1..1 + given.len()].copy_from_slice(&given);
    (m.memory.bytes(&cdb), len)
}

/// Shows the next step of a command.
pub fn step(m: &Machine, command: *mut iscsicore_disk_command) -> *const iscsicore_step {
    m.shelf.take(command.cast(), Shown::Step);
    let mut step = core::ptr::null();
    if m.check(unsafe { iscsicore_disk_command_step(command, &mut step) }) && !step.is_null() {
        m.shelf.put(command.cast(), Shown::Step, 0, step);
    }
    step
}

/// Does what the step of a command asks for, well or badly.
pub fn go_on(m: &Machine, unit: *mut iscsicore_unit, command: *mut iscsicore_disk_command) {
    let Some(step) = (unsafe { step(m, command).as_ref() }) else { return };
    let (kind, need) = (step.kind, step.need as usize);
    let op = unsafe { step.op.as_ref() }.copied();
    // Whatever is resumed shows nothing any more.
    m.shelf.take(command.cast(), Shown::Step);
    if kind == iscsicore_step_kind::NeedData {
        let status = m.with_payload(Some(need.min(1 << 20)), |data| unsafe {
            iscsicore_unit_resume_data(unit, command, data)
        });
        m.check(status);
        return;
    }
    let Some(op) = op else { return };
    let failed = if m.input.seldom(8) { 1 + m.input.int() % 5 } else { 0 };
    if failed != 0 || op.len > 1 << 20 {
        m.check(unsafe { iscsicore_unit_resume(unit, command, failed.max(1), op.offset) });
    } else if op.kind == iscsicore_op_kind::Read {
        let status = m.with_payload(Some(op.len as usize), |data| unsafe {
            iscsicore_unit_resume_read(unit, command, data)
        });
        m.check(status);
    } else if op.kind == iscsicore_op_kind::Extents {
        let extents = host::extents(m);
        let list = m.memory.list(&extents);
        m.check(unsafe { iscsicore_unit_resume_extents(unit, command, list, extents.len()) });
    } else {
        m.check(unsafe { iscsicore_unit_resume(unit, command, 0, 0) });
    }
}

pub const OPS: &[Op] = &[
    |m| {
        let options = options::unit(m);
        m.create(|place| unsafe { iscsicore_unit_new(options, place) });
    },
    |m| m.free(m.any::<iscsicore_unit>()),
    |m| {
        m.check(unsafe { iscsicore_unit_attach(m.any(), nexus(m), m.input.choice()) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_detach(m.any(), nexus(m)) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_set_access(m.any(), nexus(m), m.input.int() % 3) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_set_port(m.any(), nexus(m), m.text(), m.input.number() as u16) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_reset(m.any(), m.input.int() % 5) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_resize(m.any(), m.input.number()) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_blocks(m.any(), m.out(), m.out()) });
    },
    |m| {
        m.check(unsafe { iscsicore_unit_tasks_cleared(m.any(), nexus(m), nexus(m)) });
        m.check(unsafe { iscsicore_unit_tasks_terminated(m.any(), nexus(m)) });
        m.check(unsafe { iscsicore_unit_luns_changed(m.any(), nexus(m), m.input.choice()) });
    },
    |m| {
        let (unit, nexus, (cdb, len)) = (m.any(), nexus(m), cdb(m));
        let (attribute, data_in, data_out) =
            (m.input.int() % 5, m.input.number() as u32, m.input.number() as u32);
        m.create(|place| unsafe {
            iscsicore_unit_start(unit, nexus, cdb, len, attribute, data_in, data_out, place)
        });
    },
    |m| {
        step(m, m.any());
    },
    |m| m.free(m.any::<iscsicore_disk_command>()),
    |m| go_on(m, m.any(), m.any()),
    |m| go_on(m, m.any(), m.any()),
    |m| {
        let (cdb, len) = cdb(m);
        let luns: Vec<_> = (0..m.input.below(9)).map(|_| m.input.number()).collect();
        let list = m.memory.list(&luns);
        let count = if m.input.seldom(64) { 16385 } else { luns.len() };
        let list = if count > luns.len() { m.memory.list(&vec![0; count]) } else { list };
        m.create(|place| unsafe { iscsicore_disk_command_report_luns(cdb, len, list, count, place) });
    },
    |m| {
        let (cdb, len) = cdb(m);
        m.create(|place| unsafe { iscsicore_disk_command_absent_unit(cdb, len, place) });
    },
    |m| {
        let command: *mut iscsicore_disk_command = m.any();
        m.shelf.take(command.cast(), Shown::Step);
        m.check(unsafe { iscsicore_unit_resume(m.any(), command, m.input.int(), m.input.number()) });
    },
    |m| {
        let (unit, command) = (m.any(), m.any::<iscsicore_disk_command>());
        m.shelf.take(command.cast(), Shown::Step);
        let status = m.with_payload(None, |data| unsafe { iscsicore_unit_resume_read(unit, command, data) });
        m.check(status);
    },
    |m| {
        let (unit, command) = (m.any(), m.any::<iscsicore_disk_command>());
        m.shelf.take(command.cast(), Shown::Step);
        let extents = host::extents(m);
        let list = m.memory.list(&extents);
        m.check(unsafe { iscsicore_unit_resume_extents(unit, command, list, extents.len()) });
    },
    |m| {
        let (unit, command) = (m.any(), m.any::<iscsicore_disk_command>());
        m.shelf.take(command.cast(), Shown::Step);
        // Payload that a target has brought, if there is some.
        let kept: *mut iscsicore_kept_data = m.any();
        match m.shelf.kept(kept.cast()) {
            Some((at, count)) if !kept.is_null() => m.with_handle(kept, at, count, |data| unsafe {
                iscsicore_unit_resume_data(unit, command, data)
            }),
            _ => {
                let status =
                    m.with_payload(None, |data| unsafe { iscsicore_unit_resume_data(unit, command, data) });
                m.check(status);
            }
        }
    },
    |m| {
        m.check(unsafe { iscsicore_unit_blocks(m.any(), m.out(), null_mut()) });
    },
];
