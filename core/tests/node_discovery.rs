//! What SendTargets tells to whom.

use std::net::SocketAddr;

use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::node::{
    Asker, Asking, ChapAccount, ChapRules, Initiators, IscsiName, Node, NodeConfig, PortalGroup, TargetConfig,
};
use iscsicore::target::{SendTargets, TargetAddress, TargetRecord};

const DISK: &str = "iqn.2026-01.com.example:disk";
const TAPE: &str = "iqn.2026-01.com.example:tape";
const OPEN: &str = "iqn.2026-01.com.example:open";
const HOST: &str = "iqn.2026-01.com.example:host";
const OTHER: &str = "iqn.2026-01.com.example:other";

// Goal: a target is reported with all its portals, each with its tag, whichever portal was asked. Method: two groups over
// both address families.
// covers: 7143-13.8-2
#[test]
fn a_target_is_reported_with_every_portal_and_tag() {
    let node = node(vec![
        target(DISK, &[(1, &["192.0.2.1:3260", "[2001:db8::1]:3260"]), (2, &["192.0.2.2:860"])]),
        target(TAPE, &[(1, &["192.0.2.9:3260"])]),
    ]);
    let want = vec![
        record(DISK, &[("192.0.2.1:3260", 1), ("[2001:db8::1]:3260", 1), ("192.0.2.2:860", 2)]),
        record(TAPE, &[("192.0.2.9:3260", 1)]),
    ];
    assert_eq!(node.send_targets(&discovery(HOST, None), &SendTargets::All), Some(want));
}

#[test]
fn a_wildcard_yields_to_the_group_that_has_the_very_address() {
    let node = node(vec![target(DISK, &[(1, &["0.0.0.0:3260", "0.0.0.0:3261"]), (2, &["192.0.2.1:3260"])])]);
    let own = vec![record(DISK, &[("192.0.2.1:3261", 1), ("192.0.2.1:3260", 2)])];
    assert_eq!(node.send_targets(&discovery(HOST, None), &SendTargets::All), Some(own));
    let mut elsewhere = discovery(HOST, None);
    elsewhere.local = at("192.0.2.7:3260");
    let other = vec![record(DISK, &[("192.0.2.7:3260", 1), ("192.0.2.7:3261", 1), ("192.0.2.1:3260", 2)])];
    assert_eq!(node.send_targets(&elsewhere, &SendTargets::All), Some(other));
}

#[test]
fn a_target_without_an_address_for_the_initiator_is_left_out() {
    let node =
        node(vec![target(DISK, &[(1, &["127.0.0.1:3260"])]), target(TAPE, &[(1, &["192.0.2.1:3260"])])]);
    assert_eq!(names(&node, &discovery(HOST, None), &SendTargets::All), [TAPE]);
    let mut near = discovery(HOST, None);
    near.local = at("127.0.0.1:3260");
    assert_eq!(names(&node, &near, &SendTargets::All), [DISK, TAPE]);
}

#[test]
fn only_targets_that_the_initiator_may_use_are_reported() {
    let node = guarded();
    assert_eq!(names(&node, &discovery(HOST, None), &SendTargets::All), [DISK, TAPE, OPEN]);
    assert_eq!(names(&node, &discovery(OTHER, None), &SendTargets::All), [TAPE, OPEN]);
    assert_eq!(names(&node, &discovery(&HOST.to_uppercase(), None), &SendTargets::All), [DISK, TAPE, OPEN]);
    let hidden = SendTargets::Named(DISK.into());
    assert_eq!(names(&node, &discovery(OTHER, None), &hidden), [""; 0]);
    assert_eq!(names(&node, &discovery(HOST, None), &hidden), [DISK]);
}

// Goal: after CHAP, the user counts too. Method: an account of one target, one of another, and one of discovery alone.
#[test]
fn a_user_sees_what_the_user_may_log_in_to() {
    let node = guarded();
    assert_eq!(names(&node, &discovery(HOST, Some("alice")), &SendTargets::All), [TAPE, OPEN]);
    assert_eq!(names(&node, &discovery(HOST, Some("bob")), &SendTargets::All), [DISK, OPEN]);
    assert_eq!(names(&node, &discovery(HOST, Some("finder")), &SendTargets::All), [DISK, TAPE, OPEN]);
    assert_eq!(names(&node, &discovery(OTHER, Some("bob")), &SendTargets::All), [OPEN]);
}

#[test]
fn a_normal_session_learns_of_its_own_target_alone() {
    let node = guarded();
    let mut asker = discovery(HOST, None);
    asker.session = Asking::Normal(OPEN);
    assert_eq!(node.send_targets(&asker, &SendTargets::All), None);
    assert_eq!(names(&node, &asker, &SendTargets::Current), [OPEN]);
    assert_eq!(names(&node, &asker, &SendTargets::Named(OPEN.to_uppercase())), [OPEN]);
    assert_eq!(names(&node, &asker, &SendTargets::Named(TAPE.into())), [""; 0]);
}

#[test]
fn a_discovery_session_has_a_current_target_only_when_it_named_one() {
    let node = guarded();
    let mut asker = discovery(HOST, None);
    assert_eq!(names(&node, &asker, &SendTargets::Current), [""; 0]);
    asker.session = Asking::Discovery(Some(TAPE));
    assert_eq!(names(&node, &asker, &SendTargets::Current), [TAPE]);
    assert_eq!(names(&node, &asker, &SendTargets::All), [DISK, TAPE, OPEN]);
}

/// DISK for HOST with bob's account, TAPE for all with alice's, OPEN for all.
fn guarded() -> Node {
    let portals: &[(u16, &[&str])] = &[(1, &["192.0.2.1:3260"])];
    let (mut disk, mut tape) = (target(DISK, portals), target(TAPE, portals));
    disk.access.initiators = Initiators::from_iter([IscsiName::received(HOST).unwrap()]);
    disk.access.chap = Some(chap("bob"));
    tape.access.chap = Some(chap("alice"));
    node(vec![disk, tape, target(OPEN, portals)])
}

fn chap(user: &str) -> ChapRules {
    let account = Account { name: user.into(), secret: Secret::new(format!("the secret of {user}")) };
    ChapRules {
        accounts: vec![ChapAccount { account, initiators: Initiators::Any }],
        mutual: None,
        algorithms: ChapAlgorithm::ALL.to_vec(),
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn target(name: &str, groups: &[(u16, &[&str])]) -> TargetConfig {
    let mut target = TargetConfig::new(IscsiName::parse(name).unwrap());
    target.groups =
        groups.iter().map(|(tag, portals)| PortalGroup::new(*tag, portals.iter().map(|p| at(p)))).collect();
    target
}

fn node(targets: Vec<TargetConfig>) -> Node {
    let mut config = NodeConfig::default();
    config.targets = targets;
    Node::new(config).unwrap()
}

fn discovery<'a>(initiator: &'a str, user: Option<&'a str>) -> Asker<'a> {
    Asker { initiator, user, session: Asking::Discovery(None), local: at("192.0.2.1:3260") }
}

fn names(node: &Node, asker: &Asker<'_>, which: &SendTargets) -> Vec<String> {
    node.send_targets(asker, which).unwrap().into_iter().map(|r| r.name).collect()
}

fn record(name: &str, addresses: &[(&str, u16)]) -> TargetRecord {
    TargetRecord {
        name: name.into(),
        addresses: addresses
            .iter()
            .map(|&(address, portal_group_tag)| TargetAddress { address: address.into(), portal_group_tag })
            .collect(),
    }
}
