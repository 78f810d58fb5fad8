//! When a nexus dials, when again, and when it gives up.

mod nexus_support;

use std::time::Duration;

use iscsicore::initiator::{DownReason, Outcome};
use iscsicore::login::Entropy;
use iscsicore::nexus::{AttemptError, NexusEnd, NexusEvent};
use iscsicore::wire::{LoginStatus, Tsih};
use iscsicore::{Instant, TransportError};

use nexus_support::{Accept, HOME, ISID, Server, World, config, ms, pattern, read, with, write};

fn refused() -> AttemptError {
    AttemptError::Dial { address: HOME.into(), why: "connection refused".into() }
}

fn answer(status: LoginStatus) -> Accept {
    Accept::Answer(status, String::new())
}

/// When the last event said that the next dial is.
fn retry_at(world: &World) -> Instant {
    match world.told.iter().rev().find_map(|(_, event)| match event {
        NexusEvent::Down { retry_at, .. } => Some(*retry_at),
        NexusEvent::AttemptFailed { retry_at, .. } => Some(Some(*retry_at)),
        _ => None,
    }) {
        Some(Some(at)) => at,
        other => panic!("no dial to come: {other:?}"),
    }
}

#[test]
fn the_first_connection_comes_up() {
    let world = World::up(config());
    assert_eq!(world.dials.len(), 1);
    assert_eq!((&world.dials[0].address[..], world.dials[0].attempt), (HOME, 1));
    assert!(matches!(
        &world.told[..],
        [(_, NexusEvent::Dial { .. }), (_, NexusEvent::Up { again: false, address })] if address == HOME
    ));
    assert_eq!(world.nexus.address(), HOME);
    assert!(world.nexus.parameters().is_some() && world.nexus.tsih().is_some_and(|t| t != Tsih::NEW));
}

// Goal: a first connection that fails is told, not tried again for ever. Method: every way to fail.
#[test]
fn the_first_connection_fails_for_good() {
    let ways = [
        (Accept::Refuse, ms(0)),
        (Accept::Hang, ms(15_000)),
        (Accept::Mute, ms(15_000)),
        (Accept::Cut(0), ms(0)),
        (Accept::Cut(1), ms(0)),
        (answer(LoginStatus::SERVICE_UNAVAILABLE), ms(0)),
        (answer(LoginStatus::NOT_FOUND), ms(0)),
        (answer(LoginStatus::AUTHORIZATION_FAILURE), ms(0)),
    ];
    for (accept, time) in ways {
        let mut world = World::new(config());
        world.script([accept.clone()]);
        let began = world.now;
        world.run(ms(60_000));
        let Some(NexusEnd::Failed(why)) = world.end() else { panic!("{accept:?}: {:?}", world.told) };
        let as_expected = match (&accept, why) {
            (Accept::Refuse, why) => *why == refused(),
            (Accept::Hang, AttemptError::TimedOut { limit, .. }) => *limit == Duration::from_secs(15),
            (Accept::Mute, AttemptError::TimedOut { .. } | AttemptError::Login { .. }) => true,
            (Accept::Cut(_), AttemptError::Lost { why, .. }) => *why == TransportError::Closed,
            (Accept::Answer(status, _), AttemptError::Login { failure, address }) => {
                failure.status == Some(*status) && address == HOME
            }
            _ => false,
        };
        assert!(as_expected, "{accept:?}: {why:?}");
        assert_eq!((world.dials.len(), world.told.last().unwrap().0), (1, began + time));
    }
}

#[test]
fn the_time_of_an_attempt_covers_dial_and_login() {
    for stuck in [Accept::Hang, Accept::Mute] {
        let mut world = World::new(with(|policy| policy.attempt_timeout = Duration::from_secs(5)));
        world.script([stuck]);
        let began = world.now;
        world.run(ms(60_000));
        let why = AttemptError::TimedOut { address: HOME.into(), limit: Duration::from_secs(5) };
        assert_eq!(world.end(), Some(&NexusEnd::Failed(why)));
        assert_eq!(world.told.last().unwrap().0, began + ms(5000));
    }
}

#[test]
fn the_first_connection_is_tried_again_if_so_wished() {
    let mut world = World::new(with(|policy| policy.persist_at_first = true));
    world.script([Accept::Refuse, Accept::Cut(0), answer(LoginStatus::OUT_OF_RESOURCES)]);
    world.run(ms(5000));
    assert!(world.nexus.is_up(), "{:?}", world.told);
    let attempts: Vec<u32> = world.dials.iter().map(|dial| dial.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
}

#[test]
fn the_first_connection_is_not_tried_again_when_that_cannot_help() {
    for status in [LoginStatus::AUTHENTICATION_FAILURE, LoginStatus::NOT_FOUND, LoginStatus::TARGET_REMOVED] {
        let mut world = World::new(with(|policy| policy.persist_at_first = true));
        world.script([answer(status)]);
        world.run(ms(60_000));
        assert!(matches!(world.end(), Some(NexusEnd::Failed(AttemptError::Login { .. }))));
        assert_eq!(world.dials.len(), 1);
    }
}

// Goal: the session of the old connection is replaced, not joined: same ISID, TSIH zero, no sooner than the old connection
// is closed. Method: the Login Requests, as the target reads them, of a nexus whose connection is lost.
// covers: 7143-6.3.5-1 7143-7.15-1 7143-6.3.5-2 7143-7.1.4.3-1
#[test]
fn a_lost_connection_is_followed_at_once_by_a_login_that_reinstates_the_session() {
    let mut world = World::up(config());
    let (logins, before) = (world.logins.len(), world.now);
    world.cut();
    assert!(world.nexus.is_up(), "{:?}", world.told);
    assert_eq!(world.now, before);
    assert!(world.logins.len() > logins);
    assert!(world.logins.iter().all(|login| login.isid == ISID && login.tsih == Tsih::NEW));
    let told: Vec<&NexusEvent> = world.told[2..].iter().map(|(_, event)| event).collect();
    assert!(
        matches!(
            told[..],
            [
                NexusEvent::HangUp,
                NexusEvent::Down { why: DownReason::Lost(TransportError::Closed), retry_at: Some(_) },
                NexusEvent::Dial { attempt: 1, .. },
                NexusEvent::Up { again: true, .. },
            ]
        ),
        "{told:?}"
    );
    assert_eq!(world.home().host.sessions().count(), 1);
}

// Goal: wherever an attempt fails, another follows, and a command that waits is carried out. Method: one failure of each kind,
// in every order of two.
#[test]
fn a_loss_at_any_phase_is_overcome() {
    let ways = || {
        [
            Accept::Refuse,
            Accept::Hang,
            Accept::Mute,
            Accept::Cut(0),
            Accept::Cut(1),
            Accept::Cut(2),
            answer(LoginStatus::TARGET_ERROR),
            answer(LoginStatus::INITIATOR_ERROR),
        ]
    };
    for first in ways() {
        for second in ways() {
            let mut world = World::up(config());
            let what = format!("{first:?}, {second:?}");
            world.script([first.clone(), second]);
            world.cut();
            let task = world.submit(write(5, &pattern(3, 2)));
            world.run(Duration::from_secs(60));
            assert!(world.nexus.is_up(), "{what}: {:?}", world.told);
            assert_eq!(world.answer(task).0, 0, "{what}");
            assert_eq!(world.home().disk[5 * 512..7 * 512], pattern(3, 2), "{what}");
        }
    }
}

/// A nexus that was up, and whose next dials all fail.
fn down(config: iscsicore::nexus::NexusConfig, seed: [u8; 32], failures: usize) -> World {
    let mut world = World::seeded(config, seed);
    world.settle();
    // Long enough to count as a connection that held.
    world.run(ms(20_000));
    world.script(std::iter::repeat_n(Accept::Refuse, failures));
    world.cut();
    world
}

// Goal: the pauses are those that the policy says, to the nanosecond, for a seed. Method: the generator is run along: one
// seed for the login that succeeded, then a word for each pause.
#[test]
fn pauses_follow_from_policy_and_seed() {
    let mut world = down(config(), [42; 32], 12);
    let lost = world.now;
    world.run(Duration::from_secs(120));
    let mut entropy = Entropy::new([42; 32]);
    entropy.fill(&mut [0; 32]);
    let expected: Vec<Duration> = (0..12u32)
        .map(|failure| {
            let whole = (100_000_000u64 << failure.min(30)).min(10_000_000_000);
            let spread = (u128::from(whole / 2) * u128::from(entropy.word())) >> 32;
            Duration::from_nanos(whole / 2 + spread as u64)
        })
        .collect();
    assert_eq!(world.dials[1].at, lost, "the first attempt follows at once");
    assert_eq!(world.pauses()[1..], expected[..]);
    assert!(world.nexus.is_up());
}

#[test]
fn pauses_stay_within_their_bounds_and_differ_between_initiators() {
    let mut firsts = std::collections::BTreeSet::new();
    for seed in 0..60u8 {
        let mut world = down(config(), [seed; 32], 10);
        world.run(Duration::from_secs(100));
        assert!(world.nexus.is_up());
        for (failure, pause) in world.pauses()[1..].iter().enumerate() {
            let whole = ms((100 << failure).min(10_000));
            assert!(whole / 2 <= *pause && *pause <= whole, "{failure}: {pause:?}");
        }
        firsts.insert(world.pauses()[1]);
    }
    assert!(firsts.len() > 55);
}

#[test]
fn events_name_the_time_of_the_next_dial() {
    let mut world = down(config(), [1; 32], 6);
    while !world.nexus.is_up() {
        let (dials, at) = (world.dials.len(), retry_at(&world));
        world.run_to(Instant::from_nanos(at.as_nanos() - 1));
        assert_eq!(world.dials.len(), dials, "not before its time");
        world.run_to(at);
        assert_eq!((world.dials.len(), world.dials[dials].at), (dials + 1, at));
    }
    assert_eq!(world.dials.last().unwrap().attempt, 7);
}

// Goal: a target that takes logins and then breaks is not hammered, and one that works is dialed at once. Method: connections
// that last for less and for more than a pause.
#[test]
fn connections_that_do_not_last_are_followed_by_growing_pauses() {
    let mut world = World::up(config());
    let mut pauses = Vec::new();
    for _ in 0..6 {
        world.cut();
        let lost = world.now;
        while !world.nexus.is_up() {
            world.run(ms(1));
        }
        pauses.push(world.now - lost);
    }
    assert_eq!(pauses[0], ms(0));
    for (step, pause) in pauses[1..].iter().enumerate() {
        let whole = ms(100 << step);
        assert!(whole / 2 <= *pause && *pause <= whole + ms(1), "{step}: {pause:?}");
    }
    world.run(ms(10_000));
    world.cut();
    assert!(world.nexus.is_up());
}

#[test]
fn connections_that_get_something_done_are_followed_by_short_pauses() {
    let mut world = World::up(config());
    let mut pause_after = |commands| {
        for _ in 0..commands {
            let task = world.submit(read(0, 1));
            assert_eq!(world.answer(task).0, 0);
        }
        world.cut();
        let lost = world.now;
        while !world.nexus.is_up() {
            world.run(ms(1));
        }
        world.now - lost
    };
    assert_eq!(pause_after(1), ms(0));
    for _ in 0..10 {
        assert!(pause_after(1) <= ms(101));
    }
    // What an earlier connection got done says nothing for a later one.
    assert!(pause_after(0) >= ms(100) && pause_after(0) >= ms(200));
}

// Goal: no login before Time2Wait is over. Method: a target that negotiates 3 seconds.
#[test]
fn time2wait_is_waited() {
    let mut world = World::new(config());
    let mut offer = iscsicore::login::Offer::default();
    offer.time2wait = 3;
    world.servers.insert(HOME.into(), Server::new(Default::default(), offer));
    world.settle();
    assert_eq!(world.nexus.parameters().map(|p| p.time2wait), Some(3));
    world.run(ms(30_000));
    world.cut();
    let lost = world.now;
    assert_eq!(retry_at(&world), lost + ms(3000));
    world.run(ms(2999));
    assert_eq!(world.dials.len(), 1);
    world.run(ms(1));
    assert!(world.nexus.is_up());
    assert_eq!(world.dials[1].at, lost + ms(3000));
}

// Goal: the time without a connection is bounded, whatever the attempts do. Method: attempts that fail at once, and one that
// hangs beyond that time.
#[test]
fn it_gives_up_when_time_is_over() {
    let policy = || {
        with(|policy| {
            policy.give_up_after = Some(Duration::from_secs(5));
            policy.attempt_timeout = Duration::from_secs(60);
        })
    };
    let mut world = down(policy(), [1; 32], 1000);
    let lost = world.now;
    let task = world.submit(read(0, 1));
    world.run(Duration::from_secs(10));
    assert_eq!(world.end(), Some(&NexusEnd::Failed(refused())));
    assert_eq!(world.told.last().unwrap().0, lost + Duration::from_secs(5));
    assert!(matches!(world.outcomes[&task], Outcome::NotSent(_)));

    let mut world = World::up(policy());
    world.script([Accept::Hang]);
    world.cut();
    world.run(Duration::from_secs(10));
    let limit = Duration::from_secs(5);
    assert_eq!(world.end(), Some(&NexusEnd::Failed(AttemptError::TimedOut { address: HOME.into(), limit })));
}

#[test]
fn time_to_give_up_begins_with_each_loss() {
    let mut world = World::up(with(|policy| policy.give_up_after = Some(Duration::from_secs(5))));
    for _ in 0..4 {
        world.run(Duration::from_secs(20));
        world.script([Accept::Refuse, Accept::Refuse]);
        world.cut();
        world.run(Duration::from_secs(3));
        assert!(world.nexus.is_up(), "{:?}", world.told.last());
    }
}

#[test]
fn without_reconnection_a_loss_is_the_end() {
    let mut world = World::up(with(|policy| policy.enabled = false));
    world.home().hold = true;
    let task = world.submit(read(0, 1));
    world.cut();
    let lost = DownReason::Lost(TransportError::Closed);
    assert_eq!(world.end(), Some(&NexusEnd::Lost(lost.clone())));
    assert!(matches!(world.outcomes[&task], Outcome::Unknown(_)));
    let down = world.told.iter().find_map(|(_, event)| match event {
        NexusEvent::Down { why, retry_at } => Some((why.clone(), *retry_at)),
        _ => None,
    });
    assert_eq!(down, Some((lost, None)));
}

#[test]
fn what_the_target_decides_ends_a_nexus_that_was_up() {
    for status in [
        LoginStatus::AUTHENTICATION_FAILURE,
        LoginStatus::AUTHORIZATION_FAILURE,
        LoginStatus::TARGET_REMOVED,
        LoginStatus::UNSUPPORTED_VERSION,
        LoginStatus::SESSION_TYPE_NOT_SUPPORTED,
    ] {
        let mut world = World::up(config());
        world.script([Accept::Refuse, answer(status)]);
        world.cut();
        let task = world.submit(read(0, 1));
        world.run(ms(60_000));
        let Some(NexusEnd::Failed(AttemptError::Login { failure, .. })) = world.end() else {
            panic!("{status:?}: {:?}", world.told)
        };
        assert_eq!(failure.status, Some(status));
        assert!(matches!(world.outcomes[&task], Outcome::NotSent(_)));
    }
}

// Goal: a target that restarts has no targets at first, and the nexus waits. Method: it says so three times.
#[test]
fn a_target_that_is_missing_for_a_while_is_waited_for() {
    let missing = || [(); 3].map(|()| answer(LoginStatus::NOT_FOUND));
    let mut world = World::up(config());
    world.home().restart();
    world.script(missing());
    world.cut();
    world.run(ms(5000));
    assert!(world.nexus.is_up());

    let mut world = World::up(with(|policy| policy.wait_for_missing_target = false));
    world.script(missing());
    world.cut();
    assert!(matches!(world.end(), Some(NexusEnd::Failed(_))));
}

#[test]
fn a_configuration_that_cannot_be_ends_it_before_a_byte_is_sent() {
    let mut config = with(|policy| policy.persist_at_first = true);
    config.login.initiator_alias = Some(String::new());
    let mut world = World::new(config);
    world.run(ms(60_000));
    let Some(NexusEnd::Failed(AttemptError::Login { failure, .. })) = world.end() else {
        panic!("{:?}", world.told)
    };
    assert_eq!((failure.status, failure.passing), (None, false));
    assert!(world.logins.is_empty());
}

#[test]
fn every_login_has_challenges_of_its_own_and_every_seed_other_pauses() {
    let times = |seed| {
        let mut world = down(config(), [seed; 32], 5);
        world.run(Duration::from_secs(30));
        world.pauses()
    };
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
}
