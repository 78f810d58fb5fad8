//! CmdSN, ExpCmdSN and MaxCmdSN.

mod support;

use bytes::Bytes;
use iscsicore::scsi::Response;
use iscsicore::target::{AbortScope, Event};
use iscsicore::wire::{
    CmdSn, DataOut, DataSn, RejectReason, StatSn, TargetPdu, TaskManagementFunction, TaskManagementResult,
    Ttt,
};
use support::Setup;
use support::app::{self, App};

// covers: 7143-4.2.2.1-7 7143-4.2.2.1-9 7143-4.2.2.1-10 7143-4.2.2.1-13
#[test]
fn commands_are_delivered_in_the_order_of_their_numbers() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    // The numbers pass from the highest to zero.
    let commands: Vec<_> = (0..6).map(|_| s.plain()).collect();
    for n in [3, 1, 5, 0, 4, 2] {
        s.send(commands[n]);
        app.serve(&mut s);
    }
    let order: Vec<_> = s.answers().iter().map(|a| a.scsi().itt).collect();
    assert_eq!(order, commands.iter().map(|c| c.itt).collect::<Vec<_>>());
    assert_eq!(s.exp_cmd_sn, commands[5].cmd_sn.next());
}

// covers: 7143-4.2.2.1-12
#[test]
fn duplicates_and_numbers_outside_the_window_are_ignored_without_a_word() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let first = s.plain();
    s.send(first);
    app.serve(&mut s);
    s.answer();
    let early = s.plain();
    let mut gap = early;
    s.cmd_sn = s.cmd_sn.next();
    gap.itt = s.itt();
    let mut second = early;
    second.cmd_sn = early.cmd_sn.next();
    s.send(second);
    let mut copies = vec![first, second, second];
    for distance in [8, 9, 1000, 1 << 30] {
        let mut outside = s.plain();
        outside.cmd_sn = CmdSn(s.max_cmd_sn.0.wrapping_add(distance - 7));
        copies.push(outside);
    }
    for copy in copies {
        let mut copy = copy;
        copy.itt = s.itt();
        s.send(copy);
        s.quiet();
        s.no_events();
    }
    s.send(gap);
    app.serve(&mut s);
    assert_eq!(s.answers().len(), 2, "the one that filled the gap, and the one behind it");
}

// covers: 7143-4.2.2.1-11
#[test]
fn the_window_shuts_at_its_depth_and_opens_with_each_answer() {
    let mut s = Setup::default().connect();
    let commands: Vec<_> = (0..9).map(|_| s.plain()).collect();
    commands.iter().for_each(|c| s.send(*c));
    let tasks: Vec<_> = s.events();
    assert_eq!(tasks.len(), 8, "the ninth is beyond MaxCmdSN");
    let nop = s.nop(true);
    s.send(nop);
    s.answer();
    assert_eq!(s.max_cmd_sn.next(), s.exp_cmd_sn, "shut");
    let Event::Command(command) = &tasks[5] else { panic!("a command") };
    s.target.complete(command.task, Response::good(), 0).unwrap();
    s.answer();
    assert_eq!(s.max_cmd_sn, s.exp_cmd_sn, "open by one");
    s.send(commands[8]);
    assert_eq!(s.events().len(), 1);
}

// covers: 7143-11.4.11-1 7143-11.19.1-1
#[test]
fn a_change_of_the_window_that_nothing_else_tells_is_told_by_a_nop() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    s.send(plain);
    s.target.abort_tasks(s.now, AbortScope::All);
    assert!(matches!(s.events()[..], [Event::TasksAborted(_)]));
    let max = s.max_cmd_sn;
    let TargetPdu::NopIn(nop) = s.answer().pdu else { panic!("a NOP-In") };
    assert!(nop.itt.is_reserved() && nop.ttt.is_reserved());
    assert_eq!(nop.max_cmd_sn, max.next());
    s.quiet();
}

// covers: 7143-4.2.2.1-5 7143-4.2.2.1-6
#[test]
fn immediate_commands_go_first_up_to_a_limit_that_leaves_room_to_abort_them() {
    let mut s = Setup::default().limits(|l| l.immediate_requests = 4).connect();
    let late = s.plain();
    let immediate: Vec<_> = (0..5).map(|_| s.immediate()).collect();
    immediate[..4].iter().for_each(|c| s.send(*c));
    s.quiet();
    s.send(immediate[4]);
    s.answer().assert_reject(RejectReason::TooManyImmediateCommands, &immediate[4].emit());
    let tasks = s.events();
    assert_eq!(tasks.len(), 4, "they do not wait for the command that is missing");
    let abort = s.abort_of(&immediate[0]);
    s.send(abort);
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    let nop = s.nop(true);
    s.send(nop);
    assert!(matches!(s.answer().pdu, TargetPdu::NopIn(_)));
    for event in tasks {
        let Event::Command(command) = event else { panic!("a command") };
        s.target.complete(command.task, Response::good(), 0).unwrap();
    }
    assert_eq!(s.answers().len(), 4, "three responses, and that of the abort");
    // The rejected one can be sent again.
    s.send(immediate[4]);
    s.send(late);
    assert_eq!(s.events().len(), 2);
    assert_eq!(s.exp_cmd_sn, late.cmd_sn, "immediate commands use up no number");
}

#[test]
fn requests_of_every_kind_wait_for_their_turn() {
    let mut s = Setup::default().connect();
    let missing = s.plain();
    let (nop, mut text) = (s.nop(false), s.text());
    text.final_ = true;
    let mut management = s.management(TaskManagementFunction::LogicalUnitReset);
    management.immediate = false;
    s.cmd_sn = s.cmd_sn.next();
    s.send(nop);
    s.send(text);
    s.send(management);
    s.quiet();
    s.no_events();
    s.send(missing);
    let mut app = App::default();
    app.serve(&mut s);
    let [Event::TaskManagement(request)] = app.other[..] else { panic!("{:?}", app.other) };
    s.target.answer_task_management(request.request, TaskManagementResult::Complete).unwrap();
    let answers = s.answers();
    assert!(matches!(answers[0].pdu, TargetPdu::NopIn(n) if n.itt == nop.itt), "{answers:?}");
    assert!(matches!(answers[1].pdu, TargetPdu::TextResponse(t) if t.itt == text.itt));
    assert_eq!(answers[2].management().itt, management.itt);
    assert_eq!(s.exp_cmd_sn, management.cmd_sn.next());
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7, "all four have made room again");
}

#[test]
fn data_for_a_command_behind_a_gap_is_not_lost() {
    let mut s = Setup::default().key("InitialR2T", "No").connect();
    let mut app = App::default();
    let missing = s.plain();
    let mut write = s.write(1000);
    write.final_ = false;
    let payload = app::pattern(1000);
    s.send_with(write, &payload[..100]);
    let rest = DataOut {
        final_: true,
        lun: write.lun,
        itt: write.itt,
        ttt: Ttt::RESERVED,
        exp_stat_sn: StatSn(0),
        data_sn: DataSn(0),
        offset: 100,
    };
    s.send_with(rest, &payload[100..]);
    app.serve(&mut s);
    assert!(app.commands.is_empty());
    s.send(missing);
    app.serve(&mut s);
    assert_eq!(app.written[0].1.to_bytes(), payload);
    assert_eq!(s.answers().len(), 2);
}

#[test]
fn a_tag_is_in_use_from_arrival_on() {
    let mut s = Setup::default().connect();
    let _missing = s.plain();
    let early = s.plain();
    s.send(early);
    let mut again = s.plain();
    again.itt = early.itt;
    s.send(again);
    s.answer().assert_reject(RejectReason::TaskInProgress, &again.emit());
    let mut nop = s.nop(false);
    nop.cmd_sn = again.cmd_sn;
    s.send(nop);
    let mut second = s.nop(false);
    second.itt = nop.itt;
    s.send(second);
    s.answer().assert_reject(RejectReason::TaskInProgress, &second.emit());
}

// covers: 7143-7.11-3
#[test]
fn an_abort_of_a_command_that_never_came_closes_the_gap() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let missing = s.plain();
    let waiting = s.plain();
    s.send(waiting);
    s.no_events();
    let abort = s.abort_of(&missing);
    s.send(abort);
    app.serve(&mut s);
    let answers = s.answers();
    assert_eq!(answers[0].management().result, TaskManagementResult::Complete);
    assert_eq!(answers[1].scsi().itt, waiting.itt, "what waited behind the gap goes on at once");
    s.send(missing);
    app.serve(&mut s);
    s.quiet();
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
}

#[test]
fn aborts_ahead_of_a_gap_do_not_widen_the_window() {
    let mut s = Setup::default().connect();
    let first = s.plain();
    for n in 1..100u32 {
        let mut ghost = first;
        ghost.cmd_sn = first.cmd_sn.plus(n);
        ghost.itt = s.itt();
        let mut abort = s.abort_of(&ghost);
        abort.cmd_sn = ghost.cmd_sn.next();
        s.send(abort);
        let expected =
            if n < 8 { TaskManagementResult::Complete } else { TaskManagementResult::TaskDoesNotExist };
        assert_eq!(s.answer().management().result, expected, "{n}");
    }
    s.send(first);
    let mut app = App::default();
    app.serve(&mut s);
    s.answer();
    assert_eq!(s.exp_cmd_sn, first.cmd_sn.plus(8));
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
}

#[test]
fn a_command_that_waits_can_be_aborted_and_its_number_counts() {
    let mut s = Setup::default().connect();
    let missing = s.plain();
    let early = s.write(100);
    s.send_with(early, &app::pattern(100));
    let abort = s.abort_of(&early);
    s.send(abort);
    assert_eq!(s.answer().management().result, TaskManagementResult::Complete);
    s.no_events();
    s.send(missing);
    let mut app = App::default();
    app.serve(&mut s);
    assert_eq!(app.commands.len(), 1, "the aborted one is not executed");
    s.answer();
    assert_eq!(s.exp_cmd_sn, early.cmd_sn.next());
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
}

#[test]
fn a_retry_of_a_command_that_is_being_executed_is_ignored() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    s.send(plain);
    assert_eq!(s.events().len(), 1);
    s.send(plain);
    s.no_events();
    s.quiet();
}

#[test]
fn a_slow_reader_holds_commands_back_and_then_reading() {
    let mut s = Setup::default()
        .limits(|l| (l.queue_depth, l.transmit_bytes) = (64, 256 * 1024))
        .key("MaxRecvDataSegmentLength", 65536)
        .connect();
    let mut app = App::default();
    s.deaf = true;
    let mut most = 0;
    for _ in 0..60 {
        let read = s.read(65536);
        s.send(read);
        app.serve(&mut s);
        s.answers();
        most = most.max(s.tx.queued());
    }
    assert!((3..6).contains(&app.commands.len()), "{} commands were handed out", app.commands.len());
    assert!(most <= 256 * 1024 + 65536 + 1024, "{most} bytes wait");
    // Pings are answered until too much waits, and then not even read.
    let ping = Bytes::from(vec![1; 60_000]);
    for _ in 0..40 {
        let nop = s.nop(true);
        s.send_owned(nop, ping.clone());
        s.answers();
    }
    assert!(s.tx.queued() < 2 * 256 * 1024 + 2 * 65536, "{} bytes wait", s.tx.queued());
    assert!(matches!(s.rx.want(), iscsicore::link::Want::Answer), "reading stops");
    s.deaf = false;
    let mut answers = 0;
    for _ in 0..200 {
        answers += s.answers().len();
        s.receive().unwrap();
        app.serve(&mut s);
    }
    assert_eq!((app.commands.len(), answers), (60, 100), "all go on once the initiator reads");
}
