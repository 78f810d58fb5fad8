//! The initiator's login as a conversation with a scripted target: what is asked, in which order, with which fields.

mod outgoing_support;

use iscsicore::initiator::{Credentials, LoginRequestConfig, OutgoingEvent};
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::wire::text::encode_hex;
use iscsicore::wire::{Bhs, Cid, StatSn, Tsih};
use iscsicore::{Instant, Limits};
use outgoing_support::*;

// A login without credentials, request by request.
// covers: 7143-4.2.7.1-1 7143-4.2.7.1-4 7143-6.3-1 7143-6.3-2 7143-6.3-4 7143-11.12-1 7143-11.12.10-1 7143-13.4-1 7143-13.5-1
#[test]
fn an_open_login_from_the_first_request_to_the_last() {
    let mut talk = Talk::new(config());
    let first = talk.asked();
    let names = format!("InitiatorName={HOST} TargetName={DISK} SessionType=Normal AuthMethod=None");
    assert_eq!(first.says(), (SECURITY, Some(OPERATIONAL), &names[..]));
    assert!(talk.ask().is_none(), "one request at a time");
    talk.answer(OPERATIONAL, "TargetPortalGroupTag=1 AuthMethod=None");
    assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), OFFERS));
    talk.answer(FULL, ANSWERS);
    talk.ready();
    assert!(talk.ask().is_none());
    let p = talk.outgoing.parameters().expect("parameters");
    assert!(!p.header_digest && p.data_digest && p.initial_r2t && !p.immediate_data);
    assert_eq!((p.local_max_segment, p.peer_max_segment), (262_144, 65_536));
    assert_eq!((p.max_burst, p.first_burst, p.max_outstanding_r2t), (524_288, 131_072, 2));
    assert_eq!((p.time2wait, p.time2retain, p.max_connections), (3, 0, 1));
}

// The header of the first request, byte by byte, as RFC 7143 section 11.12 draws it.
// covers: 7143-11.12.4-1 7143-11.12.6-1
#[test]
fn the_first_header_byte_by_byte() {
    let mut talk = Talk::new(config());
    let Bhs(bytes) = talk.asked().bhs;
    let length = talk.last.as_ref().expect("a request").data.len() as u8;
    let mut want = [0; 48];
    want[0] = 0x43; // immediate
    want[1] = 0x81; // T, from security to operational
    want[7] = length;
    want[8..14].copy_from_slice(&[0x40, 0, 1, 0x37, 0, 5]);
    want[24..28].copy_from_slice(&first_cmd_sn().0.to_be_bytes());
    assert_eq!(bytes, want);
}

// Every request of a login of many steps carries the same identification; only ExpStatSN moves.
// covers: 7143-11.12.4.1-1 7143-11.12.4.2-1 7143-11.12.6-3 7143-11.12.7-1 7143-13.4-2 7143-13.5-2
#[test]
fn what_must_not_change_does_not() {
    let mut talk = Talk::new(mutual());
    let mut asked = vec![talk.asked()];
    let challenge = encode_hex(&[5; 16]);
    let own = |asked: &Asked| value(&asked.text, "CHAP_C").map(str::to_owned);
    talk.answer(None, "TargetPortalGroupTag=1 AuthMethod=CHAP");
    asked.push(talk.asked());
    talk.answer(None, &format!("CHAP_A=5 CHAP_I=1 CHAP_C={challenge}"));
    asked.push(talk.asked());
    let proof = chap_proof(5, &asked[2].text, TARGET_SECRET);
    assert!(own(&asked[2]).is_some());
    talk.answer(None, &format!("CHAP_N=disk CHAP_R={proof}"));
    asked.push(talk.asked());
    talk.answer(OPERATIONAL, "");
    asked.push(talk.asked());
    talk.answer_with("MaxRecvDataSegmentLength=65536", |r| (r.tsih, r.max_cmd_sn) = (Tsih(9), r.exp_cmd_sn));
    asked.push(talk.asked());
    talk.answer(FULL, "");
    talk.ready();
    let first = asked[0].header;
    assert_eq!((first.exp_stat_sn, first.tsih, first.cid), (StatSn(0), Tsih(0), Cid(0)));
    for (n, request) in asked.iter().enumerate().skip(1) {
        let h = request.header;
        assert_eq!((h.isid, h.tsih, h.cid, h.itt), (first.isid, first.tsih, first.cid, first.itt), "{n}");
        assert_eq!((h.version_max, h.version_min), (first.version_max, first.version_min), "{n}");
        assert_eq!((h.cmd_sn, request.bhs.is_immediate()), (first.cmd_sn, true), "{n}");
        // The target's numbers begin at 0, after its last.
        assert_eq!(h.exp_stat_sn, StatSn(n as u32), "{n}");
        assert!(!request.text.contains("Name=iqn") && !request.text.contains("SessionType"), "{n}");
    }
}

// The T bit is set from the moment on that this end has nothing more to say in a stage, until the target follows.
// covers: 7143-6.3.3-3 7143-6.3.3-5
#[test]
fn a_stage_is_ended_by_the_initiator_and_left_with_the_target() {
    let mut talk = Talk::new(config());
    talk.asked();
    talk.answer(None, "TargetPortalGroupTag=1 AuthMethod=None");
    assert_eq!(talk.asked().says(), (SECURITY, Some(OPERATIONAL), ""));
    talk.answer(None, "TargetAlias=a");
    assert_eq!(talk.asked().says(), (SECURITY, Some(OPERATIONAL), ""));
    talk.answer(OPERATIONAL, "");
    assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), OFFERS));
    let (some, rest) = ANSWERS.split_at(ANSWERS.find("MaxBurst").expect("a key"));
    talk.answer(None, some);
    assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), ""));
    talk.answer(FULL, rest);
    talk.ready();
    assert_eq!(talk.outgoing.parameters().map(|p| p.max_burst), Some(524_288));
}

// covers: 7143-13.21-2 7143-13.22-2
#[test]
fn discovery_says_less_and_leaves_digests_alone() {
    let mut talk = Talk::new(discovery());
    let names = format!("InitiatorName={HOST} SessionType=Discovery AuthMethod=None");
    assert_eq!(talk.asked().text, names);
    // No target was named, so no portal group has to be told.
    talk.answer(OPERATIONAL, "AuthMethod=None");
    let offers = "MaxRecvDataSegmentLength=262144 HeaderDigest=None DataDigest=None DefaultTime2Wait=0 \
        DefaultTime2Retain=0 ErrorRecoveryLevel=0";
    assert_eq!(talk.asked().text, offers);
    talk.answer(FULL, &with(offers, "MaxRecvDataSegmentLength", ""));
    talk.ready();
}

#[test]
fn whoever_insists_on_digests_has_them_in_discovery_too() {
    let offer = {
        let mut offer = Offer::default();
        offer.header_digest = DigestOffer::Crc32cOnly;
        offer
    };
    let mut talk = Talk::operational(LoginRequestConfig { offer, ..discovery() });
    let asked = talk.last.clone().expect("offers");
    assert_eq!(value(&asked.text, "HeaderDigest"), Some("CRC32C"));
    assert_eq!(value(&asked.text, "DataDigest"), Some("None"));
    talk.answer(FULL, "HeaderDigest=CRC32C DataDigest=None");
    talk.ready();
    assert_eq!(talk.outgoing.parameters().map(|p| (p.header_digest, p.data_digest)), Some((true, false)));
}

// covers: 7143-13.7-1
#[test]
fn the_alias_is_told_with_the_names() {
    let alias = "a host, with \u{fc}".to_owned();
    let mut talk = Talk::new(LoginRequestConfig { initiator_alias: Some(alias.clone()), ..config() });
    let data = talk.asked().data;
    let pair = format!("\0InitiatorAlias={alias}\0");
    assert!(data.windows(pair.len()).any(|w| w == pair.as_bytes()));
}

// An answer in pieces of any size is one answer; each piece is asked for by a request without data.
// covers: 7143-6.2-3
#[test]
fn text_of_the_target_comes_in_pieces() {
    let text = encode(ANSWERS);
    for size in [text.len() - 1, text.len() / 2, 100, 11] {
        let mut talk = Talk::operational(config());
        let (last, first): (&[u8], Vec<&[u8]>) = {
            let mut pieces: Vec<&[u8]> = text.chunks(size).collect();
            (pieces.pop().expect("a piece"), pieces)
        };
        for piece in first {
            let mut response = talk.response();
            response.continued = true;
            talk.push(response.emit(), piece);
            assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), ""));
            assert_eq!(talk.last.as_ref().map(|l| l.data.len()), Some(0));
        }
        let mut response = talk.response();
        (response.transit, response.nsg, response.tsih) = (true, Some(FULL), Tsih(1));
        talk.push(response.emit(), last);
        talk.ready();
        assert_eq!(talk.outgoing.parameters().map(|p| p.first_burst), Some(131_072));
    }
}

// Text of this end that does not fit one data segment goes on in the next, with C and without T; T comes with the
// last piece. Method: a target of small segments that declares many keys nobody knows.
#[test]
fn text_of_the_initiator_goes_in_pieces() {
    let mut talk = Talk::operational(config());
    let unknown: Vec<String> = (0..60).map(|n| format!("X-com.example.key{n}=1")).collect();
    talk.answer(None, &format!("MaxRecvDataSegmentLength=512 {}", unknown.join(" ")));
    let mut whole = Vec::new();
    loop {
        let asked = talk.asked();
        whole.extend_from_slice(&asked.data);
        assert!(asked.data.len() <= 512);
        assert_eq!(asked.header.continued, asked.data.len() == 512);
        assert_eq!(asked.header.transit, !asked.header.continued);
        if !asked.header.continued {
            break;
        }
        talk.answer(None, "");
    }
    let answers: Vec<String> = unknown.iter().map(|pair| pair.replace("=1", "=NotUnderstood")).collect();
    assert_eq!(whole, encode(&answers.join(" ")));
    talk.answer(FULL, ANSWERS.split_once(' ').expect("keys").1);
    talk.ready();
}

#[test]
fn text_that_fits_is_not_cut() {
    // FreeBSD knows no C bit. The longest names and every key fit the 8192 bytes of a login.
    let long = |c: &str| name(&format!("iqn.2024-01.com.example:{}", c.repeat(199)));
    let config = LoginRequestConfig {
        initiator: long("a"),
        initiator_alias: Some("b".repeat(255)),
        target: Some(long("c")),
        ..config()
    };
    let mut talk = Talk::new(config);
    assert!(!talk.asked().header.continued);
    talk.answer(OPERATIONAL, "AuthMethod=None");
    assert!(!talk.asked().header.continued);
}

// The version of the first response is the one that counts.
// covers: 7143-11.13.1-2 7143-11.13.2-2
#[test]
fn versions_are_those_of_the_first_response() {
    let mut talk = Talk::new(config());
    talk.asked();
    talk.answer_with("AuthMethod=None", |r| {
        (r.version_max, r.transit, r.nsg) = (7, true, Some(OPERATIONAL));
    });
    talk.asked();
    talk.answer_with(ANSWERS, |r| {
        (r.version_max, r.version_active) = (2, 1);
        (r.transit, r.nsg, r.tsih) = (true, Some(FULL), Tsih(1));
    });
    talk.ready();

    let mut talk = Talk::new(config());
    talk.asked();
    talk.answer_with("AuthMethod=None", |r| r.version_active = 1);
    talk.broken("version");
}

#[test]
fn the_time_for_a_login_ends() {
    let limits = Limits::default();
    let mut talk = Talk::with_limits(config(), limits.clone());
    let deadline = talk.outgoing.poll_timeout().expect("a deadline");
    assert_eq!(deadline, Instant::ZERO + limits.login_timeout);
    talk.outgoing.handle_timeout(Instant::from_nanos(deadline.as_nanos() - 1));
    assert!(talk.outgoing.poll_event().is_none());
    talk.outgoing.handle_timeout(deadline);
    let failure = talk.failed();
    assert!(failure.passing && failure.status.is_none());
    talk.outgoing.handle_timeout(deadline);
    assert!(talk.outgoing.poll_event().is_none(), "said once");
}

#[test]
fn no_timer_is_left_after_the_login() {
    let mut talk = Talk::operational(config());
    talk.answer(FULL, ANSWERS);
    assert_eq!(talk.outgoing.poll_timeout(), None);
    talk.outgoing.handle_timeout(Instant::from_nanos(u64::MAX));
    talk.ready();
}

// What cannot be is refused before a byte is sent.
// covers: 7143-7.1.5-1
#[test]
fn configurations_that_cannot_be_fail_at_once() {
    let offers = |change: fn(&mut Offer)| {
        let mut offer = Offer::default();
        change(&mut offer);
        LoginRequestConfig { offer, ..config() }
    };
    let credentials = |change: fn(&mut Credentials)| {
        let mut config = mutual();
        config.credentials.as_mut().map(change).expect("credentials");
        config
    };
    let alias = |alias: &str| LoginRequestConfig { initiator_alias: Some(alias.into()), ..config() };
    for (config, part) in [
        (offers(|o| o.max_connections = 2), "MaxConnections"),
        (offers(|o| o.error_recovery_level = 1), "ErrorRecoveryLevel"),
        (offers(|o| o.task_reporting = iscsicore::login::TaskReporting::FastAbort), "TaskReporting"),
        (offers(|o| o.protocol_level = 2), "iSCSIProtocolLevel"),
        (alias(""), "InitiatorAlias"),
        (alias(&"a".repeat(256)), "InitiatorAlias"),
        (alias("a\0b"), "InitiatorAlias"),
        (credentials(|c| c.algorithms.clear()), "algorithm"),
        (credentials(|c| c.account.name.clear()), "name"),
        (credentials(|c| c.account.name = "a\0b".into()), "name"),
        (credentials(|c| c.account = account("host", "")), "secret"),
        (credentials(|c| c.target = Some(account("disk", OWN_SECRET))), "both directions"),
    ] {
        let refused = config.check().expect_err(part).to_string();
        assert!(refused.contains(part), "{refused}");
        let failure = Talk::new(config).failed();
        assert_eq!((failure.why, failure.remedy), (refused, "correct the configuration"));
    }
    assert_eq!(mutual().check(), Ok(()));
}

#[test]
fn the_end_of_a_login_is_told_once_and_what_follows_is_left_alone() {
    let mut talk = Talk::operational(config());
    talk.answer(FULL, ANSWERS);
    // Bytes of the full-feature phase, which this end has no business to judge.
    talk.feed(vec![0xff; 48]);
    assert!(talk.error.is_none());
    assert_eq!(talk.outgoing.poll_event(), Some(OutgoingEvent::Ready));
    assert_eq!(talk.outgoing.poll_event(), None);
}
