//! What a login becomes: the table of RFC 7143 section 6.3.1, reinstatement, and the limits.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use iscsicore::login::{Hello, SessionType};
use iscsicore::node::{Connection, Decision, LoginFacts, NodeLimits, Seat, Sessions, StaleDecision};
use iscsicore::wire::{Cid, Isid, LoginStatus, Tsih};

const DISK: &str = "iqn.2026-01.com.example:disk";
const TAPE: &str = "iqn.2026-01.com.example:tape";
const HOST: &str = "iqn.2026-01.com.example:host";
const OTHER: &str = "iqn.2026-01.com.example:other";

/// A login in the making.
#[derive(Clone)]
struct Login {
    hello: Hello,
    tag: u16,
    local: &'static str,
    user: Option<&'static str>,
}

// Goal: the whole table of section 6.3.1, row by row. Method: one session with CID 1, then a login for each row.
// covers: 7143-11.12.6-4 7143-6.3.4-1 7143-6.3.5-1
#[test]
fn the_table_of_login_results() {
    let mut sessions = Sessions::default();
    let seat = open(&mut sessions, &normal(1, 0, 1));
    let used = seat.tsih.0;
    let unused = used + 1;
    assert_eq!(refusal(&sessions, &normal(2, used, 1)), LoginStatus::SESSION_DOES_NOT_EXIST, "new, non-zero");
    assert_eq!(refusal(&sessions, &normal(2, unused, 9)), LoginStatus::SESSION_DOES_NOT_EXIST);
    assert!(matches!(decide(&sessions, &normal(2, 0, 1)), Decision::New(_)), "new, zero");
    for cid in [1, 2] {
        let decision = decide(&sessions, &normal(1, 0, cid));
        assert!(matches!(decision, Decision::Reinstates(old, _) if old == seat.session), "existing, zero");
    }
    let added = decide(&sessions, &normal(1, used, 2));
    assert!(matches!(added, Decision::Joins(s, Connection::Added, _) if s == seat.session));
    let again = decide(&sessions, &normal(1, used, 1));
    assert!(matches!(again, Decision::Joins(s, Connection::Reinstated, _) if s == seat.session));
    assert_eq!(
        refusal(&sessions, &normal(1, unused, 1)),
        LoginStatus::SESSION_DOES_NOT_EXIST,
        "existing, new"
    );
}

// Goal: "existing" is judged between one initiator and one portal group of one target. Method: logins that differ from a
// session in one part of its name.
#[test]
fn a_session_is_named_by_initiator_isid_target_and_portal_group() {
    let mut sessions = Sessions::default();
    let first = open(&mut sessions, &normal(1, 0, 1));
    let same = normal(1, 0, 1);
    let with = |change: fn(&mut Login)| {
        let mut login = same.clone();
        change(&mut login);
        login
    };
    let others = [
        with(|l| l.hello.initiator = OTHER.into()),
        with(|l| l.hello.isid = Isid([0x80, 0, 0, 0, 0, 2])),
        with(|l| l.hello.target = Some(TAPE.into())),
        with(|l| l.tag = 2),
    ];
    for other in &others {
        assert!(matches!(decide(&sessions, other), Decision::New(_)));
        let mut joins = other.clone();
        joins.hello.tsih = first.tsih;
        assert_eq!(refusal(&sessions, &joins), LoginStatus::SESSION_DOES_NOT_EXIST);
    }
    let seats: Vec<Seat> = others.iter().map(|o| open(&mut sessions, o)).collect();
    let tsihs: BTreeSet<_> = seats.iter().chain([&first]).map(|s| s.tsih).collect();
    let nexuses: BTreeSet<_> = seats.iter().chain([&first]).map(|s| s.nexus).collect();
    assert_eq!((tsihs.len(), nexuses.len(), sessions.len()), (5, 5, 5));
    let shouted = with(|l| l.hello.initiator = HOST.to_uppercase());
    assert!(matches!(decide(&sessions, &shouted), Decision::Reinstates(old, _) if old == first.session));
}

#[test]
fn reinstatement_replaces_the_session_and_keeps_the_nexus() {
    let mut sessions = Sessions::default();
    let old = open(&mut sessions, &normal(1, 0, 1));
    let new = open(&mut sessions, &normal(1, 0, 1));
    assert_ne!((old.session, old.tsih), (new.session, new.tsih));
    assert_eq!(old.nexus, new.nexus);
    assert_eq!(sessions.iter().map(|s| s.id()).collect::<Vec<_>>(), [new.session]);
    assert!(sessions.remove(old.session).is_none(), "it has left already");
    assert_eq!(sessions.by_nexus(new.nexus.unwrap()).map(|s| s.id()), Some(new.session));
    assert_eq!(refusal(&sessions, &normal(1, old.tsih.0, 2)), LoginStatus::SESSION_DOES_NOT_EXIST);
}

#[test]
fn the_same_nexus_has_the_same_number_after_the_session_has_gone() {
    let mut sessions = Sessions::default();
    let first = open(&mut sessions, &normal(1, 0, 1));
    assert!(sessions.remove(first.session).is_some());
    assert!(sessions.is_empty() && sessions.by_nexus(first.nexus.unwrap()).is_none());
    assert_eq!(open(&mut sessions, &normal(1, 0, 1)).nexus, first.nexus);
}

// Goal: a handle is never zero, never one in use, and rests before it is used again. Method: more sessions than there are
// handles, one of which never ends.
// covers: 7143-4.4.3-1
#[test]
fn handles_are_never_zero_and_never_in_use() {
    let mut sessions = Sessions::default();
    let lasting = open(&mut sessions, &normal(0xffff_ffff, 0, 1));
    let mut before = lasting.tsih;
    for isid in 0..70_000 {
        let seat = open(&mut sessions, &normal(isid, 0, 1));
        assert!(seat.tsih != Tsih::NEW && seat.tsih != lasting.tsih && seat.tsih != before);
        before = seat.tsih;
        sessions.remove(seat.session);
    }
    let joined = decide(&sessions, &normal(0xffff_ffff, lasting.tsih.0, 2));
    assert_eq!(
        sessions.commit(joined, 1, 0).map(|s| s.tsih),
        Ok(lasting.tsih),
        "the handle stays the session's"
    );
}

// Goal: a second connection can always come to clean up after the first. Method: a session of one connection at each
// error recovery level; the same CID, then a new one.
#[test]
fn a_second_connection_opens_for_recovery() {
    for level in 0..=2 {
        let mut sessions = Sessions::default();
        let decision = decide(&sessions, &normal(1, 0, 1));
        let seat = sessions.commit(decision, 1, level).unwrap();
        let same = decide(&sessions, &normal(1, seat.tsih.0, 1));
        assert!(matches!(same, Decision::Joins(_, Connection::Reinstated, _)));
        if level < 2 {
            assert_eq!(refusal(&sessions, &normal(1, seat.tsih.0, 2)), LoginStatus::TOO_MANY_CONNECTIONS);
            continue;
        }
        let second = decide(&sessions, &normal(1, seat.tsih.0, 2));
        assert!(matches!(second, Decision::Joins(_, Connection::Added, _)));
        sessions.commit(second, 1, level).unwrap();
        assert_eq!(refusal(&sessions, &normal(1, seat.tsih.0, 3)), LoginStatus::TOO_MANY_CONNECTIONS);
    }
}

#[test]
fn connections_are_counted_up_to_what_was_negotiated() {
    let mut sessions = Sessions::default();
    let seat = open(&mut sessions, &normal(1, 0, 1));
    for cid in 2..=4 {
        let decision = decide(&sessions, &normal(1, seat.tsih.0, cid));
        assert_eq!(sessions.commit(decision, 1, 0), Ok(seat));
    }
    assert_eq!(refusal(&sessions, &normal(1, seat.tsih.0, 5)), LoginStatus::TOO_MANY_CONNECTIONS);
    sessions.remove_connection(seat.session, Cid(2));
    assert!(matches!(
        decide(&sessions, &normal(1, seat.tsih.0, 5)),
        Decision::Joins(_, Connection::Added, _)
    ));
    let cids: Vec<Cid> = sessions.get(seat.session).unwrap().connections().collect();
    assert_eq!(cids, [Cid(1), Cid(3), Cid(4)]);
}

// Goal: one session, one identity: no connection joins under another one or without any. Method: joins and reinstatements
// with every pair of users.
// covers: 7143-9.2-10 7143-9.2-11 7143-9.2-12
#[test]
fn connections_of_a_session_share_its_identity() {
    for owner in [None, Some("alice"), Some("bob")] {
        let mut sessions = Sessions::default();
        let mut login = normal(1, 0, 1);
        login.user = owner;
        let seat = open(&mut sessions, &login);
        for user in [None, Some("alice"), Some("bob")] {
            for tsih in [0, seat.tsih.0] {
                let mut second = normal(1, tsih, 2);
                second.user = user;
                match decide(&sessions, &second) {
                    Decision::Refused(refusal) => {
                        assert_eq!(refusal.status, LoginStatus::AUTHENTICATION_FAILURE);
                        assert_ne!(user, owner);
                    }
                    _ => assert_eq!(user, owner),
                }
            }
        }
    }
}

// Goal: discovery sessions without a target are told apart by the address they came to. Method: the same initiator port
// at two portals, twice at one, and beside a normal session.
// covers: 7143-7.4.2.1-1 7143-7.4.2.1-2 7143-7.4.2.1-3 7143-7.4.2.1-4
#[test]
fn unnamed_discovery_sessions_are_named_by_the_portal() {
    let mut sessions = Sessions::default();
    let normal_seat = open(&mut sessions, &normal(1, 0, 1));
    let here = discovery(None, "192.0.2.1:3260");
    let first = open(&mut sessions, &here);
    assert_eq!(first.nexus, None);
    let there = open(&mut sessions, &discovery(None, "192.0.2.2:3260"));
    assert_eq!(sessions.len(), 3);
    assert!(matches!(decide(&sessions, &here), Decision::Reinstates(old, _) if old == first.session));
    let second = open(&mut sessions, &here);
    let left: BTreeSet<_> = sessions.iter().map(|s| s.id()).collect();
    assert_eq!(left, BTreeSet::from([normal_seat.session, there.session, second.session]));
    assert!(sessions.get(second.session).unwrap().target().is_none());
    assert!(
        matches!(decide(&sessions, &normal(1, 0, 1)), Decision::Reinstates(old, _) if old == normal_seat.session)
    );
}

// Goal: a discovery session that names its target obeys the ISID rule like any other. Method: it and a normal session
// replace one another.
// covers: 7143-7.4.2.2-1
#[test]
fn named_discovery_sessions_obey_the_isid_rule() {
    let mut sessions = Sessions::default();
    let named = discovery(Some(DISK), "192.0.2.1:3260");
    let first = open(&mut sessions, &named);
    assert_eq!(first.nexus, None, "it is no nexus");
    assert!(matches!(decide(&sessions, &named), Decision::Reinstates(old, _) if old == first.session));
    let session = open(&mut sessions, &normal(1, 0, 1));
    assert!(sessions.get(first.session).is_none() && session.nexus.is_some());
    assert!(matches!(decide(&sessions, &named), Decision::Reinstates(old, _) if old == session.session));
    let mut joins = named;
    joins.hello.tsih = session.tsih;
    joins.hello.cid = Cid(2);
    assert_eq!(refusal(&sessions, &joins), LoginStatus::CANT_INCLUDE_IN_SESSION);
}

#[test]
fn a_decision_that_another_login_overtook_is_stale() {
    let mut sessions = Sessions::default();
    let (slow, fast) = (decide(&sessions, &normal(1, 0, 1)), decide(&sessions, &normal(1, 0, 1)));
    let seat = sessions.commit(fast, 1, 0).unwrap();
    assert_eq!(sessions.commit(slow, 1, 0), Err(StaleDecision));
    let join = decide(&sessions, &normal(1, seat.tsih.0, 1));
    sessions.remove(seat.session);
    assert_eq!(sessions.commit(join, 1, 0), Err(StaleDecision));
    let refused = decide(&sessions, &normal(1, seat.tsih.0, 1));
    assert_eq!(sessions.commit(refused, 1, 0), Err(StaleDecision));
    assert!(sessions.is_empty());
}

#[test]
fn every_limit_holds_and_reinstatement_needs_no_room() {
    let mut limits = NodeLimits::default();
    (limits.sessions, limits.sessions_per_initiator, limits.discovery_sessions) = (4, 3, 1);
    let mut sessions = Sessions::new(limits);
    open(&mut sessions, &discovery(None, "192.0.2.1:3260"));
    let more = discovery(None, "192.0.2.2:3260");
    assert_eq!(refusal(&sessions, &more), LoginStatus::OUT_OF_RESOURCES, "discovery");
    open(&mut sessions, &normal(1, 0, 1));
    open(&mut sessions, &normal(2, 0, 1));
    assert_eq!(refusal(&sessions, &normal(3, 0, 1)), LoginStatus::OUT_OF_RESOURCES, "one initiator");
    let mut other = normal(1, 0, 1);
    other.hello.initiator = OTHER.into();
    open(&mut sessions, &other);
    other.hello.isid = Isid([0x80, 0, 0, 0, 0, 2]);
    assert_eq!(refusal(&sessions, &other), LoginStatus::OUT_OF_RESOURCES, "all");
    for again in [normal(2, 0, 1), discovery(None, "192.0.2.1:3260")] {
        assert!(matches!(decide(&sessions, &again), Decision::Reinstates(..)));
    }
}

#[test]
fn logins_in_progress_are_limited() {
    let mut limits = NodeLimits::default();
    limits.connections_in_login = 2;
    let mut sessions = Sessions::new(limits);
    assert!(sessions.enter_login().is_ok() && sessions.enter_login().is_ok());
    assert_eq!(sessions.enter_login().unwrap_err().status, LoginStatus::OUT_OF_RESOURCES);
    sessions.leave_login();
    assert!(sessions.enter_login().is_ok());
}

#[test]
fn facts_need_names() {
    let mut login = normal(1, 0, 1);
    login.hello.target = None;
    assert_eq!(facts(&login).unwrap_err().status, LoginStatus::MISSING_PARAMETER);
    login.hello.initiator = String::new();
    assert_eq!(facts(&login).unwrap_err().status, LoginStatus::INITIATOR_ERROR);
}

fn normal(isid: u32, tsih: u16, cid: u16) -> Login {
    let [a, b, c, d] = isid.to_be_bytes();
    let hello = Hello {
        initiator: HOST.into(),
        initiator_alias: None,
        target: Some(DISK.into()),
        session_type: SessionType::Normal,
        isid: Isid([0x80, 0, a, b, c, d]),
        tsih: Tsih(tsih),
        cid: Cid(cid),
    };
    Login { hello, tag: 1, local: "192.0.2.1:3260", user: None }
}

fn discovery(target: Option<&str>, local: &'static str) -> Login {
    let mut login = normal(1, 0, 1);
    login.hello.target = target.map(Into::into);
    login.hello.session_type = SessionType::Discovery;
    login.local = local;
    login
}

fn facts(login: &Login) -> Result<LoginFacts, iscsicore::node::Refusal> {
    let local: SocketAddr = login.local.parse().unwrap();
    LoginFacts::new(&login.hello, Some(login.tag), local, login.user)
}

fn decide(sessions: &Sessions, login: &Login) -> Decision {
    sessions.decide(&facts(login).unwrap())
}

fn refusal(sessions: &Sessions, login: &Login) -> LoginStatus {
    match decide(sessions, login) {
        Decision::Refused(refusal) => refusal.status,
        other => panic!("not refused: {other:?}"),
    }
}

/// Decides and commits, with room for four connections.
fn open(sessions: &mut Sessions, login: &Login) -> Seat {
    let decision = decide(sessions, login);
    sessions.commit(decision, 4, 0).unwrap()
}
