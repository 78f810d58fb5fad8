//! The disk device server by itself, called as C calls it.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every call of a C function is one: the tests are the callers"
)]

use std::ffi::{CString, c_int, c_void};
use std::mem::zeroed;
use std::ptr::{null, null_mut};

use iscsicore_ffi::op::{iscsicore_extent, iscsicore_io as Io, iscsicore_op, iscsicore_op_kind as OpKind};
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_status as Status;
use iscsicore_ffi::unit::command::*;
use iscsicore_ffi::unit::resume::*;
use iscsicore_ffi::unit::*;
use iscsicore_ffi::unit_options::iscsicore_unit_options;

#[path = "unit/misuse.rs"]
mod misuse;

const OK: Status = Status::Ok;
const NEXUS: u64 = 7;
const BLOCKS: u64 = 4096;
const DONE: c_int = Io::Done as c_int;

const READ_10: u8 = 0x28;
const WRITE_10: u8 = 0x2a;
const UNMAP: u8 = 0x42;
const REPORT_LUNS: u8 = 0xa0;

/// A unit of thin blocks of 512 bytes.
struct Unit(*mut iscsicore_unit);

impl Drop for Unit {
    fn drop(&mut self) {
        assert_eq!(unsafe { iscsicore_unit_free(self.0) }, OK);
    }
}

impl Unit {
    fn new(serial: &str) -> Unit {
        let serial = CString::new(serial).expect("no NUL");
        let mut unit = null_mut();
        unsafe {
            let mut options: iscsicore_unit_options = zeroed();
            options.size = size_of::<iscsicore_unit_options>();
            (options.serial, options.blocks, options.thin) = (serial.as_ptr(), BLOCKS, 1);
            assert_eq!(iscsicore_unit_new(&options, &mut unit), OK);
        }
        Unit(unit)
    }

    /// With an initiator that has taken its first unit attention.
    fn attached(serial: &str) -> Unit {
        let unit = Unit::new(serial);
        assert_eq!(unsafe { iscsicore_unit_attach(unit.0, NEXUS, 0) }, OK);
        assert_eq!(unit.attention(NEXUS), Some((0x29, 0)));
        unit
    }

    fn start(&self, nexus: u64, cdb: &[u8], data_in: u32, data_out: u32) -> Disk {
        let mut command = null_mut();
        let (bytes, len) = (cdb.as_ptr(), cdb.len());
        let started =
            unsafe { iscsicore_unit_start(self.0, nexus, bytes, len, 1, data_in, data_out, &mut command) };
        assert_eq!(started, OK);
        Disk(command)
    }

    /// TEST UNIT READY: the ASC and ASCQ of the unit attention that it meets.
    fn attention(&self, nexus: u64) -> Option<(u8, u8)> {
        let command = self.start(nexus, &[0; 6], 0, 0);
        let (status, sense) = command.reply();
        (status == 2 && sense[2] & 0xf == 6).then(|| (sense[12], sense[13]))
    }
}

/// A command.
struct Disk(*mut iscsicore_disk_command);

impl Drop for Disk {
    fn drop(&mut self) {
        assert_eq!(unsafe { iscsicore_disk_command_free(self.0) }, OK);
    }
}

impl Disk {
    fn step(&self) -> &iscsicore_step {
        let mut step = null();
        unsafe {
            assert_eq!(iscsicore_disk_command_step(self.0, &mut step), OK);
            &*step
        }
    }

    fn op(&self) -> &iscsicore_op {
        let step = self.step();
        assert_eq!((step.kind, step.need), (iscsicore_step_kind::Io, 0));
        assert!(step.reply.is_null());
        unsafe { step.op.as_ref() }.expect("an operation")
    }

    fn need(&self) -> u32 {
        let step = self.step();
        assert_eq!(step.kind, iscsicore_step_kind::NeedData);
        assert!(step.op.is_null() && step.reply.is_null());
        step.need
    }

    fn shown_reply(&self) -> &iscsicore_reply {
        let step = self.step();
        assert_eq!(step.kind, iscsicore_step_kind::Done);
        assert!(step.op.is_null());
        unsafe { step.reply.as_ref() }.expect("a reply")
    }

    /// Status and sense data.
    fn reply(&self) -> (u8, Vec<u8>) {
        let reply = self.shown_reply();
        let sense = match reply.sense_len {
            0 => Vec::new(),
            len => unsafe { std::slice::from_raw_parts(reply.sense, len) }.to_vec(),
        };
        (reply.status, sense)
    }

    fn data(&self) -> Vec<u8> {
        let reply = self.shown_reply();
        let data = unsafe { gather(reply.data, reply.data_count) };
        assert_eq!(data.len(), reply.data_len);
        data
    }
}

unsafe fn gather(slices: *const iscsicore_iovec, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..count {
        unsafe {
            let slice = *slices.add(at);
            bytes.extend_from_slice(std::slice::from_raw_parts(slice.iov_base.cast::<u8>(), slice.iov_len));
        }
    }
    bytes
}

/// Memory that is lent, and how often it was given back.
struct Lent {
    bytes: Vec<u8>,
    slice: Box<iscsicore_iovec>,
    given_back: Box<u32>,
}

unsafe extern "C" fn count(context: *mut c_void) {
    unsafe { *context.cast::<u32>() += 1 };
}

impl Lent {
    fn new(bytes: Vec<u8>) -> Lent {
        let slice = iscsicore_iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        Lent { bytes, slice: Box::new(slice), given_back: Box::new(0) }
    }

    fn payload(&mut self) -> iscsicore_payload {
        let context = (&raw mut *self.given_back).cast();
        iscsicore_payload { slices: &raw const *self.slice, count: 1, release: Some(count), context }
    }
}

fn cdb_10(opcode: u8, lba: u32, len: u16) -> [u8; 10] {
    let mut cdb = [opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[7..9].copy_from_slice(&len.to_be_bytes());
    cdb
}

#[test]
fn reads_are_lent_through_to_the_reply() {
    let unit = Unit::attached("reads");
    let command = unit.start(NEXUS, &cdb_10(READ_10, 5, 2), 1024, 0);
    let op = *command.op();
    assert_eq!((op.kind, op.offset, op.len), (OpKind::Read, 5 * 512, 1024));
    let (mut short, mut right) = (Lent::new(vec![1; 1023]), Lent::new(vec![2; 1024]));
    unsafe {
        let wrong = iscsicore_unit_resume_read(unit.0, command.0, &short.payload());
        assert_eq!((wrong, *short.given_back), (Status::InvalidArgument, 0));
        assert_eq!(iscsicore_unit_resume_read(unit.0, command.0, &right.payload()), OK);
    }
    let reply = *command.shown_reply();
    assert_eq!((reply.status, reply.transfer_len, reply.data_count, reply.sense_len), (0, 1024, 1, 0));
    let shown = unsafe { *reply.data };
    assert_eq!((shown.iov_base.cast_const().cast(), shown.iov_len), (right.bytes.as_ptr(), 1024), "uncopied");
    unsafe {
        let again = iscsicore_unit_resume_read(unit.0, command.0, &right.payload());
        assert_eq!((again, *right.given_back), (Status::WrongState, 0));
    }
    drop(command);
    assert_eq!(*right.given_back, 1);
}

#[test]
fn writes_are_lent_through_to_the_operation() {
    let unit = Unit::attached("writes");
    let command = unit.start(NEXUS, &cdb_10(WRITE_10, 8, 2), 0, 1024);
    assert_eq!(command.need(), 1024);
    let mut lent = Lent::new((0..1024u32).map(|at| at as u8).collect());
    unsafe {
        let early = iscsicore_unit_resume(unit.0, command.0, DONE, 0);
        assert_eq!(early, Status::WrongState, "it waits for data");
        assert_eq!(iscsicore_unit_resume_data(unit.0, command.0, &lent.payload()), OK);
        let op = *command.op();
        assert_eq!((op.kind, op.offset, op.len, op.fua), (OpKind::Write, 8 * 512, 1024, false));
        assert_eq!((*op.data).iov_base.cast_const().cast(), lent.bytes.as_ptr());
        let twice = iscsicore_unit_resume_data(unit.0, command.0, &lent.payload());
        assert_eq!((twice, *lent.given_back), (Status::WrongState, 0));
        let read = iscsicore_unit_resume_read(unit.0, command.0, &lent.payload());
        assert_eq!((read, *lent.given_back), (Status::InvalidArgument, 0), "it is no read");
        assert_eq!(iscsicore_unit_resume(unit.0, command.0, DONE, 0), OK);
        assert_eq!(*lent.given_back, 1, "as soon as the operation is done");
    }
    assert_eq!(command.reply(), (0, vec![]));
    assert_eq!(command.shown_reply().transfer_len, 1024);

    // Aborted while its operation is carried out: freed without an outcome.
    let command = unit.start(NEXUS, &cdb_10(WRITE_10, 8, 2), 0, 1024);
    let mut lent = Lent::new(vec![0; 1024]);
    assert_eq!(unsafe { iscsicore_unit_resume_data(unit.0, command.0, &lent.payload()) }, OK);
    drop(command);
    assert_eq!(*lent.given_back, 1);
}

#[test]
fn operations_that_fail_are_told_with_sense_data() {
    let unit = Unit::attached("faults");
    for (io, at, sense) in [
        (Io::MediumError, 6 * 512, [3, 0x11, 0]),
        (Io::Failed, 0, [4, 0x44, 0]),
        (Io::Unsupported, 0, [4, 0x44, 0]),
    ] {
        let command = unit.start(NEXUS, &cdb_10(READ_10, 5, 2), 1024, 0);
        unsafe {
            for bad in [DONE, 0, -1, 7] {
                assert_eq!(iscsicore_unit_resume(unit.0, command.0, bad, 0), Status::InvalidArgument);
            }
            assert_eq!(iscsicore_unit_resume(unit.0, command.0, io as c_int, at), OK);
        }
        let (status, told) = command.reply();
        assert_eq!((status, [told[2], told[12], told[13]]), (2, sense));
        if io == Io::MediumError {
            assert_eq!(told[3..7], [0, 0, 0, 6], "the block");
        }
    }
}

#[test]
fn space_is_given_up_and_told() {
    let unit = Unit::attached("space");
    let command = unit.start(NEXUS, &cdb_10(UNMAP, 0, 24), 0, 24);
    assert_eq!(command.need(), 24);
    let mut list = vec![0, 22, 0, 16, 0, 0, 0, 0];
    list.extend(64u64.to_be_bytes());
    list.extend([0, 0, 0, 16, 0, 0, 0, 0]);
    unsafe {
        let mut lent = Lent::new(list);
        assert_eq!(iscsicore_unit_resume_data(unit.0, command.0, &lent.payload()), OK);
        let op = *command.op();
        assert_eq!((op.kind, op.range_count), (OpKind::Unmap, 1));
        assert_eq!(((*op.ranges).offset, (*op.ranges).len), (64 * 512, 16 * 512));
        assert_eq!(iscsicore_unit_resume(unit.0, command.0, DONE, 0), OK);
    }
    assert_eq!(command.reply(), (0, vec![]));

    // GET LBA STATUS.
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x12, 64);
    let command = unit.start(NEXUS, &cdb, 64, 0);
    assert_eq!(command.op().kind, OpKind::Extents);
    let extents =
        [64, 16].map(|blocks| iscsicore_extent { len: blocks * 512, mapped: (blocks == 64).into() });
    unsafe {
        assert_eq!(iscsicore_unit_resume(unit.0, command.0, DONE, 0), Status::InvalidArgument);
        let missing = iscsicore_unit_resume_extents(unit.0, command.0, null(), 2);
        assert_eq!(missing, Status::NullPointer);
        assert_eq!(iscsicore_unit_resume_extents(unit.0, command.0, extents.as_ptr(), 2), OK);
    }
    let data = command.data();
    assert_eq!((&data[8..20], data[20]), (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64][..], 0), "mapped");
    assert_eq!((&data[24..36], data[36]), (&[0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 16][..], 1), "deallocated");
}

#[test]
fn report_luns_and_absent_units_are_answered_at_once() {
    let mut cdb = [0; 12];
    (cdb[0], cdb[9]) = (REPORT_LUNS, 255);
    let answer = |cdb: &[u8], luns: &[u64]| {
        let mut command = null_mut();
        let (bytes, len) = (cdb.as_ptr(), cdb.len());
        let answered = unsafe {
            iscsicore_disk_command_report_luns(bytes, len, luns.as_ptr(), luns.len(), &mut command)
        };
        assert_eq!(answered, OK);
        Disk(command)
    };
    let command = answer(&cdb, &[0, 5 << 48]);
    assert_eq!(command.data()[..8], [0, 0, 0, 16, 0, 0, 0, 0]);
    assert_eq!(command.data()[16..], [0, 5, 0, 0, 0, 0, 0, 0]);
    assert_eq!(answer(&[REPORT_LUNS; 12], &[]).reply().0, 2, "reserved bits");
    let unit = Unit::attached("luns");
    let resumed = unsafe { iscsicore_unit_resume(unit.0, command.0, DONE, 0) };
    assert_eq!(resumed, Status::WrongState, "no unit goes on with it");
    assert_eq!(unit.start(NEXUS, &cdb, 255, 0).data().len(), 16, "a unit by itself is LUN 0");

    let mut command = null_mut();
    let absent =
        |cdb: &[u8], command| unsafe { iscsicore_disk_command_absent_unit(cdb.as_ptr(), cdb.len(), command) };
    assert_eq!(absent(&[0x12, 0, 0, 0, 36, 0], &mut command), OK);
    assert_eq!(Disk(command).data()[0], 0x7f);
    assert_eq!(absent(&[0; 6], &mut command), OK);
    let (status, sense) = Disk(command).reply();
    assert_eq!((status, sense[12]), (2, 0x25), "logical unit not supported");
}

#[test]
fn each_initiator_learns_what_concerns_it() {
    let unit = Unit::attached("attention");
    unsafe {
        assert_eq!(iscsicore_unit_attach(unit.0, 8, 1), OK);
        assert_eq!(unit.attention(8), Some((0x29, 0x07)), "I_T nexus loss");
        assert_eq!(unit.attention(8), None);
        for (cause, told) in [(1, (0x29, 1)), (2, (0x29, 2)), (3, (0x29, 3))] {
            assert_eq!(iscsicore_unit_reset(unit.0, cause), OK);
            assert_eq!((unit.attention(NEXUS), unit.attention(8)), (Some(told), Some(told)));
        }
        let (mut blocks, mut size) = (0, 0);
        assert_eq!(iscsicore_unit_resize(unit.0, BLOCKS + 1), OK);
        assert_eq!(iscsicore_unit_blocks(unit.0, &mut blocks, &mut size), OK);
        assert_eq!((blocks, size), (BLOCKS + 1, 512));
        assert_eq!(iscsicore_unit_blocks(unit.0, &mut blocks, null_mut()), OK);
        assert_eq!((unit.attention(NEXUS), unit.attention(8)), (Some((0x2a, 9)), Some((0x2a, 9))));
        assert_eq!(iscsicore_unit_tasks_cleared(unit.0, 8, NEXUS), OK);
        assert_eq!(iscsicore_unit_tasks_cleared(unit.0, 8, 8), OK);
        assert_eq!((unit.attention(NEXUS), unit.attention(8)), (Some((0x2f, 0)), None));
        assert_eq!(iscsicore_unit_tasks_terminated(unit.0, 8), OK);
        assert_eq!((unit.attention(NEXUS), unit.attention(8)), (None, Some((0x47, 0x7f))));
        assert_eq!(iscsicore_unit_luns_changed(unit.0, 8, 0), OK);
        assert_eq!(unit.attention(8), Some((0x3f, 0x0e)));
        assert_eq!(iscsicore_unit_luns_changed(unit.0, 8, 0), OK);
        assert_eq!(iscsicore_unit_luns_changed(unit.0, 8, 1), OK);
        assert_eq!(unit.attention(8), None);

        assert_eq!(iscsicore_unit_set_access(unit.0, 8, 1), OK);
        let (status, sense) = unit.start(8, &cdb_10(WRITE_10, 0, 1), 0, 512).reply();
        assert_eq!((status, sense[2] & 0xf, sense[12]), (2, 7, 0x27), "write protected");
        assert_eq!(unit.start(NEXUS, &cdb_10(WRITE_10, 0, 1), 0, 512).need(), 512);
        let name = CString::new("iqn.2001-04.com.example:disk,t,0x0001").expect("no NUL");
        assert_eq!(iscsicore_unit_set_port(unit.0, 8, name.as_ptr(), 1), OK);
        let page = unit.start(8, &[0x12, 1, 0x83, 1, 0, 0], 256, 0).data();
        assert!(page.windows(name.as_bytes().len()).any(|window| window == name.as_bytes()));
        assert_eq!(iscsicore_unit_detach(unit.0, 8), OK);
        assert_eq!(iscsicore_unit_detach(unit.0, 8), Status::Unknown);
    }
}
