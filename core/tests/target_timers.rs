//! Pings of either end, and what time does to a session.

mod support;

use std::time::Duration;

use iscsicore::target::{EndReason, Event};
use iscsicore::wire::{Itt, Lun, NopIn, NopOut, TargetPdu, Ttt};
use support::{Answer, Session, Setup};

fn nop_in(answer: &Answer) -> NopIn {
    match answer.pdu {
        TargetPdu::NopIn(nop) => nop,
        other => panic!("a NOP-In: {other:?}"),
    }
}

fn setup() -> Setup {
    Setup::default().limits(|l| {
        l.ping_interval = Duration::from_secs(30);
        l.ping_timeout = Duration::from_secs(10);
        l.ping_grace = Duration::from_secs(600);
    })
}

fn answer_ping(s: &mut Session, ping: &NopIn) {
    let answer = NopOut {
        immediate: true,
        lun: ping.lun,
        itt: Itt::RESERVED,
        ttt: ping.ttt,
        cmd_sn: s.cmd_sn,
        exp_stat_sn: s.stat_sn,
    };
    s.send(answer);
}

// covers: 7143-11.18.1-3 7143-11.19-1 7143-11.19-2 7143-11.19-3
#[test]
fn a_ping_is_answered_with_its_data() {
    let mut s = Setup::default().key("MaxRecvDataSegmentLength", 1000).connect();
    for immediate in [true, false] {
        for len in [0, 1, 999, 1000, 1001, 5000] {
            let nop = s.nop(immediate);
            let data = support::app::pattern(len);
            s.send_with(nop, &data);
            let answer = s.answer();
            assert_eq!(nop_in(&answer).itt, nop.itt);
            assert!(nop_in(&answer).ttt.is_reserved());
            assert_eq!(answer.data, data[..len.min(1000)]);
        }
    }
    assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
}

// covers: 7143-11.19-4 7143-11.18.1-4
#[test]
fn a_nop_out_that_wants_no_answer_gets_none() {
    let mut s = Setup::default().connect();
    for ttt in [Ttt::RESERVED, Ttt(9)] {
        let nop = NopOut { itt: Itt::RESERVED, ttt, ..s.nop(true) };
        s.send(nop);
        s.quiet();
    }
    let number = s.cmd_sn;
    let ping = s.nop(true);
    s.send(ping);
    assert_eq!(nop_in(&s.answer()).exp_cmd_sn, number, "none of them used up a number");
    let mut numbered = s.nop(false).emit();
    numbered.0[16..20].fill(0xff);
    assert!(s.try_send(numbered, &[], &[]).is_err(), "it would use up a number for nothing");
}

// covers: 7143-11.19-5 7143-11.19.3-1
#[test]
fn a_silent_initiator_is_pinged_and_then_given_up() {
    let mut s = setup().connect();
    assert_eq!(s.target.poll_timeout(), Some(s.now + Duration::from_secs(30)));
    s.later(29);
    s.quiet();
    s.later(1);
    let answer = s.answer();
    let ping = nop_in(&answer);
    assert!(ping.itt.is_reserved() && !ping.ttt.is_reserved() && answer.data.is_empty());
    assert_eq!(ping.lun, Lun::ZERO);
    answer_ping(&mut s, &ping);
    // Now it is known to answer: the next one has less time.
    s.later(30);
    nop_in(&s.answer());
    s.later(9);
    s.no_events();
    s.later(1);
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::TimedOut)]));
}

#[test]
fn an_initiator_that_never_answered_a_ping_has_more_time() {
    let mut s = setup().connect();
    s.later(30);
    nop_in(&s.answer());
    s.later(599);
    s.no_events();
    s.quiet();
    s.later(1);
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::TimedOut)]));
}

#[test]
fn whatever_arrives_is_a_sign_of_life() {
    let mut s = setup().connect();
    s.later(30);
    nop_in(&s.answer());
    // Alive, and no friend of pings.
    for _ in 0..100 {
        s.later(500);
        s.no_events();
        let nop = s.nop(true);
        s.send(nop);
        s.answer();
    }
}

#[test]
fn a_busy_initiator_is_not_pinged() {
    let mut s = setup().connect();
    for _ in 0..10 {
        s.later(29);
        s.quiet();
        let nop = s.nop(true);
        s.send(nop);
        s.answer();
    }
}

#[test]
fn without_an_interval_there_are_no_pings() {
    let mut s = Setup::default().limits(|l| l.ping_interval = Duration::ZERO).connect();
    assert_eq!(s.target.poll_timeout(), None);
    s.later(1_000_000);
    s.quiet();
    s.no_events();
}

#[test]
fn a_silent_discovery_session_ends_without_a_ping() {
    let mut s = Setup::discovery().limits(|l| l.ping_grace = Duration::from_secs(60)).connect();
    s.later(30);
    s.quiet();
    s.later(60);
    s.quiet();
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::TimedOut)]));
}

#[test]
fn a_deadline_is_always_in_the_future_once_it_was_acted_on() {
    let mut s = setup().connect();
    for _ in 0..50 {
        let Some(deadline) = s.target.poll_timeout() else { break };
        assert!(deadline > s.now, "{deadline:?} at {:?}", s.now);
        s.now = deadline;
        s.target.handle_timeout(s.now);
        s.answers();
    }
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::TimedOut)]));
}

#[test]
fn time_that_runs_backwards_does_no_harm() {
    let mut s = setup().connect();
    s.now = iscsicore::Instant::ZERO;
    s.target.handle_timeout(s.now);
    let nop = s.nop(true);
    s.send(nop);
    s.answer();
    s.no_events();
}
