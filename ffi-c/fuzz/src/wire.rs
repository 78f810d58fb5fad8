//! Connections in memory: the bytes of one end go to the other, whole or not, in order or spoilt.

use core::ffi::c_char;
use std::collections::VecDeque;

use iscsicore_ffi::host::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::iscsicore_iovec;
use iscsicore_ffi::simple::*;
use iscsicore_ffi::status::iscsicore_status;
use iscsicore_ffi::target::*;

use crate::machine::{ADDRESS, Machine};

/// One end, by the slots of its handles: what was freed is NULL there.
#[derive(Clone, Copy)]
pub enum End {
    Link { host: usize, link: u64, halves: usize },
    Nexus { nexus: usize, halves: usize },
    Target { target: usize, halves: usize },
    Simple { simple: usize },
}

pub struct Wire {
    ends: [End; 2],
    /// What is on the way to each end.
    flight: [VecDeque<u8>; 2],
}

const NOTHING: iscsicore_iovec = iscsicore_iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };

impl Machine {
    /// A new receiver and a new transmitter in slots of the same number.
    pub fn halves(&self) -> Option<usize> {
        let index = (0..crate::slots::SLOTS)
            .find(|index| {
                self.slots.receivers.get(*index).is_null() && self.slots.transmitters.get(*index).is_null()
            })
            .unwrap_or_else(|| self.input.below(crate::slots::SLOTS));
        self.free(self.slots.receivers.get(index));
        self.free(self.slots.transmitters.get(index));
        let mut receiver = core::ptr::null_mut();
        let mut transmitter = core::ptr::null_mut();
        self.check(unsafe { iscsicore_receiver_new(core::ptr::null(), &mut receiver) });
        self.check(unsafe { iscsicore_transmitter_new(&mut transmitter) });
        self.slots.receivers.set(index, receiver);
        self.slots.transmitters.set(index, transmitter);
        Some(index)
    }

    pub fn join(&self, one: End, other: End) {
        let mut wires = self.wires.borrow_mut();
        if wires.len() >= 4 {
            wires.remove(0);
        }
        wires.push(Wire { ends: [one, other], flight: Default::default() });
    }

    /// A link of the first host that there is.
    pub fn link_end(&self) -> Option<End> {
        let host = self.slots.hosts.all().next()?;
        let index = self.slots.hosts.index_of(host)?;
        let address: *const c_char = self.words(ADDRESS);
        let seed = self.memory.bytes(&[7; 32]);
        let mut link = 0;
        if !self.check(unsafe { iscsicore_host_connect(host, self.tick(), address, seed, &mut link) }) {
            return None;
        }
        self.keep_id(link);
        Some(End::Link { host: index, link, halves: self.halves()? })
    }

    /// Moves bytes over a wire, in both directions, and has both ends act on them.
    pub fn pump(&self, index: usize, most: usize, spoil: bool) {
        let Some(mut wire) =
            self.wires.borrow().get(index).map(|wire| Wire { ends: wire.ends, flight: wire.flight.clone() })
        else {
            return;
        };
        for from in 0..2 {
            let mut bytes = self.take_from(wire.ends[from], most);
            if spoil && !bytes.is_empty() {
                let at = self.input.u64() as usize % bytes.len();
                bytes[at] ^= self.input.byte() | 1;
            }
            let flight = &mut wire.flight[1 - from];
            flight.extend(bytes);
            let whole: Vec<u8> = flight.iter().copied().collect();
            let given = self.give_to(wire.ends[1 - from], &whole);
            flight.drain(..given);
            self.memory.clear();
        }
        let mut wires = self.wires.borrow_mut();
        if let Some(place) = wires.get_mut(index) {
            *place = wire;
        }
    }

    /// Has an end transmit, and takes what it has to say.
    fn take_from(&self, end: End, most: usize) -> Vec<u8> {
        let now = self.tick();
        let halves = match end {
            End::Link { host, link, halves } => {
                let transmitter = self.slots.transmitters.get(halves);
                self.check(unsafe {
                    iscsicore_host_transmit(self.slots.hosts.get(host), now, link, transmitter)
                });
                halves
            }
            End::Nexus { nexus, halves } => {
                let transmitter = self.slots.transmitters.get(halves);
                self.check(unsafe {
                    iscsicore_nexus_transmit(self.slots.nexuses.get(nexus), now, transmitter)
                });
                halves
            }
            End::Target { target, halves } => {
                let transmitter = self.slots.transmitters.get(halves);
                self.check(unsafe {
                    iscsicore_target_transmit(self.slots.targets.get(target), now, transmitter)
                });
                halves
            }
            End::Simple { simple } => {
                let buffer = self.memory.room(most);
                let mut len = 0;
                let simple = self.slots.simples.get(simple);
                let taken =
                    self.check(unsafe { iscsicore_simple_take(simple, now, buffer.cast(), most, &mut len) });
                let len = if taken { len } else { 0 };
                return unsafe { core::slice::from_raw_parts(buffer, len) }.to_vec();
            }
        };
        self.drain(self.slots.transmitters.get(halves), most)
    }

    /// Takes what a transmitter has, as writev would.
    pub fn drain(&self, transmitter: *mut iscsicore_transmitter, most: usize) -> Vec<u8> {
        let (mut slices, mut count) = ([NOTHING; 64], 0);
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let status = unsafe {
                iscsicore_transmitter_slices(transmitter, slices.as_mut_ptr(), slices.len(), &mut count)
            };
            if !self.check(status) || count == 0 {
                break;
            }
            let before = bytes.len();
            for slice in &slices[..count] {
                let len = slice.iov_len.min(most - bytes.len());
                bytes.extend_from_slice(unsafe {
                    core::slice::from_raw_parts(slice.iov_base.cast::<u8>(), len)
                });
            }
            assert!(bytes.len() > before, "slices without a byte");
            assert!(self.check(unsafe { iscsicore_transmitter_advance(transmitter, bytes.len() - before) }));
        }
        bytes
    }

    /// Hands bytes to an end; returns how many it took.
    fn give_to(&self, end: End, bytes: &[u8]) -> usize {
        match end {
            End::Simple { simple } => {
                let place = self.memory.bytes(bytes).cast_const().cast();
                let simple = self.slots.simples.get(simple);
                match unsafe { iscsicore_simple_feed(simple, self.tick(), place, bytes.len()) } {
                    iscsicore_status::QueueFull => 0,
                    status => {
                        self.check(status);
                        bytes.len()
                    }
                }
            }
            End::Nexus { nexus, halves } => {
                let (nexus, receiver) = (self.slots.nexuses.get(nexus), self.slots.receivers.get(halves));
                self.read_whole(bytes, |rest| self.read_nexus(nexus, receiver, rest))
            }
            End::Link { host, link, halves } => {
                let (host, receiver) = (self.slots.hosts.get(host), self.slots.receivers.get(halves));
                self.read_whole(bytes, |rest| {
                    let len = self.read_staging(receiver, rest);
                    let went = unsafe { iscsicore_host_receive(host, self.tick(), link, receiver) };
                    (len, self.check(went))
                })
            }
            End::Target { target, halves } => {
                let (target, receiver) = (self.slots.targets.get(target), self.slots.receivers.get(halves));
                self.read_whole(bytes, |rest| {
                    let len = self.read_staging(receiver, rest);
                    let went = unsafe { iscsicore_target_receive(target, self.tick(), receiver) };
                    (len, self.check(went))
                })
            }
        }
    }

    /// Reads until nothing is left, or the end does not listen. It listens once more even for no bytes.
    fn read_whole(&self, bytes: &[u8], mut read: impl FnMut(&[u8]) -> (usize, bool)) -> usize {
        let mut taken = 0;
        for _ in 0..64 {
            let (len, went) = read(&bytes[taken..]);
            taken += len;
            if !went || len == 0 || taken == bytes.len() {
                break;
            }
        }
        taken
    }

    /// As a read into the memory of a receiver.
    pub fn read_staging(&self, receiver: *mut iscsicore_receiver, bytes: &[u8]) -> usize {
        let (mut memory, mut room) = (core::ptr::null_mut(), 0);
        if !self.check(unsafe { iscsicore_receiver_want(receiver, &mut memory, &mut room) }) {
            return 0;
        }
        let len = room.min(bytes.len());
        if room > 0 {
            unsafe { memory.copy_from_nonoverlapping(bytes.as_ptr(), len) };
            // The whole place is there, also where nothing was read.
            unsafe { memory.add(room - 1).write(bytes.get(room - 1).copied().unwrap_or(0)) };
        }
        if len > 0 {
            self.check(unsafe { iscsicore_receiver_advance(receiver, len) });
        }
        len
    }

    /// As a readv into the buffers of commands and the memory of a receiver.
    pub fn read_nexus(
        &self,
        nexus: *mut iscsicore_nexus,
        receiver: *mut iscsicore_receiver,
        bytes: &[u8],
    ) -> (usize, bool) {
        let (mut slices, mut count) = ([NOTHING; 2], 0);
        let wanted =
            unsafe { iscsicore_nexus_want(nexus, receiver, slices.as_mut_ptr(), slices.len(), &mut count) };
        if !self.check(wanted) {
            return (0, false);
        }
        let mut len = 0;
        for slice in &slices[..count] {
            let part = slice.iov_len.min(bytes.len() - len);
            unsafe { slice.iov_base.cast::<u8>().copy_from(bytes[len..].as_ptr(), part) };
            len += part;
        }
        if len > 0 {
            self.check(unsafe { iscsicore_nexus_advance(nexus, receiver, len) });
        }
        let went = unsafe { iscsicore_nexus_receive(nexus, self.tick(), receiver) };
        (len, self.check(went))
    }
}
