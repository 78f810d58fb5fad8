//! What the initiator makes of answers to its offers, and of a target's own proposals.

mod outgoing_support;

use iscsicore::initiator::LoginRequestConfig;
use iscsicore::login::{DigestOffer, Leading, Negotiation, Offer, Parameters, SessionType, TaskReporting};
use outgoing_support::*;

fn offering(change: impl FnOnce(&mut Offer)) -> LoginRequestConfig {
    let mut offer = Offer::default();
    change(&mut offer);
    LoginRequestConfig { offer, ..config() }
}

/// What comes of a login whose target answers with `text`.
fn agreed(config: LoginRequestConfig, text: &str) -> Parameters {
    let mut talk = Talk::operational(config);
    talk.answer(FULL, text);
    talk.ready();
    talk.outgoing.parameters().expect("parameters").clone()
}

#[track_caller]
fn refused(config: LoginRequestConfig, text: &str, part: &str) {
    let mut talk = Talk::operational(config);
    talk.answer(FULL, text);
    talk.broken(part);
}

fn offers(change: impl FnOnce(&mut Offer)) -> String {
    let mut offer = Offer::default();
    change(&mut offer);
    let pairs = Negotiation::new(offer, SessionType::Normal, Leading::Yes).offers();
    pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

// Answers that the function of the key cannot give, or that are outside its range, end the login and name the key.
// covers: 7143-6.2.1-4 7143-7.12-1
#[test]
fn answers_outside_of_what_was_offered() {
    for (key, bad) in [
        ("HeaderDigest", "CRC32"),
        ("HeaderDigest", "CRC32C,None"),
        ("HeaderDigest", "crc32c"),
        ("MaxConnections", "2"),
        ("MaxConnections", "0"),
        ("InitialR2T", "yes"),
        ("InitialR2T", ""),
        ("ImmediateData", "Maybe"),
        ("MaxBurstLength", "1048577"),
        ("MaxBurstLength", "511"),
        ("MaxBurstLength", "1M"),
        ("FirstBurstLength", "262145"),
        ("DefaultTime2Wait", "3601"),
        ("DefaultTime2Retain", "1"),
        ("DataPDUInOrder", "No"),
        ("DataSequenceInOrder", "No"),
        ("ErrorRecoveryLevel", "1"),
        ("MaxOutstandingR2T", "17"),
        ("MaxOutstandingR2T", "0"),
        ("MaxBurstLength", "NotUnderstood"),
    ] {
        let pair = format!("{key}={bad}");
        refused(config(), &with(ANSWERS, key, &pair), &pair);
    }
    refused(
        offering(|o| o.header_digest = DigestOffer::NoneOnly),
        "HeaderDigest=CRC32C",
        "HeaderDigest=CRC32C",
    );
    refused(offering(|o| o.initial_r2t = true), "InitialR2T=No", "InitialR2T=No");
    refused(offering(|o| o.immediate_data = false), "ImmediateData=Yes", "ImmediateData=Yes");
    refused(offering(|o| o.time2wait = 5), "DefaultTime2Wait=4", "DefaultTime2Wait=4");
}

#[test]
fn words_of_the_target_are_cut_and_escaped() {
    let mut talk = Talk::operational(config());
    let mut text = encode("InitialR2T=");
    text.pop();
    text.extend_from_slice("\u{1b}[2J".as_bytes());
    text.extend_from_slice(&[b'x'; 200]);
    text.push(0);
    let response = talk.response();
    talk.push(response.emit(), &text);
    let why = talk.failed().why;
    assert!(why.contains("InitialR2T=\\u{1b}[2Jxx") && why.len() < 120, "{why}");
}

// A key that was rejected keeps its default, and the login fails where that is not acceptable.
#[test]
fn reject_and_irrelevant_leave_the_default() {
    for word in ["Reject", "Irrelevant"] {
        for key in
            ["MaxBurstLength", "FirstBurstLength", "InitialR2T", "MaxOutstandingR2T", "DefaultTime2Wait"]
        {
            let p = agreed(config(), &with(ANSWERS, key, &format!("{key}={word}")));
            let d = Parameters::default();
            let (got, want) = match key {
                "MaxBurstLength" => (p.max_burst, d.max_burst),
                "FirstBurstLength" => (p.first_burst, d.first_burst),
                "MaxOutstandingR2T" => (p.max_outstanding_r2t.into(), d.max_outstanding_r2t.into()),
                "DefaultTime2Wait" => (p.time2wait.into(), d.time2wait.into()),
                _ => (p.initial_r2t.into(), d.initial_r2t.into()),
            };
            assert_eq!(got, want, "{key}={word}");
        }
        // What this end has decided alone stands.
        assert!(
            !agreed(offering(|o| o.immediate_data = false), &format!("ImmediateData={word}")).immediate_data
        );
        let mut talk = Talk::operational(offering(|o| o.data_digest = DigestOffer::Crc32cOnly));
        talk.answer(FULL, &format!("DataDigest={word}"));
        let failure = talk.failed();
        assert!(failure.why.contains("DataDigest") && failure.remedy.contains("offer"), "{failure}");
        assert_eq!(talk.error, None, "not to agree breaks no rule");
    }
}

// Nothing takes effect that was only offered: a target that answers nothing has the defaults, and immediate data,
// which it has not allowed, is not sent.
// covers: 7143-6.2-6
#[test]
fn keys_without_an_answer_keep_the_default_that_restricts_this_end() {
    let want = {
        let mut want = Parameters::default();
        (want.local_max_segment, want.immediate_data) = (262_144, false);
        want
    };
    assert_eq!(agreed(config(), ""), want);
    let all = offering(|o| (o.data_pdu_in_order, o.data_sequence_in_order) = (false, false));
    assert_eq!(agreed(all, ""), want);
    // The two cases in which an answer is optional (RFC 7143 section 6.2.2).
    let determined = offering(|o| (o.initial_r2t, o.immediate_data) = (true, false));
    assert_eq!(agreed(determined, ""), want);
    let mut talk = Talk::operational(offering(|o| o.header_digest = DigestOffer::Crc32cOnly));
    talk.answer(FULL, "");
    assert!(talk.failed().why.contains("HeaderDigest"));
}

#[test]
fn bursts_that_contradict_each_other_are_cut() {
    let p = agreed(config(), "MaxBurstLength=65536 FirstBurstLength=131072");
    assert_eq!((p.max_burst, p.first_burst), (65_536, 65_536));
    let p = agreed(config(), "FirstBurstLength=131072");
    assert_eq!((p.max_burst, p.first_burst), (262_144, 131_072));
}

#[test]
fn a_first_burst_above_the_burst_is_not_offered() {
    let text = offers(|o| (o.max_burst, o.first_burst) = (65_536, 1 << 20));
    assert_eq!(value(&text, "FirstBurstLength"), Some("65536"));
    refused(
        offering(|o| (o.max_burst, o.first_burst) = (65_536, 1 << 20)),
        "FirstBurstLength=131072",
        "FirstBurstLength=131072",
    );
}

// Keys that came after RFC 3720 are offered only when something is wanted of them; then TaskReporting has
// every value down to the least.
// covers: 7143-13.23-2
#[test]
fn later_keys_are_offered_when_they_are_wanted() {
    let text = offers(|_| ());
    assert_eq!((value(&text, "TaskReporting"), value(&text, "iSCSIProtocolLevel")), (None, None));
    let text = offers(|o| o.task_reporting = TaskReporting::ResponseFence);
    assert_eq!(value(&text, "TaskReporting"), Some("ResponseFence,RFC3720"));
    let text = offers(|o| o.task_reporting = TaskReporting::FastAbort);
    assert_eq!(value(&text, "TaskReporting"), Some("FastAbort,ResponseFence,RFC3720"));
    let text = offers(|o| o.protocol_level = 2);
    assert_eq!(value(&text, "iSCSIProtocolLevel"), Some("2"));
}

// "NotUnderstood" settles a key that a target may not know, and is a protocol error for one that it must.
// covers: 7143-6.2-9 7143-6.2-11
#[test]
fn not_understood() {
    let mut later = Negotiation::new(
        {
            let mut offer = Offer::default();
            (offer.protocol_level, offer.task_reporting) = (2, TaskReporting::FastAbort);
            offer
        },
        SessionType::Normal,
        Leading::Yes,
    );
    later.offers();
    let answers =
        later.answer(&[("iSCSIProtocolLevel", "NotUnderstood"), ("TaskReporting", "NotUnderstood")]);
    assert_eq!(answers, Ok(Vec::new()));
    let p = later.finish().expect("defaults");
    assert_eq!((p.protocol_level, p.task_reporting), (1, TaskReporting::Rfc3720));
    for key in ["HeaderDigest", "MaxConnections", "ImmediateData", "MaxRecvDataSegmentLength"] {
        refused(offering(|_| ()), &format!("{key}=NotUnderstood"), key);
    }
    // The names were given at the start, and are known to every target.
    let mut talk = Talk::new(offering(|_| ()));
    talk.asked();
    talk.answer(None, "AuthMethod=None InitiatorName=NotUnderstood");
    talk.broken("InitiatorName");
}

// A target may propose keys itself, before it ends the stage; they are answered as a responder answers them.
// covers: 7143-6.2-8
#[test]
fn proposals_of_the_target_are_answered() {
    let mut talk = Talk::operational(config());
    let answers = with(ANSWERS, "MaxOutstandingR2T", "");
    talk.answer(
        None,
        &format!("{answers} TaskReporting=FastAbort,RFC3720 IFMarker=No X-com.example.a=b Fancy=1"),
    );
    let want = "TaskReporting=RFC3720 IFMarker=Reject X-com.example.a=NotUnderstood Fancy=NotUnderstood";
    assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), want));
    talk.answer(FULL, "MaxOutstandingR2T=3");
    talk.ready();
    assert_eq!(talk.outgoing.parameters().map(|p| p.max_outstanding_r2t), Some(3));
    let mut talk = Talk::operational(discovery());
    talk.answer(None, "MaxBurstLength=65536 InitialR2T=No");
    assert_eq!(talk.asked().text, "MaxBurstLength=Irrelevant InitialR2T=Irrelevant");
}

#[test]
fn a_stage_does_not_end_with_a_proposal() {
    refused(config(), &format!("{ANSWERS} TaskReporting=RFC3720"), "proposal");
    // Keys of its own a target may declare at any time.
    agreed(config(), &format!("{ANSWERS} X-com.example.a=b"));
}

// covers: 7143-6.3-12 7143-6.3-13
#[test]
fn a_key_that_comes_twice_ends_the_login() {
    refused(config(), &format!("{ANSWERS} InitialR2T=Yes"), "InitialR2T was sent twice");
    refused(config(), "MaxRecvDataSegmentLength=4096 MaxRecvDataSegmentLength=4096", "sent twice");
    for (first, second) in [
        ("MaxBurstLength=65536", "MaxBurstLength=65536"),
        ("TargetAlias=a", "TargetAlias=a"),
        ("X-com.example.a=1", "X-com.example.a=1"),
    ] {
        let mut talk = Talk::operational(config());
        talk.answer(None, first);
        talk.asked();
        talk.answer(FULL, second);
        talk.broken("sent twice");
    }
    // TargetPortalGroupTag came in the security stage.
    refused(config(), "TargetPortalGroupTag=1", "sent twice");
    // This one may.
    agreed(config(), "TargetAddress=10.0.0.1:3260,1 TargetAddress=10.0.0.2:3260,1");
}

#[test]
fn keys_that_targets_do_not_send_or_not_here() {
    for (text, part) in [
        ("InitiatorName=iqn.2024-01.com.example:host", "InitiatorName is not for this end"),
        ("InitiatorAlias=a", "InitiatorAlias is not for this end"),
        ("TargetName=iqn.2024-01.com.example:disk", "TargetName is not for this end"),
        ("SessionType=Normal", "SessionType is not for this end"),
        ("SendTargets=All", "SendTargets"),
        ("AuthMethod=None", "AuthMethod does not belong in this stage"),
        ("CHAP_A=5", "CHAP_A does not belong in this stage"),
        ("MaxRecvDataSegmentLength=511", "out of its range"),
        ("MaxRecvDataSegmentLength=Reject", "answers nothing"),
        ("IFMarker=Reject", "answers nothing"),
        ("TargetAlias=NotUnderstood", "answers nothing"),
    ] {
        refused(config(), text, part);
    }
    for (text, part) in [
        ("AuthMethod=None InitialR2T=Yes", "InitialR2T does not belong in this stage"),
        ("AuthMethod=None MaxRecvDataSegmentLength=8192", "does not belong in this stage"),
        ("AuthMethod=None TargetPortalGroupTag=65536", "TargetPortalGroupTag is not a number"),
        ("AuthMethod=None TargetPortalGroupTag=", "TargetPortalGroupTag is not a number"),
    ] {
        let mut talk = Talk::new(config());
        talk.asked();
        talk.answer(OPERATIONAL, text);
        talk.broken(part);
    }
}

#[test]
fn no_answer_is_ever_admitted_that_was_not_offered() {
    // Every pair of a wish and an answer, for a key of each function.
    let numbers = [1u32, 2, 15, 16, 17, 65_535];
    for wish in numbers {
        for answer in numbers {
            let mut talk = Talk::operational(offering(|o| o.max_outstanding_r2t = wish as u16));
            talk.answer(FULL, &format!("MaxOutstandingR2T={answer}"));
            let p = talk.outgoing.parameters().map(|p| u32::from(p.max_outstanding_r2t));
            assert_eq!(p, (answer <= wish).then_some(answer), "{wish} {answer}");
        }
    }
    for wish in [0u16, 1, 20, 3600] {
        for answer in [0u16, 1, 20, 3600] {
            let mut talk = Talk::operational(offering(|o| o.time2wait = wish));
            talk.answer(FULL, &format!("DefaultTime2Wait={answer}"));
            let p = talk.outgoing.parameters().map(|p| p.time2wait);
            assert_eq!(p, (answer >= wish).then_some(answer), "{wish} {answer}");
        }
    }
    for wish in [false, true] {
        for answer in [false, true] {
            let word = if answer { "Yes" } else { "No" };
            let mut talk = Talk::operational(offering(|o| o.immediate_data = wish));
            talk.answer(FULL, &format!("ImmediateData={word}"));
            let p = talk.outgoing.parameters().map(|p| p.immediate_data);
            assert_eq!(p, (wish || !answer).then_some(answer));
            let mut talk = Talk::operational(offering(|o| o.initial_r2t = wish));
            talk.answer(FULL, &format!("InitialR2T={word}"));
            let p = talk.outgoing.parameters().map(|p| p.initial_r2t);
            assert_eq!(p, (!wish || answer).then_some(answer));
        }
    }
}
