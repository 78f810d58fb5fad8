//! What SCSI answers say: any bytes, into structs and buffers.

use core::ffi::c_char;

use iscsicore_ffi::scsi::*;
use iscsicore_ffi::status::iscsicore_status;

use super::Op;
use crate::machine::Machine;
use crate::shown;

/// A function that writes text.
fn text(
    m: &Machine,
    call: impl FnOnce(*const u8, usize, *mut c_char, usize, *mut usize) -> iscsicore_status,
) {
    let (bytes, len) = m.bytes(300);
    let capacity = m.input.pick(&[128, 4096, 0, 1, 10, 64]);
    let buffer = if m.input.seldom(64) { core::ptr::null_mut() } else { m.memory.room(capacity).cast() };
    let place = m.out();
    if m.check(call(bytes, len, buffer, capacity, place)) {
        assert!(m.got(place) < capacity);
        assert!(unsafe { shown::text(buffer) } != 0);
    }
}

/// A function that writes into a struct.
fn decode<T>(m: &Machine, call: unsafe extern "C" fn(*const u8, usize, *mut T) -> iscsicore_status) {
    let (bytes, len) = m.bytes(300);
    m.check(unsafe { call(bytes, len, m.out()) });
}

/// A function that writes an array.
fn list<T>(m: &Machine, call: impl FnOnce(*const u8, usize, *mut T, usize, *mut usize) -> iscsicore_status) {
    let (bytes, len) = m.bytes(300);
    let capacity = m.input.below(40);
    let place = m.memory.room(capacity * size_of::<T>()).cast();
    m.check(call(bytes, len, place, capacity, m.out()));
}

pub const OPS: &[Op] = &[
    |m| text(m, |a, b, c, d, e| unsafe { iscsicore_cdb_name(a, b, c, d, e) }),
    |m| text(m, |a, b, c, d, e| unsafe { iscsicore_sense_text(a, b, c, d, e) }),
    |m| text(m, |a, b, c, d, e| unsafe { iscsicore_vpd_serial_decode(a, b, c, d, e) }),
    |m| {
        let (index, place) = (m.input.option() as usize, m.out());
        text(m, |a, b, c, d, e| unsafe { iscsicore_vpd_designator_decode(a, b, index, place, c, d, e) });
    },
    |m| decode(m, iscsicore_pr_reservation_decode),
    |m| decode(m, iscsicore_sense_decode),
    |m| decode(m, iscsicore_inquiry_decode),
    |m| decode(m, iscsicore_vpd_block_limits_decode),
    |m| decode(m, iscsicore_vpd_block_characteristics_decode),
    |m| decode(m, iscsicore_vpd_provisioning_decode),
    |m| decode(m, iscsicore_vpd_extended_inquiry_decode),
    |m| {
        let (bytes, len) = m.bytes(40);
        m.check(unsafe { iscsicore_capacity_decode(bytes, len, m.input.choice(), m.out()) });
    },
    |m| list(m, |a, b, c, d, e| unsafe { iscsicore_luns_decode(a, b, c, d, e) }),
    |m| list(m, |a, b, c, d, e| unsafe { iscsicore_lba_status_decode(a, b, c, d, e) }),
    |m| list(m, |a, b, c, d, e| unsafe { iscsicore_vpd_pages_decode(a, b, c, d, e) }),
    |m| {
        let generation = m.out();
        list(m, |a, b, c, d, e| unsafe { iscsicore_pr_keys_decode(a, b, generation, c, d, e) });
    },
    |m| {
        let i = &m.input;
        let sense = iscsicore_sense {
            key: i.byte(),
            asc: i.byte(),
            ascq: i.byte(),
            field_bit: i.byte(),
            field_byte: i.number() as u16,
            progress: i.number() as u16,
            information: i.number(),
            command_specific: i.number(),
            deferred: i.choice(),
            incorrect_length: i.choice(),
            has_information: i.choice(),
            has_command_specific: i.choice(),
            has_progress: i.choice(),
            has_field: i.choice(),
            field_in_data: i.choice(),
            has_field_bit: i.choice(),
        };
        let sense = if i.seldom(64) { core::ptr::null() } else { m.memory.list(&[sense]) };
        let capacity = i.pick(&[252, 0, 18, 17, 8]);
        let (buffer, place) = (m.memory.room(capacity), m.out());
        if m.check(unsafe { iscsicore_sense_encode(sense, m.input.choice(), buffer, capacity, place) }) {
            // What was encoded can be read.
            let mut read = core::mem::MaybeUninit::uninit();
            assert!(m.check(unsafe { iscsicore_sense_decode(buffer, m.got(place), read.as_mut_ptr()) }));
        }
    },
];
