//! A lost connection: what becomes of its session.

mod support;

use iscsicore::Misuse;
use iscsicore::scsi::Response;
use iscsicore::target::{EndReason, Event, Incoming, Target};
use iscsicore::wire::{Cid, Tsih};
use iscsicore::{Instant, Limits};
use support::app::{self, App};
use support::{CID, Setup};

/// Two seconds to wait, and twenty to return.
fn retaining() -> Setup {
    let setup = Setup::default().offer(|o| (o.time2wait, o.time2retain) = (2, 20));
    setup.key("DefaultTime2Wait", 2).key("DefaultTime2Retain", 20)
}

// covers: 7143-7.14-3
#[test]
fn a_session_that_retains_nothing_ends_with_its_connection() {
    let setup = Setup::default().key("DefaultTime2Retain", 0);
    let mut s = setup.connect();
    s.lose();
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::ConnectionLost)]));
    s.lose();
    s.no_events();
}

// covers: 7143-7.14-3
#[test]
fn the_end_waits_for_running_commands() {
    let mut s = Setup::default().key("DefaultTime2Retain", 0).connect();
    let (plain, read) = (s.plain(), s.read(100));
    s.send(plain);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.send(read);
    s.lose();
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::ConnectionLost)]));
}

// covers: 7143-7.14-5
#[test]
fn immediate_commands_end_with_their_connection() {
    let mut s = retaining().connect();
    let (running, queued) = (s.immediate(), s.immediate());
    s.send(running);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.send(queued);
    s.lose();
    assert!(matches!(s.events()[..], [Event::Abort { task }] if task == command.task));
    s.target.complete(command.task, Response::good(), 0).unwrap();
    assert_eq!(s.target.outstanding(), 0);
}

// covers: 7143-7.5-1
#[test]
fn a_lost_session_is_kept_for_the_time_agreed_on() {
    let mut s = retaining().connect();
    s.lose();
    s.no_events();
    assert_eq!(s.target.poll_timeout(), Some(s.now + std::time::Duration::from_secs(22)));
    s.later(21);
    s.no_events();
    s.later(1);
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::ConnectionLost)]));
    assert_eq!(s.target.poll_timeout(), None);
}

// covers: 7143-6.3.4-1
#[test]
fn a_lost_connection_can_be_reinstated() {
    let setup = retaining();
    let mut s = setup.connect();
    let (plain, _missing, early) = (s.plain(), s.plain(), s.plain());
    s.send(plain);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.send(early);
    s.lose();
    assert!(matches!(s.events()[..], [Event::Abort { .. }]));
    s.later(5);
    // What was not acknowledged is discarded, and comes again.
    s.cmd_sn = s.exp_cmd_sn.next();
    s.reinstate(&setup, CID).unwrap();
    s.no_events();
    s.target.complete(command.task, Response::good(), 0).unwrap();
    let mut app = App::default();
    let (first, second) = (s.plain(), s.plain());
    s.send(second);
    app.serve(&mut s);
    assert!(app.commands.is_empty());
    s.send(first);
    app.serve(&mut s);
    let order: Vec<_> = s.answers().iter().filter(|a| a.bhs.0[0] == 0x21).map(|a| a.scsi().itt).collect();
    assert_eq!(order, [first.itt, second.itt]);
    s.later(25);
    s.no_events();
}

// covers: 7143-4.2.5.1-1 7143-4.2.5.1-2 7143-4.2.5.1-4
#[test]
fn a_live_connection_is_replaced() {
    let setup = retaining();
    let mut s = setup.connect();
    let old = s.conn;
    // Payload, a status and an R2T that wait to be sent when their connection goes do not go out on the next one.
    let (read, plain, write) = (s.read(1000), s.plain(), s.write(1000));
    s.send(read);
    s.send(plain);
    s.send(write);
    let mut app = App::default();
    app.serve(&mut s);
    s.reinstate(&setup, CID).unwrap();
    app.serve(&mut s);
    assert_eq!(app.commands.len(), 3);
    assert!(matches!(app.other[..], [Event::Close(id)] if id == old), "{:?}", app.other);
    s.quiet();
    s.target.lost(s.now, old, iscsicore::TransportError::Closed);
    let read = s.read(1000);
    s.send(read);
    app.serve(&mut s);
    assert_eq!(s.answer().data, app::pattern(1000));
    s.no_events();
    s.lose();
    s.no_events();
    assert!(s.target.poll_timeout().is_some());
}

#[test]
fn a_replaced_connection_may_be_lost_after_its_successor() {
    let setup = retaining();
    let mut s = setup.connect();
    let old = s.conn;
    s.reinstate(&setup, CID).unwrap();
    s.lose();
    s.target.lost(s.now, old, iscsicore::TransportError::Closed);
    s.no_events();
    s.later(22);
    assert!(matches!(s.events()[..], [Event::Ended(EndReason::ConnectionLost)]));
}

#[test]
fn another_connection_beside_a_live_one_is_refused() {
    let setup = retaining();
    let mut s = setup.connect();
    assert!(matches!(s.reinstate(&setup, Cid(99)), Err(Misuse::InvalidArgument(_))));
    let mut app = App::default();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    s.answer();
    // In place of a lost one any name will do.
    s.lose();
    s.reinstate(&setup, Cid(99)).unwrap();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    s.answer();
}

#[test]
fn the_connection_brings_its_own_digests_and_segments() {
    let mut s = retaining().connect();
    s.lose();
    let setup = retaining().digests().key("MaxRecvDataSegmentLength", 512);
    s.reinstate(&setup, CID).unwrap();
    let read = s.read(2000);
    s.send(read);
    let mut app = App::default();
    app.serve(&mut s);
    let lengths: Vec<_> = s.answers().iter().map(|a| a.data.len()).collect();
    assert_eq!(lengths, [512, 512, 512, 464]);
    assert!(s.target.parameters().header_digest);
}

#[test]
fn a_session_that_is_over_takes_no_connection() {
    let setup = retaining();
    let mut s = setup.connect();
    s.target.terminate(s.now);
    assert!(matches!(s.reinstate(&setup, CID), Err(Misuse::WrongState(_))));
}

#[test]
fn a_login_that_is_not_complete_makes_no_session() {
    let incoming = || Incoming::new(Limits::default(), [0; 32], Instant::ZERO);
    assert!(Target::new(incoming(), Tsih(1), Instant::ZERO).is_err());
    let mut s = retaining().connect();
    assert!(matches!(s.target.reinstate(incoming(), s.now), Err(Misuse::WrongState(_))));
    s.quiet();
}

#[test]
fn a_login_for_a_new_session_does_not_join_an_old_one() {
    let setup = retaining();
    let mut s = setup.connect();
    s.lose();
    assert!(matches!(s.reinstate_with_a_new_session(&setup), Err(Misuse::InvalidArgument(_))));
    s.reinstate(&setup, CID).unwrap();
}
