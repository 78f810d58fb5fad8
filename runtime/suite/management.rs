//! Task management over sessions: a response means that nothing of an aborted task can touch the medium any more.

use std::sync::Arc;

use crate::platform::backend::{Gate, Kind, MemoryBackend};
use iscsicore::wire::{
    Itt, TaskManagementFunction as Function, TaskManagementRequest, TaskManagementResult as Answer,
};

use crate::support::initiator::{Login, Session};
use crate::support::serving::{Serving, TARGET, WHILE};

const NOBODY: Itt = Itt::RESERVED;

/// A target whose LUNs share a unit.
const TWO_WAYS: &str = "iqn.2026-01.dev.iscsicore.test:two-ways";

/// Starts a write of ones at a block and holds it in the storage.
fn held_write(serving: &Serving, session: &mut Session, lba: u64) -> (Itt, Gate) {
    let gate = serving.hold(Kind::Write, lba * 512);
    let itt = session.start_write(0, lba, &[1; 512]);
    serving.reached(&gate);
    (itt, gate)
}

/// A request for LUN 0 that carries the number of the command that comes next.
fn immediate(session: &mut Session, function: Function) -> TaskManagementRequest {
    TaskManagementRequest {
        immediate: true,
        function,
        lun: iscsicore::wire::Lun(0),
        itt: session.new_itt(),
        referenced_itt: NOBODY,
        cmd_sn: session.cmd_sn,
        exp_stat_sn: session.exp_stat_sn,
        ref_cmd_sn: iscsicore::wire::CmdSn(0),
        exp_data_sn: iscsicore::wire::DataSn(0),
    }
}

/// After a response, what was aborted has either landed or never will: the disk no longer changes.
fn assert_nothing_lands_late(serving: &Serving, session: &mut Session, lba: u64) {
    session.write(0, lba, &[9; 512]);
    std::thread::sleep(WHILE / 3);
    assert_eq!(serving.bytes(lba * 512, 512), [9; 512], "an aborted write landed after the response");
}

#[test]
fn abort_task_is_answered_when_the_write_has_ended() {
    let serving = Serving::new();
    let mut session = serving.login("abort");
    let (write, gate) = held_write(&serving, &mut session, 0);
    let abort = session.start_management(Function::AbortTask, 0, write);
    assert!(session.is_silent_about(abort, WHILE), "the storage still has the write");
    session.nop();
    gate.open();
    assert_eq!(session.management_result(abort), Answer::Complete);
    assert_nothing_lands_late(&serving, &mut session, 0);
    assert!(session.is_silent_about(write, WHILE), "an aborted task is not answered");
}

/// A command of many operations stops at the next of them.
#[test]
fn an_aborted_command_of_many_steps_does_not_go_on() {
    let serving = Serving::new();
    let mut session = serving.login("steps");
    let mut write_same = crate::support::initiator::write16(0, 16_384);
    write_same[0] = 0x93;
    let writes = || serving.disk.calls().iter().filter(|c| c.kind == Kind::Write).count();
    let whole = session.start_out(0, &write_same, &[7; 512]);
    assert_eq!(session.finish(whole).status, 0);
    let steps = writes();
    assert!(steps > 1, "otherwise this shows nothing");
    let gate = serving.hold(Kind::Write, 0);
    let itt = session.start_out(0, &write_same, &[8; 512]);
    serving.reached(&gate);
    let abort = session.start_management(Function::AbortTask, 0, itt);
    assert!(session.is_silent_about(abort, WHILE));
    gate.open();
    assert_eq!(session.management_result(abort), Answer::Complete);
    std::thread::sleep(WHILE / 3);
    assert_eq!(writes(), steps + 1);
    session.nop();
}

// covers: 7143-11.5.1-11
#[test]
fn abort_task_does_not_abort_a_task_management_request() {
    let serving = Serving::new();
    let mut session = serving.login("abort-tmf");
    let (_, gate) = held_write(&serving, &mut session, 0);
    let reset = session.start_management(Function::LogicalUnitReset, 0, NOBODY);
    let abort = session.start_management(Function::AbortTask, 0, reset);
    assert_eq!(session.management_result(abort), Answer::Rejected);
    gate.open();
    assert_eq!(session.management_result(reset), Answer::Complete);
}

#[test]
fn abort_task_set_concerns_the_asking_session_alone() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("set-1"), serving.login("set-2"));
    let (mine, my_gate) = held_write(&serving, &mut first, 0);
    let (theirs, their_gate) = held_write(&serving, &mut second, 8);
    let abort = first.start_management(Function::AbortTaskSet, 0, NOBODY);
    assert!(first.is_silent_about(abort, WHILE));
    my_gate.open();
    assert_eq!(first.management_result(abort), Answer::Complete);
    assert!(first.is_silent_about(mine, WHILE / 3));
    their_gate.open();
    assert_eq!(second.finish(theirs).status, 0);
    assert_eq!(second.test_unit_ready(0).sense, None);
}

#[test]
fn clear_task_set_clears_every_session_and_tells_the_others() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("clear-1"), serving.login("clear-2"));
    let (theirs, gate) = held_write(&serving, &mut second, 8);
    let clear = first.start_management(Function::ClearTaskSet, 0, NOBODY);
    assert!(first.is_silent_about(clear, WHILE), "the other session's write is in the storage");
    gate.open();
    assert_eq!(first.management_result(clear), Answer::Complete);
    assert_nothing_lands_late(&serving, &mut first, 8);
    assert!(second.is_silent_about(theirs, WHILE / 3));
    assert_eq!(second.test_unit_ready(0).sense, Some((6, 0x2f, 0)), "COMMANDS CLEARED BY ANOTHER INITIATOR");
    assert_eq!(first.test_unit_ready(0).sense, None);
}

// covers: 7143-4.2.3.3-10 7143-11.5.1-12
#[test]
fn logical_unit_reset_waits_for_the_tasks_of_every_session_and_tells_them() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("reset-1"), serving.login("reset-2"));
    let (mine, my_gate) = held_write(&serving, &mut first, 0);
    let (theirs, their_gate) = held_write(&serving, &mut second, 8);
    let reset = first.start_management(Function::LogicalUnitReset, 0, NOBODY);
    assert!(first.is_silent_about(reset, WHILE));
    my_gate.open();
    assert!(first.is_silent_about(reset, WHILE), "the other session's write is in the storage");
    their_gate.open();
    assert_eq!(first.management_result(reset), Answer::Complete);
    first.clear_attention(0);
    assert_nothing_lands_late(&serving, &mut first, 8);
    assert!(first.is_silent_about(mine, WHILE / 3) && second.is_silent_about(theirs, WHILE / 3));
    assert_eq!(second.test_unit_ready(0).sense, Some((6, 0x29, 3)), "BUS DEVICE RESET FUNCTION OCCURRED");
    assert_eq!(second.test_unit_ready(0).sense, None);
}

/// The other session has sent half of a write; its tag must not hold the reset up for longer than the limit.
#[test]
fn a_reset_does_not_wait_for_payload_that_never_comes() {
    let mut limits = iscsicore::Limits::default();
    limits.abort_data_timeout = WHILE;
    let serving = Serving::with(|b| {
        b.limits(limits);
    });
    let (mut first, mut second) = (serving.login("owing-1"), serving.login("owing-2"));
    // The R2T for the second half is never answered.
    second.start_write(0, 0, &[1; 262_144]);
    second.nop();
    let reset = first.start_management(Function::LogicalUnitReset, 0, NOBODY);
    assert_eq!(first.management_result(reset), Answer::Complete);
    assert_eq!(serving.bytes(0, 512), [0; 512]);
}

#[test]
fn two_sessions_that_reset_one_unit_at_once_both_get_their_answer() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("mutual-1"), serving.login("mutual-2"));
    for round in 0..20 {
        let (_, gate) = held_write(&serving, &mut first, 0);
        let (_, other) = held_write(&serving, &mut second, 8);
        let a = first.start_management(Function::LogicalUnitReset, 0, NOBODY);
        let b = second.start_management(Function::LogicalUnitReset, 0, NOBODY);
        if round == 0 {
            assert!(first.is_silent_about(a, WHILE) && second.is_silent_about(b, WHILE));
        }
        gate.open();
        other.open();
        assert_eq!(
            (first.management_result(a), second.management_result(b)),
            (Answer::Complete, Answer::Complete)
        );
        first.clear_attention(0);
        second.clear_attention(0);
    }
}

/// A function on a task set concerns the commands before it. The one right behind it, in the same segment, is carried
/// out and answered.
#[test]
fn commands_behind_a_function_on_a_task_set_are_not_aborted() {
    let serving = Serving::new();
    let mut session = serving.login("behind");
    for function in [Function::AbortTaskSet, Function::ClearTaskSet].into_iter().cycle().take(10) {
        let request = immediate(&mut session, function);
        let read = session.command(0, &crate::support::initiator::read16(0, 1));
        let read = iscsicore::wire::ScsiCommand { read: true, expected_len: 512, ..read };
        session.raw.send_bytes(&[request.emit().0, read.emit().0].concat());
        let done = session.finish(read.itt);
        assert_eq!((done.status, done.data.len()), (0, 512), "{function:?}");
        assert_eq!(session.management_result(request.itt), Answer::Complete);
    }
}

/// The same where the unit has two LUNs: by either, commands before the function are aborted, and those right behind it
/// are carried out.
#[test]
fn a_function_on_a_task_set_concerns_what_came_before_it_by_every_lun() {
    let disk = Arc::new(crate::platform::backend::Scripted::new(Arc::new(MemoryBackend::new(1 << 20))));
    let serving = Serving::with(|b| {
        let shared = b.disk("shared", disk.clone());
        b.target(TWO_WAYS, &[shared, shared]).unwrap();
    });
    let mut session = Session::login(serving.address, &Login::to(TWO_WAYS, "two-ways"));
    for function in [Function::AbortTaskSet, Function::ClearTaskSet] {
        let gate = Gate::new();
        disk.next(Kind::Write, crate::platform::backend::Fault::Hold(gate.clone()));
        let before = session.start_write(1, 0, &[1; 512]);
        serving.reached(&gate);
        let request = immediate(&mut session, function);
        let behind = [0, 1].map(|lun| session.command(lun, &crate::support::initiator::read16(0, 1)));
        let behind =
            behind.map(|read| iscsicore::wire::ScsiCommand { read: true, expected_len: 512, ..read });
        let [first, second] = behind.map(|read| read.emit().0);
        session.raw.send_bytes(&[request.emit().0, first, second].concat());
        for read in behind {
            let done = session.finish(read.itt);
            assert_eq!((done.status, done.data.len()), (0, 512), "{function:?}");
        }
        assert!(session.is_silent_about(request.itt, WHILE / 3), "the write is in the storage");
        gate.open();
        assert_eq!(session.management_result(request.itt), Answer::Complete);
        assert!(session.is_silent_about(before, WHILE / 3));
    }
}

/// What a reset has begun in other sessions is carried through though its session ends: they learn of it.
#[test]
fn a_reset_whose_session_goes_away_still_tells_the_others() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("gone-1"), serving.login("gone-2"));
    let (theirs, gate) = held_write(&serving, &mut second, 8);
    first.start_management(Function::LogicalUnitReset, 0, NOBODY);
    first.nop();
    drop(first);
    serving.wait_for_sessions(1);
    gate.open();
    assert!(second.is_silent_about(theirs, WHILE));
    assert_eq!(second.test_unit_ready(0).sense, Some((6, 0x29, 3)));
}

/// A unit behind two LUNs, of two targets even, has one task set.
#[test]
fn a_reset_reaches_a_unit_by_every_lun_that_it_has() {
    const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:other";
    let memory = MemoryBackend::new(1 << 20);
    let disk = Arc::new(crate::platform::backend::Scripted::new(Arc::new(memory)));
    let serving = Serving::with(|b| {
        let own = b.disk("own", Arc::new(MemoryBackend::new(1 << 20)));
        let shared = b.disk("shared", disk.clone());
        b.target(OTHER, &[own, shared, shared]).unwrap();
    });
    let mut first = Session::login(serving.address, &Login::to(OTHER, "luns-1"));
    let mut second = Session::login(serving.address, &Login::to(OTHER, "luns-2"));
    let gates = [Gate::new(), Gate::new()];
    for (gate, offset) in gates.iter().zip([0, 4096]) {
        disk.next_at(Kind::Write, offset, crate::platform::backend::Fault::Hold(gate.clone()));
    }
    let mine = first.start_write(1, 0, &[1; 512]);
    let theirs = second.start_write(2, 8, &[1; 512]);
    gates.iter().for_each(|gate| serving.reached(gate));
    let reset = first.start_management(Function::LogicalUnitReset, 2, NOBODY);
    assert!(first.is_silent_about(reset, WHILE));
    gates[1].open();
    assert!(
        first.is_silent_about(reset, WHILE),
        "this session's own task on the other LUN is in the storage"
    );
    gates[0].open();
    assert_eq!(first.management_result(reset), Answer::Complete);
    assert!(first.is_silent_about(mine, WHILE / 3) && second.is_silent_about(theirs, WHILE / 3));
    assert_eq!(second.test_unit_ready(1).sense, Some((6, 0x29, 3)));
    assert_eq!(second.test_unit_ready(0).sense, None, "another unit");
}

#[test]
fn functions_that_are_not_there_and_luns_that_are_not_there() {
    let serving = Serving::new();
    let mut session = serving.login("odd");
    let reset = session.start_management(Function::LogicalUnitReset, 5, NOBODY);
    assert_eq!(session.management_result(reset), Answer::LunDoesNotExist);
    let aca = session.start_management(Function::ClearAca, 0, NOBODY);
    assert_eq!(session.management_result(aca), Answer::NotSupported);
    let reassign = session.start_management(Function::TaskReassign, 0, Itt(1));
    assert_eq!(session.management_result(reassign), Answer::TaskAllegianceReassignmentNotSupported);
    let unknown = session.start_management(Function::Unknown(99), 0, NOBODY);
    assert_eq!(session.management_result(unknown), Answer::NotSupported);
}

#[test]
fn target_warm_reset_aborts_and_leaves_the_sessions() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("warm-1"), serving.login("warm-2"));
    let (theirs, gate) = held_write(&serving, &mut second, 8);
    let reset = first.start_management(Function::TargetWarmReset, 0, NOBODY);
    assert!(first.is_silent_about(reset, WHILE));
    gate.open();
    assert_eq!(first.management_result(reset), Answer::Complete);
    assert!(second.is_silent_about(theirs, WHILE / 3));
    assert_eq!(second.test_unit_ready(0).sense, Some((6, 0x29, 2)));
}

// covers: 7143-11.5.1-15 7143-11.6.1-1
#[test]
fn target_cold_reset_ends_every_session_even_under_load() {
    let serving = Serving::new();
    let (mut first, mut second) = (serving.login("cold-1"), serving.login("cold-2"));
    let (_, gate) = held_write(&serving, &mut second, 8);
    let reset = first.start_management(Function::TargetColdReset, 0, NOBODY);
    // Commands keep coming: they do not keep the session.
    let (_, mine) = held_write(&serving, &mut first, 16);
    assert!(first.is_silent_about(reset, WHILE));
    gate.open();
    assert_eq!(first.management_result(reset), Answer::Complete);
    mine.open();
    while first.next_pdu().is_some() {}
    while second.next_pdu().is_some() {}
    serving.wait_for_sessions(0);
    let mut again = Session::login_only(serving.address, &Login::to(TARGET, "cold-1")).unwrap();
    assert_eq!(again.test_unit_ready(0).sense.map(|s| s.1), Some(0x29));
}

/// A function for the whole unit concerns the commands numbered before it, which may still be on their way.
// covers: 7143-4.2.3.3-8
#[test]
fn an_immediate_reset_waits_for_the_commands_before_it() {
    let serving = Serving::new();
    let mut session = serving.login("early");
    let late = session.command(0, &crate::support::initiator::read16(0, 1));
    let request = immediate(&mut session, Function::AbortTaskSet);
    session.raw.send(request.emit(), iscsicore::DataList::new());
    assert!(session.is_silent_about(request.itt, WHILE), "a command before it is missing");
    let late = iscsicore::wire::ScsiCommand { read: true, expected_len: 512, ..late };
    session.raw.send(late.emit(), iscsicore::DataList::new());
    assert_eq!(session.management_result(request.itt), Answer::Complete);
    assert!(session.is_silent_about(late.itt, WHILE / 3));
}
