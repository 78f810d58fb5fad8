//! Task management: every function, on tasks in every state.

mod support;

use iscsicore::link::TaskId;
use iscsicore::scsi::Response;
use iscsicore::target::{AbortScope, EndReason, Event};
use iscsicore::wire::TaskManagementFunction as Function;
use iscsicore::wire::TaskManagementResult as Answer;
use iscsicore::wire::{CmdSn, Itt, Lun, R2t, RejectReason, ScsiCommand, TargetPdu};
use support::app::{self, App};
use support::flow::{Cut, sequence};
use support::{Session, Setup};

/// Sends `command`, which the caller takes and does not end.
fn run(s: &mut Session, command: ScsiCommand) -> TaskId {
    s.send(command);
    match s.target.poll_event() {
        Some(Event::Command(command)) => command.task,
        other => panic!("a command: {other:?}"),
    }
}

/// A write of 4096 bytes whose R2T waits for an answer.
fn collecting(s: &mut Session) -> (ScsiCommand, TaskId, R2t) {
    let write = s.write(4096);
    let task = run(s, write);
    s.target.accept(task, 4096).unwrap();
    match s.answer().pdu {
        TargetPdu::R2t(r2t) => (write, task, r2t),
        other => panic!("an R2T: {other:?}"),
    }
}

fn abort(s: &mut Session, command: &ScsiCommand) {
    let request = s.abort_of(command);
    s.send(request);
}

/// The caller's part of a function that concerns more than this session.
fn carry_out(s: &mut Session, function: Function) -> TaskId {
    let events = s.events();
    let request = events.iter().find_map(|event| match event {
        Event::TaskManagement(request) => Some(*request),
        _ => None,
    });
    let request = request.unwrap_or_else(|| panic!("a task management event: {events:?}"));
    assert_eq!(request.function, function);
    request.request
}

const SETS: [Function; 5] = [
    Function::AbortTaskSet,
    Function::ClearTaskSet,
    Function::LogicalUnitReset,
    Function::TargetWarmReset,
    Function::TargetColdReset,
];

// covers: 7143-11.5.1-1 7143-11.5.1-4
#[test]
fn abort_of_a_command_that_was_not_handed_out() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    s.send(plain);
    abort(&mut s, &plain);
    s.no_events();
    assert_eq!(s.answer().management().result, Answer::Complete);
    assert_eq!((s.target.outstanding(), s.max_cmd_sn.distance_from(s.exp_cmd_sn)), (0, 7));
}

#[test]
fn abort_of_a_running_command_waits_until_it_has_stopped() {
    let mut s = Setup::default().connect();
    let read = s.read(4096);
    let task = run(&mut s, read);
    s.target.send_data(task, app::pattern(100).into()).unwrap();
    abort(&mut s, &read);
    assert!(matches!(s.events()[..], [Event::Abort { task: t }] if t == task));
    s.quiet();
    s.target.send_data(task, app::pattern(4000).into()).unwrap();
    s.quiet();
    s.target.complete(task, Response::good(), 4096).unwrap();
    assert_eq!(s.answer().management().result, Answer::Complete);
    s.no_events();
    assert!(s.target.complete(task, Response::good(), 0).is_err());
}

#[test]
fn abort_of_a_command_that_waits_for_payload_is_answered_at_once() {
    let mut s = Setup::default().connect();
    let (write, task, r2t) = collecting(&mut s);
    abort(&mut s, &write);
    assert!(matches!(s.events()[..], [Event::Abort { task: t }] if t == task));
    assert_eq!(s.answer().management().result, Answer::Complete);
    // What the initiator had sent already is dropped without a word.
    s.data_out(&sequence(&write, r2t.ttt, 0, 4096, &Cut::solicited(1024)), &app::pattern(4096));
    s.quiet();
    s.no_events();
    // The tag is free.
    let mut again = s.plain();
    again.itt = write.itt;
    run(&mut s, again);
}

#[test]
fn abort_between_payload_and_its_use() {
    let mut s = Setup::default().connect();
    let write = s.write(100);
    s.send_with(write, &app::pattern(100));
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.target.accept(command.task, 100).unwrap();
    abort(&mut s, &write);
    let events = s.events();
    assert!(matches!(events[..], [Event::Data { .. }, Event::Abort { .. }]), "{events:?}");
    s.quiet();
    s.target.complete(command.task, Response::good(), 100).unwrap();
    assert_eq!(s.answer().management().result, Answer::Complete);
}

#[test]
fn calls_for_an_aborted_task_are_harmless() {
    let mut s = Setup::default().connect();
    let write = s.write(4096);
    let task = run(&mut s, write);
    abort(&mut s, &write);
    s.target.send_data(task, app::pattern(10).into()).unwrap();
    s.target.accept(task, 4096).unwrap();
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    assert_eq!(s.answer().management().result, Answer::Complete);
}

// covers: 7143-7.11-4
#[test]
fn abort_of_a_command_that_was_answered_finds_no_task() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    s.answer();
    abort(&mut s, &plain);
    assert_eq!(s.answer().management().result, Answer::TaskDoesNotExist);
    // A number that is not in the window.
    let mut ghost = plain;
    (ghost.itt, ghost.cmd_sn) = (Itt(12345), CmdSn(s.max_cmd_sn.0.wrapping_add(5)));
    let mut request = s.abort_of(&ghost);
    request.cmd_sn = ghost.cmd_sn.next();
    s.send(request);
    assert_eq!(s.answer().management().result, Answer::TaskDoesNotExist);
    // Nor one that the initiator has not used yet: an immediate command is referred to by that of the request.
    let mut request = s.abort_of(&ghost);
    request.ref_cmd_sn = request.cmd_sn;
    s.send(request);
    assert_eq!(s.answer().management().result, Answer::TaskDoesNotExist);
    let next = s.plain();
    run(&mut s, next);
}

#[test]
fn abort_names_task_and_unit() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    let task = run(&mut s, plain);
    let mut request = s.abort_of(&plain);
    request.lun = Lun::from_number(9).unwrap();
    s.send(request);
    assert_eq!(s.answer().management().result, Answer::LunDoesNotExist);
    s.no_events();
    // The other encoding of the same number names the same unit.
    let mut request = s.abort_of(&plain);
    request.lun = Lun(0x4000 << 48);
    s.send(request);
    s.target.complete(task, Response::good(), 0).unwrap();
    assert_eq!(s.answer().management().result, Answer::Complete);
}

// covers: 7143-11.5.1-11
#[test]
fn abort_of_a_task_management_request_is_rejected() {
    let mut s = Setup::default().connect();
    let reset = s.management(Function::LogicalUnitReset);
    s.send(reset);
    let mut request = s.management(Function::AbortTask);
    request.referenced_itt = reset.itt;
    s.send(request);
    let answer = s.answer();
    assert_eq!((answer.management().itt, answer.management().result), (request.itt, Answer::Rejected));
    // One that has not even had its turn.
    let _missing = s.plain();
    let mut held = s.management(Function::LogicalUnitReset);
    held.immediate = false;
    s.send(held);
    let mut request = s.management(Function::AbortTask);
    request.referenced_itt = held.itt;
    s.send(request);
    assert_eq!(s.answer().management().result, Answer::Rejected);
}

// covers: 7143-11.5.1-18
#[test]
fn only_commands_could_be_reassigned() {
    let mut s = Setup::default().connect();
    let (reset, mut text) = (s.management(Function::LogicalUnitReset), s.text());
    s.send(reset);
    text.final_ = false;
    s.send_with(text, b"MaxRecvDataSegmentLength=1024\0");
    s.answer();
    for itt in [reset.itt, text.itt] {
        let mut request = s.management(Function::TaskReassign);
        request.referenced_itt = itt;
        s.send(request);
        assert_eq!(s.answer().management().result, Answer::Rejected);
    }
}

// covers: 7143-7.2.2-7 7144-4.1-1
#[test]
fn what_is_not_supported_is_said_so() {
    let mut s = Setup::default().connect();
    assert_eq!(s.target.parameters().protocol_level, 1, "the functions of RFC 7144 need level 2");
    for (function, result) in [
        (Function::TaskReassign, Answer::TaskAllegianceReassignmentNotSupported),
        (Function::Unknown(0), Answer::NotSupported),
        (Function::ClearAca, Answer::NotSupported),
        (Function::QueryTask, Answer::NotSupported),
        (Function::QueryTaskSet, Answer::NotSupported),
        (Function::ITNexusReset, Answer::NotSupported),
        (Function::QueryAsynchronousEvent, Answer::NotSupported),
        (Function::Unknown(99), Answer::NotSupported),
    ] {
        let request = s.management(function);
        s.send(request);
        let answer = s.answer();
        assert_eq!((answer.management().itt, answer.management().result), (request.itt, result));
    }
    assert_eq!(s.target.outstanding(), 0);
}

// covers: 7143-4.2.3.3-6 7143-4.2.3.3-10 7143-4.2.3.3-13 7143-11.6.2-1 7143-11.9.1-8 7143-4.2.2.1-4
#[test]
fn functions_on_sets_wait_for_payload_for_running_tasks_and_for_the_caller() {
    for function in SETS {
        let mut s = Setup::default().connect();
        let (write, collecting, r2t) = collecting(&mut s);
        let (plain, queued) = (s.plain(), s.plain());
        let running = run(&mut s, plain);
        s.send(queued);
        let request = s.management(function);
        s.send(request);
        let events = s.events();
        let aborted: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Abort { task } = e { Some(*task) } else { None })
            .collect();
        assert_eq!(aborted, [collecting, running], "{function:?}");
        let Some(Event::TaskManagement(event)) = events.last() else { panic!("{events:?}") };
        assert_eq!((event.function, events.len()), (function, 3), "the queued command is gone");

        s.target.answer_task_management(event.request, Answer::Complete).unwrap();
        s.quiet();
        let pdus = sequence(&write, r2t.ttt, 0, 4096, &Cut::solicited(2048));
        s.data_out(&pdus[..1], &app::pattern(4096));
        s.quiet();
        s.data_out(&pdus[1..], &app::pattern(4096));
        s.quiet();
        s.target.complete(running, Response::good(), 0).unwrap();
        let answers = s.answers();
        assert_eq!(answers.len(), 1, "no response to an aborted task: {answers:?}");
        assert_eq!(
            (answers[0].management().itt, answers[0].management().result),
            (request.itt, Answer::Complete)
        );
        assert_eq!(s.target.outstanding(), 0);
    }
}

#[test]
fn the_order_of_what_a_function_waits_for_does_not_matter() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    let running = run(&mut s, plain);
    let request = s.management(Function::LogicalUnitReset);
    s.send(request);
    let id = carry_out(&mut s, Function::LogicalUnitReset);
    s.target.complete(running, Response::good(), 0).unwrap();
    s.quiet();
    s.target.answer_task_management(id, Answer::Complete).unwrap();
    assert!(s.target.answer_task_management(id, Answer::Complete).is_err(), "once is enough");
    assert_eq!(s.answer().management().result, Answer::Complete);
}

// covers: 7143-4.2.3.3-11 7143-4.2.2.3.2-1 7143-4.2.2.3.2-2 7143-4.2.2.3.2-3 7143-11.5.1-4
#[test]
fn a_response_to_a_function_comes_after_all_earlier_and_before_all_later_ones() {
    let mut s = Setup::default().connect();
    let commands: Vec<_> = (0..3).map(|_| s.plain()).collect();
    let tasks: Vec<_> = commands.iter().map(|c| run(&mut s, *c)).collect();
    s.target.complete(tasks[1], Response::good(), 0).unwrap();
    let request = s.management(Function::AbortTaskSet);
    s.send(request);
    let id = carry_out(&mut s, Function::AbortTaskSet);
    s.target.answer_task_management(id, Answer::Complete).unwrap();
    s.target.complete(tasks[0], Response::good(), 0).unwrap();
    s.target.complete(tasks[2], Response::good(), 0).unwrap();
    let later = s.plain();
    let task = run(&mut s, later);
    s.target.complete(task, Response::good(), 0).unwrap();
    let answers = s.answers();
    assert_eq!(answers.len(), 3, "aborted tasks have no answer: {answers:?}");
    assert_eq!(answers[0].scsi().itt, commands[1].itt);
    assert_eq!(answers[1].management().itt, request.itt);
    assert_eq!(answers[2].scsi().itt, later.itt);
}

// covers: 7143-4.2.3.3-8
#[test]
fn an_immediate_function_waits_for_the_commands_before_it() {
    for function in SETS {
        let mut s = Setup::default().connect();
        let (missing, present) = (s.plain(), s.plain());
        s.send(present);
        let request = s.management(function);
        s.send(request);
        s.quiet();
        s.no_events();
        s.send(missing);
        let id = carry_out(&mut s, function);
        s.target.answer_task_management(id, Answer::Complete).unwrap();
        assert_eq!(s.answer().management().result, Answer::Complete, "{function:?}");
        assert_eq!(s.target.outstanding(), 0, "both were aborted");
    }
}

#[test]
fn commands_after_a_function_are_not_concerned() {
    for function in [Function::AbortTaskSet, Function::ClearTaskSet] {
        let mut s = Setup::default().connect();
        let (missing, request) = (s.plain(), s.management(function));
        let later = s.plain();
        s.send(request);
        s.send(later);
        s.send(missing);
        let events = s.events();
        let [Event::TaskManagement(event), Event::Command(command)] = &events[..] else {
            panic!("{events:?}")
        };
        s.target.answer_task_management(event.request, Answer::Complete).unwrap();
        s.answer();
        s.target.complete(command.task, Response::good(), 0).unwrap();
        assert_eq!(s.answer().scsi().itt, later.itt, "{function:?}");
    }
}

#[test]
fn functions_on_a_unit_leave_other_units_alone() {
    for function in &SETS[..3] {
        let mut s = Setup::default().connect();
        let mut other = s.plain();
        other.lun = Lun::from_number(1).unwrap();
        let (task, own) = (run(&mut s, other), s.plain());
        run(&mut s, own);
        let request = s.management(*function);
        s.send(request);
        let aborts = s.events().iter().filter(|e| matches!(e, Event::Abort { .. })).count();
        assert_eq!(aborts, 1);
        s.target.complete(task, Response::good(), 0).unwrap();
        assert_eq!(s.answer().scsi().itt, other.itt);
    }
}

// covers: 7143-11.5.1-14
#[test]
fn the_result_of_the_caller_is_passed_on() {
    for result in
        [Answer::LunDoesNotExist, Answer::AuthorizationFailed, Answer::NotSupported, Answer::Rejected]
    {
        let mut s = Setup::default().connect();
        let request = s.management(Function::LogicalUnitReset);
        s.send(request);
        let id = carry_out(&mut s, Function::LogicalUnitReset);
        s.target.answer_task_management(id, result).unwrap();
        assert_eq!(s.answer().management().result, result);
    }
}

#[test]
fn a_cold_reset_ends_the_session_once_it_is_answered() {
    let mut s = Setup::default().connect();
    let request = s.management(Function::TargetColdReset);
    s.send(request);
    let id = carry_out(&mut s, Function::TargetColdReset);
    s.target.answer_task_management(id, Answer::Complete).unwrap();
    assert_eq!(s.answer().management().itt, request.itt);
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::Terminated)]));
}

#[test]
fn payload_that_never_comes_is_waited_for_only_so_long() {
    let mut s = Setup::default().connect();
    let (_, task, _) = collecting(&mut s);
    let request = s.management(Function::LogicalUnitReset);
    s.send(request);
    let id = carry_out(&mut s, Function::LogicalUnitReset);
    s.target.answer_task_management(id, Answer::Complete).unwrap();
    s.later(2);
    s.quiet();
    assert!(s.target.poll_timeout().is_some());
    s.later(2);
    assert_eq!(s.answer().management().result, Answer::Complete);
    assert!(s.target.complete(task, Response::good(), 0).is_err());
}

#[test]
fn what_runs_is_waited_for_however_long_it_takes() {
    let mut s = Setup::default().limits(|l| l.ping_interval = std::time::Duration::ZERO).connect();
    let plain = s.plain();
    let task = run(&mut s, plain);
    let request = s.management(Function::LogicalUnitReset);
    s.send(request);
    let id = carry_out(&mut s, Function::LogicalUnitReset);
    s.target.answer_task_management(id, Answer::Complete).unwrap();
    s.later(3600);
    s.quiet();
    assert_eq!(s.target.poll_timeout(), None, "there is nothing more to give up on");
    s.target.complete(task, Response::good(), 0).unwrap();
    assert_eq!(s.answer().management().result, Answer::Complete);
}

#[test]
fn aborts_for_others_are_silent_and_tell_when_all_is_over() {
    let mut s = Setup::default().connect();
    let (write, _, r2t) = collecting(&mut s);
    let plain = s.plain();
    let running = run(&mut s, plain);
    let id = s.target.abort_tasks(s.now, AbortScope::LogicalUnit(Lun::ZERO));
    assert_eq!(s.events().len(), 2);
    s.quiet();
    s.target.complete(running, Response::good(), 0).unwrap();
    s.no_events();
    s.data_out(&sequence(&write, r2t.ttt, 0, 4096, &Cut::solicited(4096)), &app::pattern(4096));
    assert!(matches!(s.events()[..], [Event::TasksAborted(told)] if told == id));
    let answers = s.answers();
    assert!(matches!(answers[..], [support::Answer { pdu: TargetPdu::NopIn(_), .. }]), "{answers:?}");
    // Nothing to abort: over at once.
    let id = s.target.abort_tasks(s.now, AbortScope::All);
    assert!(matches!(s.events()[..], [Event::TasksAborted(told)] if told == id));
}

/// Where a unit has a second LUN, a function on its task set concerns the commands before it by that one, too.
#[test]
fn an_abort_of_what_came_before_a_request_spares_what_came_behind() {
    let mut s = Setup::default().connect();
    let other = Lun(1 << 48);
    let before = s.plain();
    let before = run(&mut s, ScsiCommand { lun: other, ..before });
    let request = s.management(Function::AbortTaskSet);
    s.send(request);
    let behind = s.plain();
    s.send(ScsiCommand { lun: other, ..behind });
    let request = match s.target.poll_event() {
        Some(Event::TaskManagement(told)) => told.request,
        event => panic!("a request: {event:?}"),
    };
    let id = s.target.abort_tasks(s.now, AbortScope::Before { request, lun: other });
    let behind = match &s.events()[..] {
        [Event::Abort { task }, Event::Command(command)] if *task == before => command.task,
        events => panic!("an abort and a command: {events:?}"),
    };
    s.target.answer_task_management(request, Answer::Complete).unwrap();
    s.target.complete(behind, Response::good(), 0).unwrap();
    s.no_events();
    s.target.complete(before, Response::good(), 0).unwrap();
    assert!(matches!(s.events()[..], [Event::TasksAborted(told)] if told == id));
    // A request that is gone, with its connection, sets no bound.
    let plain = s.plain();
    let running = run(&mut s, plain);
    s.target.abort_tasks(s.now, AbortScope::Before { request, lun: Lun::ZERO });
    assert!(matches!(s.events()[..], [Event::Abort { task }] if task == running));
}

#[test]
fn a_function_on_top_of_another_waits_for_the_same_tasks() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    let running = run(&mut s, plain);
    let first = s.management(Function::AbortTaskSet);
    s.send(first);
    let a = carry_out(&mut s, Function::AbortTaskSet);
    let second = s.management(Function::LogicalUnitReset);
    s.send(second);
    let b = carry_out(&mut s, Function::LogicalUnitReset);
    abort(&mut s, &plain);
    assert_eq!(s.answer().management().result, Answer::TaskDoesNotExist, "it is being aborted already");
    s.target.answer_task_management(b, Answer::Complete).unwrap();
    s.target.answer_task_management(a, Answer::Complete).unwrap();
    s.quiet();
    s.target.complete(running, Response::good(), 0).unwrap();
    assert_eq!(s.answers().len(), 2);
}

#[test]
fn a_flood_of_functions_is_bounded() {
    let mut s = Setup::default().limits(|l| l.immediate_requests = 4).connect();
    for n in 0..100 {
        let mut request = s.management(Function::LogicalUnitReset);
        request.cmd_sn = request.cmd_sn.plus(1000);
        s.send(request);
        if n >= 4 {
            s.answer().assert_reject(RejectReason::TooManyImmediateCommands, &request.emit());
        }
    }
    assert_eq!(s.target.outstanding(), 4);
}

#[test]
fn a_write_that_failed_while_its_payload_came_can_still_be_aborted() {
    let mut s = Setup::default().connect();
    let (write, task, _) = collecting(&mut s);
    s.target.complete(task, Response::with_status(iscsicore::scsi::Status::BUSY), 0).unwrap();
    s.quiet();
    abort(&mut s, &write);
    assert_eq!(s.answer().management().result, Answer::Complete);
    s.no_events();
    assert_eq!(s.target.outstanding(), 0);
}

#[test]
fn immediate_commands_that_came_before_a_function_on_their_set_are_concerned() {
    for function in [Function::AbortTaskSet, Function::ClearTaskSet] {
        let mut s = Setup::default().connect();
        let plain = s.immediate();
        let task = run(&mut s, plain);
        let request = s.management(function);
        assert_eq!(request.cmd_sn, plain.cmd_sn, "an immediate command bears the number of the next");
        s.send(request);
        let events = s.events();
        assert!(matches!(events[..], [Event::Abort { task: t }, Event::TaskManagement(_)] if t == task));
    }
}

#[test]
fn the_tag_of_a_task_that_only_waits_for_unwanted_payload_is_free() {
    let mut s = Setup::default().connect();
    let (write, _, r2t) = collecting(&mut s);
    let id = s.target.abort_tasks(s.now, AbortScope::All);
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    // The initiator has given the task up, too, and sends nothing more for it.
    let mut again = s.plain();
    again.itt = write.itt;
    s.send(again);
    let events = s.events();
    let [Event::TasksAborted(told), Event::Command(command)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*told, id);
    // A tag of the old task means nothing to the new one.
    let pdus = sequence(&write, r2t.ttt, 0, 4096, &Cut::solicited(4096));
    s.data_out(&pdus, &app::pattern(4096));
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::InvalidPduField));
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert_eq!(s.answer().sense(), (0x0b, 0x0c, 0x0c));
}
