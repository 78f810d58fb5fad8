//! Connections that come to be, break, and come back.

use std::ptr;

use iscsicore::login::{Account, ChapAlgorithm, Offer, Secret};
use iscsicore::node::{Access, ChapAccount, ChapRules, Initiators};
use iscsicore_ffi::command::*;
use iscsicore_ffi::limits::{ISCSICORE_NEVER, iscsicore_parameters};
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::status::iscsicore_status as Status;

use crate::world::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_login_agrees_on_what_was_offered() {
    let mut options = Options::new();
    (options.offer.header_digest, options.offer.data_digest) = (4, 1);
    options.offer.max_burst = 123_456;
    options.offer.first_burst = 65_536;
    let mut world = World::new(&mut options);
    let mut agreed: iscsicore_parameters = zeroed();
    let (mut up, mut window) = (true, 7);
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_nexus_is_up(world.nexus, &mut up));
        ok(iscsicore_nexus_window(world.nexus, &mut window));
        assert_eq!((up, window), (false, 0));
        assert_eq!(iscsicore_nexus_parameters(world.nexus, &mut agreed), Status::WrongState);
        world.run();
        ok(iscsicore_nexus_is_up(world.nexus, &mut up));
        ok(iscsicore_nexus_window(world.nexus, &mut window));
        ok(iscsicore_nexus_parameters(world.nexus, &mut agreed));
    }
    assert!(up && window > 0);
    assert_eq!(
        (agreed.header_digest, agreed.data_digest, agreed.max_burst, agreed.first_burst),
        (true, false, 123_456, 65_536)
    );
    let told: Vec<Told> = world.told.drain(..).collect();
    let address = || "home:3260".to_owned();
    assert_eq!(
        told,
        [Told::Dial { address: address(), attempt: 1 }, Told::Up { address: address(), again: false }]
    );
}

// Goal: commands without an answer are sent again on the next connection where that is safe, and only there.
#[test]
fn a_lost_connection_is_dialed_again_and_commands_are_repeated() {
    let mut world = World::up(&mut Options::new());
    world.hold = true;
    let mut never = ptr::null_mut();
    let safe = read_command(40, 8);
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_read(0, 0, 1, BLOCK as u32, &mut never));
        ok(iscsicore_command_set_repeat(never, iscsicore_repeat::Never as i32));
    }
    let (safe_task, never_task) = (world.submit(safe), world.submit(never));
    world.run();
    assert_eq!(world.outstanding(), 2);
    world.lose();
    world.hold = false;
    world.run();
    let down = world.take(|told| matches!(told, Told::Down { .. })).unwrap();
    let Told::Down { reason, text, retry_at } = down else { unreachable!() };
    assert_eq!(reason, iscsicore_down_reason::Lost);
    assert_eq!(text, "the peer closed the connection");
    assert_ne!(retry_at, ISCSICORE_NEVER);
    assert!(world.take(|told| matches!(told, Told::Up { again: true, .. })).is_some());
    let end = world.end_of(never_task);
    assert_eq!((end.outcome, end.cause), (iscsicore_outcome::Unknown, iscsicore_cause::ConnectionLost));
    let end = world.end_of(safe_task);
    assert_eq!((end.outcome, end.status), (iscsicore_outcome::Answered, 0));
    assert!(end.data == world.disk[40 * BLOCK..][..8 * BLOCK]);
    assert_eq!(world.outstanding(), 0);
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_free(safe));
        ok(iscsicore_command_free(never));
    }
}

#[test]
fn dials_that_fail_are_repeated_after_pauses_and_given_up() {
    let mut options = Options::new();
    options.options.first_pause = SECOND;
    options.options.longest_pause = 4 * SECOND;
    options.options.give_up_after = 60 * SECOND;
    options.options.persist_at_first = 1;
    let mut world = World::new(&mut options);
    world.refuse = true;
    world.run();
    let first = world.take(|told| matches!(told, Told::AttemptFailed { .. })).unwrap();
    let Told::AttemptFailed { text, retry_at, login_status } = first else { unreachable!() };
    assert_eq!(text, "cannot connect to home:3260: connection refused");
    assert_eq!(login_status, 0);
    assert!((world.now + SECOND / 2..=world.now + SECOND).contains(&retry_at));
    for _ in 0..1000 {
        if matches!(world.told.back(), Some(Told::Ended { .. })) {
            break;
        }
        world.wait();
    }
    let Some(Told::Ended { reason, text, .. }) = world.told.back() else { panic!("it never gives up") };
    assert_eq!(*reason, iscsicore_nexus_end_reason::Failed);
    assert_eq!(text, "cannot connect to home:3260: connection refused");
    let mut at = 0;
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_timeout(world.nexus, &mut at)) };
    assert_eq!(at, ISCSICORE_NEVER);
    let command = read_command(0, 1);
    assert_eq!(world.try_submit(command), Err(Status::WrongState));
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
}

#[test]
fn a_login_that_is_refused_ends_the_nexus_and_says_what_to_do() {
    let mut options = Options::new();
    options.options.target = options.string("iqn.2001-04.com.example:nobody");
    let mut world = World::new(&mut options);
    world.run();
    let Some(Told::Ended { reason, login_status, text }) = world.told.back() else { panic!("no end") };
    assert_eq!((*reason, *login_status), (iscsicore_nexus_end_reason::Failed, 0x0203));
    assert!(text.contains("no target of this name") && text.contains("discovery"), "{text}");
}

fn demanding_host() -> iscsicore::simple::Host {
    let account = |name: &str, secret: &str| Account { name: name.into(), secret: Secret::new(secret) };
    let proved = ChapAccount { account: account("me", "initiator secret"), initiators: Initiators::Any };
    let mutual = Some(account("disk", "target secret 12"));
    let rules = ChapRules { accounts: vec![proved], mutual, algorithms: ChapAlgorithm::ALL.to_vec() };
    let mut access = Access::default();
    access.chap = Some(rules);
    host_with(access, Offer::default())
}

#[test]
fn both_ends_prove_who_they_are() {
    let login = |secret: &str, target_secret: &str, algorithms: &[i32]| {
        let mut options = Options::new();
        options.options.user = options.string("me");
        (options.options.secret, options.options.secret_len) = (secret.as_ptr(), secret.len());
        options.options.target_user = options.string("disk");
        let target = &mut options.options;
        (target.target_secret, target.target_secret_len) = (target_secret.as_ptr(), target_secret.len());
        (target.chap_algorithms, target.chap_algorithm_count) = (algorithms.as_ptr(), algorithms.len());
        let mut world = World::with_host(&mut options, demanding_host());
        world.run();
        world.told.back().cloned().unwrap()
    };
    for algorithms in [&[][..], &[5], &[8, 5]] {
        let told = login("initiator secret", "target secret 12", algorithms);
        assert!(matches!(told, Told::Up { .. }), "{told:?}");
    }
    let wrong = login("another secret..", "target secret 12", &[5]);
    assert!(matches!(wrong, Told::Ended { login_status: 0x0201, .. }), "{wrong:?}");
    let impostor = login("initiator secret", "another secret..", &[5]);
    assert!(matches!(impostor, Told::Ended { login_status: 0, .. }), "{impostor:?}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let fails = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::new();
        change(&mut options);
        options.make().unwrap_err()
    };
    let secret = b"sixteen bytes...";
    assert_eq!(fails(&|o| o.options.size = 8), Status::InvalidSize);
    assert_eq!(fails(&|o| o.options.address = ptr::null()), Status::NullPointer);
    assert_eq!(fails(&|o| o.options.address = c"".as_ptr()), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.options.initiator = ptr::null()), Status::NullPointer);
    assert_eq!(fails(&|o| o.options.initiator = c"not a name".as_ptr()), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.options.target = c"\xff".as_ptr()), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.options.initiator_alias = c"".as_ptr()), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.options.reconnect = 3), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.options.reserved = 1), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.offer.max_segment = 1), Status::InvalidArgument);
    assert_eq!(fails(&|o| o.limits.size = 1), Status::InvalidSize);
    // A name without a secret, a secret without a name, a target that proves itself to nobody, one secret for both.
    assert_eq!(fails(&|o| o.options.user = c"me".as_ptr()), Status::InvalidArgument);
    let with_secret = |o: &mut Options| {
        (o.options.secret, o.options.secret_len) = (secret.as_ptr(), 16);
    };
    assert_eq!(fails(&with_secret), Status::InvalidArgument);
    let with_target = |o: &mut Options| {
        o.options.target_user = c"disk".as_ptr();
        (o.options.target_secret, o.options.target_secret_len) = (secret.as_ptr(), 16);
    };
    assert_eq!(fails(&with_target), Status::InvalidArgument);
    let user = |o: &mut Options| {
        with_secret(o);
        o.options.user = c"me".as_ptr();
    };
    assert_eq!(
        fails(&|o| {
            user(o);
            with_target(o);
        }),
        Status::InvalidArgument
    );
    for algorithms in [&[5, 5][..], &[4], &[-1]] {
        let chosen = |o: &mut Options| {
            user(o);
            let count = algorithms.len();
            (o.options.chap_algorithms, o.options.chap_algorithm_count) = (algorithms.as_ptr(), count);
        };
        assert_eq!(fails(&chosen), Status::InvalidArgument);
    }
}

#[test]
fn reconnect_drops_the_connection_and_dials_at_once() {
    let mut world = World::up(&mut Options::new());
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_reconnect(world.nexus, world.now)) };
    world.run();
    assert!(
        world.take(|told| matches!(told, Told::Down { reason: iscsicore_down_reason::Wanted, .. })).is_some()
    );
    assert!(world.take(|told| matches!(told, Told::Up { again: true, .. })).is_some());
    assert_eq!(world.done(read_command(1, 1)).status, 0);
}

#[test]
fn logout_waits_for_commands_and_ends() {
    let mut world = World::up(&mut Options::new());
    world.hold = true;
    let command = read_command(5, 1);
    let task = world.submit(command);
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_nexus_logout(world.nexus, world.now));
        world.run();
        assert_eq!(world.try_submit(command), Err(Status::WrongState));
        ok(iscsicore_command_free(command));
    }
    world.hold = false;
    world.run();
    assert_eq!(world.end_of(task).status, 0);
    assert!(matches!(
        world.told.back(),
        Some(Told::Ended { reason: iscsicore_nexus_end_reason::LoggedOut, .. })
    ));
    assert!(world.wire.is_none());
    assert_eq!(world.host.sessions().count(), 0);
}

#[test]
fn a_silent_target_is_noticed() {
    let mut options = Options::new();
    options.limits.ping_interval = SECOND;
    options.limits.ping_timeout = SECOND;
    options.limits.ping_grace = SECOND;
    options.options.reconnect = 2;
    let mut world = World::up(&mut options);
    world.deaf = true;
    for _ in 0..20 {
        world.wait();
    }
    let Some(Told::Ended { reason, text, .. }) = world.told.back() else { panic!("{:?}", world.told) };
    assert_eq!((*reason, &text[..]), (iscsicore_nexus_end_reason::Lost, "the target fell silent"));
}

#[test]
fn lost_takes_the_two_kinds_of_loss() {
    let world = World::new(&mut Options::new());
    // SAFETY: as C would.
    unsafe {
        for bad in [-1, 2, i32::MAX] {
            assert_eq!(iscsicore_nexus_lost(world.nexus, 0, bad), Status::InvalidArgument);
        }
        ok(iscsicore_nexus_lost(world.nexus, 0, iscsicore_loss::Failed as i32));
    }
}
