//! What cannot be seen from C: payload that the library makes, and what follows from what a command does.

use core::ffi::c_int;
use core::ptr;

use iscsicore::initiator::commands::{self as core_, Deallocate, PrOut, RegisterOptions, Save};
use iscsicore::scsi::reservation::{ReservationType, TransportId};

use super::*;
use crate::payload::iscsicore_iovec;

const LUN: Lun = Lun(7 << 48);

/// A builder makes what the core's function makes, to the last bit.
#[track_caller]
fn same(want: Command, build: impl FnOnce(*mut *mut iscsicore_command) -> iscsicore_status) {
    let mut command = ptr::null_mut();
    assert_eq!(build(&mut command), iscsicore_status::Ok);
    // SAFETY: it was just made.
    let made = format!("{:?}", unsafe { lock(command) }.unwrap().command);
    assert_eq!(made, format!("{want:?}"));
    // SAFETY: as above.
    unsafe { iscsicore_command_free(command) };
}

#[test]
fn parameter_lists_and_policies_are_the_core_s() {
    let page = [0x08, 1, 4];
    let ranges = [iscsicore_blocks { lba: 1 << 33, blocks: 8, reserved: 0 }];
    let data = vec![0x5a; 1024];
    let slice = iscsicore_iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let given = &iscsicore_payload { slices: &slice, count: 1, release: None, context: ptr::null_mut() };
    let lun = LUN.0;
    // SAFETY: as C would.
    unsafe {
        same(core_::read(LUN, 1, 2, 512).unwrap(), |p| iscsicore_command_read(lun, 1, 2, 512, p));
        same(core_::flush(LUN), |p| iscsicore_command_flush(lun, p));
        same(core_::reserve_6(LUN), |p| iscsicore_command_reserve_6(lun, p));
        same(core_::write(LUN, 1, data.clone(), 512).unwrap(), |p| {
            iscsicore_command_write(lun, 1, given, 512, p)
        });
        same(core_::compare_and_write(LUN, 1, data.clone(), 1).unwrap(), |p| {
            iscsicore_command_compare_and_write(lun, 1, given, 1, p)
        });
        same(core_::write_same(LUN, 1, 9, data.clone().into(), Deallocate::Anchored).unwrap(), |p| {
            iscsicore_command_write_same(lun, 1, 9, given, 2, p)
        });
        same(core_::unmap(LUN, &[(1 << 33, 8)]).unwrap(), |p| {
            iscsicore_command_unmap(lun, ranges.as_ptr(), 1, p)
        });
        same(core_::mode_select_6(LUN, &page, Save::Yes).unwrap(), |p| {
            iscsicore_command_mode_select_6(lun, page.as_ptr(), 3, 1, p)
        });
        same(core_::mode_select_10(LUN, &page, Save::No).unwrap(), |p| {
            iscsicore_command_mode_select_10(lun, page.as_ptr(), 3, 0, p)
        });
        let cdb = Cdb::from_slice(&[0x1b, 0, 0, 0, 1, 0]).unwrap();
        let want = Command { data_in: 5, data_out: data.clone().into(), ..Command::new(LUN, cdb) };
        same(want, |p| iscsicore_command_new(lun, [0x1b, 0, 0, 0, 1, 0].as_ptr(), 6, 5, given, p));
    }
}

#[test]
fn keys_and_flags_of_reservations_are_where_they_belong() {
    let (key, new) = (0x1111, 0x2222);
    let kind = ReservationType::WriteExclusiveAllRegistrants;
    let port = iscsicore_initiator_port { name: c"iqn.a".as_ptr(), isid: c"80000000000a".as_ptr() };
    let initiator = TransportId::Iscsi { name: "iqn.a".into(), isid: Some("80000000000a".into()) };
    let base = iscsicore_pr_out {
        size: size_of::<iscsicore_pr_out>(),
        key,
        new_key: new,
        action: 0,
        reservation_type: iscsicore_reservation_type::WriteExclusiveAllRegistrants as c_int,
        aptpl: 0,
        all_target_ports: 0,
        unregister: 0,
        target_port: 9,
        reserved: 0,
        initiators: ptr::null(),
        initiator_count: 0,
    };
    let (aptpl, unregister) = (false, false);
    let named = RegisterOptions { initiators: vec![initiator.clone()], ..RegisterOptions::default() };
    let flags = [(1, 0), (0, 1), (1, 1)].map(|(aptpl, all)| {
        let options = RegisterOptions { aptpl: aptpl == 1, all_target_ports: all == 1, initiators: vec![] };
        (iscsicore_pr_out { aptpl, all_target_ports: all, ..base }, PrOut::Register { key, new, options })
    });
    let with_port = iscsicore_pr_out { initiators: &port, initiator_count: 1, ..base };
    let moved = |unregister, aptpl| PrOut::RegisterAndMove {
        key,
        new,
        unregister,
        aptpl,
        target_port: 9,
        initiator: initiator.clone(),
    };
    let cases = [
        (iscsicore_pr_out { action: 1, ..base }, PrOut::Reserve { key, kind }),
        (iscsicore_pr_out { action: 2, ..base }, PrOut::Release { key, kind }),
        (iscsicore_pr_out { action: 3, ..base }, PrOut::Clear { key }),
        (iscsicore_pr_out { action: 4, ..base }, PrOut::Preempt { key, victim: new, kind }),
        (iscsicore_pr_out { action: 5, ..base }, PrOut::PreemptAndAbort { key, victim: new, kind }),
        (
            iscsicore_pr_out { action: 6, ..base },
            PrOut::RegisterAndIgnore { new, options: RegisterOptions::default() },
        ),
        (iscsicore_pr_out { action: 7, ..with_port }, moved(unregister, aptpl)),
        (iscsicore_pr_out { action: 7, unregister: 1, ..with_port }, moved(true, false)),
        (iscsicore_pr_out { action: 7, aptpl: 1, ..with_port }, moved(false, true)),
        (iscsicore_pr_out { action: 8, ..base }, PrOut::ReplaceLost { new, kind, aptpl }),
        (with_port, PrOut::Register { key, new, options: named }),
    ];
    for (given, want) in cases.into_iter().chain(flags) {
        // SAFETY: as C would.
        same(core_::pr_out(LUN, &want).unwrap(), |p| unsafe { iscsicore_command_pr_out(LUN.0, &given, p) });
    }
}
