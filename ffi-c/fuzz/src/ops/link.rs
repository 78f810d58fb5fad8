//! Receivers, transmitters, pools, and functions without a handle.

use iscsicore_ffi::address::*;
use iscsicore_ffi::allocator::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::lun::*;
use iscsicore_ffi::payload::{iscsicore_gather, iscsicore_iovec};
use iscsicore_ffi::scsi::iscsicore_scsi_status_text;
use iscsicore_ffi::status::*;

use super::{Op, options};
use crate::shown;

pub const OPS: &[Op] = &[
    |m| {
        let limits = options::limits(m);
        m.create(|place| unsafe { iscsicore_receiver_new(limits, place) });
    },
    |m| m.free(m.any::<iscsicore_receiver>()),
    |m| {
        let (receiver, memory, len) = (m.any(), m.out(), m.out());
        if m.check(unsafe { iscsicore_receiver_want(receiver, memory, len) }) {
            let (memory, len) = (m.got(memory), m.got(len));
            unsafe { memory.write_bytes(m.input.byte(), len) };
        }
    },
    |m| {
        m.check(unsafe { iscsicore_receiver_advance(m.any(), m.input.number() as usize) });
    },
    |m| {
        let bytes = m.input.take(usize::from(m.input.byte()));
        m.read_staging(m.any(), &bytes);
    },
    |m| {
        let receiver = m.any();
        let status = m.with_payload(None, |bytes| unsafe { iscsicore_receiver_push(receiver, bytes) });
        m.check(status);
    },
    |m| {
        m.check(unsafe { iscsicore_receiver_buffered(m.any(), m.out()) });
    },
    |m| {
        m.create(|place| unsafe { iscsicore_transmitter_new(place) });
    },
    |m| m.free(m.any::<iscsicore_transmitter>()),
    |m| {
        let capacity = m.input.number() as usize % 100;
        let slices = match m.input.seldom(32) {
            true => core::ptr::null_mut(),
            false => m.memory.room(capacity * size_of::<iscsicore_iovec>()).cast(),
        };
        let count = m.out();
        if m.check(unsafe { iscsicore_transmitter_slices(m.any(), slices, capacity, count) }) {
            unsafe { shown::slices(slices, m.got(count)) };
        }
    },
    |m| {
        m.check(unsafe { iscsicore_transmitter_advance(m.any(), m.input.number() as usize) });
    },
    |m| {
        m.drain(m.any(), m.input.number() as usize % 65536);
    },
    |m| {
        m.check(unsafe { iscsicore_transmitter_queued(m.any(), m.out()) });
    },
    |m| {
        let size = m.input.pick(&[0, 4096, 5000, 65536, 4095, 1, (64 << 20) + 1, usize::MAX]);
        let keep = m.input.pick(&[0, 1, 3, 65536, 65537, usize::MAX]);
        m.create(|place| unsafe { iscsicore_buffer_pool_new(size, keep, place) });
    },
    |m| m.free(m.any::<iscsicore_buffer_pool>()),
    |m| {
        m.check(unsafe { iscsicore_buffer_pool_lend(m.any(), m.any()) });
    },
    |m| {
        m.check(unsafe { iscsicore_buffer_pool_take_back(m.any(), m.any()) });
    },
    |m| {
        let (bytes, len) = m.bytes(200);
        let capacity = m.input.below(90);
        let buffer = if m.input.seldom(32) { core::ptr::null_mut() } else { m.memory.room(capacity) };
        let status = unsafe { iscsicore_address_text(bytes.cast(), len, buffer.cast(), capacity, m.out()) };
        if m.check(status) {
            assert!(unsafe { shown::text(buffer.cast()) } > 1);
        }
    },
    |m| {
        // That is for the first call in a process: here it comes too late, whatever it says.
        let none = iscsicore_allocator {
            size: size_of::<iscsicore_allocator>(),
            allocate: None,
            free: None,
            reallocate: None,
            context: core::ptr::null_mut(),
        };
        assert!(!m.check(unsafe { iscsicore_set_allocator(m.options(none)) }));
    },
    |m| {
        let status = m.input.int();
        unsafe {
            assert!(shown::text(iscsicore_version()) > 1);
            assert!(shown::text(iscsicore_status_text(status)) > 1);
            assert!(shown::text(iscsicore_scsi_status_text(status)) > 1);
            shown::text(iscsicore_error_message());
        }
    },
    |m| {
        let lun = m.learn(|lun| unsafe { iscsicore_lun(m.input.number() as u16, lun) });
        m.check(unsafe {
            iscsicore_lun_number(if m.input.seldom(4) { m.input.u64() } else { lun }, m.out())
        });
    },
    |m| {
        // An address as getsockname gives it.
        let mut address = [0u8; 28];
        let family = m.input.pick(&[libc::AF_INET, libc::AF_INET6, libc::AF_UNIX]);
        address[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        let bytes = m.input.take(26);
        address[2..2 + bytes.len()].copy_from_slice(&bytes);
        let len = m.input.pick(&[28, 16, 27, 15, 2, 1, 0]);
        let (place, buffer) = (m.memory.bytes(&address[..len]), m.memory.room(80));
        m.check(unsafe { iscsicore_address_text(place.cast(), len, buffer.cast(), 80, m.out()) });
    },
    |m| {
        // A copy of slices that are pieces of their own, into a buffer of its own.
        let pieces: Vec<_> = (0..m.input.below(4)).map(|_| m.bytes(100)).collect();
        let slices: Vec<_> = pieces
            .iter()
            .map(|(base, len)| iscsicore_iovec { iov_base: base.cast_mut().cast(), iov_len: *len })
            .collect();
        let capacity = m.input.pick(&[400, 0, 1, 100]);
        let buffer = if m.input.seldom(32) { core::ptr::null_mut() } else { m.memory.room(capacity) };
        let (list, count, place) = (m.memory.list(&slices), slices.len(), m.out());
        if m.check(unsafe { iscsicore_gather(list, count, buffer.cast(), capacity, place) }) {
            let len: usize = m.got(place);
            assert_eq!(len, slices.iter().map(|slice| slice.iov_len).sum());
        }
    },
];
