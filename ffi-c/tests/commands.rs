//! The builders of commands, called as C would call them, against those of the core.

use std::ffi::c_int;
use std::ptr;

use iscsicore::initiator::Command;
use iscsicore::initiator::commands::{
    self as core, Access, Deallocate, PageControl, PrOut, RegisterOptions, Save, StartStop,
};
use iscsicore::scsi::reservation::{ReservationType, TransportId};
use iscsicore::scsi::{Cdb, SenseFormat};
use iscsicore::wire::Lun;
use iscsicore_ffi::codes::iscsicore_task_attribute;
use iscsicore_ffi::command::*;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_status as Status;

const LUN: Lun = Lun(3 << 48);
const L: u64 = LUN.0;

type Place = *mut *mut iscsicore_command;

/// The command that a builder makes.
#[track_caller]
fn made(build: impl FnOnce(Place) -> Status) -> *mut iscsicore_command {
    let mut command = ptr::null_mut();
    assert_eq!(build(&mut command), Status::Ok);
    assert!(!command.is_null());
    command
}

/// Why a builder makes none.
#[track_caller]
fn refused(build: impl FnOnce(Place) -> Status) -> Status {
    let mut command = ptr::dangling_mut();
    let status = build(&mut command);
    assert_ne!(status, Status::Ok);
    assert!(command.is_null(), "no handle comes with a failure");
    status
}

fn cdb_of(command: *const iscsicore_command) -> Vec<u8> {
    let (mut bytes, mut len) = ([0xee; 260], 0);
    // SAFETY: as C would.
    assert_eq!(unsafe { iscsicore_command_cdb(command, bytes.as_mut_ptr(), 260, &mut len) }, Status::Ok);
    assert!(bytes[len..].iter().all(|byte| *byte == 0xee));
    bytes[..len].to_vec()
}

fn free(command: *mut iscsicore_command) {
    // SAFETY: as C would.
    assert_eq!(unsafe { iscsicore_command_free(command) }, Status::Ok);
}

/// A builder makes what the core's function makes.
#[track_caller]
fn same(want: Command, build: impl FnOnce(Place) -> Status) {
    let command = made(build);
    let cdb = cdb_of(command);
    let stated = want.cdb.stated_len().unwrap();
    assert_eq!(cdb, want.cdb.first()[..stated], "{}", want.name());
    let (mut data_in, mut data_out) = (99, 99);
    // SAFETY: as C would.
    unsafe {
        assert_eq!(iscsicore_command_data_in(command, &mut data_in), Status::Ok);
        assert_eq!(iscsicore_command_data_out(command, &mut data_out), Status::Ok);
    }
    assert_eq!((data_in, data_out), (want.data_in, want.data_out.len()), "{}", want.name());
    free(command);
}

fn iovec(bytes: &[u8]) -> iscsicore_iovec {
    iscsicore_iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn payload(slices: &[iscsicore_iovec]) -> iscsicore_payload {
    iscsicore_payload {
        slices: slices.as_ptr(),
        count: slices.len(),
        release: None,
        context: ptr::null_mut(),
    }
}

#[test]
fn blocks() {
    let data = vec![7u8; 4096];
    let slices = [iovec(&data[..1000]), iovec(&data[1000..])];
    let lent = &payload(&slices);
    let list = || data.clone();
    // SAFETY: as C would.
    unsafe {
        for (lba, blocks) in [(0, 1), (0x1234_5678, 0x1234), (1 << 32, 1), (5, 70_000)] {
            same(core::read(LUN, lba, blocks, 512).unwrap(), |p| {
                iscsicore_command_read(L, lba, blocks, 512, p)
            });
            same(core::verify(LUN, lba, blocks).unwrap(), |p| iscsicore_command_verify(L, lba, blocks, p));
            same(core::flush_range(LUN, lba, blocks), |p| iscsicore_command_flush_range(L, lba, blocks, p));
        }
        for lba in [9, 1 << 40] {
            same(core::write(LUN, lba, list(), 512).unwrap(), |p| {
                iscsicore_command_write(L, lba, lent, 512, p)
            });
            same(core::verify_data(LUN, lba, list(), 4096).unwrap(), |p| {
                iscsicore_command_verify_data(L, lba, lent, 4096, p)
            });
            same(core::compare_and_write(LUN, lba, list(), 4).unwrap(), |p| {
                iscsicore_command_compare_and_write(L, lba, lent, 4, p)
            });
        }
        same(core::flush(LUN), |p| iscsicore_command_flush(L, p));
        let invalid = Status::InvalidArgument;
        assert_eq!(refused(|p| iscsicore_command_read(L, 0, 0, 512, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_read(L, 0, u32::MAX, 512, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_verify(L, 0, 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write(L, 0, lent, 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write(L, 0, lent, 4095, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write(L, 0, ptr::null(), 512, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_compare_and_write(L, 0, lent, 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_compare_and_write(L, 0, lent, 7, p)), invalid);
        let hole = iscsicore_iovec { iov_base: ptr::null_mut(), iov_len: 512 };
        assert_eq!(
            refused(|p| iscsicore_command_write(L, 0, &payload(&[hole]), 512, p)),
            Status::NullPointer
        );
        assert_eq!(iscsicore_command_read(L, 0, 1, 512, ptr::null_mut()), Status::NullPointer);
    }
}

#[test]
fn information() {
    // SAFETY: as C would.
    unsafe {
        same(core::test_unit_ready(LUN), |p| iscsicore_command_test_unit_ready(L, p));
        same(core::inquiry(LUN), |p| iscsicore_command_inquiry(L, p));
        same(core::vpd(LUN, 0xb0), |p| iscsicore_command_vpd(L, 0xb0, p));
        same(core::read_capacity_10(LUN), |p| iscsicore_command_read_capacity_10(L, p));
        same(core::read_capacity_16(LUN), |p| iscsicore_command_read_capacity_16(L, p));
        same(core::report_luns(LUN), |p| iscsicore_command_report_luns(L, p));
        same(core::request_sense(LUN, SenseFormat::Fixed), |p| iscsicore_command_request_sense(L, 0, p));
        same(core::request_sense(LUN, SenseFormat::Descriptor), |p| iscsicore_command_request_sense(L, 1, p));
        same(core::report_supported_opcodes(LUN), |p| iscsicore_command_report_supported_opcodes(L, p));
        for (number, action) in [(-1, None), (0, Some(0)), (0x10, Some(0x10)), (65535, Some(65535))] {
            same(core::report_opcode_support(LUN, 0x9e, action), |p| {
                iscsicore_command_report_opcode_support(L, 0x9e, number, p)
            });
        }
        for bad in [-2, 65536] {
            let status = refused(|p| iscsicore_command_report_opcode_support(L, 0x9e, bad, p));
            assert_eq!(status, Status::InvalidArgument);
        }
    }
}

#[test]
fn modes() {
    let page = [0x88, 2, 4, 0];
    let (bytes, len) = (page.as_ptr(), page.len());
    let controls = [PageControl::Current, PageControl::Changeable, PageControl::Default, PageControl::Saved];
    // SAFETY: as C would.
    unsafe {
        for (number, control) in (0..).zip(controls) {
            same(core::mode_sense_6_with(LUN, 8, 1, control), |p| {
                iscsicore_command_mode_sense_6(L, 8, 1, number, p)
            });
            same(core::mode_sense_10_with(LUN, 8, 1, control), |p| {
                iscsicore_command_mode_sense_10(L, 8, 1, number, p)
            });
        }
        for (number, save) in [(0, Save::No), (1, Save::Yes), (-1, Save::Yes)] {
            same(core::mode_select_6(LUN, &page, save).unwrap(), |p| {
                iscsicore_command_mode_select_6(L, bytes, len, number, p)
            });
            same(core::mode_select_10(LUN, &page, save).unwrap(), |p| {
                iscsicore_command_mode_select_10(L, bytes, len, number, p)
            });
        }
        let all = [StartStop::Stop, StartStop::Start, StartStop::Eject, StartStop::Load];
        for (number, to) in (0..).zip(all) {
            same(core::start_stop(LUN, to), |p| iscsicore_command_start_stop(L, number, p));
        }
        for bad in [-1, 4] {
            let invalid = Status::InvalidArgument;
            assert_eq!(refused(|p| iscsicore_command_mode_sense_6(L, 8, 0, bad, p)), invalid);
            assert_eq!(refused(|p| iscsicore_command_mode_sense_10(L, 8, 0, bad, p)), invalid);
            assert_eq!(refused(|p| iscsicore_command_start_stop(L, bad, p)), invalid);
        }
        for short in 0..len {
            let status = refused(|p| iscsicore_command_mode_select_6(L, bytes, short, 0, p));
            assert_eq!(status, Status::InvalidArgument);
        }
        let status = refused(|p| iscsicore_command_mode_select_10(L, ptr::null(), 4, 0, p));
        assert_eq!(status, Status::NullPointer);
    }
}

#[test]
fn provisioning() {
    let ranges = [
        iscsicore_blocks { lba: 1 << 33, blocks: 8, reserved: 0 },
        iscsicore_blocks { lba: 64, blocks: 1, reserved: 0 },
    ];
    let many = vec![ranges[0]; 5000];
    let block = vec![0x5a; 512];
    let slices = [iovec(&block[..3]), iovec(&block[3..])];
    let lent = &payload(&slices);
    // SAFETY: as C would.
    unsafe {
        same(core::unmap(LUN, &[(1 << 33, 8), (64, 1)]).unwrap(), |p| {
            iscsicore_command_unmap(L, ranges.as_ptr(), 2, p)
        });
        for (number, how) in (0..).zip([Deallocate::No, Deallocate::Allowed, Deallocate::Anchored]) {
            same(core::write_same(LUN, 8, 100, block.clone().into(), how).unwrap(), |p| {
                iscsicore_command_write_same(L, 8, 100, lent, number, p)
            });
            same(core::write_zeroes(LUN, 8, 100, how).unwrap(), |p| {
                iscsicore_command_write_zeroes(L, 8, 100, number, p)
            });
        }
        same(core::get_lba_status(LUN, 77, 24).unwrap(), |p| iscsicore_command_get_lba_status(L, 77, 24, p));
        let invalid = Status::InvalidArgument;
        assert_eq!(refused(|p| iscsicore_command_unmap(L, ranges.as_ptr(), 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_unmap(L, many.as_ptr(), 4096, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_unmap(L, many.as_ptr(), 5000, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_unmap(L, ptr::null(), 1, p)), Status::NullPointer);
        assert_eq!(refused(|p| iscsicore_command_unmap(L, many.as_ptr(), usize::MAX, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write_same(L, 0, 0, lent, 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write_same(L, 0, 1, ptr::null(), 0, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write_same(L, 0, 1, lent, 3, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_write_zeroes(L, 0, 1, -1, p)), invalid);
        assert_eq!(refused(|p| iscsicore_command_get_lba_status(L, 0, 23, p)), invalid);
    }
}

fn pr(action: c_int) -> iscsicore_pr_out {
    iscsicore_pr_out {
        size: size_of::<iscsicore_pr_out>(),
        key: 0x1111,
        new_key: 0x2222,
        action,
        reservation_type: iscsicore_reservation_type::ExclusiveAccessRegistrantsOnly as c_int,
        aptpl: 1,
        all_target_ports: 0,
        unregister: 1,
        target_port: 9,
        reserved: 0,
        initiators: ptr::null(),
        initiator_count: 0,
    }
}

#[test]
fn reservations() {
    let (key, new, aptpl) = (0x1111, 0x2222, true);
    let kind = ReservationType::ExclusiveAccessRegistrantsOnly;
    let options = RegisterOptions { aptpl, ..RegisterOptions::default() };
    let plain = [
        (0, PrOut::Register { key, new, options: options.clone() }),
        (1, PrOut::Reserve { key, kind }),
        (2, PrOut::Release { key, kind }),
        (3, PrOut::Clear { key }),
        (4, PrOut::Preempt { key, victim: new, kind }),
        (5, PrOut::PreemptAndAbort { key, victim: new, kind }),
        (6, PrOut::RegisterAndIgnore { new, options: options.clone() }),
        (8, PrOut::ReplaceLost { new, kind, aptpl }),
    ];
    // SAFETY: as C would.
    unsafe {
        for (action, want) in plain {
            same(core::pr_out(LUN, &want).unwrap(), |p| iscsicore_command_pr_out(L, &pr(action), p));
        }
        let ports = [
            iscsicore_initiator_port { name: c"iqn.2001-04.com.example:a".as_ptr(), isid: ptr::null() },
            iscsicore_initiator_port {
                name: c"iqn.2001-04.com.example:b".as_ptr(),
                isid: c"80123456789a".as_ptr(),
            },
        ];
        let id = |name: &str, isid: Option<&str>| TransportId::Iscsi {
            name: format!("iqn.2001-04.com.example:{name}"),
            isid: isid.map(str::to_owned),
        };
        let initiators = vec![id("a", None), id("b", Some("80123456789a"))];
        let want = PrOut::Register { key, new, options: RegisterOptions { initiators, ..options } };
        let mut given = pr(0);
        (given.initiators, given.initiator_count) = (ports.as_ptr(), 2);
        same(core::pr_out(LUN, &want).unwrap(), |p| iscsicore_command_pr_out(L, &given, p));
        let invalid = Status::InvalidArgument;
        for action in [1, 2, 3, 4, 5, 6, 7, 8] {
            given.action = action;
            assert_eq!(refused(|p| iscsicore_command_pr_out(L, &given, p)), invalid, "{action}");
        }
        given.action = 7;
        given.initiator_count = 1;
        let want = PrOut::RegisterAndMove {
            key,
            new,
            unregister: true,
            aptpl,
            target_port: 9,
            initiator: id("a", None),
        };
        same(core::pr_out(LUN, &want).unwrap(), |p| iscsicore_command_pr_out(L, &given, p));
        for bad in [-1, 9, 256] {
            assert_eq!(refused(|p| iscsicore_command_pr_out(L, &pr(bad), p)), invalid);
            let unknown = iscsicore_pr_out { reservation_type: bad, ..pr(1) };
            assert_eq!(refused(|p| iscsicore_command_pr_out(L, &unknown, p)), invalid);
        }
        for isid in [c"", c"80123456789", c"80123456789x"] {
            let port = iscsicore_initiator_port { isid: isid.as_ptr(), ..ports[0] };
            (given.action, given.initiators) = (0, &raw const port);
            assert_eq!(refused(|p| iscsicore_command_pr_out(L, &given, p)), invalid);
        }
        assert_eq!(refused(|p| iscsicore_command_pr_out(L, ptr::null(), p)), Status::NullPointer);
        let small = iscsicore_pr_out { size: 8, ..pr(0) };
        assert_eq!(refused(|p| iscsicore_command_pr_out(L, &small, p)), Status::InvalidSize);
        let all = [
            core::pr_in_keys(LUN),
            core::pr_in_reservation(LUN),
            core::pr_in_capabilities(LUN),
            core::pr_in_full_status(LUN),
        ];
        for (action, want) in (0..).zip(all) {
            same(want, |p| iscsicore_command_pr_in(L, action, p));
        }
        assert_eq!(refused(|p| iscsicore_command_pr_in(L, 4, p)), invalid);
        same(core::reserve_6(LUN), |p| iscsicore_command_reserve_6(L, p));
        same(core::release_6(LUN), |p| iscsicore_command_release_6(L, p));
    }
}

#[test]
fn any_cdb_will_do() {
    let long: Vec<u8> = [&[0x7f, 0, 0, 0, 0, 0, 0, 24][..], &[0xab; 24]].concat();
    let data = [1, 2, 3];
    // SAFETY: as C would.
    unsafe {
        let lent = &payload(&[iovec(&data)]);
        let command = made(|p| iscsicore_command_new(L, long.as_ptr(), 32, 77, lent, p));
        assert_eq!(cdb_of(command), long);
        let (mut data_in, mut data_out) = (0, 0);
        assert_eq!(iscsicore_command_data_in(command, &mut data_in), Status::Ok);
        assert_eq!(iscsicore_command_data_out(command, &mut data_out), Status::Ok);
        assert_eq!((data_in, data_out), (77, 3));
        free(command);
        // A vendor's: nobody knows how long it is.
        let command = made(|p| iscsicore_command_new(L, [0xc1, 5].as_ptr(), 2, 0, ptr::null(), p));
        assert_eq!(cdb_of(command), [&[0xc1, 5][..], &[0; 14]].concat());
        free(command);
        let none = ptr::null();
        assert_eq!(refused(|p| iscsicore_command_new(L, none, 6, 0, none.cast(), p)), Status::NullPointer);
        let invalid = Status::InvalidArgument;
        assert_eq!(refused(|p| iscsicore_command_new(L, none, 0, 0, none.cast(), p)), invalid);
        let huge = [0x7f; 261];
        assert_eq!(refused(|p| iscsicore_command_new(L, huge.as_ptr(), 261, 0, none.cast(), p)), invalid);
        assert!(Cdb::from_slice(&huge[..260]).is_some());
        free(made(|p| iscsicore_command_new(L, huge.as_ptr(), 260, 0, none.cast(), p)));
    }
}

#[test]
fn what_is_set_is_checked() {
    // SAFETY: as C would.
    unsafe {
        let read = made(|p| iscsicore_command_read(L, 9, 1, 512, p));
        let access = Access { fua: true, dpo: true };
        assert_eq!(iscsicore_command_set_access(read, 1, -5), Status::Ok);
        assert_eq!(cdb_of(read), core::read_with(LUN, 9, 1, 512, access).unwrap().cdb.first()[..10]);
        assert_eq!(iscsicore_command_set_access(read, 0, 0), Status::Ok);
        assert_eq!(cdb_of(read), core::read(LUN, 9, 1, 512).unwrap().cdb.first()[..10]);
        let flush = made(|p| iscsicore_command_flush(L, p));
        assert_eq!(iscsicore_command_set_access(flush, 1, 0), Status::WrongState);
        free(flush);
        let head = iscsicore_task_attribute::HeadOfQueue as c_int;
        assert_eq!(iscsicore_command_set_attribute(read, head), Status::Ok);
        assert_eq!(iscsicore_command_set_priority(read, 15), Status::Ok);
        assert_eq!(iscsicore_command_set_repeat(read, 1), Status::Ok);
        assert_eq!(iscsicore_command_set_transient(read, 0), Status::Ok);
        assert_eq!(iscsicore_command_set_timeout(read, u64::MAX), Status::Ok);
        let invalid = Status::InvalidArgument;
        for bad in [-1, 5, 255, 256] {
            assert_eq!(iscsicore_command_set_attribute(read, bad), invalid);
        }
        for bad in [-1, 16] {
            assert_eq!(iscsicore_command_set_priority(read, bad), invalid);
        }
        for bad in [-1, 2] {
            assert_eq!(iscsicore_command_set_repeat(read, bad), invalid);
            assert_eq!(iscsicore_command_set_transient(read, bad), invalid);
        }
        assert_eq!(iscsicore_command_set_timeout(ptr::null_mut(), 1), Status::NullPointer);
        let (mut byte, mut len) = (0, 0);
        assert_eq!(iscsicore_command_cdb(read, &mut byte, 1, &mut len), Status::BufferTooSmall);
        assert_eq!((byte, len), (0, 10));
        free(read);
    }
}

#[test]
fn room_for_longer_answers() {
    // SAFETY: as C would.
    unsafe {
        let luns = made(|p| iscsicore_command_report_luns(L, p));
        let answer = 100_000u32.to_be_bytes();
        let mut len = 0;
        assert_eq!(iscsicore_command_stated_len(luns, answer.as_ptr(), 4, &mut len), Status::Ok);
        assert_eq!(len, 100_008);
        assert_eq!(iscsicore_command_make_room(luns, len), Status::Ok);
        assert_eq!(cdb_of(luns), core::report_luns(LUN).with_room_for(100_008).cdb.first()[..12]);
        let mut room = 0;
        assert_eq!(iscsicore_command_data_in(luns, &mut room), Status::Ok);
        assert_eq!(room, 100_008);
        assert_eq!(iscsicore_command_stated_len(luns, answer.as_ptr(), 3, &mut len), Status::Ok);
        assert_eq!(len, 0);
        free(luns);
    }
}
