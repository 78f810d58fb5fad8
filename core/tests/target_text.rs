//! Text Requests: discovery, and what may be negotiated in the full-feature phase.

mod support;

use iscsicore::target::{Event, SendTargets, TargetAddress, TargetRecord};
use iscsicore::wire::{
    Itt, LogoutReason, LogoutResult, RejectReason, TargetPdu, TaskManagementFunction, TextRequest,
    TextResponse, Ttt,
};
use iscsicore::{Misuse, PeerError};
use support::app::{self, App};
use support::{Answer, Session, Setup, TARGET};

fn text_response(answer: &Answer) -> TextResponse {
    match answer.pdu {
        TargetPdu::TextResponse(response) => response,
        other => panic!("a Text Response: {other:?}"),
    }
}

fn record(name: &str, addresses: &[(&str, u16)]) -> TargetRecord {
    let address =
        |(address, tag): &(&str, u16)| TargetAddress { address: (*address).into(), portal_group_tag: *tag };
    TargetRecord { name: name.into(), addresses: addresses.iter().map(address).collect() }
}

fn ask(s: &mut Session, which: &str) -> (TextRequest, Vec<Event>) {
    let request = s.text();
    s.send_with(request, format!("SendTargets={which}\0").as_bytes());
    (request, s.events())
}

fn asked(events: &[Event]) -> (iscsicore::link::TaskId, SendTargets) {
    match events {
        [Event::SendTargets { request, which }] => (*request, which.clone()),
        other => panic!("SendTargets: {other:?}"),
    }
}

// covers: 7143-13.8-2
#[test]
fn send_targets_asks_the_caller_and_lists_what_it_says() {
    let mut s = Setup::discovery().connect();
    let (request, events) = ask(&mut s, "All");
    let (id, which) = asked(&events);
    assert_eq!(which, SendTargets::All);
    s.quiet();
    let records = [record("iqn.a", &[("10.0.0.1:3260", 1), ("[::1]:3260", 2)]), record("iqn.b", &[])];
    s.target.answer_send_targets(id, &records).unwrap();
    let answer = s.answer();
    let response = text_response(&answer);
    assert_eq!((response.itt, response.final_, response.continued), (request.itt, true, false));
    assert!(response.ttt.is_reserved());
    let text =
        "TargetName=iqn.a\0TargetAddress=10.0.0.1:3260,1\0TargetAddress=[::1]:3260,2\0TargetName=iqn.b\0";
    assert_eq!(answer.data, text);
    assert_eq!(s.target.answer_send_targets(id, &[]), Err(Misuse::UnknownTask));
    assert_eq!(s.target.outstanding(), 0);
}

#[test]
fn which_targets_may_be_asked_for_depends_on_the_session() {
    let other = "iqn.2026-11.example:other";
    let shouted = &TARGET.to_uppercase()[..];
    let cases = [
        (true, "All", Some(SendTargets::All)),
        (true, TARGET, Some(SendTargets::Named(TARGET.into()))),
        (true, other, Some(SendTargets::Named(other.into()))),
        (true, "", None),
        (false, "All", None),
        (false, TARGET, Some(SendTargets::Named(TARGET.into()))),
        (false, shouted, Some(SendTargets::Named(shouted.into()))),
        (false, other, None),
        (false, "", Some(SendTargets::Current)),
    ];
    for (discovery, value, want) in cases {
        let setup = if discovery { Setup::discovery() } else { Setup::default() };
        let mut s = setup.connect();
        let (_, events) = ask(&mut s, value);
        match want {
            Some(want) => {
                let (id, which) = asked(&events);
                assert_eq!(which, want);
                s.quiet();
                s.target.answer_send_targets(id, &[]).unwrap();
                let answer = s.answer();
                assert!(answer.data.is_empty() && text_response(&answer).final_, "{value}");
                assert_eq!(s.max_cmd_sn.distance_from(s.exp_cmd_sn), 7);
            }
            None => {
                assert!(events.is_empty(), "{value}");
                assert_eq!(s.answer().data, "SendTargets=Reject\0");
            }
        }
    }
}

// covers: 7143-11.11.4-2 7143-11.11.1-2 7143-11.11.1-3 7143-11.11.2-1 7143-11.11.4-1 7143-11.11.6-1 7143-6.4-8 7143-11.10.4-1 7143-6.2-5
#[test]
fn an_answer_larger_than_a_pdu_is_continued_as_often_as_it_takes() {
    for segment in [512, 600, 8192] {
        let mut s = Setup::discovery().key("MaxRecvDataSegmentLength", segment).connect();
        let (request, events) = ask(&mut s, "All");
        let (id, _) = asked(&events);
        let records: Vec<_> = (0..60)
            .map(|n| record(&format!("iqn.2026-11.example:target-{n}"), &[("192.0.2.1:3260", 1)]))
            .collect();
        s.target.answer_send_targets(id, &records).unwrap();
        let (mut text, mut pdus) = (Vec::new(), 0);
        loop {
            let answer = s.answer();
            let response = text_response(&answer);
            text.extend_from_slice(&answer.data);
            pdus += 1;
            assert_eq!(response.continued, !response.final_);
            assert_eq!((response.ttt.is_reserved(), response.lun.0), (response.final_, 0));
            if response.final_ {
                break;
            }
            assert_eq!(answer.data.len(), segment, "as much as fits");
            let mut next = s.text();
            (next.itt, next.ttt) = (request.itt, response.ttt);
            s.send(next);
        }
        let names = text.split(|b| *b == 0).filter(|pair| pair.starts_with(b"TargetName=")).count();
        assert_eq!((names, pdus), (60, text.len().div_ceil(segment)));
    }
}

#[test]
fn text_in_the_middle_of_an_answer_is_a_protocol_error() {
    let mut s = Setup::discovery().key("MaxRecvDataSegmentLength", 512).connect();
    let (request, events) = ask(&mut s, "All");
    let records: Vec<_> = (0..60).map(|n| record(&format!("iqn.t{n}"), &[])).collect();
    s.target.answer_send_targets(asked(&events).0, &records).unwrap();
    let response = text_response(&s.answer());
    let mut next = s.text();
    (next.itt, next.ttt) = (request.itt, response.ttt);
    s.send_with(next, b"SendTargets=All\0");
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::ProtocolError));
    // The exchange is over, and another may begin.
    let (_, events) = ask(&mut s, "All");
    s.target.answer_send_targets(asked(&events).0, &[]).unwrap();
    assert!(text_response(&s.answer()).final_);
}

// covers: 7143-4.3-1 7143-4.3-2 7143-7.4.3-1
#[test]
fn a_discovery_session_takes_send_targets_and_the_end_of_the_session_alone() {
    let mut s = Setup::discovery().connect();
    let (plain, nop, reset) =
        (s.plain(), s.nop(true), s.management(TaskManagementFunction::LogicalUnitReset));
    s.cmd_sn = plain.cmd_sn;
    s.send(plain);
    s.answer().assert_reject(RejectReason::ProtocolError, &plain.emit());
    s.send(nop);
    s.answer().assert_reject(RejectReason::ProtocolError, &nop.emit());
    s.send(reset);
    s.answer().assert_reject(RejectReason::ProtocolError, &reset.emit());
    let connection = s.logout(LogoutReason::CloseConnection);
    s.send(connection);
    s.answer().assert_reject(RejectReason::ProtocolError, &connection.emit());
    let text = s.text();
    s.send_with(text, b"MaxRecvDataSegmentLength=512\0");
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::ProtocolError));
    s.no_events();
    let (_, events) = ask(&mut s, "All");
    s.target.answer_send_targets(asked(&events).0, &[]).unwrap();
    text_response(&s.answer());
    // Nor does it send what nobody asked for.
    s.target.notify(&iscsicore::target::Notice::SessionDropped { time2wait: 0, time2retain: 0 });
    s.later(31);
    s.quiet();
    let logout = s.logout(LogoutReason::CloseSession);
    s.send(logout);
    assert!(matches!(s.answer().pdu, TargetPdu::LogoutResponse(r) if r.result == LogoutResult::Closed));
}

#[test]
fn a_discovery_session_that_is_to_end_is_closed() {
    let mut s = Setup::discovery().connect();
    s.target.request_logout(s.now, std::time::Duration::from_secs(10));
    s.quiet();
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(_)]));
}

fn negotiate(s: &mut Session, text: &str) -> Answer {
    let request = s.text();
    s.send_with(request, text.as_bytes());
    s.answer()
}

#[test]
fn segment_length_changes_when_the_negotiation_is_over() {
    let mut s = Setup::default().connect();
    let read = s.read(20_000);
    s.send(read);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.target.send_data(command.task, app::pattern(9000).into()).unwrap();
    assert_eq!(s.answer().data.len(), 8192);
    let mut request = s.text();
    request.final_ = false;
    s.send_with(request, b"MaxRecvDataSegmentLength=512\0");
    let response = text_response(&s.answer());
    assert!(!response.final_ && !response.ttt.is_reserved());
    assert_eq!(s.target.parameters().peer_max_segment, 8192, "not before the end");
    let mut end = s.text();
    (end.itt, end.ttt) = (request.itt, response.ttt);
    s.send(end);
    assert!(text_response(&s.answer()).final_);
    assert_eq!(s.target.parameters().peer_max_segment, 512);
    // What was held back is cut to what the initiator takes now.
    s.target.complete(command.task, iscsicore::scsi::Response::good(), 9000).unwrap();
    let lengths: Vec<_> = s.answers().iter().map(|a| a.data.len()).collect();
    assert_eq!(lengths, [512, 9000 - 8192 - 512]);
}

// covers: 7143-6.4-7 7143-11.11.1-1
#[test]
fn what_cannot_be_negotiated_now_is_refused() {
    let mut s = Setup::default().connect();
    assert_eq!(negotiate(&mut s, "MaxBurstLength=512\0").data, "MaxBurstLength=Reject\0");
    assert_eq!(negotiate(&mut s, "X-com.example.y=1\0").data, "X-com.example.y=NotUnderstood\0");
    assert_eq!(s.target.parameters().max_burst, 262_144);
    let answer = negotiate(&mut s, "");
    assert!(answer.data.is_empty() && text_response(&answer).final_);
}

// covers: 7143-6.4-10 7143-7.12-2
#[test]
fn a_failed_negotiation_is_rejected_and_changes_nothing() {
    for text in [
        "MaxRecvDataSegmentLength=1024\0MaxRecvDataSegmentLength=2048\0",
        "MaxRecvDataSegmentLength=1024\0InitiatorName=iqn.x\0",
        "MaxRecvDataSegmentLength=1024\0MaxRecvDataSegmentLength\0",
        "MaxRecvDataSegmentLength=1024\0\u{1}=2\0",
        "MaxRecvDataSegmentLength=1\0",
        "MaxRecvDataSegmentLength=1024",
    ] {
        let mut s = Setup::default().connect();
        let answer = negotiate(&mut s, text);
        assert!(
            matches!(answer.pdu, TargetPdu::Reject(r) if r.reason == RejectReason::ProtocolError),
            "{text:?}"
        );
        assert_eq!(s.target.parameters().peer_max_segment, 8192, "{text:?}");
    }
    // Twice in one sequence, if not in one request.
    let mut s = Setup::default().connect();
    let mut request = s.text();
    request.final_ = false;
    s.send_with(request, b"MaxRecvDataSegmentLength=1024\0");
    let response = text_response(&s.answer());
    let mut again = s.text();
    (again.itt, again.ttt) = (request.itt, response.ttt);
    s.send_with(again, b"MaxRecvDataSegmentLength=1024\0");
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::ProtocolError));
    assert_eq!(s.target.parameters().peer_max_segment, 8192);
    // Nothing is left of it that could be continued.
    let mut late = s.text();
    (late.itt, late.ttt) = (request.itt, response.ttt);
    s.send(late);
    s.answer().assert_reject(RejectReason::InvalidPduField, &late.emit());
}

// covers: 7143-6.4-9
#[test]
fn a_negotiation_can_be_begun_anew() {
    let mut s = Setup::default().connect();
    let mut request = s.text();
    request.final_ = false;
    s.send_with(request, b"MaxRecvDataSegmentLength=1024\0");
    let stale = text_response(&s.answer()).ttt;
    let mut fresh = s.text();
    fresh.itt = request.itt;
    s.send_with(fresh, b"MaxRecvDataSegmentLength=2048\0");
    assert!(text_response(&s.answer()).final_);
    assert_eq!(s.target.parameters().peer_max_segment, 2048);
    // The tag of the abandoned one means nothing any more.
    let mut late = s.text();
    (late.itt, late.ttt) = (request.itt, stale);
    s.send(late);
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::InvalidPduField));
}

#[test]
fn text_joined_by_the_c_bit_is_read_as_one() {
    let mut s = Setup::default().connect();
    let text = b"MaxRecvDataSegmentLength=1024\0";
    let mut request = s.text();
    (request.final_, request.continued) = (false, true);
    for (n, byte) in text.iter().enumerate() {
        if n + 1 == text.len() {
            (request.final_, request.continued) = (true, false);
        }
        s.send_with(request, &[*byte]);
        let answer = s.answer();
        let response = text_response(&answer);
        assert!(answer.data.is_empty() && !response.continued);
        (request.ttt, request.cmd_sn) = (response.ttt, s.cmd_sn);
        s.cmd_sn = s.cmd_sn.next();
    }
    assert_eq!(s.target.parameters().peer_max_segment, 1024);
}

#[test]
fn endless_text_is_refused() {
    let mut s = Setup::default().limits(|l| l.text_bytes = 10_000).connect();
    let mut request = s.text();
    (request.final_, request.continued) = (false, true);
    for n in 0.. {
        assert!(n < 10, "there is no limit");
        s.send_with(request, &[b'A'; 3000]);
        let answer = s.answer();
        if let TargetPdu::Reject(reject) = answer.pdu {
            assert_eq!((n, reject.reason), (3, RejectReason::ProtocolError));
            break;
        }
        (request.ttt, request.cmd_sn) = (text_response(&answer).ttt, s.cmd_sn);
        s.cmd_sn = s.cmd_sn.next();
    }
}

// covers: 7143-6.2-5
#[test]
fn a_second_request_while_the_first_is_being_answered_is_refused_and_does_no_harm() {
    let mut s = Setup::discovery().connect();
    let (first, events) = ask(&mut s, "All");
    let (second, none) = ask(&mut s, "All");
    assert!(none.is_empty());
    let mut header = second.emit();
    header.set_data_segment_len(16);
    s.answer().assert_reject(RejectReason::ProtocolError, &header);
    s.target.answer_send_targets(asked(&events).0, &[record("iqn.a", &[])]).unwrap();
    let answer = s.answer();
    assert_eq!((text_response(&answer).itt, &answer.data[..]), (first.itt, &b"TargetName=iqn.a\0"[..]));
}

#[test]
fn an_answer_that_comes_after_the_connection_is_gone_goes_nowhere() {
    let mut s = Setup::discovery().connect();
    let (_, events) = ask(&mut s, "All");
    s.lose();
    assert_eq!(s.target.answer_send_targets(asked(&events).0, &[]), Err(Misuse::UnknownTask));
    assert!(matches!(s.events()[..], [Event::Ended(_)]));
}

// covers: 7143-11.10.2-1
#[test]
fn the_c_bit_excludes_the_f_bit() {
    let mut s = Setup::default().connect();
    let mut bhs = s.text().emit();
    bhs.0[1] = 0xc0;
    assert!(matches!(s.try_send(bhs, &[], b"A=1\0"), Err(PeerError::Frame(_))));
}

#[test]
fn the_tag_of_an_exchange_is_in_use() {
    let mut s = Setup::default().connect();
    let mut request = s.text();
    request.final_ = false;
    s.send_with(request, b"MaxRecvDataSegmentLength=1024\0");
    let response = text_response(&s.answer());
    let mut plain = s.plain();
    plain.itt = request.itt;
    s.send(plain);
    s.answer().assert_reject(RejectReason::TaskInProgress, &plain.emit());
    s.cmd_sn = plain.cmd_sn;
    let mut end = s.text();
    (end.itt, end.ttt) = (request.itt, response.ttt);
    s.send(end);
    s.answer();
    let mut plain = s.plain();
    plain.itt = request.itt;
    s.send(plain);
    let mut app = App::default();
    app.serve(&mut s);
    assert_eq!(s.answer().scsi().itt, request.itt, "and free again afterwards");
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    let mut s = Setup::default().connect();
    let mut request = s.text();
    (request.ttt, request.itt) = (Ttt(3), Itt(77));
    s.send(request);
    s.answer().assert_reject(RejectReason::InvalidPduField, &request.emit());
}
