//! Negotiation of operational keys: every row of the table, every result function, and the rules between keys.

mod login_support;

use std::collections::BTreeSet;

use iscsicore::login::keys::{self, BooleanFunction, KEYS, Kind, NumberFunction, Party, Senders, Use};
use iscsicore::login::{
    Admission, DigestOffer, FullFeatureNegotiation, Leading, Negotiation, Offer, Parameters, SessionType,
    TaskReporting, TextRefusal,
};
use login_support::*;

fn answer(offer: Offer, text: &str) -> String {
    joined(
        &Negotiation::new(offer, SessionType::Normal, Leading::Yes).answer(&pairs(text)).expect("an answer"),
    )
}

fn with(change: impl FnOnce(&mut Offer)) -> Offer {
    let mut offer = Offer::default();
    change(&mut offer);
    offer
}

/// An offer that wants `value` for every numerical key.
fn wanting(value: u32) -> Offer {
    with(|o| {
        o.max_connections = value as u16;
        o.max_burst = value;
        o.first_burst = value;
        o.time2wait = value as u16;
        o.time2retain = value as u16;
        o.max_outstanding_r2t = value as u16;
        o.error_recovery_level = value as u8;
        o.protocol_level = value as u16;
        o.data_sequence_in_order = false;
    })
}

// covers: 7143-6.2-10 7143-6.2-14 7143-11.12.10-2 7143-11.13.8-2
#[test]
fn the_table_is_that_of_the_rfc() {
    let table: Vec<String> = KEYS.iter().map(describe).collect();
    assert_eq!(table, ROWS);
    let names: BTreeSet<_> = KEYS.iter().map(|k| k.name).collect();
    assert_eq!(names.len(), KEYS.len());
    assert!(KEYS.iter().all(|k| keys::find(k.name).is_some_and(|(_, found)| found.name == k.name)));
    assert!(Senders::Both.include(Party::Target) && !Senders::Initiator.include(Party::Target));
}

// covers: 7143-6.2.2-1 7143-6.2.2-4 7143-6.2.2-6
#[test]
fn boolean_results() {
    for wish in [false, true] {
        let offer = with(|o| {
            o.initial_r2t = wish;
            o.immediate_data = wish;
            o.data_pdu_in_order = wish;
            o.data_sequence_in_order = wish;
        });
        for proposed in [false, true] {
            let word = |b| if b { "Yes" } else { "No" };
            for (key, result) in [
                ("InitialR2T", proposed || wish),
                ("ImmediateData", proposed && wish),
                ("DataPDUInOrder", proposed || wish),
                ("DataSequenceInOrder", proposed || wish),
            ] {
                let got = answer(offer.clone(), &format!("{key}={}", word(proposed)));
                assert_eq!(got, format!("{key}={}", word(result)), "{wish} {proposed}");
            }
        }
    }
    for bad in ["yes", "YES", "1", "", "None", "Yes,No"] {
        assert_eq!(answer(Offer::default(), &format!("ImmediateData={bad}")), "ImmediateData=Reject");
    }
}

// Every numerical key, over the edges of its range on both sides.
// covers: 7143-6.2.2-1 7143-6.2.2-2
#[test]
fn numerical_results() {
    type Row = (&'static str, u32, u32, fn(u32, u32) -> u32);
    let table: [Row; 8] = [
        ("MaxConnections", 1, 65_535, u32::min),
        ("MaxBurstLength", 512, 0xff_ffff, u32::min),
        ("FirstBurstLength", 512, 262_144, u32::min),
        ("DefaultTime2Wait", 0, 3600, u32::max),
        ("DefaultTime2Retain", 0, 3600, u32::min),
        ("MaxOutstandingR2T", 1, 65_535, u32::min),
        ("ErrorRecoveryLevel", 0, 2, u32::min),
        ("iSCSIProtocolLevel", 0, 31, u32::min),
    ];
    for (key, low, high, function) in table {
        let values: BTreeSet<u32> = [low, low + 1, u32::midpoint(low, high), high - 1, high].into();
        for wish in &values {
            for proposed in &values {
                let want = format!("{key}={}", function(*wish, *proposed));
                assert_eq!(answer(wanting(*wish), &format!("{key}={proposed}")), want, "wish {wish}");
                assert_eq!(answer(wanting(*wish), &format!("{key}={proposed:#x}")), want, "hexadecimal");
            }
        }
        let above = if key == "FirstBurstLength" { 1 << 24 } else { high + 1 };
        let mut bad = vec![
            above.to_string(),
            "4294967297".into(),
            "-1".into(),
            "x".into(),
            "1~2".into(),
            "None".into(),
        ];
        if low > 0 {
            bad.push((low - 1).to_string());
        }
        for value in bad {
            assert_eq!(answer(wanting(low), &format!("{key}={value}")), format!("{key}=Reject"), "{value}");
        }
    }
}

// covers: 7143-6.2.1-1 7143-6.2.1-2 7143-6.2.1-3
#[test]
fn digests_follow_the_order_of_the_initiator() {
    use DigestOffer::*;
    let table = [
        (
            "CRC32C,None",
            [("None", NoneOnly), ("CRC32C", PreferNone), ("CRC32C", PreferCrc32c), ("CRC32C", Crc32cOnly)],
        ),
        (
            "None,CRC32C",
            [("None", NoneOnly), ("None", PreferNone), ("None", PreferCrc32c), ("CRC32C", Crc32cOnly)],
        ),
        ("None", [("None", NoneOnly), ("None", PreferNone), ("None", PreferCrc32c), ("Reject", Crc32cOnly)]),
        (
            "CRC32C",
            [("Reject", NoneOnly), ("CRC32C", PreferNone), ("CRC32C", PreferCrc32c), ("CRC32C", Crc32cOnly)],
        ),
        (
            "Y-com.example.sum,CRC32C",
            [("Reject", NoneOnly), ("CRC32C", PreferNone), ("CRC32C", PreferCrc32c), ("CRC32C", Crc32cOnly)],
        ),
        (
            "crc32c",
            [("Reject", NoneOnly), ("Reject", PreferNone), ("Reject", PreferCrc32c), ("Reject", Crc32cOnly)],
        ),
    ];
    for (proposed, wants) in table {
        for (want, allowed) in wants {
            for key in ["HeaderDigest", "DataDigest"] {
                let mut n = Negotiation::new(
                    with(|o| {
                        o.header_digest = allowed;
                        o.data_digest = allowed;
                    }),
                    SessionType::Normal,
                    Leading::Yes,
                );
                let got = joined(&n.answer(&[(key, proposed)]).unwrap());
                assert_eq!(got, format!("{key}={want}"), "{proposed} {allowed:?}");
                let (header, data) = (key == "HeaderDigest", key == "DataDigest");
                let on = want == "CRC32C";
                assert_eq!(n.parameters().header_digest, on && header);
                assert_eq!(n.parameters().data_digest, on && data);
            }
        }
    }
}

#[test]
fn task_reporting_promises_no_more_than_is_carried_out() {
    use TaskReporting::*;
    let all = "FastAbort,ResponseFence,RFC3720";
    for (most, proposed, want) in [
        (Rfc3720, all, "RFC3720"),
        (ResponseFence, all, "ResponseFence"),
        (FastAbort, all, "FastAbort"),
        (FastAbort, "RFC3720,FastAbort", "RFC3720"),
        (Rfc3720, "FastAbort,ResponseFence", "Reject"),
    ] {
        let offer = with(|o| o.task_reporting = most);
        assert_eq!(answer(offer, &format!("TaskReporting={proposed}")), format!("TaskReporting={want}"));
    }
    assert_eq!(Offer::default().task_reporting, Rfc3720);
}

// covers: 7143-13.24-1
#[test]
fn the_protocol_level_is_the_one_of_rfc_7143_by_default() {
    for (proposed, want) in [("0", "0"), ("1", "1"), ("2", "1"), ("31", "1"), ("32", "Reject")] {
        let got = answer(Offer::default(), &format!("iSCSIProtocolLevel={proposed}"));
        assert_eq!(got, format!("iSCSIProtocolLevel={want}"));
    }
    assert_eq!(Parameters::default().protocol_level, 1);
}

// covers: 7143-13.25-1 7143-13.25-3 7143-13.25-4 7143-13.25-5 7143-6.2.2-3
#[test]
fn markers_are_rejected() {
    let got = answer(Offer::default(), "IFMarker=Yes OFMarker=No IFMarkInt=2048~8192 OFMarkInt=1~65535");
    assert_eq!(got, "IFMarker=Reject OFMarker=Reject IFMarkInt=Reject OFMarkInt=Reject");
}

// covers: 7143-6.2-8
#[test]
fn unknown_keys_are_not_understood_in_their_place() {
    let got =
        answer(Offer::default(), "X-com.example.a=1 InitialR2T=Yes NoSuchKey=Yes X#b= maxburstlength=9");
    let want = "X-com.example.a=NotUnderstood InitialR2T=Yes NoSuchKey=NotUnderstood X#b=NotUnderstood \
                maxburstlength=NotUnderstood";
    assert_eq!(got, want);
}

// The rule holds in whatever order the keys come, together or apart.
// covers: 7143-13.14-1 7143-6.2-20
#[test]
fn first_burst_does_not_exceed_max_burst() {
    for text in ["MaxBurstLength=8192 FirstBurstLength=65536", "FirstBurstLength=65536 MaxBurstLength=8192"] {
        let mut n = Negotiation::new(Offer::default(), SessionType::Normal, Leading::Yes);
        assert!(joined(&n.answer(&pairs(text)).unwrap()).contains("FirstBurstLength=8192"), "{text}");
        assert_eq!(n.finish().map(|p| (p.first_burst, p.max_burst)), Ok((8192, 8192)));
    }
    // Left at its default by both ends.
    let mut n = Negotiation::new(Offer::default(), SessionType::Normal, Leading::Yes);
    n.answer(&[("MaxBurstLength", "4096")]).unwrap();
    assert_eq!(n.finish().map(|p| p.first_burst), Ok(4096));
    // Agreed on before, and contradicted after.
    let mut n = Negotiation::new(Offer::default(), SessionType::Normal, Leading::Yes);
    n.answer(&[("FirstBurstLength", "65536")]).unwrap();
    n.answer(&[("MaxBurstLength", "4096")]).unwrap();
    assert_eq!(n.finish().map_err(|f| f.status.0), Err(0x0200));
    let mut c = Conversation::new(open());
    c.ask(OPERATIONAL, None, &format!("{NAMES} FirstBurstLength=65536"));
    assert_eq!(c.ask(OPERATIONAL, FULL, "MaxBurstLength=4096").header.status.0, 0x0200);
    c.assert_failed(0x0200);
}

// covers: 7143-13.19-2
#[test]
fn one_r2t_with_recovery_and_order() {
    for (level, ordered, want) in [(0, "Yes", 8), (1, "Yes", 1), (2, "Yes", 1), (1, "No", 8)] {
        let offer = with(|o| {
            o.error_recovery_level = 2;
            o.data_sequence_in_order = false;
        });
        let mut n = Negotiation::new(offer, SessionType::Normal, Leading::Yes);
        let text = format!("MaxOutstandingR2T=8 ErrorRecoveryLevel={level} DataSequenceInOrder={ordered}");
        assert!(joined(&n.answer(&pairs(&text)).unwrap()).contains(&format!("MaxOutstandingR2T={want} ")));
        assert_eq!(n.finish().map(|p| p.max_outstanding_r2t), Ok(want));
    }
}

// covers: 7143-13.21-1 7143-7.4.1-1 7143-7.4.1-2
#[test]
fn discovery_sessions_find_most_keys_irrelevant() {
    let offer = with(|o| o.error_recovery_level = 2);
    let mut n = Negotiation::new(offer, SessionType::Discovery, Leading::Yes);
    let text = "MaxConnections=4 InitialR2T=No ImmediateData=Yes MaxBurstLength=512 FirstBurstLength=512 \
                MaxOutstandingR2T=2 DataPDUInOrder=No DataSequenceInOrder=No TaskReporting=RFC3720 \
                iSCSIProtocolLevel=2 ErrorRecoveryLevel=2 HeaderDigest=None DefaultTime2Wait=3";
    let got = joined(&n.answer(&pairs(text)).unwrap());
    assert_eq!(got.matches("=Irrelevant").count(), 10, "{got}");
    assert!(got.ends_with("ErrorRecoveryLevel=0 HeaderDigest=None DefaultTime2Wait=3"), "{got}");
    let mut want = Parameters::default();
    want.time2wait = 3;
    assert_eq!(n.finish(), Ok(want));
}

// A whole login with what a common initiator sends, and what comes of it.
// covers: 7143-6.3.1-1 7143-11.13.8-1 7143-6.2-15 7143-13.6-1
#[test]
fn a_common_login() {
    let mut c = Conversation::new(Admission { target_alias: Some("Disk".into()), ..open() });
    let text = format!(
        "{NAMES} InitiatorAlias=lab SessionType=Normal HeaderDigest=None,CRC32C DataDigest=CRC32C,None InitialR2T=Yes \
         ImmediateData=Yes MaxBurstLength=262144 FirstBurstLength=262144 MaxRecvDataSegmentLength=131072 \
         DefaultTime2Wait=2 DefaultTime2Retain=20 MaxOutstandingR2T=1 MaxConnections=8 ErrorRecoveryLevel=2 \
         DataPDUInOrder=No DataSequenceInOrder=No OFMarker=No TaskReporting=RFC3720,ResponseFence"
    );
    let reply = c.ask(OPERATIONAL, None, &text);
    let want = "TargetPortalGroupTag=1 TargetAlias=Disk MaxRecvDataSegmentLength=262144 HeaderDigest=None \
                DataDigest=CRC32C InitialR2T=Yes ImmediateData=Yes MaxBurstLength=262144 FirstBurstLength=262144 \
                DefaultTime2Wait=2 DefaultTime2Retain=0 MaxOutstandingR2T=1 MaxConnections=1 ErrorRecoveryLevel=0 \
                DataPDUInOrder=Yes DataSequenceInOrder=Yes OFMarker=Reject TaskReporting=RFC3720";
    assert_eq!(reply.text, want);
    assert!(c.replies(OPERATIONAL, FULL, "").is_empty());
    let p = c.incoming.parameters().expect("the result").clone();
    assert!(!p.header_digest && p.data_digest && p.initial_r2t && p.immediate_data);
    assert_eq!((p.peer_max_segment, p.local_max_segment), (131_072, 262_144));
    assert_eq!((p.time2retain, p.max_connections, p.first_burst), (0, 1, 262_144));
    let hello = c.incoming.hello().expect("who it is");
    assert_eq!(hello.initiator_alias.as_deref(), Some("lab"));
    assert_eq!(hello.target.as_deref(), Some("iqn.2024-01.com.example:disk"));
}

// Without a single operational key, the defaults of the RFC hold on the initiator's side.
#[test]
fn a_login_that_negotiates_nothing() {
    let mut c = Conversation::new(open());
    assert!(c.replies(OPERATIONAL, FULL, NAMES).is_empty());
    let want = Parameters::default();
    let got = c.incoming.parameters().expect("the result");
    assert_eq!(got.local_max_segment, 262_144);
    assert_eq!((got.peer_max_segment, got.max_burst, got.first_burst), (8192, 262_144, 65_536));
    assert_eq!((got.initial_r2t, got.time2wait, got.time2retain), (want.initial_r2t, 2, 20));
}

// Target's own value is declared once, and only once.
#[test]
fn the_target_declares_once_and_proposes_nothing() {
    let mut c = Conversation::new(open());
    let first = c.ask(OPERATIONAL, None, NAMES);
    assert_eq!(first.text, "TargetPortalGroupTag=1 MaxRecvDataSegmentLength=262144");
    for _ in 0..3 {
        assert_eq!(c.ask(OPERATIONAL, None, "").text, "");
    }
}

// covers: 7143-6.3-12 7143-6.3-13 7143-13.26.1-2 7143-6.2-12 7143-6.2-11 7143-7.12-1
#[test]
fn keys_out_of_place_are_initiator_errors() {
    let table = [
        "InitialR2T=Yes InitialR2T=Yes",
        "InitiatorName=iqn.2024-01.com.example:host",
        "X-com.example.a=1 X-com.example.a=2",
        "X#NodeArchitecture=a X#NodeArchitecture=a",
        "SessionType=Normal SessionType=Normal",
        "InitialR2T=Reject",
        "MaxBurstLength=NotUnderstood",
        "HeaderDigest=Irrelevant",
        "MaxRecvDataSegmentLength=NotUnderstood",
        "TargetAlias=mine",
        "TargetAddress=10.0.0.1",
        "TargetPortalGroupTag=1",
        "SendTargets=All",
        "AuthMethod=None",
        "CHAP_A=5",
        "MaxRecvDataSegmentLength=511",
        "MaxRecvDataSegmentLength=16777216",
        "MaxRecvDataSegmentLength=",
    ];
    for text in table {
        assert_eq!(Conversation::new(open()).status_of(text), 0x0200, "{text}");
    }
    // In a later request of the same login.
    let other_names = NAMES.replace("host", "guest");
    for again in
        ["InitialR2T=Yes", &other_names, "SessionType=Discovery", "TargetName=iqn.2024-01.com.example:tape"]
    {
        let mut c = Conversation::new(open());
        c.ask(OPERATIONAL, None, &format!("{NAMES} SessionType=Normal InitialR2T=Yes"));
        assert_eq!(c.ask(OPERATIONAL, None, again).header.status.0, 0x0200, "{again}");
        c.assert_failed(0x0200);
    }
    // Also when the first time was in the stage before.
    let mut c = Conversation::new(open());
    c.ask(SECURITY, OPERATIONAL, &format!("{NAMES} AuthMethod=None InitiatorAlias=a"));
    assert_eq!(c.ask(OPERATIONAL, None, "InitiatorAlias=b").header.status.0, 0x0200);
}

/// libiscsi with CHAP credentials, at a target that asks for none: it says who it is in both stages.
#[test]
fn names_may_be_said_again_in_the_next_stage() {
    let mut c = Conversation::new(open());
    let names = format!("{NAMES} SessionType=Normal");
    let reply = c.ask(SECURITY, OPERATIONAL, &format!("{names} AuthMethod=CHAP,None"));
    assert!(reply.text.contains("AuthMethod=None"), "{}", reply.text);
    c.replies(OPERATIONAL, FULL, &format!("{names} HeaderDigest=None"));
    assert!(c.ready && !c.incoming.is_closing());
}

// covers: 7143-12-1
#[test]
fn operational_keys_do_not_belong_in_the_security_stage() {
    for key in KEYS.iter().filter(|k| k.stages == keys::Stages::Operational) {
        let mut c = Conversation::new(open());
        let reply = c.ask(SECURITY, None, &format!("{NAMES} {}=1", key.name));
        assert_eq!(reply.header.status.0, 0x0200, "{}", key.name);
    }
}

// covers: 7143-13-1
#[test]
fn leading_only_keys_belong_in_the_first_login_of_a_session() {
    for key in KEYS.iter().filter(|k| k.use_ == Use::LeadingOnly && !matches!(k.kind, Kind::Declared { .. }))
    {
        let mut c = Conversation::new(open());
        c.template.tsih = iscsicore::wire::Tsih(9);
        let reply = c.ask(OPERATIONAL, None, &format!("{NAMES} {}=1", key.name));
        assert_eq!(reply.header.status.0, 0x0200, "{}", key.name);
    }
    let mut c = Conversation::new(open());
    c.template.tsih = iscsicore::wire::Tsih(9);
    let reply = c.ask(OPERATIONAL, None, &format!("{NAMES} HeaderDigest=CRC32C SessionType=Normal"));
    assert!(reply.text.ends_with("HeaderDigest=CRC32C"), "{}", reply.text);
}

// covers: 7143-13.26.1-1 7143-13.26.2-1
#[test]
fn node_architecture_is_declared_and_not_answered() {
    let mut c = Conversation::new(open());
    let longest = "a".repeat(255);
    let reply = c.ask(OPERATIONAL, None, &format!("{NAMES} X#NodeArchitecture={longest}"));
    assert!(reply.header.status.is_success() && !reply.text.contains("X#"));
    let mut plain = Conversation::new(open());
    assert_eq!(plain.ask(OPERATIONAL, None, NAMES).text, reply.text, "it changes nothing");
    assert!(c.replies(OPERATIONAL, FULL, "").is_empty() && plain.replies(OPERATIONAL, FULL, "").is_empty());
    assert_eq!(c.incoming.parameters(), plain.incoming.parameters());
    assert_eq!(Conversation::new(open()).status_of(&format!("X#NodeArchitecture={longest}a")), 0x0200);
}

// covers: 7143-6.2-8 7143-6.2-19 7143-6.3-7
#[test]
fn text_requests_may_redeclare_little() {
    let before = Parameters::default();
    let run = |text: &str, limit| {
        let mut p = before.clone();
        let answer = negotiate_full_feature(&mut p, &pairs(text), limit).map(|a| joined(&a));
        (answer.ok(), p)
    };
    let (answer, after) = run("MaxRecvDataSegmentLength=65536 InitiatorAlias=new", 8192);
    assert_eq!(answer.as_deref(), Some(""));
    let mut want = before.clone();
    want.peer_max_segment = 65_536;
    assert_eq!(after, want);
    for (text, want) in [
        ("X-a=1 Nonsense=2", "X-a=NotUnderstood Nonsense=NotUnderstood"),
        ("MaxBurstLength=512 HeaderDigest=CRC32C", "MaxBurstLength=Reject HeaderDigest=Reject"),
        ("IFMarker=No", "IFMarker=Reject"),
        ("SendTargets=All", ""),
    ] {
        assert_eq!(run(text, 8192), (Some(want.to_owned()), before.clone()), "{text}");
    }
    // Refused whole: what came before the mistake has no effect.
    for text in [
        "MaxRecvDataSegmentLength=65536 MaxRecvDataSegmentLength=65536",
        "MaxRecvDataSegmentLength=65536 InitiatorName=iqn.2024-01.com.example:other",
        "MaxRecvDataSegmentLength=65536 AuthMethod=None",
        "MaxRecvDataSegmentLength=65536 TargetAlias=x",
        "MaxRecvDataSegmentLength=65536 InitialR2T=Reject",
        "MaxRecvDataSegmentLength=511",
        "MaxRecvDataSegmentLength=16777216",
    ] {
        assert_eq!(run(text, 8192), (None, before.clone()), "{text}");
    }
    assert_eq!(run("X-a=1", 18).0.as_deref(), Some("X-a=NotUnderstood"));
    assert_eq!(run("X-aa=1", 18).0, None);
}

// The initiator leaves out keys whose defaults this target does not take: it proposes them, and holds the
// initiator to the rules of selection.
// covers: 7143-6.2.1-4 7143-6.3-10 7143-11.13.6-1 7143-6.3.3-4
#[test]
fn the_target_proposes_what_it_cannot_leave_at_its_default() {
    let admission = || Admission {
        offer: with(|o| {
            o.header_digest = DigestOffer::Crc32cOnly;
            o.immediate_data = false;
            o.max_burst = 65_536;
        }),
        ..open()
    };
    let proposals = "HeaderDigest=CRC32C ImmediateData=No MaxBurstLength=65536";
    let good = [
        "HeaderDigest=CRC32C MaxBurstLength=65536",
        "HeaderDigest=CRC32C MaxBurstLength=65536 ImmediateData=No",
        "MaxBurstLength=4096 HeaderDigest=CRC32C",
    ];
    let bad = [
        "",
        "HeaderDigest=CRC32C",
        "HeaderDigest=None MaxBurstLength=65536",
        "HeaderDigest=Reject MaxBurstLength=65536",
        "HeaderDigest=CRC32C MaxBurstLength=65537",
        "HeaderDigest=CRC32C MaxBurstLength=Irrelevant",
        "HeaderDigest=CRC32C MaxBurstLength=NotUnderstood",
        "HeaderDigest=CRC32C MaxBurstLength=65536 ImmediateData=Yes",
        "HeaderDigest=CRC32C MaxBurstLength=65536 InitialR2T=Reject",
    ];
    for (answers, works) in good.iter().map(|a| (a, true)).chain(bad.iter().map(|a| (a, false))) {
        let mut c = Conversation::new(admission());
        let first = c.ask(OPERATIONAL, None, NAMES);
        assert!(!first.text.contains("HeaderDigest"), "not before the initiator is done");
        let reply = c.ask(OPERATIONAL, FULL, "");
        assert_eq!((reply.text.as_str(), reply.header.transit), (proposals, false));
        let replies = c.replies(OPERATIONAL, FULL, answers);
        if works {
            assert!(replies.is_empty() && c.ready, "{answers}");
            let p = c.incoming.parameters().expect("the result");
            assert!(
                p.header_digest && !p.immediate_data && p.max_burst <= 65_536 && p.first_burst <= p.max_burst
            );
        } else {
            assert_eq!(replies.last().map(|r| r.header.status.0), Some(0x0200), "{answers}");
            c.assert_failed(0x0200);
        }
    }
    // What the initiator sent itself is not proposed, and what was refused stays unacceptable.
    let mut c = Conversation::new(admission());
    let text = format!("{NAMES} HeaderDigest=None ImmediateData=Yes MaxBurstLength=262144");
    let reply = c.ask(OPERATIONAL, FULL, &text);
    assert_eq!(reply.header.status.0, 0x0200);
    let mut c = Conversation::new(admission());
    assert!(c.replies(OPERATIONAL, FULL, &text.replace("=None", "=CRC32C")).is_empty());
    assert!(c.ready);
    // A stage that was skipped cannot settle it either.
    assert_eq!(Conversation::new(admission()).ask(SECURITY, FULL, NAMES).header.status.0, 0x0200);
}

/// A row as one line: name, use, senders, and the range and function of its result.
fn describe(key: &keys::Key) -> String {
    let use_ = match key.use_ {
        Use::InitializeOnly => "IO",
        Use::LeadingOnly => "LO",
        Use::All => "ALL",
        Use::FullFeatureOnly => "FFPO",
    };
    let senders = match key.senders {
        Senders::Initiator => "I",
        Senders::Target => "T",
        Senders::Both => "IT",
    };
    let kind = match &key.kind {
        Kind::Boolean { function: BooleanFunction::And, .. } => "AND".to_owned(),
        Kind::Boolean { function: BooleanFunction::Or, .. } => "OR".to_owned(),
        Kind::Number { range, function: NumberFunction::Minimum, .. } => format!("min{range:?}"),
        Kind::Number { range, function: NumberFunction::Maximum, .. } => format!("max{range:?}"),
        Kind::List { choices, .. } => choices.join("|"),
        Kind::DeclaredNumber { range, .. } => format!("declared{range:?}"),
        Kind::Declared { .. } => "declared".to_owned(),
        Kind::Authentication => "security".to_owned(),
        Kind::Question => "question".to_owned(),
        Kind::Obsolete => "obsolete".to_owned(),
    };
    format!("{} {use_} {senders} {kind}", key.name)
}

/// The rows of the RFC, in the words of [`describe`].
const ROWS: [&str; 35] = [
    "AuthMethod IO IT security",
    "CHAP_A IO IT security",
    "CHAP_I IO IT security",
    "CHAP_C IO IT security",
    "CHAP_N IO IT security",
    "CHAP_R IO IT security",
    "InitiatorName IO I declared",
    "InitiatorAlias ALL I declared",
    "TargetName IO I declared",
    "TargetAlias ALL T declared",
    "TargetAddress ALL T declared",
    "TargetPortalGroupTag IO T declared",
    "SessionType LO I declared",
    "X#NodeArchitecture LO IT declared",
    "SendTargets FFPO I question",
    "HeaderDigest IO IT None|CRC32C",
    "DataDigest IO IT None|CRC32C",
    "MaxRecvDataSegmentLength ALL IT declared512..=16777215",
    "MaxConnections LO IT min1..=65535",
    "InitialR2T LO IT OR",
    "ImmediateData LO IT AND",
    "MaxBurstLength LO IT min512..=16777215",
    "FirstBurstLength LO IT min512..=16777215",
    "DefaultTime2Wait LO IT max0..=3600",
    "DefaultTime2Retain LO IT min0..=3600",
    "DataPDUInOrder LO IT OR",
    "DataSequenceInOrder LO IT OR",
    "ErrorRecoveryLevel LO IT min0..=2",
    "MaxOutstandingR2T LO IT min1..=65535",
    "TaskReporting LO IT RFC3720|ResponseFence|FastAbort",
    "iSCSIProtocolLevel LO IT min0..=31",
    "IFMarker IO IT obsolete",
    "OFMarker IO IT obsolete",
    "IFMarkInt IO IT obsolete",
    "OFMarkInt IO IT obsolete",
];

/// A negotiation that is one group of pairs.
fn negotiate_full_feature(
    parameters: &mut Parameters,
    pairs: &[(&str, &str)],
    answer_limit: usize,
) -> Result<Vec<(String, String)>, TextRefusal> {
    let mut negotiation = FullFeatureNegotiation::new(parameters, answer_limit);
    let answers = negotiation.answer(pairs)?;
    *parameters = negotiation.finish();
    Ok(answers)
}
