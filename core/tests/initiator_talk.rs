//! What the initiator says and when: command window, task management, text, messages of the target. A scripted target
//! looks at every field.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use core::time::Duration;

use initiator_support::Script;
use iscsicore::DataList;
use iscsicore::initiator::{Cause, Command, DownReason, Event, Outcome, RefusedWhy, Repeat, Transient};
use iscsicore::session::SendTargets;
use iscsicore::wire::{
    AsyncEvent, AsyncMessage, CmdSn, DataIn, InitiatorPdu, Itt, LogoutReason, LogoutResult, Lun, NopIn,
    RejectReason, ScsiResponse, TaskManagementFunction, TaskManagementResult, TextResponse, Ttt,
};
use pair_support::Setup;
use pair_support::commands::{answer, is_good, pattern, plain, test_unit_ready};

fn script() -> Script {
    Script::new()
}

/// Takes away the rest of the window, and gives it back.
fn shut(script: &mut Script) {
    while script.near.initiator.window() > 0 {
        let (_, command) = script.submit(test_unit_ready());
        // Answered, but the window does not move.
        script.max_cmd_sn = CmdSn(script.max_cmd_sn.0.wrapping_sub(1));
        let good = script.good(command.itt);
        script.send(good);
    }
    script.near.done.clear();
}

fn open(script: &mut Script, by: u32) {
    script.max_cmd_sn = script.max_cmd_sn.plus(by);
    let nop = script.ping(u32::MAX);
    script.send(nop);
}

// covers: 7143-4.2.2.1-3 7143-4.2.2.1-8 7143-4.2.2.1-13
#[test]
fn commands_wait_for_the_window_in_their_order() {
    let mut script = script();
    shut(&mut script);
    let tasks: Vec<_> = (0..5).map(|n| script.near.submit(script.now, plain(&[0, 0, 0, 0, n]))).collect();
    script.quiet();
    let first = script.exp_cmd_sn;
    let mut seen = 0;
    for by in [1, 3, 1] {
        open(&mut script, by);
        let sent = script.sent();
        assert_eq!(sent.len(), by as usize, "as many as the window takes");
        for pdu in sent {
            let command = pdu.command();
            assert_eq!((command.cmd_sn, command.cdb[4]), (first.plus(seen), seen as u8));
            let good = script.good(command.itt);
            script.send(good);
            seen += 1;
        }
        script.max_cmd_sn = CmdSn(script.max_cmd_sn.0.wrapping_sub(by));
    }
    assert!(tasks.iter().all(|task| is_good(&script.outcome(*task).expect("an answer"))));
}

// covers: 7143-4.2.2.1-1 7143-4.2.2.1-2
#[test]
fn requests_that_are_immediate_carry_the_current_cmd_sn_and_pass_a_shut_window() {
    let mut script = script();
    shut(&mut script);
    let next = script.exp_cmd_sn;
    script.near.initiator.ping(script.now, bytes::Bytes::from_static(b"data")).expect("a connection");
    let ping = script.sent_one();
    assert_eq!((ping.nop_out().immediate, ping.nop_out().cmd_sn), (true, next));
    assert_eq!(&ping.data[..], b"data");
    let function = TaskManagementFunction::AbortTaskSet;
    script.near.initiator.task_management(script.now, function, Lun::ZERO).expect("a connection");
    let request = script.sent_one().management();
    assert_eq!((request.immediate, request.cmd_sn, request.function), (true, next, function));
    // The next command takes the number that those have shown.
    open(&mut script, 1);
    let (_, command) = script.submit(test_unit_ready());
    assert_eq!(command.cmd_sn, next);
}

#[test]
fn a_queue_that_is_full_gives_the_command_back_and_says_when_there_is_room() {
    let mut setup = Setup::default();
    setup.near_limits.queue_depth = 2;
    let mut script = Script::with(&setup);
    let (_, first) = script.submit(test_unit_ready());
    script.submit(test_unit_ready());
    let refused = script.near.initiator.submit(script.now, plain(&[9])).expect_err("a full queue");
    assert_eq!((refused.why, refused.command.cdb.opcode()), (RefusedWhy::QueueFull, 9));
    assert!(script.events().is_empty());
    let good = script.good(first.itt);
    script.send(good);
    assert!(matches!(script.events()[..], [Event::RoomAgain]));
    script.submit(*refused.command);
}

// covers: 7143-11.7.2-3
#[test]
fn a_data_in_that_asks_for_an_acknowledgement_gets_none() {
    let mut script = script();
    let (task, command) = script.submit(Command { data_in: 1000, ..plain(&[0xc1]) });
    let header = script.data_in(command.itt, 0, 0);
    script.send_with(DataIn { acknowledge: true, ttt: Ttt(5), ..header }, &pattern(600));
    let header = script.last_data_in(command.itt, 1, 600);
    script.send_with(DataIn { acknowledge: true, ttt: Ttt(6), ..header }, &pattern(1000)[600..]);
    script.quiet();
    script.assert_up();
    let outcome = script.outcome(task).expect("an answer");
    assert!(is_good(&outcome) && answer(&outcome).data.to_bytes()[..] == pattern(1000));
}

// covers: 7143-7.3-3
#[test]
fn a_rejected_command_is_plugged() {
    let mut script = script();
    let (task, command) = script.submit(test_unit_ready());
    let reject = script.reject(RejectReason::CommandNotSupported);
    // The target has not counted the command.
    script.exp_cmd_sn = command.cmd_sn;
    script.send_with(reject, &command.emit().0);
    assert_eq!(
        script.outcome(task),
        Some(Outcome::NotSent(Cause::Rejected(RejectReason::CommandNotSupported)))
    );
    match script.sent_one().pdu {
        InitiatorPdu::TaskManagementRequest(abort) => {
            assert_eq!(abort.function, TaskManagementFunction::AbortTask);
            assert_eq!((abort.referenced_itt, abort.ref_cmd_sn), (command.itt, command.cmd_sn));
            assert!(abort.immediate);
            // The answer to it surprises nobody, and leaves the number used up.
            script.exp_cmd_sn = command.cmd_sn.next();
            let done = script.management_response(abort.itt, TaskManagementResult::Complete);
            script.send(done);
        }
        InitiatorPdu::NopOut(nop) => {
            assert_eq!((nop.cmd_sn, nop.immediate), (command.cmd_sn, false));
            assert!(!nop.itt.is_reserved(), "a NOP-Out without a tag is immediate, and plugs nothing");
            let pong = script.pong(&nop);
            script.send(pong);
        }
        other => panic!("something that uses the number up: {other}"),
    }
    script.assert_up();
    let (_, next) = script.submit(test_unit_ready());
    assert_eq!(next.cmd_sn, command.cmd_sn.next());
}

// covers: 7143-11.5.5-2 7143-11.5.1-9 7143-11.5.1-2
#[test]
fn abort_task_names_its_task() {
    let mut script = script();
    script.submit(test_unit_ready());
    let lun = Lun(0x0001_0000_0000_0000);
    let (task, command) = script.submit(Command { lun, ..test_unit_ready() });
    script.near.initiator.abort(script.now, task).expect("a command");
    let abort = script.sent_one().management();
    assert_eq!(abort.function, TaskManagementFunction::AbortTask);
    assert_eq!((abort.lun, abort.referenced_itt), (lun, command.itt));
    assert_eq!(abort.ref_cmd_sn, command.cmd_sn);
    assert_ne!(abort.itt, command.itt);
    assert_eq!(script.outcome(task), None, "not before the target says so");
    let done = script.management_response(abort.itt, TaskManagementResult::Complete);
    script.send(done);
    assert_eq!(script.outcome(task), Some(Outcome::Aborted));
    // An answer that comes all the same is not delivered.
    let good = script.good(command.itt);
    script.send(good);
    assert_eq!(script.outcome(task), Some(Outcome::Aborted));
}

#[test]
fn an_answer_that_overtakes_its_abort_counts() {
    let mut script = script();
    let (task, command) = script.submit(test_unit_ready());
    script.near.initiator.abort(script.now, task).expect("a command");
    let abort = script.sent_one().management();
    let good = script.good(command.itt);
    script.send(good);
    assert!(is_good(&script.outcome(task).expect("an answer")));
    let none = script.management_response(abort.itt, TaskManagementResult::TaskDoesNotExist);
    script.send(none);
    script.assert_up();
}

// covers: 7143-4.2.3.3-2 7143-4.2.3.3-3 7143-4.2.3.3-4 7143-11.5.1-5
#[test]
fn r2ts_are_answered_while_the_task_set_is_being_aborted() {
    let setup = Setup::default().both(|o| (o.initial_r2t, o.immediate_data) = (true, false));
    let mut script = Script::with(&setup);
    for function in [TaskManagementFunction::AbortTaskSet, TaskManagementFunction::ClearTaskSet] {
        let data = pattern(2048);
        let write = Command { data_out: DataList::from(data.clone()), ..plain(&[0xc1]) };
        let (task, command) = script.submit(write);
        let (early, answered) = script.submit(test_unit_ready());
        let request = script.near.initiator.task_management(script.now, function, Lun::ZERO);
        let request = request.expect("a connection");
        let tmf = script.sent_one().management();
        // A ping with a tag is answered as well, and an answer that comes before the end counts.
        let ping = script.ping(0x77);
        script.send(ping);
        assert_eq!(script.sent_one().nop_out().ttt, ping.ttt);
        let good = script.good(answered.itt);
        script.send(good);
        assert!(is_good(&script.outcome(early).expect("an answer")));
        assert_eq!(script.outcome(task), None, "not before the target says so");
        let r2t = script.r2t(command.itt, 0, 0, 2048);
        script.send(r2t);
        let answer = script.sent_one();
        assert_eq!((answer.data_out().ttt, &answer.data[..]), (r2t.ttt, &data[..]));
        assert!(answer.data_out().final_);
        let done = script.management_response(tmf.itt, TaskManagementResult::Complete);
        script.send(done);
        assert_eq!(script.outcome(task), Some(Outcome::Aborted));
        let told = script.events();
        assert!(
            matches!(told[..], [Event::TaskManagementDone { request: of, result: Ok(_) }] if of == request),
            "{told:?}"
        );
    }
}

// covers: 7143-11.10.3-1 7143-11.10.3-2 7143-11.11.4-3 7143-11.10-1 7143-6.4-3 7143-6.4-5
#[test]
fn text_answers_of_many_pdus_are_asked_for_piece_by_piece() {
    let mut script = script();
    let request = script.near.initiator.send_targets(script.now, SendTargets::All).expect("a connection");
    let mut asked = script.sent_one();
    let (itt, immediate) = (asked.text().itt, asked.text().immediate);
    assert_eq!((&asked.data[..], asked.text().ttt), (&b"SendTargets=All\0"[..], Ttt::RESERVED));
    assert!(asked.text().final_, "nothing more is to be said");
    assert!(script.near.initiator.send_targets(script.now, SendTargets::All).is_err(), "one at a time");

    let names: Vec<String> = (0..40).map(|n| format!("iqn.2026-11.example:disk-{n:03}")).collect();
    let text: String =
        names.iter().map(|name| format!("TargetName={name}\0TargetAddress=[2001:db8::1]:3260,1\0")).collect();
    // Cut in the middle of keys, which the C bit allows; each piece has another tag, one of them another LUN.
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(700).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let last = n + 1 == pieces.len();
        let ttt = if last { Ttt::RESERVED } else { Ttt(100 + n as u32) };
        let lun = if n == 1 { Lun(0x0002_0000_0000_0000) } else { Lun::ZERO };
        let response = script.text_response(itt, ttt);
        script.send_with(TextResponse { lun, continued: !last, ..response }, piece);
        if !last {
            asked = script.sent_one();
            let next = asked.text();
            assert_eq!((next.itt, next.immediate, next.ttt, next.lun), (itt, immediate, ttt, lun));
            assert!(asked.data.is_empty() && next.final_, "a request for more says nothing");
        }
    }
    script.quiet();
    let events = script.events();
    let [Event::Targets { request: of, result: Ok(targets) }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*of, request);
    assert_eq!(targets.iter().map(|t| &t.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    assert!(targets.iter().all(|t| t.addresses[0].address == "[2001:db8::1]:3260"));
}

// covers: 7143-11.10.5-1
#[test]
fn a_question_is_no_longer_than_the_target_takes_and_asks_nothing_else() {
    let mut setup = Setup::default();
    setup.far.max_segment = 512;
    let longest = format!("iqn.2026-11.example:{}", "x".repeat(203));
    for name in ["iqn.2026-11.example:a", &longest] {
        let mut script = Script::with(&setup);
        let which = SendTargets::Named(name.to_owned());
        script.near.initiator.send_targets(script.now, which).expect("a name");
        assert_eq!(script.sent_one().data[..], *format!("SendTargets={name}\0").as_bytes());
    }
    for name in ["x".repeat(500), "x".repeat(20_000), "iqn.2026-11.example:a\0InitiatorAlias=b".to_owned()] {
        let mut script = Script::with(&setup);
        assert!(script.near.initiator.send_targets(script.now, SendTargets::Named(name)).is_err());
        script.quiet();
    }
}

#[test]
fn text_without_end_is_given_up() {
    // As much as the segment takes each time, and nothing at all each time.
    for piece in [&vec![b'x'; 8000][..], &[][..]] {
        let mut script = script();
        script.near.initiator.send_targets(script.now, SendTargets::All).expect("a connection");
        let mut rounds = 0;
        while !script.near.is_over() {
            let asked = script.sent_one().text();
            let response = script.text_response(asked.itt, Ttt(7));
            script.send_with(TextResponse { continued: true, ..response }, piece);
            rounds += 1;
            assert!(rounds < 10_000, "text without end");
        }
        script.assert_refused();
        let events = script.events();
        let told = events.iter().any(|e| matches!(e, Event::Targets { result: Err(_), .. }));
        assert!(told, "whoever has asked gets to know: {events:?}");
    }
}

#[test]
fn text_answers_that_are_no_text_bring_no_targets() {
    for text in
        [&b"TargetName"[..], b"=x\0", b"\xff\xfe=\xfd\0", b"\0\0\0", b"TargetName=\0", b"TargetAddress=x\0"]
    {
        let mut script = script();
        script.near.initiator.send_targets(script.now, SendTargets::All).expect("a connection");
        let asked = script.sent_one().text();
        let response = script.text_response(asked.itt, Ttt::RESERVED);
        script.send_with(response, text);
        for event in script.events() {
            if let Event::Targets { result: Ok(targets), .. } = event {
                assert!(targets.is_empty(), "{targets:?} from {text:?}");
            }
        }
    }
}

// covers: 7143-11.9.1-2 7143-11.9.1-3 7143-11.9.1-4 7143-11.14-2 7143-11.14-3
#[test]
fn a_logout_that_the_target_asks_for_is_sent_in_time_and_nothing_after_it() {
    // Idle: at once. Busy: when the time is over at the latest.
    for busy in [false, true] {
        let mut script = script();
        let busy = busy.then(|| script.submit(Command { repeat: Repeat::Safe, ..test_unit_ready() }));
        let message = script.message(AsyncEvent::LogoutRequested);
        script.send(AsyncMessage { parameter3: 10, ..message });
        let waiting = script.near.submit(script.now, Command { repeat: Repeat::Safe, ..test_unit_ready() });
        if busy.is_some() {
            script.quiet();
            script.later(Duration::from_secs(10));
        }
        let sent = script.sent();
        let [request] = &sent[..] else { panic!("the logout alone: {sent:?}") };
        let logout = request.logout();
        assert!(matches!(logout.reason, LogoutReason::CloseSession | LogoutReason::CloseConnection));
        script.near.submit(script.now, test_unit_ready());
        let _ = script.near.initiator.ping(script.now, bytes::Bytes::new());
        script.quiet();
        let response = script.logout_response(logout.itt, LogoutResult::Closed);
        script.send(response);
        script.near.drain();
        assert_eq!(script.near.down, Some(DownReason::AskedByTarget));
        // The session goes on with the next login; what had to wait is sent there.
        assert_eq!(script.outcome(waiting), None);
        script.log_in(&Setup::default());
        let sent = script.sent();
        assert_eq!(sent.len(), if busy.is_some() { 3 } else { 2 }, "{sent:?}");
    }
}

// covers: 7143-11.9.1-6 7143-6.4-3
#[test]
fn a_negotiation_that_the_target_asks_for_is_begun() {
    let mut script = script();
    let message = script.message(AsyncEvent::NegotiationRequested);
    script.send(AsyncMessage { parameter3: 5, ..message });
    let asked = script.sent_one().text();
    assert_eq!((asked.ttt, asked.final_), (Ttt::RESERVED, true));
    // Once is enough while it is pending.
    let message = script.message(AsyncEvent::NegotiationRequested);
    script.send(AsyncMessage { parameter3: 5, ..message });
    script.quiet();
    let response = script.text_response(asked.itt, Ttt::RESERVED);
    script.send(response);
    script.assert_up();
    assert!(script.events().iter().all(|e| matches!(e, Event::Async { .. })));
}

#[test]
fn a_target_that_takes_less_from_now_on_gets_shorter_pdus() {
    let mut script = script();
    let message = script.message(AsyncEvent::NegotiationRequested);
    script.send(message);
    let asked = script.sent_one().text();
    let response = script.text_response(asked.itt, Ttt::RESERVED);
    script.send_with(response, b"MaxRecvDataSegmentLength=1024\0");
    script.assert_up();
    let data = pattern(5000);
    script.near.submit(script.now, Command { data_out: DataList::from(data.clone()), ..plain(&[0xc1]) });
    let sent = script.sent();
    assert!(sent.iter().all(|sent| sent.data.len() <= 1024), "{sent:?}");
    let all: Vec<u8> = sent.iter().flat_map(|sent| sent.data.to_vec()).collect();
    assert!(all == data, "all of it, unsolicited");
}

#[test]
fn a_busy_target_is_asked_again_after_a_pause() {
    let mut script = script();
    let patient = Command { transient: Transient::Retry, ..test_unit_ready() };
    let (task, command) = script.submit(patient);
    for status in [0x08, 0x28] {
        let itt = command.itt;
        let response = script.good(itt);
        script.send(ScsiResponse { status, ..response });
        assert_eq!(script.outcome(task), None);
        script.quiet();
        script.later(Duration::from_secs(2));
        assert_eq!(script.sent_one().command().cdb, command.cdb);
    }
    let good = script.good(command.itt);
    script.send(good);
    assert!(is_good(&script.outcome(task).expect("an answer")));
}

// covers: 7143-11.18.1-1 7143-11.18.2-1 7143-11.18.2-2
#[test]
fn a_ping_of_ours_has_a_tag_and_no_tag_of_the_target() {
    let mut script = script();
    let request =
        script.near.initiator.ping(script.now, bytes::Bytes::from_static(b"abc")).expect("a connection");
    let ping = script.sent_one().nop_out();
    assert!(!ping.itt.is_reserved() && ping.ttt.is_reserved());
    let pong = script.pong(&ping);
    script.send_with(pong, b"abc");
    let events = script.events();
    assert!(
        matches!(&events[..], [Event::Pong { request: of, result: Ok(data) }] if *of == request && data == "abc"),
        "{events:?}"
    );
    // The same answer again is nobody's.
    let again = NopIn { itt: ping.itt, ..script.ping(u32::MAX) };
    let again = NopIn { stat_sn: script.next_status(), ..again };
    script.send_with(again, b"abc");
    assert!(!script.events().iter().any(|e| matches!(e, Event::Pong { .. })));
}

#[test]
fn a_target_that_always_has_an_excuse_is_not_asked_for_ever() {
    let attention = [0, 14, 0x70, 0, 6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0x29, 0];
    for (status, data) in [(0x02, &attention[..]), (0x08, &[])] {
        let mut script = script();
        let (task, mut command) = script.submit(Command { transient: Transient::Retry, ..test_unit_ready() });
        let mut rounds = 0;
        while script.outcome(task).is_none() {
            let response = script.good(command.itt);
            script.send_with(ScsiResponse { status, ..response }, data);
            script.later(Duration::from_secs(2));
            match &script.sent()[..] {
                [] => {}
                [again] => command = again.command(),
                more => panic!("one command: {more:?}"),
            }
            rounds += 1;
            assert!(rounds < 1_000, "asked for ever");
        }
        assert_eq!(answer(&script.outcome(task).expect("an answer")).status.0, status);
        assert!(rounds > 3, "a few times, though");
    }
}

#[test]
fn requests_that_nobody_answers_are_bounded() {
    let mut script = script();
    let most = script.near_limits().immediate_requests as usize;
    let ping = |script: &mut Script| script.near.initiator.ping(script.now, bytes::Bytes::new());
    assert_eq!((0..1000).take_while(|_| ping(&mut script).is_ok()).count(), most);
    let first = script.sent()[0].nop_out();
    let pong = script.pong(&first);
    script.send(pong);
    assert!(ping(&mut script).is_ok(), "an answer makes room");
}

#[test]
fn tags_of_tasks_are_unique_and_not_reserved() {
    let mut script = script();
    let mut tags: Vec<Itt> = (0..100).map(|_| script.submit(test_unit_ready()).1.itt).collect();
    tags.sort_by_key(|itt| itt.0);
    tags.dedup();
    assert_eq!(tags.len(), 100);
    assert!(tags.iter().all(|itt| !itt.is_reserved()));
}
