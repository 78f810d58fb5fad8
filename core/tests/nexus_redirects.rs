//! Targets that are elsewhere, and targets that take CHAP algorithm 7 for another.

mod nexus_support;

use iscsicore::initiator::Credentials;
use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::nexus::{AttemptError, NexusConfig, NexusEnd, NexusEvent};
use iscsicore::node::{Access, ChapAccount, ChapRules, Initiators};
use iscsicore::wire::{LoginStatus, Stage};

use nexus_support::{Accept, HOME, OTHER, TARGET, World, config, ms, pattern, read, with};

fn temporary(address: &str) -> Accept {
    Accept::Answer(LoginStatus::MOVED_TEMPORARILY, format!("TargetAddress={address}\0"))
}

fn permanent(address: &str) -> Accept {
    Accept::Answer(LoginStatus::MOVED_PERMANENTLY, format!("TargetAddress={address}\0"))
}

fn addresses(world: &World) -> Vec<&str> {
    world.dials.iter().map(|dial| &dial.address[..]).collect()
}

fn attempts(world: &World) -> Vec<u32> {
    world.dials.iter().map(|dial| dial.attempt).collect()
}

// Goal: a redirect is followed without a login that authenticates, and only for this time. Method: a target elsewhere that has
// other data; then a loss.
#[test]
fn a_temporary_redirect_holds_for_one_attempt() {
    let mut world = World::new(config());
    world.script([temporary("away:3260,7")]);
    world.add("away:3260", []);
    world.servers.get_mut("away:3260").unwrap().disk[..512].copy_from_slice(&pattern(8, 1));
    world.settle();
    assert_eq!((addresses(&world), attempts(&world)), (vec![HOME, "away:3260"], vec![1, 1]));
    assert_eq!(world.nexus.address(), "away:3260");
    let told: Vec<&NexusEvent> = world.told.iter().map(|(_, event)| event).collect();
    let [_, NexusEvent::HangUp, NexusEvent::Redirected(redirect), NexusEvent::Dial { .. }, up] = told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((redirect.portal_group_tag, redirect.permanent), (Some(7), false));
    assert!(matches!(up, NexusEvent::Up { again: false, address } if address == "away:3260"));
    let task = world.submit(read(0, 1));
    assert_eq!(world.answer(task), (0, pattern(8, 1)));

    world.cut();
    assert_eq!(addresses(&world), [HOME, "away:3260", HOME]);
    assert!(world.nexus.is_up());
}

// Goal: a target may send an initiator elsewhere once it knows who that is. Method: the request that follows CHAP is answered
// with a redirect.
// covers: 7143-11.13.5-3
#[test]
fn a_redirect_is_followed_after_the_security_negotiation_too() {
    for status in [LoginStatus::MOVED_TEMPORARILY, LoginStatus::MOVED_PERMANENTLY] {
        let mut world = World::new(chap_config(&ChapAlgorithm::ALL));
        world.script([chap(RIGHT, &ChapAlgorithm::ALL)]);
        world.settle();
        assert!(world.nexus.is_up(), "{:?}", world.told);
        let security = world.logins.iter().filter(|login| login.stage == Stage::SecurityNegotiation).count();
        assert!(security >= 3 && world.logins.len() > security);
        world.script([Accept::Turn(security, status, "TargetAddress=away:3260\0".into())]);
        world.add("away:3260", [chap(RIGHT, &ChapAlgorithm::ALL)]);
        world.logins.clear();
        world.cut();
        assert!(world.nexus.is_up(), "{:?}", world.told);
        let turned = world.logins.iter().rfind(|login| login.address == HOME).unwrap();
        assert_eq!(turned.stage, Stage::LoginOperationalNegotiation);
        assert_eq!(addresses(&world), [HOME, HOME, "away:3260"]);
    }
}

#[test]
fn a_permanent_redirect_holds_from_then_on() {
    let mut world = World::new(config());
    world.script([permanent("new:3260")]);
    world.add("new:3260", []);
    world.settle();
    for _ in 0..3 {
        world.run(ms(20_000));
        world.cut();
    }
    assert_eq!(addresses(&world), [HOME, "new:3260", "new:3260", "new:3260", "new:3260"]);
}

// Goal: a redirect to where nobody is does not lead away for ever. Method: a permanent one to a server that is down.
#[test]
fn a_permanent_redirect_holds_only_after_a_login_there() {
    let mut world = World::new(with(|policy| policy.persist_at_first = true));
    world.script([permanent("nowhere:3260"), permanent("new:3260")]);
    world.add("new:3260", [Accept::Cut(0)]);
    world.run(ms(1000));
    assert!(world.nexus.is_up());
    assert_eq!(addresses(&world), [HOME, "nowhere:3260", HOME, "new:3260", HOME]);
    assert_eq!(attempts(&world), [1, 1, 2, 2, 3]);
}

#[test]
fn a_temporary_redirect_after_a_permanent_one_leads_back_to_that() {
    let mut world = World::new(config());
    world.script([permanent("new:3260")]);
    world.add("new:3260", [temporary("away:3260")]);
    world.add("away:3260", [permanent("far:3260")]);
    world.add("far:3260", []);
    world.settle();
    world.cut();
    assert_eq!(addresses(&world), [HOME, "new:3260", "away:3260", "far:3260", "new:3260"]);
    assert!(world.nexus.is_up());
}

#[test]
fn a_redirect_may_lead_to_another_name_and_an_address_without_port() {
    let text = format!("TargetAddress=away\0TargetName={OTHER}\0");
    for status in [LoginStatus::MOVED_TEMPORARILY, LoginStatus::MOVED_PERMANENTLY] {
        let mut world = World::new(config());
        world.script([Accept::Answer(status, text.clone())]);
        world.add("away:3260", []);
        world.settle();
        world.cut();
        assert!(world.nexus.is_up(), "{:?}", world.told);
        let asked_for =
            |name| world.logins.iter().filter(move |l| l.text.contains(&format!("TargetName={name}\0")));
        let permanent = status == LoginStatus::MOVED_PERMANENTLY;
        assert_eq!(asked_for(TARGET).count(), if permanent { 1 } else { 2 });
        assert!(asked_for(OTHER).all(|login| login.address == "away:3260"));
        assert_eq!(asked_for(OTHER).count(), if permanent { 2 } else { 1 });
    }
}

#[test]
fn redirects_in_a_circle_are_a_failure() {
    let mut world = World::new(config());
    world.script([temporary("away:3260")]);
    world.add("away:3260", [permanent(HOME)]);
    world.settle();
    let why = AttemptError::RedirectLoop { address: HOME.into(), hops: 2 };
    assert_eq!(world.end(), Some(&NexusEnd::Failed(why)));
    assert_eq!(world.dials.len(), 2);

    let mut world = World::new(config());
    world.script([temporary(HOME)]);
    world.settle();
    assert!(matches!(world.end(), Some(NexusEnd::Failed(AttemptError::RedirectLoop { hops: 1, .. }))));
}

#[test]
fn redirects_without_end_are_a_failure_that_may_pass() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.script([temporary("hop-1:1")]);
    for hop in 1..20 {
        world.add(&format!("hop-{hop}:1"), [temporary(&format!("hop-{}:1", hop + 1))]);
    }
    world.cut();
    let failed = world.told.iter().find_map(|(_, event)| match event {
        NexusEvent::AttemptFailed { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(failed, Some(AttemptError::RedirectLoop { address: "hop-9:1".into(), hops: 9 }));
    assert_eq!(world.dials.last().unwrap().address, "hop-8:1");
    world.run(ms(100));
    assert!(world.nexus.is_up());
}

#[test]
fn the_time_of_an_attempt_covers_its_redirects() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.script([Accept::Hang]);
    world.add("away:3260", [Accept::Hang]);
    world.cut();
    let lost = world.now;
    world.run(ms(9000));
    world.pick_up(temporary("away:3260"));
    assert_eq!(world.dials.last().unwrap().address, "away:3260");
    world.run(ms(20_000));
    let failed = world.told.iter().find_map(|(at, event)| match event {
        NexusEvent::AttemptFailed { why: AttemptError::TimedOut { address, .. }, .. } => {
            Some((*at, address.clone()))
        }
        _ => None,
    });
    assert_eq!(failed, Some((lost + ms(15_000), "away:3260".to_owned())));
    assert!(world.nexus.is_up());
}

#[test]
fn a_redirect_that_cannot_be_read_is_a_refusal() {
    for text in ["", "TargetAddress=\0", "TargetAddress=host:port\0", "Nothing=here\0"] {
        let mut world = World::new(config());
        world.script([Accept::Answer(LoginStatus::MOVED_TEMPORARILY, text.into())]);
        world.run(ms(60_000));
        assert!(matches!(world.end(), Some(NexusEnd::Failed(AttemptError::Login { .. }))), "{text:?}");
        assert_eq!(world.dials.len(), 1);
    }
}

fn account(secret: &str) -> Account {
    Account { name: "me".into(), secret: Secret::new(secret) }
}

/// A target with one account, that takes only these algorithms.
fn chap(secret: &str, algorithms: &[ChapAlgorithm]) -> Accept {
    let mut access = Access::default();
    let account = ChapAccount { account: account(secret), initiators: Initiators::Any };
    access.chap = Some(ChapRules { accounts: vec![account], mutual: None, algorithms: algorithms.to_vec() });
    Accept::ServeBy(access)
}

fn chap_config(algorithms: &[ChapAlgorithm]) -> NexusConfig {
    let mut config = config();
    let mut credentials = Credentials::new(account(RIGHT));
    credentials.algorithms = algorithms.to_vec();
    config.login.credentials = Some(credentials);
    config
}

const RIGHT: &str = "the right secret";
const WRONG: &str = "another secret";

/// The algorithms that logins offered, one entry a login.
fn offered(world: &World) -> Vec<&str> {
    world
        .logins
        .iter()
        .flat_map(|login| login.text.split('\0'))
        .filter_map(|p| p.strip_prefix("CHAP_A="))
        .collect()
}

// Goal: a target that means SHA-1 by 7 is logged in to all the same, at once, and from then on without 7. Method: a target that
// chooses 7 and refuses the right secret, as one that computes something else does; when 7 is not offered it chooses 6.
#[test]
fn an_algorithm_7_that_is_another_is_left_out() {
    use ChapAlgorithm::{Sha1, Sha256};
    let mut world = World::new(chap_config(&[Sha256, Sha1]));
    world.script([chap(WRONG, &[Sha256]), chap(RIGHT, &[Sha256, Sha1])]);
    let now = world.now;
    world.settle();
    assert!(world.nexus.is_up(), "{:?}", world.told);
    assert_eq!((attempts(&world), world.now), (vec![1, 1], now));
    assert_eq!(offered(&world), ["7,6", "6"]);
    world.run(ms(20_000));
    world.cut();
    assert!(world.nexus.is_up());
    assert_eq!(offered(&world), ["7,6", "6", "6"]);
}

#[test]
fn a_wrong_secret_is_refused_twice_and_no_more() {
    use ChapAlgorithm::{Sha1, Sha256};
    let mut world = World::new(chap_config(&[Sha256, Sha1]));
    world.script([chap(WRONG, &[Sha256, Sha1])]);
    world.run(ms(60_000));
    let Some(NexusEnd::Failed(AttemptError::Login { failure, .. })) = world.end() else {
        panic!("{:?}", world.told)
    };
    assert_eq!((failure.status, failure.algorithm), (Some(LoginStatus::AUTHENTICATION_FAILURE), Some(Sha1)));
    assert_eq!(offered(&world), ["7,6", "6"]);
}

#[test]
fn there_is_no_second_login_without_another_algorithm_or_after_another_one() {
    use ChapAlgorithm::{Md5, Sha1, Sha256};
    for (offer, taken) in [(vec![Sha256], vec![Sha256]), (vec![Sha256, Sha1, Md5], vec![Sha1, Md5])] {
        let mut world = World::new(chap_config(&offer));
        world.script([chap(WRONG, &taken)]);
        world.run(ms(60_000));
        assert!(matches!(world.end(), Some(NexusEnd::Failed(AttemptError::Login { .. }))));
        assert_eq!(world.dials.len(), 1);
    }
}

// Goal: a target that cannot prove itself gets no second chance with another algorithm. Method: it has another secret for itself
// than the initiator, which refuses it after CHAP with 7.
#[test]
fn a_target_that_fails_to_prove_itself_is_left() {
    use ChapAlgorithm::{Sha1, Sha256};
    let own = |secret: &str| Account { name: "target".into(), secret: Secret::new(secret) };
    let Accept::ServeBy(mut access) = chap(RIGHT, &[Sha256, Sha1]) else { unreachable!() };
    access.chap.as_mut().unwrap().mutual = Some(own("what it has itself"));
    let mut config = chap_config(&[Sha256, Sha1]);
    config.login.credentials.as_mut().unwrap().target = Some(own("what is expected"));
    let mut world = World::new(config);
    world.script([Accept::ServeBy(access)]);
    world.run(ms(60_000));
    let Some(NexusEnd::Failed(AttemptError::Login { failure, .. })) = world.end() else {
        panic!("{:?}", world.told)
    };
    assert_eq!((failure.status, failure.algorithm), (None, Some(Sha256)));
    assert_eq!(world.dials.len(), 1);
}

// Goal: what was left out for one attempt is offered again by the next one, if nothing was learned. Method: the login without 7
// does not come to an end.
#[test]
fn seven_is_offered_again_when_the_login_without_it_came_to_nothing() {
    use ChapAlgorithm::{Sha1, Sha256};
    let mut config = chap_config(&[Sha256, Sha1]);
    config.reconnect.persist_at_first = true;
    let mut world = World::new(config);
    world.script([chap(WRONG, &[Sha256]), Accept::Cut(0), chap(RIGHT, &[Sha256])]);
    world.run(ms(1000));
    assert!(world.nexus.is_up(), "{:?}", world.told);
    assert_eq!((offered(&world), attempts(&world)), (vec!["7,6", "7,6"], vec![1, 1, 2]));
}
