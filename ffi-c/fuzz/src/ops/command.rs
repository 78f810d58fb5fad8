//! SCSI commands of an initiator.

use core::ffi::c_int;

use iscsicore_ffi::command::*;
use iscsicore_ffi::payload::iscsicore_payload;
use iscsicore_ffi::status::iscsicore_status;

use super::{Op, nexus, options::zeroed};
use crate::machine::{Machine, Owner};

/// The LUN: mostly the one that there is.
fn lun(m: &Machine) -> u64 {
    m.input.option()
}

/// An LBA on the usual disk, or any.
fn lba(m: &Machine) -> u64 {
    m.input.number()
}

fn make(m: &Machine, call: impl FnOnce(*mut *mut iscsicore_command) -> iscsicore_status) {
    m.create(call);
}

type Place = *mut *mut iscsicore_command;

/// A command that sends payload: some blocks of it, or any number of bytes.
fn with_data(m: &Machine, call: impl FnOnce(*const iscsicore_payload, Place) -> iscsicore_status) {
    let len = match m.input.byte() {
        0..200 => Some(512 * m.input.below(40)),
        _ => None,
    };
    m.create(|place| m.with_payload(len, |data| call(data, place)));
}

/// Gives a command another buffer; the one before is gone.
pub fn set_buffer(m: &Machine, command: *mut iscsicore_command, len: usize) -> bool {
    let mut buffer = nexus::buffer(command, len);
    let base = buffer.memory.as_mut_ptr().cast();
    let set = m.check(unsafe { iscsicore_command_set_buffer(command, base, len) });
    if set {
        m.drop_buffers(|owner| owner == Owner::Command(command));
        m.buffers.borrow_mut().push(buffer);
    }
    set
}

/// A command made by one of the functions for simple commands.
fn simple(m: &Machine) {
    type Make = unsafe extern "C" fn(u64, Place) -> iscsicore_status;
    const MAKE: [Make; 9] = [
        iscsicore_command_flush,
        iscsicore_command_test_unit_ready,
        iscsicore_command_inquiry,
        iscsicore_command_read_capacity_10,
        iscsicore_command_read_capacity_16,
        iscsicore_command_report_luns,
        iscsicore_command_report_supported_opcodes,
        iscsicore_command_reserve_6,
        iscsicore_command_release_6,
    ];
    let (call, lun) = (m.input.pick(&MAKE), lun(m));
    make(m, |place| unsafe { call(lun, place) });
}

/// A command with a page.
fn pages(m: &Machine) {
    let (lun, page, subpage, control) = (
        lun(m),
        m.input.pick(&[0x08, 0x0a, 0x1c, 0x3f, 0, 0x83, 0xb0, 0xb2]),
        m.input.option() as u8,
        m.input.int() % 5,
    );
    match m.input.below(5) {
        0 => make(m, |place| unsafe { iscsicore_command_vpd(lun, page, place) }),
        1 => make(m, |place| unsafe { iscsicore_command_mode_sense_6(lun, page, subpage, control, place) }),
        2 => make(m, |place| unsafe { iscsicore_command_mode_sense_10(lun, page, subpage, control, place) }),
        style => {
            let (bytes, len) = m.bytes(300);
            make(m, |place| unsafe {
                if style == 3 {
                    iscsicore_command_mode_select_6(lun, bytes, len, control, place)
                } else {
                    iscsicore_command_mode_select_10(lun, bytes, len, control, place)
                }
            });
        }
    }
}

/// What PERSISTENT RESERVE OUT is to do.
fn pr_out(m: &Machine) -> *const iscsicore_pr_out {
    let count = m.input.below(3);
    let isid = |m: &Machine| if m.input.byte() < 128 { core::ptr::null() } else { m.text() };
    let ports: Vec<_> =
        (0..count).map(|_| iscsicore_initiator_port { name: m.text(), isid: isid(m) }).collect();
    m.options(iscsicore_pr_out {
        key: m.input.option(),
        new_key: m.input.number(),
        action: m.input.int() % 10,
        reservation_type: m.input.int() % 10,
        aptpl: m.input.choice(),
        all_target_ports: m.input.choice(),
        unregister: m.input.choice(),
        target_port: m.input.option() as u16,
        reserved: if m.input.seldom(64) { 1 } else { 0 },
        initiators: m.memory.list(&ports),
        initiator_count: count,
        ..zeroed()
    })
}

pub const OPS: &[Op] = &[
    simple,
    simple,
    pages,
    |m| {
        let (cdb, len) = m.bytes(270);
        let (lun, data_in) = (lun(m), m.input.option() as u32);
        make(m, |place| {
            m.with_payload(None, |data| unsafe { iscsicore_command_new(lun, cdb, len, data_in, data, place) })
        });
    },
    |m| m.free(m.any::<iscsicore_command>()),
    |m| {
        // As long as the answer may be, or one byte less, or anything.
        let (command, mut len) = (m.any::<iscsicore_command>(), 0);
        m.check(unsafe { iscsicore_command_data_in(command, &mut len) });
        let len = match m.input.byte() {
            0..200 => len as usize,
            200..220 => (len as usize).saturating_sub(1),
            _ => m.input.number() as usize,
        };
        if !command.is_null() {
            set_buffer(m, command, len % (1 << 20));
        }
    },
    |m| {
        let command = m.any();
        // Without a buffer again, or none for some length.
        let len = m.input.option() as usize;
        if m.check(unsafe { iscsicore_command_set_buffer(command, core::ptr::null_mut(), len) }) {
            m.drop_buffers(|owner| owner == Owner::Command(command));
        }
    },
    |m| {
        m.check(unsafe { iscsicore_command_set_timeout(m.any(), m.input.number()) });
    },
    |m| {
        let (command, value): (_, c_int) = (m.any(), m.input.int());
        m.check(unsafe { iscsicore_command_set_attribute(command, value) });
        m.check(unsafe { iscsicore_command_set_priority(command, value) });
        m.check(unsafe { iscsicore_command_set_repeat(command, value % 3) });
        m.check(unsafe { iscsicore_command_set_transient(command, value % 3) });
    },
    |m| {
        m.check(unsafe { iscsicore_command_set_access(m.any(), m.input.choice(), m.input.choice()) });
    },
    |m| {
        m.check(unsafe { iscsicore_command_make_room(m.any(), m.input.number() as u32) });
    },
    |m| {
        let (answer, len) = m.bytes(200);
        m.check(unsafe { iscsicore_command_stated_len(m.any(), answer, len, m.out()) });
    },
    |m| {
        let capacity = m.input.pick(&[260, 0, 6, 10, 16, 15]);
        let buffer = m.memory.room(capacity);
        m.check(unsafe { iscsicore_command_cdb(m.any(), buffer, capacity, m.out()) });
        m.check(unsafe { iscsicore_command_data_out(m.any(), m.out()) });
    },
    |m| {
        let (lun, lba, blocks, size) =
            (lun(m), lba(m), m.input.number() as u32, m.input.pick(&[512, 512, 512, 4096, 0, u32::MAX]));
        make(m, |place| unsafe { iscsicore_command_read(lun, lba, blocks, size, place) });
    },
    |m| {
        let (lun, lba, size) = (lun(m), lba(m), m.input.pick(&[512, 512, 512, 4096, 0, 1]));
        with_data(m, |data, place| unsafe { iscsicore_command_write(lun, lba, data, size, place) });
    },
    |m| {
        let (lun, lba, blocks) = (lun(m), lba(m), m.input.number() as u32);
        if m.input.byte() < 128 {
            make(m, |place| unsafe { iscsicore_command_flush_range(lun, lba, blocks, place) });
        } else {
            make(m, |place| unsafe { iscsicore_command_verify(lun, lba, blocks, place) });
        }
    },
    |m| {
        let (lun, lba, size) = (lun(m), lba(m), m.input.pick(&[512, 512, 512, 4096, 0, 1]));
        with_data(m, |data, place| unsafe { iscsicore_command_verify_data(lun, lba, data, size, place) });
    },
    |m| {
        let (lun, lba, blocks) = (lun(m), lba(m), m.input.byte() % 8);
        let len = Some(1024 * usize::from(blocks));
        make(m, |place| {
            m.with_payload(len, |data| unsafe {
                iscsicore_command_compare_and_write(lun, lba, data, blocks, place)
            })
        });
    },
    |m| {
        let (lun, descriptor) = (lun(m), m.input.choice());
        make(m, |place| unsafe { iscsicore_command_request_sense(lun, descriptor, place) });
    },
    |m| {
        let (lun, opcode, action) = (lun(m), m.input.byte(), m.input.int());
        make(m, |place| unsafe { iscsicore_command_report_opcode_support(lun, opcode, action, place) });
    },
    |m| {
        let (lun, to) = (lun(m), m.input.int() % 6);
        make(m, |place| unsafe { iscsicore_command_start_stop(lun, to, place) });
    },
    |m| {
        let count = m.input.below(6);
        let range = |_| iscsicore_blocks {
            lba: m.input.number(),
            blocks: m.input.number() as u32,
            reserved: if m.input.seldom(64) { 1 } else { 0 },
        };
        let ranges: Vec<_> = (0..count).map(range).collect();
        let (lun, list) = (lun(m), m.memory.list(&ranges));
        make(m, |place| unsafe { iscsicore_command_unmap(lun, list, count, place) });
    },
    |m| {
        let (lun, lba, blocks, how) = (lun(m), lba(m), m.input.number() as u32, m.input.int() % 5);
        if m.input.byte() < 128 {
            make(m, |place| unsafe { iscsicore_command_write_zeroes(lun, lba, blocks, how, place) });
        } else {
            make(m, |place| {
                m.with_payload(Some(512), |block| unsafe {
                    iscsicore_command_write_same(lun, lba, blocks, block, how, place)
                })
            });
        }
    },
    |m| {
        let (lun, lba, len) = (lun(m), lba(m), m.input.number() as u32);
        make(m, |place| unsafe { iscsicore_command_get_lba_status(lun, lba, len, place) });
    },
    |m| {
        let (lun, action) = (lun(m), m.input.int() % 6);
        make(m, |place| unsafe { iscsicore_command_pr_in(lun, action, place) });
    },
    |m| {
        let (lun, what) = (lun(m), pr_out(m));
        make(m, |place| unsafe { iscsicore_command_pr_out(lun, what, place) });
    },
    |m| {
        let context = core::ptr::without_provenance_mut(m.input.number() as usize);
        m.check(unsafe { iscsicore_command_set_context(m.any(), context) });
    },
];
