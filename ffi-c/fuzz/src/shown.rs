//! What the library shows: all of it is read, and must stay as it was until the call that ends its life.

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_void};

use iscsicore_ffi::codes::iscsicore_target_record;
use iscsicore_ffi::host::job::iscsicore_job;
use iscsicore_ffi::host::session::iscsicore_session;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::op::{iscsicore_op, iscsicore_op_kind};
use iscsicore_ffi::payload::iscsicore_iovec;
use iscsicore_ffi::simple::iscsicore_simple_event;
use iscsicore_ffi::target::counters::iscsicore_counters;
use iscsicore_ffi::target::event::*;
use iscsicore_ffi::unit::command::*;

/// What is shown: its kind tells which call ends its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    Job,
    Session,
    NexusEvent,
    SimpleEvent,
    TargetEvent,
    Counters,
    Step,
    Kept,
}

struct Piece {
    owner: *mut (),
    kind: Shown,
    id: u64,
    at: *const c_void,
    read: unsafe fn(*const c_void, u64) -> u64,
    sum: u64,
}

impl Piece {
    fn verify(&self) {
        assert_eq!(unsafe { (self.read)(self.at, self.id) }, self.sum, "{:?} has changed", self.kind);
    }
}

/// Everything that is shown now.
#[derive(Default)]
pub struct Shelf(RefCell<Vec<Piece>>);

/// How to read a struct that is shown.
pub trait Read {
    unsafe fn sum(&self) -> u64;
}

unsafe fn sum<T: Read>(at: *const c_void, _: u64) -> u64 {
    unsafe { (*at.cast::<T>()).sum() }
}

impl Shelf {
    pub fn put<T: Read>(&self, owner: *mut (), kind: Shown, id: u64, at: *const T) {
        let at = at.cast();
        let piece = Piece { owner, kind, id, at, read: sum::<T>, sum: unsafe { sum::<T>(at, id) } };
        self.0.borrow_mut().push(piece);
    }

    /// Payload that was kept, and lives until its handle is freed.
    pub fn put_kept(&self, owner: *mut (), at: *const iscsicore_iovec, count: usize) {
        unsafe fn read(at: *const c_void, count: u64) -> u64 {
            unsafe { slices(at.cast(), count as usize) }
        }
        let (at, id) = (at.cast(), count as u64);
        let piece = Piece { owner, kind: Shown::Kept, id, at, read, sum: unsafe { read(at, id) } };
        self.0.borrow_mut().push(piece);
    }

    /// The slices that a handle keeps.
    pub fn kept(&self, owner: *mut ()) -> Option<(*const iscsicore_iovec, usize)> {
        let pieces = self.0.borrow();
        let piece = pieces.iter().find(|piece| piece.owner == owner && piece.kind == Shown::Kept)?;
        Some((piece.at.cast(), piece.id as usize))
    }

    /// What was shown of a kind, if it still lives.
    pub fn find<T>(&self, owner: *mut (), kind: Shown) -> Option<*const T> {
        let pieces = self.0.borrow();
        let piece = pieces.iter().rev().find(|piece| piece.owner == owner && piece.kind == kind)?;
        Some(piece.at.cast())
    }

    pub fn verify(&self) {
        self.0.borrow().iter().for_each(Piece::verify);
    }

    /// Before a call that ends the life of what it showed last.
    pub fn take(&self, owner: *mut (), kind: Shown) {
        self.remove(|piece| piece.owner == owner && piece.kind == kind);
    }

    /// Before a call that ends an owner.
    pub fn retire(&self, owner: *mut ()) {
        self.remove(|piece| piece.owner == owner);
    }

    /// After a job was finished: what was shown of it is gone.
    pub fn forget_job(&self, owner: *mut (), id: u64) {
        let of_job = |piece: &Piece| (piece.owner, piece.kind, piece.id) == (owner, Shown::Job, id);
        self.0.borrow_mut().retain(|piece| !of_job(piece));
    }

    fn remove(&self, which: impl Fn(&Piece) -> bool) {
        self.0.borrow_mut().retain(|piece| {
            let gone = which(piece);
            if gone {
                piece.verify();
            }
            !gone
        });
    }

    /// The jobs of a host that are not finished.
    pub fn jobs(&self, owner: *mut ()) -> Vec<*const iscsicore_job> {
        let pieces = self.0.borrow();
        let jobs = pieces.iter().filter(|piece| piece.kind == Shown::Job && piece.owner == owner);
        jobs.map(|piece| piece.at.cast()).collect()
    }
}

fn mix(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The sum of a string; 0 for none.
pub unsafe fn text(at: *const c_char) -> u64 {
    if at.is_null() {
        return 0;
    }
    let bytes = unsafe { CStr::from_ptr(at) }.to_bytes();
    assert!(core::str::from_utf8(bytes).is_ok(), "text that is not UTF-8");
    bytes.iter().fold(1, |sum, byte| mix(sum, (*byte).into()))
}

pub unsafe fn bytes(at: *const u8, len: usize) -> u64 {
    assert!(len == 0 || !at.is_null(), "bytes at NULL");
    let mut sum = len as u64;
    for index in 0..len {
        sum = mix(sum, unsafe { at.add(index).read() }.into());
    }
    sum
}

pub unsafe fn slices(at: *const iscsicore_iovec, count: usize) -> u64 {
    let mut sum = count as u64;
    for index in 0..count {
        let piece = unsafe { at.add(index).read() };
        sum = mix(sum, unsafe { bytes(piece.iov_base.cast(), piece.iov_len) });
    }
    sum
}

fn len_of(at: *const iscsicore_iovec, count: usize) -> u64 {
    (0..count).map(|index| unsafe { at.add(index).read() }.iov_len as u64).sum()
}

impl Read for iscsicore_op {
    unsafe fn sum(&self) -> u64 {
        let mut sum = mix(self.offset, self.len) ^ u64::from(self.most) ^ self.kind as u64;
        sum = mix(sum, unsafe { slices(self.data, self.data_count) });
        for index in 0..self.range_count {
            let range = unsafe { self.ranges.add(index).read() };
            sum = mix(mix(sum, range.offset), range.len);
        }
        if self.kind == iscsicore_op_kind::Write {
            assert_eq!(len_of(self.data, self.data_count), self.len, "a write of another length");
        }
        sum
    }
}

impl Read for iscsicore_job {
    unsafe fn sum(&self) -> u64 {
        mix(mix(self.id, self.unit.into()), unsafe { self.op.sum() })
    }
}

impl Read for iscsicore_session {
    unsafe fn sum(&self) -> u64 {
        [self.initiator, self.initiator_alias, self.target, self.user]
            .into_iter()
            .fold(self.commands ^ self.bytes_in ^ self.bytes_out, |sum, at| mix(sum, unsafe { text(at) }))
    }
}

impl Read for iscsicore_counters {
    unsafe fn sum(&self) -> u64 {
        [self.commands, self.bytes_in, self.bytes_out, self.rejects].into_iter().fold(0, mix)
    }
}

unsafe fn records(at: *const iscsicore_target_record, count: usize) -> u64 {
    let mut sum = 0;
    for index in 0..count {
        let record = unsafe { at.add(index).read() };
        sum = mix(sum, unsafe { text(record.name) });
        for index in 0..record.address_count {
            let address = unsafe { record.addresses.add(index).read() };
            sum = mix(sum, unsafe { text(address.address) });
        }
    }
    sum
}

impl Read for iscsicore_nexus_event {
    unsafe fn sum(&self) -> u64 {
        use iscsicore_nexus_event_kind as K;
        let u = &self.u;
        unsafe {
            match self.kind {
                K::Dial => text(u.dial.address),
                K::Up => text(u.up.address),
                K::Down => text(u.down.text),
                K::AttemptFailed => text(u.attempt_failed.text),
                K::Redirected => mix(text(u.redirected.address), text(u.redirected.target)),
                K::Completed => {
                    let sense = bytes(u.completed.sense, u.completed.sense_len);
                    mix(sense, slices(u.completed.data, u.completed.data_count))
                }
                K::TaskManagementDone => u.task_management_done.request,
                K::Targets => records(u.targets.targets, u.targets.target_count),
                K::Pong => bytes(u.pong.data, u.pong.data_len),
                K::UnitAttention => bytes(u.unit_attention.sense, u.unit_attention.sense_len),
                K::AsyncMessage => bytes(u.async_message.data, u.async_message.data_len),
                K::Rejected => mix(text(u.rejected.text), bytes(u.rejected.header, 48)),
                K::Ended => text(u.ended.text),
                K::HangUp | K::RoomAgain => 0,
            }
        }
    }
}

impl Read for iscsicore_simple_event {
    unsafe fn sum(&self) -> u64 {
        mix(self.kind as u64, self.job.addr() as u64) ^ self.nexus.addr() as u64
    }
}

impl Read for iscsicore_target_event {
    unsafe fn sum(&self) -> u64 {
        use iscsicore_target_event_kind as K;
        let u = &self.u;
        unsafe {
            match self.kind {
                K::Login => {
                    mix(text(u.login.initiator), mix(text(u.login.initiator_alias), text(u.login.target)))
                }
                K::Ready => text(u.ready.user),
                K::Command => mix(u.command.task, bytes(u.command.cdb, u.command.cdb_len)),
                K::Data => {
                    assert_eq!(len_of(u.data.data, u.data.data_count), u.data.data_len as u64);
                    slices(u.data.data, u.data.data_count)
                }
                K::Abort => u.abort.task,
                K::TaskManagement => mix(u.task_management.request, u.task_management.lun),
                K::SendTargets => mix(u.send_targets.request, text(u.send_targets.target)),
                K::TasksAborted => u.tasks_aborted.abort,
                K::Ended => text(u.ended.text),
                K::Close => 0,
            }
        }
    }
}

impl Read for iscsicore_step {
    unsafe fn sum(&self) -> u64 {
        let mut sum = mix(self.kind as u64, self.need.into());
        if let Some(op) = unsafe { self.op.as_ref() } {
            sum = mix(sum, unsafe { op.sum() });
        }
        if let Some(reply) = unsafe { self.reply.as_ref() } {
            sum = mix(sum, unsafe { bytes(reply.sense, reply.sense_len) });
            sum = mix(sum, unsafe { slices(reply.data, reply.data_count) });
            assert_eq!(len_of(reply.data, reply.data_count), reply.data_len as u64);
        }
        sum
    }
}
