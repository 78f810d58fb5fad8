//! Who is let in, on which conditions, and with which status the others are turned away.

use std::net::SocketAddr;

use iscsicore::login::{Account, Authentication, ChapAlgorithm, Hello, Secret, SessionType};
use iscsicore::node::{
    Access, ChapAccount, ChapRules, ConfigError, Initiators, IscsiName, LunMap, Node, NodeConfig, Portal,
    PortalGroup, Service, TargetConfig, UnitAccess, UnitId,
};
use iscsicore::wire::{Cid, Isid, LoginStatus, Lun, Tsih};

const DISK: &str = "iqn.2026-01.com.example:disk";
const TAPE: &str = "iqn.2026-01.com.example:tape";
const HOST: &str = "iqn.2026-01.com.example:host";
const OTHER: &str = "iqn.2026-01.com.example:other";

#[test]
fn an_open_target_lets_everybody_in_and_says_its_portal_group() {
    let mut disk = target(DISK, &[(7, "192.0.2.1:3260"), (8, "192.0.2.2:3260")]);
    disk.alias = Some("a disk".into());
    let node = node(vec![disk]);
    for (local, tag) in [("192.0.2.1:3260", 7), ("192.0.2.2:3260", 8)] {
        let admission = node.admit(&hello(OTHER, Some(DISK)), at(local)).unwrap();
        assert_eq!(admission.portal_group_tag, Some(tag));
        assert_eq!(admission.target_alias.as_deref(), Some("a disk"));
        assert!(matches!(admission.authentication, Authentication::None));
    }
}

#[test]
fn names_match_in_either_case() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.access.initiators = only(&[HOST]);
    let node = node(vec![disk]);
    let shouted = hello(&HOST.to_uppercase(), Some(&DISK.to_uppercase()));
    assert!(node.admit(&shouted, at("192.0.2.1:3260")).is_ok());
}

// Goal: every refusal has the status that RFC 7143 section 11.13.5 gives its reason. Method: one target with every rule,
// one login for each way to break one.
#[test]
fn each_reason_to_refuse_has_its_status() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.access.initiators = only(&[HOST]);
    let mut tape = target(TAPE, &[(1, "192.0.2.1:3261")]);
    tape.access.chap = Some(chap(&[("alice", "alice's long secret", only(&[HOST]))]));
    let mut node = node(vec![disk, tape]);
    let status = |node: &Node, initiator: &str, target: Option<&str>, local: &str| {
        node.admit(&hello(initiator, target), at(local)).err().map(|refusal| refusal.status)
    };
    let (first, second) = ("192.0.2.1:3260", "192.0.2.1:3261");
    assert_eq!(status(&node, HOST, Some(DISK), first), None);
    assert_eq!(
        status(&node, HOST, Some("iqn.2026-01.com.example:none"), first),
        Some(LoginStatus::NOT_FOUND)
    );
    assert_eq!(status(&node, HOST, Some(""), first), Some(LoginStatus::NOT_FOUND));
    assert_eq!(status(&node, HOST, Some(DISK), second), Some(LoginStatus::NOT_FOUND), "not on that portal");
    assert_eq!(status(&node, OTHER, Some(DISK), first), Some(LoginStatus::AUTHORIZATION_FAILURE));
    assert_eq!(status(&node, OTHER, Some(TAPE), second), Some(LoginStatus::AUTHORIZATION_FAILURE));
    assert_eq!(status(&node, "", Some(DISK), first), Some(LoginStatus::INITIATOR_ERROR));
    assert_eq!(status(&node, "iqn.a b", Some(DISK), first), Some(LoginStatus::INITIATOR_ERROR));
    assert_eq!(status(&node, HOST, None, first), Some(LoginStatus::MISSING_PARAMETER));
    for (service, want) in [
        (Service::Unavailable, Some(LoginStatus::SERVICE_UNAVAILABLE)),
        (Service::Removed, Some(LoginStatus::TARGET_REMOVED)),
        (Service::Online, None),
    ] {
        assert!(node.set_service(DISK, service));
        assert_eq!(status(&node, HOST, Some(DISK), first), want);
        let stranger = status(&node, OTHER, Some(DISK), first);
        assert_eq!(
            stranger,
            Some(LoginStatus::AUTHORIZATION_FAILURE),
            "the service is no business of strangers"
        );
    }
    assert!(!node.set_service("iqn.2026-01.com.example:none", Service::Online));
}

// Goal: an account is good for the initiators it belongs to, and for no other name. Method: which accounts each login is
// offered.
// covers: 7143-9.2-6 7143-9.2-7 7143-9.2-8 7143-9.2-9
#[test]
fn each_initiator_can_use_only_its_own_accounts() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    let mut rules = chap(&[
        ("alice", "alice's long secret", only(&[HOST])),
        ("bob", "bob's long secret", only(&[OTHER])),
        ("carol", "carol's long secret", Initiators::Any),
    ]);
    rules.mutual = Some(account("disk", "the disk's own secret"));
    disk.access.chap = Some(rules);
    let node = node(vec![disk]);
    for (initiator, want) in [(HOST, &["alice", "carol"][..]), (OTHER, &["bob", "carol"]), (TAPE, &["carol"])]
    {
        let admission = node.admit(&hello(initiator, Some(DISK)), at("192.0.2.1:3260")).unwrap();
        let Authentication::Chap(policy) = admission.authentication else { panic!("CHAP is demanded") };
        let names: Vec<_> = policy.accounts.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, want);
        assert_eq!(policy.mutual.map(|m| m.name).as_deref(), Some("disk"));
        assert_eq!(policy.algorithms, ChapAlgorithm::ALL);
    }
}

#[test]
fn discovery_has_rules_of_its_own() {
    let mut config = NodeConfig::default();
    let mut disk = target(DISK, &[(9, "192.0.2.1:3260")]);
    disk.access.initiators = only(&[HOST]);
    config.targets = vec![disk];
    let open = Node::new(config.clone()).unwrap();
    let mut asks = hello(OTHER, None);
    asks.session_type = SessionType::Discovery;
    let admission = open.admit(&asks, at("192.0.2.1:3260")).unwrap();
    assert!(matches!(admission.authentication, Authentication::None));
    assert_eq!((admission.portal_group_tag, admission.target_alias), (Some(9), None));

    config.discovery.chap = Some(chap(&[("finder", "the finder's secret", only(&[HOST]))]));
    let closed = Node::new(config).unwrap();
    assert_eq!(
        closed.admit(&asks, at("192.0.2.1:3260")).unwrap_err().status,
        LoginStatus::AUTHORIZATION_FAILURE
    );
    asks.initiator = HOST.into();
    let admission = closed.admit(&asks, at("192.0.2.1:3260")).unwrap();
    assert!(matches!(admission.authentication, Authentication::Chap(_)));
}

// Goal: a discovery session that names a target, and may thus replace a session of it, is as hard to open as a normal
// one. Method: open discovery beside a target with accounts.
#[test]
fn a_discovery_session_with_a_target_obeys_the_target() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.access.chap = Some(chap(&[("alice", "alice's long secret", Initiators::Any)]));
    disk.access.initiators = only(&[HOST]);
    let node = node(vec![disk]);
    let mut asks = hello(HOST, Some(DISK));
    asks.session_type = SessionType::Discovery;
    let admission = node.admit(&asks, at("192.0.2.1:3260")).unwrap();
    assert!(matches!(admission.authentication, Authentication::Chap(_)));
    asks.initiator = OTHER.into();
    assert_eq!(
        node.admit(&asks, at("192.0.2.1:3260")).unwrap_err().status,
        LoginStatus::AUTHORIZATION_FAILURE
    );
}

#[test]
fn an_initiator_with_a_map_of_its_own_sees_that_and_nothing_else() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.luns.insert(0, UnitId(10), UnitAccess::ReadWrite).unwrap();
    disk.luns.insert(1, UnitId(11), UnitAccess::ReadWrite).unwrap();
    let mut own = LunMap::new();
    own.insert(0, UnitId(11), UnitAccess::ReadOnly).unwrap();
    disk.luns_for.insert(IscsiName::received(HOST).unwrap(), own);
    let node = node(vec![disk]);
    let units = |initiator: &str| -> Vec<(Lun, UnitId, UnitAccess)> {
        node.luns(DISK, initiator).unwrap().iter().map(|(lun, m)| (lun, m.unit, m.access)).collect()
    };
    assert_eq!(units(&HOST.to_uppercase()), [(Lun::ZERO, UnitId(11), UnitAccess::ReadOnly)]);
    assert_eq!(units(OTHER).iter().map(|(_, unit, _)| unit.0).collect::<Vec<_>>(), [10, 11]);
    assert!(node.luns(TAPE, HOST).is_none());
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_and_every_mistake_named() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260"), (1, "192.0.2.1:3260")]);
    disk.alias = Some("a\nb".into());
    disk.groups[0].portals[0].announce = Some("san.example.com".into());
    let mut rules = chap(&[("alice", "one secret", Initiators::Any), ("alice", "", Initiators::Any)]);
    rules.mutual = Some(account("disk", "one secret"));
    disk.access.chap = Some(rules);
    let mut tape = target(DISK, &[]);
    tape.access.chap = Some(chap(&[]));
    let mut config = NodeConfig::default();
    config.targets = vec![disk, tape];
    let messages: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "the alias of target iqn.2026-01.com.example:disk is empty, longer than 255 bytes or has control characters",
            "\"san.example.com\" cannot be announced as an address; write host:port",
            "target iqn.2026-01.com.example:disk has two portal groups with tag 1",
            "target iqn.2026-01.com.example:disk has portal 192.0.2.1:3260 twice",
            "target iqn.2026-01.com.example:disk is defined twice",
            "target iqn.2026-01.com.example:disk has no portal",
            "target iqn.2026-01.com.example:disk has two CHAP accounts named \"alice\"",
            "target iqn.2026-01.com.example:disk: CHAP account \"alice\": its secret is empty",
            "target iqn.2026-01.com.example:disk demands CHAP and has no account",
            "the secret of CHAP account \"alice\" is also that of the target's own account \"disk\"",
        ]
    );
    assert!(Node::new(config).is_err());
}

// Goal: no secret serves both directions, whichever targets it is configured at. Method: the same bytes as an initiator's
// secret of one target and as the own secret of another.
// covers: 7143-9.2.1-8
#[test]
fn a_secret_serves_one_direction_only_across_all_targets() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.access.chap = Some(chap(&[("alice", "a shared secret", Initiators::Any)]));
    let mut tape = target(TAPE, &[(1, "192.0.2.1:3260")]);
    let mut rules = chap(&[("bob", "another secret", Initiators::Any)]);
    rules.mutual = Some(account("tape", "a shared secret"));
    tape.access.chap = Some(rules);
    let mut config = NodeConfig::default();
    config.targets = vec![disk, tape];
    let want = ConfigError::SharedSecret { initiator: "alice".into(), target: "tape".into() };
    assert_eq!(config.problems(), [want]);
}

#[test]
fn announced_addresses_have_the_form_of_target_address() {
    for (text, fine) in [
        ("san.example.com:3260", true),
        ("192.0.2.1:3260", true),
        ("[2001:db8::1]:3260", true),
        ("2001:db8::1:3260", false),
        ("[2001:db8::1]", false),
        ("san.example.com", false),
        ("san.example.com:0", false),
        ("san.example.com:+1", false),
        ("san.example.com:65536", false),
        (":3260", false),
        ("san example:3260", false),
        ("san,1:3260", false),
    ] {
        let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
        disk.groups[0].portals[0].announce = Some(text.into());
        let mut config = NodeConfig::default();
        config.targets = vec![disk];
        assert_eq!(config.problems().is_empty(), fine, "{text}");
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let mut disk = target(DISK, &[(1, "192.0.2.1:3260")]);
    disk.access.chap = Some(chap(&[("alice", "unspeakable secret", Initiators::Any)]));
    let shown = format!("{:?}", node(vec![disk]));
    assert!(shown.contains("alice") && !shown.contains("unspeakable"), "{shown}");
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn only(names: &[&str]) -> Initiators {
    names.iter().map(|name| IscsiName::received(name).unwrap()).collect()
}

fn account(name: &str, secret: &str) -> Account {
    Account { name: name.into(), secret: Secret::new(secret) }
}

fn chap(accounts: &[(&str, &str, Initiators)]) -> ChapRules {
    let accounts = accounts
        .iter()
        .map(|(name, secret, initiators)| ChapAccount {
            account: account(name, secret),
            initiators: initiators.clone(),
        })
        .collect();
    ChapRules { accounts, mutual: None, algorithms: ChapAlgorithm::ALL.to_vec() }
}

/// An open target with one portal in each group.
fn target(name: &str, portals: &[(u16, &str)]) -> TargetConfig {
    let mut target = TargetConfig::new(IscsiName::parse(name).unwrap());
    target.access = Access::default();
    for &(tag, address) in portals {
        target.groups.push(PortalGroup { tag, portals: vec![Portal::new(at(address))] });
    }
    target
}

fn node(targets: Vec<TargetConfig>) -> Node {
    let mut config = NodeConfig::default();
    config.targets = targets;
    Node::new(config).unwrap()
}

fn hello(initiator: &str, target: Option<&str>) -> Hello {
    Hello {
        initiator: initiator.into(),
        initiator_alias: None,
        target: target.map(Into::into),
        session_type: SessionType::Normal,
        isid: Isid([0x80, 0, 0, 0, 0, 1]),
        tsih: Tsih::NEW,
        cid: Cid(0),
    }
}
