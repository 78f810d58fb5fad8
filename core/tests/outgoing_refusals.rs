//! Statuses that end a login, and redirects: what the operator is told, and where the login goes on.

mod outgoing_support;

use std::collections::BTreeSet;

use iscsicore::initiator::{OutgoingEvent, Redirect};
use iscsicore::wire::LoginStatus;
use iscsicore::wire::text::encode_hex;
use outgoing_support::*;

/// Every status of RFC 7143 section 11.13.5 that is neither success nor redirection, and whether it may pass.
const STATUSES: [(u16, bool); 15] = [
    (0x0200, false),
    (0x0201, false),
    (0x0202, false),
    (0x0203, false),
    (0x0204, false),
    (0x0205, false),
    (0x0206, true),
    (0x0207, false),
    (0x0208, false),
    (0x0209, false),
    (0x020a, false),
    (0x020b, false),
    (0x0300, true),
    (0x0301, true),
    (0x0302, true),
];

fn redirected(talk: &mut Talk) -> Redirect {
    assert!(talk.ask().is_none());
    assert_eq!(talk.error, None);
    match talk.outgoing.poll_event() {
        Some(OutgoingEvent::Redirected(redirect)) => redirect,
        other => panic!("{other:?}"),
    }
}

// covers: 7143-11.13.5-5
#[test]
fn every_status_has_its_own_cause_and_a_remedy() {
    let mut causes = BTreeSet::new();
    for (status, passing) in STATUSES {
        let mut talk = Talk::new(config());
        talk.asked();
        talk.refuse(LoginStatus(status), "");
        let failure = talk.failed();
        assert_eq!((failure.status, failure.passing), (Some(LoginStatus(status)), passing), "{status:#06x}");
        assert!(!failure.remedy.is_empty() && causes.insert(failure.why.clone()), "{failure}");
        assert!(failure.to_string().starts_with(&format!("login status {status:#06x}: ")), "{failure}");
        assert_eq!(talk.error, None);
    }
}

#[test]
fn statuses_that_nobody_knows_go_by_their_class() {
    for (status, passing) in [(0x02ff, false), (0x03ff, true), (0x0400, false), (0xffff, false)] {
        let mut talk = Talk::operational(config());
        talk.refuse(LoginStatus(status), "");
        assert_eq!(talk.failed().passing, passing, "{status:#06x}");
    }
}

#[test]
fn remedies_fit_what_was_tried() {
    for (config, part) in [
        (config(), "give a CHAP name"),
        (chap(), "check CHAP name and secret"),
        (mutual(), "credentials of its own for mutual CHAP"),
    ] {
        let mut talk = Talk::new(config);
        talk.asked();
        talk.refuse(LoginStatus::AUTHENTICATION_FAILURE, "");
        let failure = talk.failed();
        assert!(failure.remedy.contains(part), "{failure}");
    }
}

// A redirect is followed before the security stage is over, and after it.
// covers: 7143-11.13.5-3
#[test]
fn redirects_are_taken_at_any_time() {
    let want = Redirect {
        address: "10.0.0.7:3261".to_owned(),
        portal_group_tag: None,
        target: None,
        permanent: false,
    };
    let text = "TargetAddress=10.0.0.7:3261";
    // At once.
    let mut talk = Talk::new(mutual());
    talk.asked();
    talk.refuse(LoginStatus::MOVED_TEMPORARILY, text);
    assert_eq!(redirected(&mut talk), want);
    // In the middle of an authentication.
    let mut talk = Talk::new(mutual());
    talk.asked();
    talk.answer(None, "AuthMethod=CHAP");
    talk.asked();
    talk.answer(None, &format!("CHAP_A=5 CHAP_I=1 CHAP_C={}", encode_hex(&[3; 16])));
    let asked = talk.asked();
    // After it.
    let proof = chap_proof(5, &asked.text, TARGET_SECRET);
    talk.answer(OPERATIONAL, &format!("CHAP_N=disk CHAP_R={proof}"));
    assert_eq!(talk.asked().text, OFFERS);
    talk.refuse(LoginStatus::MOVED_TEMPORARILY, text);
    assert_eq!(redirected(&mut talk), want);
    let mut talk = Talk::operational(config());
    talk.refuse(LoginStatus::MOVED_PERMANENTLY, text);
    assert_eq!(redirected(&mut talk), Redirect { permanent: true, ..want });
}

#[test]
fn what_a_redirect_may_say() {
    let other = "iqn.2024-01.com.example:other";
    for (text, address, tag, target) in [
        ("TargetAddress=[2001:db8::1]".to_owned(), "[2001:db8::1]:3260", None, None),
        ("TargetAddress=[2001:db8::1]:860,7".to_owned(), "[2001:db8::1]:860", Some(7), None),
        ("TargetAddress=store.example".to_owned(), "store.example:3260", None, None),
        (format!("TargetName={other} TargetAddress=a:1"), "a:1", None, Some(other)),
        (format!("TargetName={DISK} TargetAddress=a:1"), "a:1", None, None),
        (format!("TargetName={} TargetAddress=a:1", DISK.to_uppercase()), "a:1", None, None),
        // The first that can be read.
        ("TargetAddress=fe80::1 TargetAddress=a:1 TargetAddress=b:1".to_owned(), "a:1", None, None),
        ("TargetAddress=a:1 X-com.example.a=b InitialR2T=No".to_owned(), "a:1", None, None),
    ] {
        let mut talk = Talk::new(config());
        talk.asked();
        talk.refuse(LoginStatus::MOVED_TEMPORARILY, &text);
        let want = Redirect {
            address: address.to_owned(),
            portal_group_tag: tag,
            target: target.map(name),
            permanent: false,
        };
        assert_eq!(redirected(&mut talk), want, "{text}");
    }
    // A discovery session does not turn into one with a target.
    let mut talk = Talk::new(discovery());
    talk.asked();
    talk.refuse(LoginStatus::MOVED_TEMPORARILY, &format!("TargetName={other} TargetAddress=a:1"));
    assert_eq!(redirected(&mut talk).target, None);
}

#[test]
fn redirects_to_nowhere() {
    for (text, part) in [
        ("", "no TargetAddress"),
        ("TargetAddress=", "no host"),
        ("TargetAddress=:3260", "no host"),
        ("TargetAddress=a:0", "port"),
        ("TargetAddress=a:99999", "port"),
        ("TargetAddress=2001:db8::1", "port"),
        ("TargetAddress=[::1", "bracket"),
        ("TargetAddress=a:1,x", "tag"),
        ("TargetAddress=a:1 TargetName=None", "TargetName"),
        ("targetaddress=a:1", "not a key"),
    ] {
        let mut talk = Talk::new(config());
        talk.asked();
        talk.refuse(LoginStatus::MOVED_PERMANENTLY, text);
        let failure = talk.failed();
        assert!(failure.why.contains(part), "{text}: {failure}");
        assert_eq!(failure.status, Some(LoginStatus::MOVED_PERMANENTLY));
        assert!(talk.error.is_some(), "{text}");
    }
    let mut talk = Talk::new(config());
    talk.asked();
    talk.refuse(LoginStatus(0x0103), "TargetAddress=a:1");
    assert!(talk.failed().why.contains("no kind"));
}
