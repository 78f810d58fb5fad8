//! Both roles log in to each other: whatever each end wants, they agree on the same, or both give up.

mod outgoing_support;

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Credentials, LoginRequestConfig, Outgoing, OutgoingEvent};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::{
    Admission, Authentication, ChapAlgorithm, ChapPolicy, DigestOffer, Offer, Parameters,
};
use iscsicore::target::{Incoming, IncomingEvent, Moved, Target};
use iscsicore::wire::{LoginStatus, Tsih};
use iscsicore::{Instant, Limits};
use outgoing_support::*;

/// What a login has come to, at both ends.
struct Outcome {
    event: OutgoingEvent,
    /// As the initiator and the target have them.
    parameters: Option<(Parameters, Parameters)>,
    user: Option<String>,
}

/// What the target does with a hello.
enum Answer {
    Admit(Admission),
    Redirect(Moved, &'static str),
    Refuse(LoginStatus),
}

fn admission(authentication: Authentication, offer: Offer) -> Answer {
    Answer::Admit(Admission {
        authentication,
        offer,
        portal_group_tag: Some(7),
        target_alias: Some("a disk".into()),
    })
}

/// Carries bytes between the two until one of them says what has become of the login, at most `step` bytes at a time.
fn log_in(config: LoginRequestConfig, answer: Answer, step: usize) -> Outcome {
    let (now, limits) = (Instant::ZERO, Limits::default());
    let mut outgoing = Outgoing::new(config, limits.clone(), [1; 32], now);
    let mut incoming = Some(Incoming::new(limits.clone(), [2; 32], now));
    let mut session = None;
    let (mut outgoing_rx, mut incoming_rx) = (Receiver::new(&limits), Receiver::new(&limits));
    let (mut to_target, mut to_initiator) = (Transmitter::new(), Transmitter::new());
    let (mut answer, mut target_has, mut user) = (Some(answer), None, None);
    for _ in 0..10_000 {
        outgoing.transmit(now, &mut to_target);
        if let (Some(bytes), Some(incoming)) = (take(&mut to_target, step), &mut incoming) {
            incoming_rx.push(bytes).expect("a receiver that goes on");
            // A failure is told to the initiator, too.
            let _ = incoming.receive(now, &mut incoming_rx);
        }
        while let Some(event) = incoming.as_mut().and_then(Incoming::poll_event) {
            let talk = incoming.as_mut().expect("a login");
            match event {
                IncomingEvent::Hello(_) => match answer.take().expect("one hello") {
                    Answer::Admit(admission) => talk.admit(admission).expect("terms that can be given"),
                    Answer::Redirect(moved, address) => talk.redirect(moved, address).expect("an address"),
                    Answer::Refuse(status) => talk.refuse(status, "refused").expect("a refusal"),
                },
                IncomingEvent::Ready => {
                    target_has = talk.parameters().cloned();
                    user = talk.user().map(str::to_owned);
                    let incoming = incoming.take().expect("a login");
                    session = Some(Target::new(incoming, Tsih(5), now).expect("a complete login"));
                }
            }
        }
        match (&mut incoming, &mut session) {
            (Some(incoming), _) => incoming.transmit(now, &mut to_initiator),
            (None, Some((target, conn))) => target.transmit(now, *conn, &mut to_initiator),
            (None, None) => {}
        }
        if let Some(bytes) = take(&mut to_initiator, step) {
            outgoing_rx.push(bytes).expect("a receiver that goes on");
            let _ = outgoing.receive(now, &mut outgoing_rx);
        }
        if let Some(event) = outgoing.poll_event() {
            let parameters = outgoing.parameters().cloned().zip(target_has);
            return Outcome { event, parameters, user };
        }
    }
    panic!("a login without an end")
}

fn take(tx: &mut Transmitter, step: usize) -> Option<Bytes> {
    let len = tx.remaining().min(step);
    (len > 0).then(|| tx.copy_to_bytes(len))
}

/// The two ends have the same, each from its side.
#[track_caller]
fn agreed(outcome: Outcome) -> Parameters {
    assert_eq!(outcome.event, OutgoingEvent::Ready);
    let (initiator, target) = outcome.parameters.expect("parameters at both ends");
    let mirrored = {
        let mut mirrored = target.clone();
        mirrored.local_max_segment = target.peer_max_segment;
        mirrored.peer_max_segment = target.local_max_segment;
        mirrored
    };
    assert_eq!(initiator, mirrored);
    initiator
}

fn open(config: LoginRequestConfig, offer: Offer) -> Outcome {
    log_in(config, admission(Authentication::None, offer), usize::MAX)
}

fn policy(algorithms: &[ChapAlgorithm], mutual: bool) -> Authentication {
    let mut policy = ChapPolicy::new(vec![account("other", "another secret"), account("host", OWN_SECRET)]);
    policy.mutual = mutual.then(|| account("disk", TARGET_SECRET));
    policy.algorithms = algorithms.to_vec();
    Authentication::Chap(policy)
}

fn restricted(config: LoginRequestConfig, algorithms: &[ChapAlgorithm]) -> LoginRequestConfig {
    let credentials = config.credentials.map(|c| Credentials { algorithms: algorithms.to_vec(), ..c });
    LoginRequestConfig { credentials, ..config }
}

// covers: 7143-9.2.1-1 7143-12.1-3
#[test]
fn every_algorithm_one_way_and_mutual() {
    for algorithm in ChapAlgorithm::ALL {
        for (config, mutual) in [(chap(), false), (chap(), true), (mutual(), true)] {
            for step in [1, 50, usize::MAX] {
                // Either end decides, by knowing only this one.
                let only = restricted(config.clone(), &[algorithm]);
                for (config, offered) in [(only, &ChapAlgorithm::ALL[..]), (config.clone(), &[algorithm][..])]
                {
                    let answer = admission(policy(offered, mutual), Offer::default());
                    let outcome = log_in(config, answer, step);
                    assert_eq!(outcome.user.as_deref(), Some("host"));
                    agreed(outcome);
                }
            }
        }
    }
}

#[test]
fn no_authentication_at_both_ends_or_at_one() {
    assert_eq!(open(config(), Offer::default()).event, OutgoingEvent::Ready);
    let lenient = LoginRequestConfig {
        credentials: chap().credentials.map(|c| Credentials { allow_none: true, ..c }),
        ..config()
    };
    let outcome = open(lenient.clone(), Offer::default());
    assert_eq!(outcome.user, None);
    agreed(outcome);
    let answer = admission(policy(&ChapAlgorithm::ALL, false), Offer::default());
    assert_eq!(log_in(lenient, answer, usize::MAX).user.as_deref(), Some("host"));
    for (config, open_target, status) in [
        (config(), false, Some(LoginStatus::AUTHENTICATION_FAILURE)),
        (chap(), true, None),
        (mutual(), true, None),
    ] {
        let authentication = match open_target {
            true => Authentication::None,
            false => policy(&ChapAlgorithm::ALL, false),
        };
        let outcome = log_in(config, admission(authentication, Offer::default()), usize::MAX);
        let OutgoingEvent::Failed(failure) = outcome.event else { panic!("{:?}", outcome.event) };
        assert_eq!((failure.status, failure.passing), (status, false));
    }
}

#[test]
fn credentials_that_do_not_fit() {
    let wrong_own = LoginRequestConfig {
        credentials: Some(Credentials::new(account("host", "not the secret"))),
        ..config()
    };
    let wrong_target = LoginRequestConfig {
        credentials: mutual()
            .credentials
            .map(|c| Credentials { target: Some(account("disk", "not the secret")), ..c }),
        ..config()
    };
    let no_common = restricted(chap(), &[ChapAlgorithm::Sha256]);
    for (config, algorithms, can_prove, status, chosen) in [
        (wrong_own, &ChapAlgorithm::ALL[..], false, Some(0x0201), Some(ChapAlgorithm::Sha3_256)),
        (wrong_target, &ChapAlgorithm::ALL[..], true, None, Some(ChapAlgorithm::Sha3_256)),
        // The target has nothing to prove itself by.
        (mutual(), &ChapAlgorithm::ALL[..], false, Some(0x0201), Some(ChapAlgorithm::Sha3_256)),
        (no_common, &[ChapAlgorithm::Md5][..], false, Some(0x0201), None),
    ] {
        let answer = admission(policy(algorithms, can_prove), Offer::default());
        let outcome = log_in(config, answer, usize::MAX);
        let OutgoingEvent::Failed(failure) = outcome.event else { panic!("{:?}", outcome.event) };
        assert_eq!(failure.status, status.map(LoginStatus), "{failure}");
        assert_eq!(failure.algorithm, chosen, "{failure}");
    }
}

// All pairs of digest wishes, header and data independent of each other.
#[test]
fn digests() {
    use DigestOffer::*;
    let all = [NoneOnly, PreferNone, PreferCrc32c, Crc32cOnly];
    for (own, other) in all.into_iter().flat_map(|own| all.map(|other| (own, other))) {
        // The initiator's preference counts; a target without the choice takes what is left.
        let want = match (own, other) {
            (NoneOnly, Crc32cOnly) | (Crc32cOnly, NoneOnly) => None,
            (Crc32cOnly, _) | (_, Crc32cOnly) => Some(true),
            (NoneOnly, _) | (_, NoneOnly) => Some(false),
            (own, _) => Some(own == PreferCrc32c),
        };
        for header in [true, false] {
            let offer = |digest| {
                let mut offer = Offer::default();
                let (h, d) = if header { (digest, NoneOnly) } else { (NoneOnly, digest) };
                (offer.header_digest, offer.data_digest) = (h, d);
                offer
            };
            let outcome = open(LoginRequestConfig { offer: offer(own), ..config() }, offer(other));
            match want {
                Some(want) => {
                    let p = agreed(outcome);
                    let got = if header { p.header_digest } else { p.data_digest };
                    assert_eq!(got, want, "{own:?} {other:?}");
                    assert!(!(if header { p.data_digest } else { p.header_digest }));
                }
                None => assert!(matches!(outcome.event, OutgoingEvent::Failed(_)), "{own:?} {other:?}"),
            }
        }
    }
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }

    fn offer(&mut self) -> Offer {
        const BYTES: [u32; 8] = [0, 512, 8192, 65_536, 262_144, 262_145, 1 << 20, 0xff_ffff];
        let mut offer = Offer::default();
        offer.header_digest = self.of(&[DigestOffer::PreferNone, DigestOffer::PreferCrc32c]);
        offer.data_digest = self.of(&[DigestOffer::PreferNone, DigestOffer::PreferCrc32c]);
        offer.initial_r2t = self.of(&[true, false]);
        offer.immediate_data = self.of(&[true, false]);
        offer.max_segment = self.of(&BYTES);
        offer.max_burst = self.of(&BYTES);
        offer.first_burst = self.of(&BYTES);
        offer.time2wait = self.of(&[0, 1, 2, 20, 3600, 4000]);
        offer.time2retain = self.of(&[0, 1, 20, 60, 3600]);
        offer.max_outstanding_r2t = self.of(&[0, 1, 2, 16, 65_535]);
        offer.data_pdu_in_order = self.of(&[true, false]);
        offer.data_sequence_in_order = self.of(&[true, false]);
        offer
    }
}

// Wishes at random, also nonsensical ones: the two ends always agree, on what the functions of RFC 7143 section 13
// give, spelt out here once more.
#[test]
fn thousands_of_pairs_of_offers() {
    let mut dice = Dice(20_261_121);
    for round in 0..3000 {
        let (own, other) = (dice.offer(), dice.offer());
        let p = agreed(open(LoginRequestConfig { offer: own.clone(), ..config() }, other.clone()));
        let bytes = |n: u32| n.clamp(512, 0xff_ffff);
        let max_burst = bytes(own.max_burst).min(bytes(other.max_burst));
        let first = bytes(own.first_burst).min(bytes(own.max_burst)).min(bytes(other.first_burst));
        assert_eq!(p.max_burst, max_burst, "{round}");
        assert_eq!(p.first_burst, first.min(max_burst), "{round}");
        assert_eq!(p.initial_r2t, own.initial_r2t || other.initial_r2t, "{round}");
        assert_eq!(p.immediate_data, own.immediate_data && other.immediate_data, "{round}");
        assert_eq!(p.data_pdu_in_order, own.data_pdu_in_order || other.data_pdu_in_order, "{round}");
        let sequences = own.data_sequence_in_order || other.data_sequence_in_order;
        assert_eq!(p.data_sequence_in_order, sequences, "{round}");
        assert_eq!(p.local_max_segment, bytes(own.max_segment), "{round}");
        assert_eq!(p.peer_max_segment, bytes(other.max_segment), "{round}");
        assert_eq!(p.time2wait, own.time2wait.min(3600).max(other.time2wait.min(3600)), "{round}");
        assert_eq!(p.time2retain, own.time2retain.min(other.time2retain), "{round}");
        let r2t = own.max_outstanding_r2t.max(1).min(other.max_outstanding_r2t.max(1));
        assert_eq!(p.max_outstanding_r2t, r2t, "{round}");
        assert_eq!(p.header_digest, own.header_digest == DigestOffer::PreferCrc32c, "{round}");
        assert_eq!((p.max_connections, p.error_recovery_level, p.protocol_level), (1, 0, 1), "{round}");
    }
}

// The target proposes what the initiator leaves out, and the initiator answers.
#[test]
fn protocol_levels() {
    for (own, other) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let offer = |level| {
            let mut offer = Offer::default();
            offer.protocol_level = level;
            offer
        };
        let p = agreed(open(LoginRequestConfig { offer: offer(own), ..config() }, offer(other)));
        assert_eq!(p.protocol_level, own.min(other));
    }
}

#[test]
fn discovery_sessions() {
    let mut dice = Dice(7);
    for _ in 0..300 {
        let (own, other) = (dice.offer(), dice.offer());
        let p = agreed(open(LoginRequestConfig { offer: own, ..discovery() }, other));
        assert!(!p.header_digest && !p.data_digest);
        let d = Parameters::default();
        assert_eq!((p.max_burst, p.first_burst, p.initial_r2t), (d.max_burst, d.first_burst, d.initial_r2t));
    }
    for credentials in [chap().credentials, mutual().credentials] {
        let config = LoginRequestConfig { credentials, ..discovery() };
        assert_eq!(config.target, None);
        let answer = admission(policy(&ChapAlgorithm::ALL, true), Offer::default());
        agreed(log_in(config, answer, 3));
    }
}

#[test]
fn redirects_and_refusals_arrive_as_they_were_meant() {
    for (moved, permanent) in [(Moved::Temporarily, false), (Moved::Permanently, true)] {
        for (address, want) in [("10.0.0.1", "10.0.0.1:3260"), ("[::1]:99", "[::1]:99"), ("a.b:1", "a.b:1")] {
            let outcome = log_in(config(), Answer::Redirect(moved, address), usize::MAX);
            let OutgoingEvent::Redirected(redirect) = outcome.event else { panic!("{:?}", outcome.event) };
            assert_eq!((redirect.address.as_str(), redirect.permanent), (want, permanent));
            assert_eq!((redirect.portal_group_tag, redirect.target), (None, None));
        }
    }
    let outcome = log_in(config(), Answer::Refuse(LoginStatus::NOT_FOUND), usize::MAX);
    let OutgoingEvent::Failed(failure) = outcome.event else { panic!("{:?}", outcome.event) };
    assert_eq!(failure.status, Some(LoginStatus::NOT_FOUND));
}
