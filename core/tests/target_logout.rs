//! Logout, asked for by either end, and the end of a session.

mod support;

use iscsicore::scsi::Response;
use iscsicore::target::{EndReason, Event, Notice};
use iscsicore::wire::{
    AsyncEvent, AsyncMessage, Cid, LogoutReason, LogoutResponse, LogoutResult, Lun, RejectReason, TargetPdu,
};
use support::app::{self, App};
use support::{Answer, Session, Setup};

fn logout_response(answer: &Answer) -> LogoutResponse {
    match answer.pdu {
        TargetPdu::LogoutResponse(response) => response,
        other => panic!("a Logout Response: {other:?}"),
    }
}

fn async_message(answer: &Answer) -> AsyncMessage {
    match answer.pdu {
        TargetPdu::AsyncMessage(message) => message,
        other => panic!("an Asynchronous Message: {other:?}"),
    }
}

fn assert_over(s: &mut Session, reason: EndReason) {
    let events = s.events();
    assert!(matches!(events[..], [Event::Close(_), Event::Ended(told)] if told == reason), "{events:?}");
    assert_eq!(s.target.connections().count(), 0);
}

// covers: 7143-11.15-1
#[test]
fn a_logout_closes_connection_and_session() {
    for reason in [LogoutReason::CloseSession, LogoutReason::CloseConnection] {
        for immediate in [true, false] {
            let mut s = Setup::default().connect();
            let mut logout = s.logout(reason);
            logout.immediate = immediate;
            s.send(logout);
            let response = logout_response(&s.answer());
            assert_eq!((response.itt, response.result), (logout.itt, LogoutResult::Closed));
            assert_over(&mut s, EndReason::LoggedOut);
        }
    }
}

// covers: 7143-11.14-4
#[test]
fn a_logout_ends_all_commands_and_waits_for_those_that_run() {
    let mut s = Setup::default().connect();
    let (running, write, queued, _missing) = (s.plain(), s.write(4096), s.plain(), s.plain());
    let early = s.plain();
    s.send(running);
    let Some(Event::Command(run)) = s.target.poll_event() else { panic!("a command") };
    s.send(write);
    let Some(Event::Command(collecting)) = s.target.poll_event() else { panic!("a command") };
    s.target.accept(collecting.task, 4096).unwrap();
    assert!(matches!(s.answer().pdu, TargetPdu::R2t(_)));
    s.send(queued);
    s.send(early);
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    let events = s.events();
    assert!(matches!(events[..], [Event::Abort { .. }, Event::Abort { .. }]), "{events:?}");
    s.quiet();
    let mut late = s.nop(true);
    late.itt = s.itt();
    s.send(late);
    s.answer().assert_reject(RejectReason::WaitingForLogout, &late.emit());
    s.target.complete(run.task, Response::good(), 0).unwrap();
    assert_eq!(logout_response(&s.answer()).result, LogoutResult::Closed);
    assert_over(&mut s, EndReason::LoggedOut);
}

#[test]
fn a_logout_of_another_connection_or_for_recovery_is_refused() {
    let mut s = Setup::default().connect();
    let mut other = s.logout(LogoutReason::CloseConnection);
    other.cid = Cid(99);
    s.send(other);
    assert_eq!(logout_response(&s.answer()).result, LogoutResult::CidNotFound);
    let recovery = s.logout(LogoutReason::RemoveConnectionForRecovery);
    s.send(recovery);
    assert_eq!(logout_response(&s.answer()).result, LogoutResult::RecoveryNotSupported);
    let mut app = App::default();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    assert_eq!(s.answer().scsi().itt, plain.itt, "the session goes on");
}

#[test]
fn a_numbered_logout_that_is_refused_makes_room_again() {
    let mut s = Setup::default().connect();
    for _ in 0..20 {
        let mut other = s.logout(LogoutReason::RemoveConnectionForRecovery);
        other.immediate = false;
        s.cmd_sn = s.cmd_sn.next();
        s.send(other);
        s.answer();
    }
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
}

// covers: 7143-11.9.1-1
#[test]
fn the_initiator_is_asked_to_log_out_and_does() {
    let mut s = Setup::default().connect();
    s.target.request_logout(s.now, std::time::Duration::from_secs(10));
    let message = async_message(&s.answer());
    assert_eq!((message.event, message.parameter3), (AsyncEvent::LogoutRequested, 10));
    let mut app = App::default();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    assert_eq!(s.answer().scsi().itt, plain.itt, "what is on its way is still served");
    s.target.request_logout(s.now, std::time::Duration::from_secs(10));
    assert_eq!(async_message(&s.answer()).event, AsyncEvent::LogoutRequested, "it may be asked again");
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    s.answer();
    assert_over(&mut s, EndReason::LoggedOut);
}

#[test]
fn an_initiator_that_does_not_log_out_is_dropped() {
    let mut s = Setup::default().connect();
    s.target.request_logout(s.now, std::time::Duration::from_secs(10));
    s.answer();
    assert_eq!(s.target.poll_timeout(), Some(s.now + std::time::Duration::from_secs(10)));
    s.later(9);
    s.no_events();
    s.later(1);
    assert_over(&mut s, EndReason::TimedOut);
}

// covers: 7143-11.9.3-1
#[test]
fn events_are_told() {
    let mut s = Setup::default().connect();
    let sense = bytes::Bytes::from_static(&[0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9, 0, 0, 0, 0]);
    s.target.notify(&Notice::Scsi { lun: Lun::from_number(2).unwrap(), sense: sense.clone() });
    let answer = s.answer();
    let message = async_message(&answer);
    assert_eq!((message.event, message.lun), (AsyncEvent::Scsi, Lun::from_number(2).unwrap()));
    assert_eq!((&answer.data[..2], &answer.data[2..]), (&[0, 18][..], &sense[..]));
    s.target.notify(&Notice::SessionDropped { time2wait: 2, time2retain: 0 });
    let message = async_message(&s.answer());
    assert_eq!((message.event, message.parameter2, message.parameter3), (AsyncEvent::SessionDropped, 2, 0));
    s.target.terminate(s.now);
    assert_over(&mut s, EndReason::Terminated);
}

#[test]
fn termination_waits_for_running_commands_alone() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    s.send(plain);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.target.terminate(s.now);
    let events = s.events();
    assert!(matches!(events[..], [Event::Abort { .. }, Event::Close(_)]), "{events:?}");
    s.target.terminate(s.now);
    s.no_events();
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::Terminated)]));
    s.no_events();
}

#[test]
fn what_was_answered_before_the_end_is_sent_before_the_close() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let read = s.read(1000);
    s.send(read);
    app.serve(&mut s);
    s.target.terminate(s.now);
    s.no_events();
    assert_eq!(s.answer().data, app::pattern(1000));
    assert_over(&mut s, EndReason::Terminated);
}

#[test]
fn nothing_is_taken_after_the_end() {
    let mut s = Setup::default().connect();
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    s.answer();
    let plain = s.plain();
    s.send(plain);
    s.quiet();
    assert_over(&mut s, EndReason::LoggedOut);
}

#[test]
fn an_initiator_that_has_begun_to_log_out_is_not_hurried() {
    let mut s = Setup::default().limits(|l| l.ping_interval = std::time::Duration::ZERO).connect();
    let plain = s.plain();
    s.send(plain);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.target.request_logout(s.now, std::time::Duration::from_secs(10));
    s.answer();
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    s.later(3600);
    s.no_events();
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert_eq!(logout_response(&s.answer()).result, LogoutResult::Closed);
    assert_over(&mut s, EndReason::LoggedOut);
}

#[test]
fn a_connection_lost_during_logout_ends_the_session() {
    let setup = Setup::default().offer(|o| o.time2retain = 20).key("DefaultTime2Retain", 20);
    let mut s = setup.connect();
    let plain = s.plain();
    s.send(plain);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    s.lose();
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::ConnectionLost)]));
}
