//! What a caller may do to a nexus at any moment: have it dial anew, log out, end it, answer too late.

mod nexus_support;

use std::time::Duration;

use iscsicore::initiator::{DownReason, Outcome, RefusedWhy};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::nexus::{AttemptError, Nexus, NexusEnd, NexusEvent};
use iscsicore::session::SendTargets;
use iscsicore::wire::{LoginStatus, Lun, TaskManagementFunction};
use iscsicore::{Instant, Limits, TransportError};

use nexus_support::{Accept, HOME, World, config, ms, pattern, read, with, write, write_once};

#[test]
fn a_forced_reconnect_of_a_connection_that_is_up_waits_for_nothing() {
    let mut world = World::new(config());
    let mut offer = iscsicore::login::Offer::default();
    offer.time2wait = 30;
    world.servers.insert(HOME.into(), nexus_support::Server::new(Default::default(), offer));
    world.settle();
    for _ in 0..5 {
        world.nexus.reconnect(world.now);
        world.settle();
        assert!(world.nexus.is_up());
    }
    assert_eq!((world.ups(), world.pauses()), (6, vec![ms(0); 5]));
    let forced = |(_, event): &&(Instant, NexusEvent)| {
        matches!(event, NexusEvent::Down { why: DownReason::Wanted, retry_at: Some(_) })
    };
    assert_eq!(world.told.iter().filter(forced).count(), 5);
}

#[test]
fn a_forced_reconnect_makes_pauses_short_again() {
    let mut world = World::up(config());
    for _ in 0..5 {
        world.cut();
        while !world.nexus.is_up() {
            world.run(ms(10));
        }
    }
    world.nexus.reconnect(world.now);
    world.settle();
    world.cut();
    assert!(world.nexus.is_up(), "the first attempt after that follows at once");
}

#[test]
fn a_forced_reconnect_repeats_what_was_under_way() {
    let mut world = World::up(config());
    world.home().disk[..512].copy_from_slice(&pattern(9, 1));
    world.home().hold = true;
    let tasks = [world.submit(read(0, 1)), world.submit(write_once(1, &pattern(1, 1)))];
    world.home().hold = false;
    world.deaf = true;
    world.nexus.reconnect(world.now);
    world.deaf = false;
    world.settle();
    assert_eq!(world.answer(tasks[0]), (0, pattern(9, 1)));
    assert!(matches!(world.outcomes[&tasks[1]], Outcome::Unknown(_)));
}

// Goal: whatever an attempt is about, it starts anew at once, and pauses are short again. Method: one attempt that waits, one
// that dials, one in its login.
#[test]
fn a_forced_reconnect_restarts_an_attempt() {
    for stuck in [Accept::Refuse, Accept::Hang, Accept::Mute] {
        let mut world = World::up(config());
        world.run(ms(20_000));
        world.script([(); 8].map(|()| Accept::Refuse));
        world.script([stuck.clone()]);
        world.cut();
        while world.dials.len() < 10 {
            world.run(ms(10));
        }
        world.script([Accept::Refuse]);
        let (dials, now) = (world.dials.len(), world.now);
        world.nexus.reconnect(now);
        world.settle();
        assert_eq!((world.dials.len(), world.dials[dials].at), (dials + 1, now), "{stuck:?}");
        assert_eq!(world.dials[dials].attempt, 1);
        assert!(!world.nexus.is_up());
        world.run(ms(100));
        assert!(world.nexus.is_up(), "{stuck:?}: the pause after one failure is short");
    }
}

#[test]
fn a_forced_reconnect_makes_one_attempt_even_without_reconnection() {
    let mut world = World::up(with(|policy| policy.enabled = false));
    world.nexus.reconnect(world.now);
    world.settle();
    assert!(world.nexus.is_up());
    world.script([Accept::Refuse]);
    world.nexus.reconnect(world.now);
    world.settle();
    assert!(matches!(world.end(), Some(NexusEnd::Failed(AttemptError::Dial { .. }))));
}

// Goal: a caller that asks for a new connection over and over, and never looks, costs no memory. Method: what it finds then.
#[test]
fn forced_reconnects_that_nobody_follows_leave_one_dial() {
    let mut world = World::up(config());
    for _ in 0..1000 {
        world.nexus.reconnect(world.now);
    }
    let told: Vec<NexusEvent> = std::iter::from_fn(|| world.nexus.poll_event()).collect();
    assert!(
        matches!(told[..], [NexusEvent::HangUp, NexusEvent::Down { .. }, NexusEvent::Dial { .. }]),
        "{told:?}"
    );
}

// covers: 7143-11.14-6
#[test]
fn logout_waits_for_the_commands_that_were_taken() {
    let mut world = World::up(config());
    world.home().hold = true;
    let tasks: Vec<_> = (0..20).map(|i| world.submit(write(i, &pattern(i as u8, 1)))).collect();
    world.nexus.logout(world.now);
    world.settle();
    assert!(!world.has_ended());
    let refused = world.nexus.submit(world.now, read(0, 1)).unwrap_err();
    assert_eq!(refused.why, RefusedWhy::NotTaken);
    world.home().hold = false;
    world.settle();
    assert_eq!(world.end(), Some(&NexusEnd::LoggedOut));
    let hung_up = world.told.iter().filter(|(_, event)| matches!(event, NexusEvent::HangUp)).count();
    assert_eq!(hung_up, 1, "the transport is to be closed");
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(world.answer(task).0, 0);
        assert_eq!(world.home().disk[i * 512..][..512], pattern(i as u8, 1));
    }
    assert_eq!(world.home().host.sessions().count(), 0);
    let ends = world.told.len();
    world.run(Duration::from_secs(100));
    assert_eq!((world.told.len(), world.nexus.poll_timeout()), (ends, None));
}

#[test]
fn a_connection_that_is_lost_during_the_logout_is_not_dialed_again() {
    let mut world = World::up(config());
    world.home().hold = true;
    let task = world.submit(write(0, &pattern(1, 1)));
    world.nexus.logout(world.now);
    world.settle();
    world.nexus.reconnect(world.now);
    world.settle();
    assert!(!world.has_ended(), "a logout goes on");
    world.cut();
    assert_eq!(world.end(), Some(&NexusEnd::Lost(DownReason::Lost(TransportError::Closed))));
    assert!(matches!(world.outcomes[&task], Outcome::Unknown(_)));
    assert_eq!(world.dials.len(), 1);
}

#[test]
fn a_target_that_does_not_answer_a_logout_does_not_keep_it_from_ending() {
    let mut world = World::up(config());
    world.deaf = true;
    world.nexus.logout(world.now);
    world.run(Duration::from_secs(20));
    assert_eq!(world.end(), Some(&NexusEnd::Lost(DownReason::Unresponsive)));
}

#[test]
fn without_a_connection_logout_is_the_end() {
    for accept in [Accept::Refuse, Accept::Hang, Accept::Mute] {
        let mut world = World::up(config());
        world.run(ms(20_000));
        world.script([accept.clone(), accept.clone()]);
        world.cut();
        let task = world.submit(write(0, &pattern(1, 1)));
        world.nexus.logout(world.now);
        world.settle();
        assert_eq!(world.end(), Some(&NexusEnd::Wanted), "{accept:?}");
        assert!(matches!(world.outcomes[&task], Outcome::NotSent(_)));
    }
}

// Goal: an end is the end, whatever the nexus is about. Method: a connection that is up, and attempts that are stuck; `Serve` is
// stuck in the login, because the target waits for its storage before it replaces the session.
#[test]
fn an_end_comes_at_once_in_every_phase_and_takes_commands_with_it() {
    for accept in [None, Some(Accept::Serve), Some(Accept::Refuse), Some(Accept::Hang), Some(Accept::Mute)] {
        let mut world = World::up(config());
        world.run(ms(20_000));
        world.home().hold = true;
        let sent = world.submit(write(0, &pattern(1, 1)));
        let down = accept.is_some();
        if let Some(accept) = accept.clone() {
            world.script([accept.clone(), accept]);
            world.cut();
        }
        let waiting = world.submit(write_once(1, &pattern(1, 1)));
        assert_eq!(world.nexus.is_up(), !down);
        world.nexus.end(world.now);
        world.settle();
        assert_eq!(world.end(), Some(&NexusEnd::Wanted), "{accept:?}");
        assert!(matches!(world.outcomes[&sent], Outcome::Unknown(_)), "it was sent");
        match &world.outcomes[&waiting] {
            Outcome::NotSent(_) => assert!(down, "it was sent"),
            Outcome::Unknown(_) => assert!(!down, "it was not sent"),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.nexus.outstanding(), 0);
    }
}

fn poke(nexus: &mut Nexus, now: Instant) {
    let limits = Limits::default();
    let (mut rx, mut tx) = (Receiver::new(&limits), Transmitter::new());
    nexus.connected(now);
    nexus.dial_failed(now, "too late".into());
    assert_eq!(nexus.receive(now, &mut rx), Ok(()));
    nexus.transmit(now, &mut tx);
    assert_eq!(tx.queued(), 0);
    nexus.lost(now, TransportError::Failed);
}

// Goal: after the end every call is harmless, and says nothing more. Method: all of them.
#[test]
fn nothing_happens_after_the_end() {
    let mut world = World::up(config());
    let task = world.submit(read(0, 1));
    world.nexus.end(world.now);
    world.settle();
    let (nexus, now) = (&mut world.nexus, world.now);
    poke(nexus, now);
    assert_eq!(nexus.submit(now, read(0, 1)).unwrap_err().why, RefusedWhy::NotTaken);
    assert!(nexus.abort(now, task).is_err());
    nexus.cancel(now, task);
    assert!(nexus.task_management(now, TaskManagementFunction::LogicalUnitReset, Lun(0)).is_err());
    assert!(nexus.send_targets(now, SendTargets::All).is_err());
    assert!(nexus.ping(now, bytes::Bytes::new()).is_err());
    nexus.reconnect(now);
    nexus.logout(now);
    nexus.end(now);
    nexus.handle_timeout(now + Duration::from_secs(1000));
    assert!(nexus.poll_event().is_none());
    assert_eq!((nexus.poll_timeout(), nexus.outstanding(), nexus.is_up()), (None, 0, false));
}

// Goal: what is told of a transport that was hung up does no harm, even before the caller has seen that it was. Method: the
// answers of the old dial or transport come between a forced reconnect and its events.
#[test]
fn answers_that_come_too_late_do_no_harm() {
    for stuck in [Accept::Serve, Accept::Hang, Accept::Mute] {
        let mut world = World::up(config());
        world.run(ms(20_000));
        world.script([stuck.clone()]);
        world.cut();
        let dials = world.dials.len();
        world.nexus.reconnect(world.now);
        poke(&mut world.nexus, world.now);
        world.settle();
        assert!(world.nexus.is_up(), "{stuck:?}: {:?}", world.told);
        assert_eq!(world.dials.len(), dials + 1);
    }
}

// Goal: a pause is no dial. Method: answers that nobody asked for, while it waits.
#[test]
fn answers_that_nobody_asked_for_do_no_harm() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.script([Accept::Refuse]);
    world.cut();
    poke(&mut world.nexus, world.now);
    world.settle();
    assert_eq!(world.dials.len(), 2);
    world.run(ms(100));
    assert!(world.nexus.is_up());
}

#[test]
fn requests_without_a_connection_are_refused() {
    let mut world = World::up(config());
    world.script([Accept::Hang]);
    world.cut();
    let (nexus, now) = (&mut world.nexus, world.now);
    assert!(nexus.task_management(now, TaskManagementFunction::LogicalUnitReset, Lun(0)).is_err());
    assert!(nexus.ping(now, bytes::Bytes::new()).is_err());
    assert_eq!(nexus.window(), 0);
}

#[test]
fn a_discovery_session_asks_and_logs_out() {
    let mut config = with(|policy| policy.enabled = false);
    config.login.target = None;
    let mut world = World::up(config);
    assert!(world.nexus.submit(world.now, read(0, 1)).is_err());
    world.nexus.send_targets(world.now, SendTargets::All).unwrap();
    world.settle();
    let targets = world.told.iter().find_map(|(_, event)| match event {
        NexusEvent::Session(iscsicore::initiator::Event::Targets { result: Ok(targets), .. }) => {
            Some(targets)
        }
        _ => None,
    });
    let names: Vec<&str> = targets.expect("an answer").iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, [nexus_support::TARGET, nexus_support::OTHER]);
    world.nexus.logout(world.now);
    world.settle();
    assert_eq!(world.end(), Some(&NexusEnd::LoggedOut));
}

#[test]
fn a_refusal_is_told_with_a_remedy() {
    let mut world = World::new(config());
    world.script([Accept::Answer(LoginStatus::AUTHORIZATION_FAILURE, String::new())]);
    world.settle();
    let Some(NexusEnd::Failed(why)) = world.end() else { panic!("{:?}", world.told) };
    let words = why.to_string();
    assert!(words.contains(HOME) && words.contains("0x0202") && words.contains("InitiatorName"), "{words}");
}
