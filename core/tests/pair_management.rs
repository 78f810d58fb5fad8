//! Task management from the initiator to the target, and what it does to the commands of both.
#![allow(missing_docs)]

mod pair_support;

use core::time::Duration;

use iscsicore::initiator::{Cause, Command, DownReason, Event, Outcome, Sink};
use iscsicore::link::TaskId;
use iscsicore::scsi::Status;
use iscsicore::wire::{InitiatorPdu, Lun, TaskManagementFunction as Function, TaskManagementResult as Said};
use pair_support::commands::{BLOCK, answer, is_good, pattern, read, test_unit_ready, write};
use pair_support::{Pair, Seen, Setup};

fn second() -> Lun {
    Lun::from_number(1).expect("a small number")
}

/// A session whose storage does nothing, with two commands on each unit.
fn stalled() -> (Pair, [TaskId; 2], [TaskId; 2]) {
    let mut pair = Setup::default().ready();
    pair.far.stalled = true;
    let first = [0, 1].map(|n| pair.submit(read(n, 1, Sink::Slots)));
    let other = [0, 1].map(|n| pair.submit(Command { lun: second(), ..read(n, 1, Sink::Collect) }));
    pair.run();
    assert_eq!(pair.far.waiting(), 4);
    (pair, first, other)
}

/// Asks, lets the storage go on, and gives the answer.
fn manage(pair: &mut Pair, function: Function, lun: Lun) -> Result<Said, Cause> {
    let request = pair.near.initiator.task_management(pair.now, function, lun).expect("a connection");
    pair.run();
    assert!(pair.events().is_empty(), "not while the storage is at it");
    pair.far.stalled = false;
    let answered = |pair: &mut Pair| {
        pair.near
            .events
            .iter()
            .any(|e| matches!(e, Event::TaskManagementDone { request: of, .. } if *of == request))
    };
    pair.run_until("the answer", answered);
    let told = pair.events().into_iter().find_map(|event| match event {
        Event::TaskManagementDone { request: of, result } if of == request => Some(result),
        _ => None,
    });
    told.expect("the answer")
}

fn outcome(pair: &Pair, task: TaskId) -> Option<Outcome> {
    pair.near.done.get(&task).map(|done| done.outcome.clone())
}

/// Additional sense code and qualifier of CHECK CONDITION.
fn attention(outcome: &Outcome) -> (u8, u8) {
    let answer = answer(outcome);
    assert_eq!((answer.status, answer.sense[2] & 0xf), (Status::CHECK_CONDITION, 6), "{answer:?}");
    (answer.sense[12], answer.sense[13])
}

#[test]
fn an_aborted_command_ends_alone() {
    let (mut pair, first, other) = stalled();
    pair.near.initiator.abort(pair.now, first[0]).expect("a command");
    pair.run();
    assert_eq!(outcome(&pair, first[0]), None, "the storage still has it");
    pair.far.stalled = false;
    let ended = pair.finish(&[first[0], first[1], other[0], other[1]]);
    assert_eq!(ended[0].outcome, Outcome::Aborted);
    assert!(ended[1..].iter().all(|done| is_good(&done.outcome)));
    assert!(pair.near.initiator.abort(pair.now, first[0]).is_err(), "it has ended");
    pair.assert_sound();
}

#[test]
fn a_write_whose_payload_is_awaited_is_aborted() {
    let mut pair = Setup::default().both(|o| (o.initial_r2t, o.immediate_data) = (true, false)).ready();
    // The target's R2T does not arrive.
    pair.deaf = true;
    let task = pair.submit(write(3, pattern(4 * BLOCK)));
    pair.run();
    pair.near.initiator.abort(pair.now, task).expect("a command");
    pair.run();
    pair.deaf = false;
    assert_eq!(pair.finish(&[task])[0].outcome, Outcome::Aborted);
    assert!(pair.far.disks[0].iter().all(|byte| *byte == 0), "nothing of it is written");
    assert!(is_good(&pair.execute(write(3, pattern(BLOCK)))));
    pair.assert_sound();
}

#[test]
fn a_cancelled_command_is_aborted_in_silence() {
    let (mut pair, first, other) = stalled();
    pair.near.initiator.cancel(pair.now, first[0]);
    pair.far.stalled = false;
    assert!(pair.finish(&[first[1], other[0], other[1]]).iter().all(|done| is_good(&done.outcome)));
    pair.run();
    assert_eq!(outcome(&pair, first[0]), None, "nobody waits for it");
    assert_eq!(pair.near.initiator.outstanding(), 0);
    let aborts = pair.monitor().seen.iter().filter(|seen| {
        matches!(seen, Seen::Out(InitiatorPdu::TaskManagementRequest(r), _) if r.function == Function::AbortTask)
    });
    assert_eq!(aborts.count(), 1);
    pair.near.initiator.cancel(pair.now, first[0]);
    pair.assert_sound();
}

#[test]
fn a_command_that_has_not_left_ends_at_once() {
    let mut pair = Setup::default().queue_depth(1).ready();
    pair.far.stalled = true;
    let sent = pair.submit(read(0, 1, Sink::Collect));
    let waiting = pair.submit(read(1, 1, Sink::Collect));
    pair.run();
    pair.near.initiator.abort(pair.now, waiting).expect("a command");
    pair.near.drain();
    assert!(matches!(outcome(&pair, waiting), Some(Outcome::NotSent(_))));
    pair.far.stalled = false;
    assert!(is_good(&pair.finish(&[sent])[0].outcome));
    pair.assert_sound();
}

#[test]
fn abort_task_set_ends_the_commands_of_its_unit() {
    for function in [Function::AbortTaskSet, Function::ClearTaskSet] {
        let (mut pair, first, other) = stalled();
        assert_eq!(manage(&mut pair, function, Lun::ZERO), Ok(Said::Complete));
        assert_eq!(first.map(|task| outcome(&pair, task)), [Some(Outcome::Aborted), Some(Outcome::Aborted)]);
        assert!(pair.finish(&other).iter().all(|done| is_good(&done.outcome)));
        assert!(is_good(&pair.execute(test_unit_ready())), "its own abort is no news");
        pair.assert_sound();
    }
}

#[test]
fn commands_after_abort_task_set_are_not_among_it() {
    let (mut pair, first, _) = stalled();
    let function = Function::AbortTaskSet;
    pair.near.initiator.task_management(pair.now, function, Lun::ZERO).expect("a connection");
    let later = pair.submit(read(9, 1, Sink::Collect));
    pair.run();
    pair.far.stalled = false;
    assert!(is_good(&pair.finish(&[later])[0].outcome));
    assert_eq!(first.map(|task| outcome(&pair, task)), [Some(Outcome::Aborted), Some(Outcome::Aborted)]);
    pair.assert_sound();
}

#[test]
fn a_unit_reset_ends_the_commands_of_its_unit_and_leaves_an_attention() {
    let (mut pair, first, other) = stalled();
    assert_eq!(manage(&mut pair, Function::LogicalUnitReset, Lun::ZERO), Ok(Said::Complete));
    assert_eq!(first.map(|task| outcome(&pair, task)), [Some(Outcome::Aborted), Some(Outcome::Aborted)]);
    assert!(pair.finish(&other).iter().all(|done| is_good(&done.outcome)));
    assert_eq!(attention(&pair.execute(test_unit_ready())), (0x29, 0x03));
    assert!(is_good(&pair.execute(test_unit_ready())));
    assert!(is_good(&pair.execute(Command { lun: second(), ..test_unit_ready() })));
    pair.assert_sound();
}

#[test]
fn a_target_reset_ends_everything() {
    let (mut pair, first, other) = stalled();
    assert_eq!(manage(&mut pair, Function::TargetWarmReset, Lun::ZERO), Ok(Said::Complete));
    for task in first.into_iter().chain(other) {
        assert_eq!(outcome(&pair, task), Some(Outcome::Aborted));
    }
    for lun in [Lun::ZERO, second()] {
        assert_eq!(attention(&pair.execute(Command { lun, ..test_unit_ready() })), (0x29, 0x02));
    }
    pair.assert_sound();
}

#[test]
fn a_cold_reset_ends_the_session_as_well() {
    let (mut pair, first, other) = stalled();
    assert_eq!(manage(&mut pair, Function::TargetColdReset, Lun::ZERO), Ok(Said::Complete));
    for task in first.into_iter().chain(other) {
        assert_eq!(outcome(&pair, task), Some(Outcome::Aborted));
    }
    pair.run_until("the end of the connection", |pair| pair.near.is_over());
    assert!(matches!(pair.near.down, Some(DownReason::Lost(_))), "{:?}", pair.near.down);
    // Another login takes its place.
    let waiting = pair.submit(test_unit_ready());
    pair.log_in();
    assert_eq!(attention(&pair.finish(&[waiting])[0].outcome), (0x29, 0x01));
}

#[test]
fn commands_wait_for_a_reset_that_is_under_way() {
    let (mut pair, _, _) = stalled();
    let function = Function::TargetWarmReset;
    pair.near.initiator.task_management(pair.now, function, Lun::ZERO).expect("a connection");
    let later = pair.submit(test_unit_ready());
    pair.run();
    assert_eq!(pair.monitor().outstanding(), 4, "the new command has not left");
    pair.far.stalled = false;
    // It was not hit by the reset; the attention that it meets is the reset's.
    assert_eq!(attention(&pair.finish(&[later])[0].outcome), (0x29, 0x02));
    pair.assert_sound();
}

#[test]
fn functions_that_the_target_does_not_carry_out_end_nothing() {
    for said in [Said::NotSupported, Said::AuthorizationFailed, Said::Rejected] {
        let mut pair = Setup::default().ready();
        pair.far.management = Some(said);
        let function = Function::TargetColdReset;
        let request =
            pair.near.initiator.task_management(pair.now, function, Lun::ZERO).expect("a connection");
        pair.run();
        let events = pair.events();
        assert!(
            matches!(events[..], [Event::TaskManagementDone { request: of, result: Ok(told) }] if of == request && told == said),
            "{events:?}"
        );
        assert!(is_good(&pair.execute(test_unit_ready())));
        pair.assert_sound();
    }
    let mut pair = Setup::default().ready();
    let nowhere = Lun::from_number(9).expect("a small number");
    pair.near.initiator.task_management(pair.now, Function::LogicalUnitReset, nowhere).expect("a connection");
    pair.run();
    let events = pair.events();
    assert!(
        matches!(events[..], [Event::TaskManagementDone { result: Ok(Said::LunDoesNotExist), .. }]),
        "{events:?}"
    );
    pair.assert_sound();
}

// covers: 7143-7.11-2
#[test]
fn a_command_whose_time_is_over_is_aborted_behind_its_caller_s_back() {
    let mut pair = Setup::default().ready();
    pair.far.stalled = true;
    let timeout = Some(Duration::from_secs(3));
    let task = pair.submit(Command { timeout, ..read(0, 8, Sink::Slots) });
    let patient = pair.submit(read(8, 1, Sink::Collect));
    let started = pair.now;
    let done = pair.finish(&[task]).remove(0);
    assert_eq!(
        (done.outcome, pair.now - started),
        (Outcome::Unknown(Cause::TimedOut), Duration::from_secs(3))
    );
    pair.run();
    let requests = pair.monitor().seen.iter().filter_map(|seen| match seen {
        Seen::Out(InitiatorPdu::TaskManagementRequest(request), _) => Some(request.function),
        _ => None,
    });
    assert_eq!(requests.collect::<Vec<_>>(), [Function::AbortTask]);
    pair.far.stalled = false;
    assert!(is_good(&pair.finish(&[patient])[0].outcome));
    pair.run();
    assert_eq!((pair.near.initiator.outstanding(), pair.far.target().outstanding()), (0, 0));
    assert!(is_good(&pair.execute(read(0, 8, Sink::Slots))));
    pair.assert_sound();
}

#[test]
fn a_timeout_counts_from_the_submission_and_ends_commands_that_never_left() {
    let mut pair = Setup::default().queue_depth(1).ready();
    pair.far.stalled = true;
    pair.submit(read(0, 1, Sink::Collect));
    let timeout = Some(Duration::from_secs(2));
    let waiting = pair.submit(Command { timeout, ..read(1, 1, Sink::Collect) });
    assert_eq!(pair.finish(&[waiting])[0].outcome, Outcome::NotSent(Cause::TimedOut));
    // Without a connection, too.
    pair.cut_connection();
    let waiting = pair.submit(Command { timeout, ..read(1, 1, Sink::Collect) });
    pair.later(Duration::from_secs(2));
    assert_eq!(outcome(&pair, waiting), Some(Outcome::NotSent(Cause::TimedOut)));
}

#[test]
fn a_target_that_does_not_answer_management_loses_the_connection() {
    let mut pair = Setup::default().ready();
    pair.deaf = true;
    let function = Function::LogicalUnitReset;
    let request = pair.near.initiator.task_management(pair.now, function, Lun::ZERO).expect("a connection");
    pair.run_until("the end of the connection", |pair| pair.near.is_over());
    assert!(matches!(pair.near.down, Some(DownReason::Unresponsive | DownReason::Silent)));
    let events = pair.events();
    assert!(
        events.iter().any(
            |e| matches!(e, Event::TaskManagementDone { request: of, result: Err(_) } if *of == request)
        ),
        "{events:?}"
    );
}
