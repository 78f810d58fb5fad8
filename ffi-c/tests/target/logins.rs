//! Logins: who comes, on what terms, and how they end.

use iscsicore::initiator::Credentials;
use iscsicore::login::{Account, Secret};
use iscsicore_ffi::limits::{ISCSICORE_NEVER, iscsicore_offer};
use iscsicore_ffi::target::admission::iscsicore_account;

use super::*;

fn account(name: &std::ffi::CStr, secret: &[u8]) -> iscsicore_account {
    iscsicore_account { name: name.as_ptr(), secret: secret.as_ptr(), secret_len: secret.len() }
}

fn credentials(secret: &str, target: Option<&str>) -> Credentials {
    let account = |name: &str, secret: &str| Account { name: name.into(), secret: Secret::new(secret) };
    let mut credentials = Credentials::new(account("user", secret));
    credentials.target = target.map(|secret| account("target", secret));
    credentials
}

#[test]
fn a_login_shows_who_comes_and_what_was_agreed_on() {
    let mut talk = Talk::new(config(Some(TARGET)));
    let seen = talk.run();
    let initiator = "iqn.2001-04.com.example:initiator".to_owned();
    let target = Some(TARGET.to_owned());
    assert_eq!(seen, [Seen::Login { initiator, target, discovery: false, tsih: 0 }]);
    let mut parameters = iscsicore_parameters::default();
    let target = talk.near.target;
    unsafe {
        assert_eq!(iscsicore_target_parameters(target, &mut parameters), Status::WrongState);
        assert_eq!(iscsicore_target_establish(target, 0, 1), Status::WrongState);
        let mut offer: iscsicore_offer = std::mem::zeroed();
        (offer.size, offer.max_burst, offer.header_digest) = (size_of::<iscsicore_offer>(), 65536, 1);
        offer.first_burst = 4096;
        let alias = c("a tape");
        let admitted = talk.near.admit(|terms| {
            (terms.offer, terms.alias, terms.portal_group_tag) = (&offer, alias.as_ptr(), 7);
        });
        assert_eq!(admitted, OK);
    }
    assert_eq!(talk.run(), [Seen::Ready { user: None }]);
    unsafe {
        assert_eq!(iscsicore_target_establish(target, 0, 0), Status::InvalidArgument);
        assert_eq!(iscsicore_target_establish(target, 0, 77), OK);
        assert_eq!(iscsicore_target_establish(target, 0, 78), Status::WrongState);
        assert_eq!(iscsicore_target_parameters(target, &mut parameters), OK);
    }
    assert_eq!(
        (parameters.max_burst, parameters.first_burst, parameters.header_digest),
        (65536, 4096, false)
    );
    assert_eq!(talk.run(), []);
    assert_eq!(talk.far.tsih().map(|tsih| tsih.0), Some(77));
    assert_eq!((talk.far.portal_group_tag(), talk.far.target_alias()), (Some(7), Some("a tape")));
}

#[test]
fn chap_lets_in_who_proves_a_secret_and_proves_the_target() {
    let (user, own) = (c("user"), c("target"));
    for (secret, right) in [("a secret of the user", true), ("another secret", false)] {
        let mut login = config(Some(TARGET));
        login.credentials = Some(credentials(secret, Some("a secret of the target")));
        let mut talk = Talk::new(login);
        assert!(matches!(talk.run()[..], [Seen::Login { .. }]));
        let accounts = [account(&own, b"some other"), account(&user, b"a secret of the user")];
        let mutual = account(&own, b"a secret of the target");
        let admitted = talk.near.admit(|terms| {
            (terms.accounts, terms.account_count, terms.mutual) = (accounts.as_ptr(), 2, &mutual);
        });
        assert_eq!(admitted, OK);
        let seen = talk.run();
        if right {
            assert_eq!((talk.received, &seen[..]), (OK, &[Seen::Ready { user: Some("user".into()) }][..]));
            assert_eq!(unsafe { iscsicore_target_establish(talk.near.target, 0, 1) }, OK);
            assert_eq!(talk.run(), []);
            assert!(talk.far.is_up());
        } else {
            assert_eq!(talk.received, Status::PeerError);
            let [Seen::Close, Seen::Ended { reason, status, text }] = &seen[..] else { panic!("{seen:?}") };
            assert_eq!((*reason, *status), (Reason::LoginFailed, 0x0201));
            assert!(text.is_some());
            assert!(matches!(talk.told.last(), Some(NexusEvent::Ended(NexusEnd::Failed(_)))));
        }
    }
}

// Goal: an empty list of accounts is not the same as none. Method: with a pointer to no account nobody gets in.
#[test]
fn a_list_of_no_accounts_lets_nobody_in() {
    let mut login = config(Some(TARGET));
    login.credentials = Some(credentials("a secret of the user", None));
    let mut talk = Talk::new(login);
    talk.run();
    let nobody: [iscsicore_account; 0] = [];
    assert_eq!(talk.near.admit(|terms| terms.accounts = nobody.as_ptr()), OK);
    let seen = talk.run();
    let [Seen::Close, Seen::Ended { status: 0x0201, .. }] = &seen[..] else { panic!("{seen:?}") };
}

#[test]
fn terms_that_cannot_be_are_refused_and_the_login_waits_on() {
    let mut talk = Talk::new(config(Some(TARGET)));
    assert_eq!(talk.near.admit(|_| ()), Status::WrongState, "nobody has come yet");
    talk.run();
    let (user, long) = (c("user"), c(&"x".repeat(256)));
    let twice = [account(&user, b"the same"), account(&user, b"")];
    let nameless = iscsicore_account { name: null(), ..twice[0] };
    let near = &talk.near;
    let invalid = Status::InvalidArgument;
    assert_eq!(near.admit(|terms| terms.size = 8), Status::InvalidSize);
    assert_eq!(near.admit(|terms| terms.reserved = 1), invalid);
    assert_eq!(near.admit(|terms| terms.alias = long.as_ptr()), invalid);
    assert_eq!(near.admit(|terms| terms.alias = c"".as_ptr()), invalid);
    assert_eq!(near.admit(|terms| terms.mutual = &twice[0]), invalid, "without accounts");
    assert_eq!(near.admit(|terms| terms.account_count = 1), invalid);
    let chap = |accounts: &[iscsicore_account], mutual| {
        near.admit(|terms| {
            (terms.accounts, terms.account_count, terms.mutual) = (accounts.as_ptr(), accounts.len(), mutual);
        })
    };
    assert_eq!(chap(&twice, null()), invalid, "an empty secret");
    assert_eq!(chap(&twice[..1], &twice[0]), invalid, "one secret for both directions");
    assert_eq!(chap(&[nameless], null()), Status::NullPointer);
    assert_eq!(chap(&[account(&long, b"secret")], null()), invalid);
    assert_eq!(unsafe { iscsicore_target_admit(near.target, null()) }, Status::NullPointer);
    assert_eq!(near.admit(|_| ()), OK);
    assert_eq!(near.admit(|_| ()), Status::WrongState, "once");
    assert_eq!(talk.run(), [Seen::Ready { user: None }]);
}

#[test]
fn logins_are_refused_and_sent_elsewhere() {
    let failure = |status, text: &str| {
        let text = Some(text.to_owned());
        [Seen::Close, Seen::Ended { reason: Reason::LoginFailed, status, text }]
    };
    for ready in [false, true] {
        let mut talk = Talk::new(config(Some(TARGET)));
        let target = talk.near.target;
        let why = c("closed today");
        assert_eq!(unsafe { iscsicore_target_refuse(target, 0x0203, null()) }, Status::WrongState);
        talk.run();
        if ready {
            assert_eq!(talk.near.admit(|_| ()), OK);
            talk.run();
        }
        for bad in [0, 0x0101, 0x0400, -1, 0x1_0203] {
            assert_eq!(unsafe { iscsicore_target_refuse(target, bad, null()) }, Status::InvalidArgument);
        }
        assert_eq!(unsafe { iscsicore_target_refuse(target, 0x0301, why.as_ptr()) }, OK);
        assert_eq!(talk.run(), failure(0x0301, "closed today"));
        assert_eq!(talk.near.event(), None, "told once");
    }
    for (permanent, status) in [(0, 0x0101), (1, 0x0102)] {
        let mut talk = Talk::new(config(Some(TARGET)));
        talk.run();
        let target = talk.near.target;
        for bad in ["", "192.0.2.2:3260,1", "with space", &"x".repeat(256)] {
            let bad = c(bad);
            let answer = unsafe { iscsicore_target_redirect(target, permanent, bad.as_ptr()) };
            assert_eq!(answer, Status::InvalidArgument);
        }
        assert_eq!(unsafe { iscsicore_target_redirect(target, 0, null()) }, Status::NullPointer);
        let there = c("[2001:db8::2]:3260");
        assert_eq!(unsafe { iscsicore_target_redirect(target, permanent, there.as_ptr()) }, OK);
        assert_eq!(talk.run(), failure(status, "redirected to [2001:db8::2]:3260"));
        let redirect = talk.told.iter().find_map(|event| match event {
            NexusEvent::Redirected(redirect) => Some(redirect),
            _ => None,
        });
        let redirect = redirect.expect("a redirect");
        assert_eq!((redirect.address.as_str(), redirect.permanent), ("[2001:db8::2]:3260", permanent == 1));
    }
}

#[test]
fn a_login_that_takes_too_long_or_is_lost_ends() {
    let mut talk = Talk::new(config(Some(TARGET)));
    talk.run();
    let (target, mut at) = (talk.near.target, 0);
    unsafe {
        assert_eq!(iscsicore_target_timeout(target, &mut at), OK);
        assert_eq!(at, 15 * SECOND);
        assert_eq!(iscsicore_target_handle_timeout(target, at - 1), OK);
        assert_eq!(talk.near.event(), None);
        assert_eq!(iscsicore_target_handle_timeout(target, at), Status::PeerError);
        assert_eq!(iscsicore_target_timeout(target, &mut at), OK);
        assert_eq!(at, ISCSICORE_NEVER);
    }
    let ended = |reason| Seen::Ended { reason, status: 0, text: None };
    assert_eq!(talk.near.events(), [Seen::Close, ended(Reason::TimedOut)]);

    let near = Near::new(0);
    unsafe {
        assert_eq!(iscsicore_target_lost(near.target, 0), OK);
        assert_eq!(near.events(), [ended(Reason::ConnectionLost)]);
        assert_eq!(iscsicore_target_receive(near.target, 0, near.rx), Status::WrongState);
        assert_eq!(iscsicore_target_handle_timeout(near.target, 60 * SECOND), OK);
    }

    let near = Near::new(0);
    let mut command = vec![0x41, 0x80];
    command.resize(48, 0);
    let (received, sent) = near.exchange(0, Bytes::from(command));
    assert_eq!((received, sent.len()), (Status::PeerError, 0), "a SCSI command before the login");
    assert_eq!(near.events(), [Seen::Close, ended(Reason::ProtocolError)]);
}
