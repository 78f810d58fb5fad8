//! What both roles say to each other beside commands: pings, SendTargets, messages of the target, logout.
#![allow(missing_docs)]

mod pair_support;

use core::time::Duration;

use bytes::Bytes;
use iscsicore::initiator::{Cause, Command, DownReason, Event, Outcome, RefusedWhy, Repeat, Sink, Transient};
use iscsicore::session::{SendTargets, TargetAddress, TargetRecord};
use iscsicore::target::{EndReason, Notice};
use iscsicore::wire::{AsyncEvent, InitiatorPdu, Lun, TargetPdu};
use pair_support::commands::{BLOCK, answer, is_good, pattern, read, test_unit_ready, write};
use pair_support::{Chance, Cut, Pair, Seen, Setup};

fn pdus(pair: &mut Pair, wanted: impl Fn(&Seen) -> bool) -> usize {
    pair.monitor().seen.iter().filter(|seen| wanted(seen)).count()
}

#[test]
fn a_ping_comes_back_with_its_data_as_far_as_a_pdu_holds() {
    for len in [0, 1, 512, 513, 4096] {
        let mut setup = Setup { cut: Cut::UpTo(100), ..Setup::default() };
        (setup.near.max_segment, setup.far.max_segment) = (1024, 512);
        let mut pair = setup.ready();
        let data = pattern(len);
        let request = pair.near.initiator.ping(pair.now, Bytes::from(data.clone())).expect("a connection");
        pair.run();
        let events = pair.events();
        let [Event::Pong { request: of, result: Ok(back) }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((*of, &back[..]), (request, &data[..len.min(512)]));
        pair.assert_sound();
    }
}

#[test]
fn an_idle_session_is_kept_alive_from_either_end() {
    for (near, far) in [(30, 0), (0, 30), (30, 30)] {
        let mut setup = Setup::default();
        setup.near_limits.ping_interval = Duration::from_secs(near);
        setup.far_limits.ping_interval = Duration::from_secs(far);
        let mut pair = setup.ready();
        pair.monitor().take_seen();
        pair.later(Duration::from_secs(3600));
        pair.assert_sound();
        let ours =
            pdus(&mut pair, |s| matches!(s, Seen::Out(InitiatorPdu::NopOut(n), _) if n.ttt.is_reserved()));
        let theirs =
            pdus(&mut pair, |s| matches!(s, Seen::Out(InitiatorPdu::NopOut(n), _) if !n.ttt.is_reserved()));
        // Either end takes any PDU for a sign of life, so that with both set one of them may do all the work.
        match (near, far) {
            (_, 0) => assert!(ours >= 100 && theirs == 0, "{ours} {theirs}"),
            (0, _) => assert!(ours == 0 && theirs >= 100, "{ours} {theirs}"),
            _ => assert!((60..=260).contains(&(ours + theirs)), "{ours} {theirs}"),
        }
        assert!(pair.events().is_empty());
        assert!(is_good(&pair.execute(test_unit_ready())));
    }
}

#[test]
fn a_target_that_falls_silent_is_given_up_after_one_ping() {
    let mut pair = Setup::default().ready();
    let limits = pair.near.limits().clone();
    let heard = pair.now;
    pair.deaf = true;
    let task = pair.submit(Command { repeat: Repeat::Safe, ..test_unit_ready() });
    pair.run_until("the end of the connection", |pair| pair.near.is_over());
    assert_eq!(pair.near.down, Some(DownReason::Silent));
    assert_eq!(pair.now - heard, limits.ping_interval + limits.ping_timeout);
    assert!(!pair.near.done.contains_key(&task), "it is kept for the next connection");
    pair.deaf = false;
    pair.log_in();
    pair.finish(&[task]);
}

#[test]
fn a_question_for_a_ping_that_was_asked_for_ends_with_the_connection() {
    let mut pair = Setup::default().ready();
    pair.deaf = true;
    let request = pair.near.initiator.ping(pair.now, Bytes::new()).expect("a connection");
    pair.run();
    pair.cut_connection();
    let events = pair.events();
    assert!(
        events.iter().any(
            |e| matches!(e, Event::Pong { request: of, result: Err(Cause::ConnectionLost) } if *of == request)
        ),
        "{events:?}"
    );
    assert!(pair.near.initiator.ping(pair.now, Bytes::new()).is_err(), "no connection");
}

/// Targets whose text takes many PDUs of any size.
fn records(count: usize) -> Vec<TargetRecord> {
    let address =
        |n: usize| TargetAddress { address: format!("192.0.2.{}:3260", n % 256), portal_group_tag: 1 };
    (0..count)
        .map(|n| TargetRecord {
            name: format!("iqn.2026-11.example:a-long-name-of-a-disk-{n:05}"),
            addresses: (0..n % 4).map(|k| address(n + k)).collect(),
        })
        .collect()
}

#[test]
fn send_targets_brings_every_target_over_many_pdus() {
    for (segment, count) in [(512, 0), (512, 1), (512, 300), (8192, 1000), (262_144, 1000)] {
        for cut in [Cut::Whole, Cut::UpTo(333)] {
            let mut setup = Setup { discovery: true, cut, ..Setup::default() };
            setup.near.max_segment = segment;
            let mut pair = setup.connect();
            pair.far.records = records(count);
            let request = pair.near.initiator.send_targets(pair.now, SendTargets::All).expect("a connection");
            pair.run();
            let events = pair.events();
            let [Event::Targets { request: of, result: Ok(targets) }] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!(*of, request);
            assert!(*targets == records(count), "{count} targets in PDUs of {segment} bytes");
            let answers = pdus(&mut pair, |seen| matches!(seen, Seen::In(TargetPdu::TextResponse(_), _)));
            assert!(answers > count * 60 / segment as usize, "{answers} PDUs");
            // One question after the other.
            pair.near.initiator.send_targets(pair.now, SendTargets::All).expect("a connection");
            pair.run();
            assert!(matches!(pair.events()[..], [Event::Targets { result: Ok(_), .. }]));
            pair.assert_sound();
        }
    }
}

#[test]
fn a_discovery_session_takes_no_commands_and_logs_out() {
    let mut pair = Setup { discovery: true, ..Setup::default() }.connect();
    let refused = pair.near.initiator.submit(pair.now, test_unit_ready()).expect_err("a discovery session");
    assert_eq!(refused.why, RefusedWhy::NotTaken);
    pair.near.initiator.logout(pair.now);
    pair.run();
    assert_eq!(pair.far.ended, Some(EndReason::LoggedOut));
    assert!(matches!(pair.events()[..], [Event::Down { why: DownReason::LoggedOut, .. }, Event::Ended]));
}

#[test]
fn a_session_of_a_target_asks_for_it_while_commands_run() {
    let mut pair = Setup::default().ready();
    pair.far.records = records(50);
    pair.far.stalled = true;
    let task = pair.submit(read(0, 8, Sink::Slots));
    pair.near.initiator.send_targets(pair.now, SendTargets::Current).expect("a connection");
    pair.run();
    assert!(
        matches!(&pair.events()[..], [Event::Targets { result: Ok(targets), .. }] if *targets == records(50))
    );
    pair.far.stalled = false;
    assert!(is_good(&pair.finish(&[task])[0].outcome));
    pair.assert_sound();
}

// covers: 7143-11.14-6
#[test]
fn a_logout_waits_for_the_commands_that_were_taken() {
    let mut pair = Setup { delay: Duration::from_millis(50), ..Setup::default() }.queue_depth(2).ready();
    let tasks: Vec<_> = (0..8).map(|n| pair.submit(write(n, vec![7; BLOCK]))).collect();
    pair.near.initiator.logout(pair.now);
    let refused = pair.near.initiator.submit(pair.now, test_unit_ready()).expect_err("a session that ends");
    assert_eq!(refused.why, RefusedWhy::NotTaken);
    let done = pair.finish(&tasks);
    assert!(done.iter().all(|done| is_good(&done.outcome)));
    pair.run();
    assert_eq!(pair.far.ended, Some(EndReason::LoggedOut));
    assert!(pair.far.disks[0][..8 * BLOCK].iter().all(|byte| *byte == 7));
    let events = pair.events();
    assert!(
        matches!(events[..], [Event::Down { why: DownReason::LoggedOut, time2wait: 0, .. }, Event::Ended]),
        "{events:?}"
    );
    assert!(pair.near.errors.is_empty() && pair.far.errors.is_empty());
}

#[test]
fn a_session_that_is_ended_says_nothing_and_ends_everything() {
    let mut pair = Setup::default().queue_depth(1).ready();
    pair.far.stalled = true;
    let sent = pair.submit(read(0, 1, Sink::Collect));
    let waiting = pair.submit(read(1, 1, Sink::Collect));
    pair.run();
    pair.monitor().take_seen();
    pair.near.initiator.end(pair.now);
    pair.run();
    let outcome = |task| pair.near.done[&task].outcome.clone();
    assert!(matches!(outcome(sent), Outcome::Unknown(_)));
    assert_eq!(outcome(waiting), Outcome::NotSent(Cause::SessionEnded));
    assert_eq!(pdus(&mut pair, |seen| matches!(seen, Seen::Out(..))), 0);
    assert!(matches!(pair.events()[..], [Event::Down { why: DownReason::Wanted, .. }, Event::Ended]));
}

// covers: 7143-11.9.1-3 7143-11.9.1-4
#[test]
fn a_target_that_asks_for_a_logout_gets_one_when_the_commands_have_ended() {
    let mut pair = Setup::default().ready();
    pair.far.stalled = true;
    let running = pair.submit(read(0, 4, Sink::Collect));
    pair.run();
    let now = pair.now;
    pair.far.target().request_logout(now, Duration::from_secs(60));
    pair.run();
    let later = pair.submit(Command { repeat: Repeat::Safe, ..write(5, vec![5; BLOCK]) });
    pair.run();
    assert_eq!(pair.far.ended, None, "a command runs");
    pair.later(Duration::from_secs(10));
    pair.far.stalled = false;
    assert!(is_good(&pair.finish(&[running])[0].outcome));
    pair.run();
    assert_eq!(pair.far.ended, Some(EndReason::LoggedOut));
    assert_eq!(pair.near.down, Some(DownReason::AskedByTarget));
    // The command that came later was kept back, and runs on the next connection.
    assert!(!pair.near.done.contains_key(&later));
    pair.log_in();
    pair.settle();
    pair.finish(&[later]);
    assert!(!pair.events().iter().any(|event| matches!(event, Event::Ended)));
}

// covers: 7143-11.9.1-2
#[test]
fn a_target_that_asks_for_a_logout_gets_one_in_time_although_commands_run() {
    let mut pair = Setup::default().ready();
    pair.far.stalled = true;
    let stuck = pair.submit(read(0, 4, Sink::Collect));
    pair.run();
    let start = pair.now;
    pair.far.target().request_logout(start, Duration::from_secs(5));
    pair.run();
    let logged_out = |pair: &mut Pair| {
        pdus(pair, |seen| matches!(seen, Seen::Out(InitiatorPdu::LogoutRequest(_), _))) == 1
    };
    pair.run_until("the logout", logged_out);
    assert!(pair.now - start <= Duration::from_secs(5));
    pair.run_until("the end", |pair| pair.near.is_over());
    assert!(matches!(pair.near.done[&stuck].outcome, Outcome::Unknown(_)));
}

// covers: 7143-7.1.4.3-3
#[test]
fn a_session_that_the_target_drops_is_told_with_its_times() {
    let mut pair = Setup::default().ready();
    pair.far.target().notify(&Notice::SessionDropped { time2wait: 3, time2retain: 0 });
    pair.run();
    let events = pair.events();
    let [Event::Async { message, .. }, Event::Down { why, time2wait, time2retain, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(message.event, AsyncEvent::SessionDropped);
    assert_eq!((why, *time2wait, *time2retain), (&DownReason::AskedByTarget, 3, 0));
}

#[test]
fn sense_data_of_a_message_reaches_the_caller() {
    let mut pair = Setup::default().ready();
    let lun = Lun::from_number(1).expect("a small number");
    let sense = Bytes::from_static(&[0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9, 0, 0, 0, 0]);
    pair.far.target().notify(&Notice::Scsi { lun, sense: sense.clone() });
    pair.run();
    let events = pair.events();
    let message = events.iter().find_map(|event| match event {
        Event::Async { message, .. } => Some(*message),
        _ => None,
    });
    assert_eq!(message.map(|m| (m.event, m.lun)), Some((AsyncEvent::Scsi, lun)));
    assert!(
        events.iter().any(
            |e| matches!(e, Event::UnitAttention { lun: of, sense: told } if *of == lun && *told == sense)
        ),
        "{events:?}"
    );
    assert!(is_good(&pair.execute(test_unit_ready())));
    pair.assert_sound();
}

/// Commands that are interrupted again and again all end well, and the data is right.
fn interrupted(seed: u64, sink: Sink) {
    let mut chance = Chance::new(seed);
    let cut = chance.pick(&[Cut::UpTo(200), Cut::UpTo(3000), Cut::Whole]);
    let mut pair = Setup { cut, seed, delay: Duration::from_millis(3), ..Setup::default() }.ready();
    let patient = |command| Command { repeat: Repeat::Safe, transient: Transient::Retry, ..command };
    let blocks: Vec<Vec<u8>> = (0..24).map(|_| chance.bytes(4 * BLOCK)).collect();
    for reading in [false, true] {
        let tasks: Vec<_> = (0..)
            .zip(&blocks)
            .map(|(n, data)| match reading {
                true => pair.submit(patient(read(n * 4, 4, sink))),
                false => pair.submit(patient(write(n * 4, data.clone()))),
            })
            .collect();
        for _ in 0..4 {
            (0..chance.below(60)).for_each(|_| {
                pair.step();
            });
            pair.cut_connection();
            pair.log_in();
        }
        for (done, data) in pair.finish(&tasks).iter().zip(&blocks) {
            assert!(is_good(&done.outcome), "seed {seed}: {:?}", done.outcome);
            let got = match sink {
                Sink::Collect => answer(&done.outcome).data.to_bytes().to_vec(),
                Sink::Slots => done.memory.clone(),
            };
            assert!(!reading || got == *data, "seed {seed}: not what was written");
        }
        assert!(pair.far.disks[0][..24 * 4 * BLOCK] == blocks.concat()[..], "seed {seed}");
    }
    pair.assert_sound();
}

#[test]
fn commands_that_are_interrupted_again_and_again_all_end_well() {
    for seed in 0..40 {
        interrupted(seed, if seed % 2 == 0 { Sink::Collect } else { Sink::Slots });
    }
}
