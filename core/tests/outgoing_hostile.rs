//! Targets that lie, stall, flood, or answer what nobody asked: each costs an error, and no more memory than the limits
//! allow.

mod outgoing_support;

use iscsicore::wire::{Bhs, CmdSn, Isid, Itt, LoginResponse, LoginStatus, Opcode, Stage, StatSn, Tsih};
use iscsicore::{FrameError, Limits, PeerError};
use outgoing_support::*;

/// What a hostile target does to a response.
type Change = fn(&mut LoginResponse);

/// A login whose only fault is what `change` does to the answer to its first request.
#[track_caller]
fn first_response(change: Change, part: &str) {
    let mut talk = Talk::new(config());
    talk.asked();
    talk.answer_with("TargetPortalGroupTag=1 AuthMethod=None", |r| {
        (r.transit, r.nsg) = (true, Some(OPERATIONAL));
        change(r);
    });
    talk.broken(part);
}

/// The same for its last response.
#[track_caller]
fn final_response(change: Change, part: &str) {
    let mut talk = Talk::operational(config());
    talk.answer_with(ANSWERS, |r| {
        (r.transit, r.nsg, r.tsih) = (true, Some(FULL), Tsih(1));
        change(r);
    });
    talk.broken(part);
}

fn limited(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

// Nothing is asked for again before the full-feature phase: whatever is wrong ends the login.
// covers: 7143-7.1.4-3
#[test]
fn fields_that_are_not_those_of_the_login() {
    let checks: [fn(Change, &str); 2] = [first_response, final_response];
    for check in checks {
        check(|r| r.itt = Itt(r.itt.0 ^ 1), "Initiator Task Tag");
        check(|r| r.itt = Itt::RESERVED, "Initiator Task Tag");
        check(|r| r.isid = Isid([0; 6]), "ISID");
        check(|r| r.isid.0[5] ^= 1, "ISID");
    }
    first_response(|r| r.csg = OPERATIONAL, "another stage");
    first_response(|r| r.version_active = 1, "version");
    final_response(|r| r.csg = SECURITY, "another stage");
    final_response(|r| r.stat_sn = r.stat_sn.next(), "StatSN");
    final_response(|r| r.stat_sn = StatSn(r.stat_sn.0.wrapping_sub(1)), "StatSN");
    final_response(|r| r.tsih = Tsih(0), "TSIH");
    final_response(|r| r.exp_cmd_sn = r.exp_cmd_sn.next(), "CmdSN");
    final_response(|r| r.max_cmd_sn = CmdSn(r.exp_cmd_sn.0.wrapping_sub(2)), "MaxCmdSN");
}

#[test]
fn a_window_that_is_shut_is_fine() {
    let mut talk = Talk::operational(config());
    talk.answer_with(ANSWERS, |r| {
        (r.transit, r.nsg, r.tsih) = (true, Some(FULL), Tsih(1));
        r.max_cmd_sn = CmdSn(r.exp_cmd_sn.0.wrapping_sub(1));
    });
    talk.ready();
}

#[test]
fn stages_that_were_not_asked_for() {
    // Further than asked.
    first_response(|r| r.nsg = Some(FULL), "not asked for");
    // Back, or nowhere.
    first_response(|r| r.nsg = Some(SECURITY), "not asked for");
    final_response(|r| r.nsg = Some(OPERATIONAL), "not asked for");
    final_response(|r| r.nsg = Some(SECURITY), "not asked for");
    // Without having been asked.
    let mut talk = Talk::new(chap());
    talk.asked();
    talk.answer(OPERATIONAL, "AuthMethod=CHAP");
    talk.broken("did not end");
    // While this end's text goes on.
    let mut talk = Talk::operational(config());
    let unknown: Vec<String> = (0..60).map(|n| format!("X-com.example.key{n}=1")).collect();
    talk.answer(None, &format!("MaxRecvDataSegmentLength=512 {}", unknown.join(" ")));
    assert!(talk.asked().header.continued);
    talk.answer(FULL, "");
    talk.broken("did not end");
}

#[test]
fn bits_and_codes_that_do_not_exist() {
    for (byte, part) in [
        (0xc1u8, "C and T"),
        (0x88, "CSG"),
        (0x82, "NSG"),
        // Full feature as the present stage.
        (0x0c, "another stage"),
    ] {
        let mut talk = Talk::new(config());
        talk.asked();
        let mut bhs = talk.response().emit();
        bhs.0[1] = byte;
        talk.push(bhs, &encode("AuthMethod=None"));
        talk.broken(part);
    }
}

// covers: 7143-4.2.4-7
#[test]
fn no_other_pdu_is_taken_during_a_login() {
    for byte in 0..=0x3fu8 {
        let opcode = Opcode::from_code(byte);
        if opcode == Opcode::LoginResponse {
            continue;
        }
        for stage in [SECURITY, OPERATIONAL] {
            let mut talk = Talk::new(config());
            talk.asked();
            if stage == OPERATIONAL {
                talk.answer(OPERATIONAL, "AuthMethod=None");
                talk.asked();
            }
            let mut bhs = talk.response().emit();
            bhs.0[0] = byte;
            talk.push(bhs, &[]);
            let failure = talk.failed();
            let part = if opcode == Opcode::Reject { "rejects" } else { "during login" };
            assert!(failure.why.contains(part), "{byte:#x} {failure}");
            assert!(talk.error.is_some());
        }
    }
}

// covers: 7143-11.17.1-3
#[test]
fn a_reject_ends_the_login() {
    let mut talk = Talk::operational(config());
    let mut bhs = Bhs::new(Opcode::Reject);
    bhs.0[2] = 0x0b;
    let rejected = talk.last.as_ref().expect("a request").bhs.0;
    talk.push(bhs, &rejected);
    talk.broken("reason 0x0b");
}

#[test]
fn a_segment_longer_than_a_login_takes() {
    let mut talk = Talk::new(config());
    talk.asked();
    let mut bhs = talk.response().emit();
    bhs.set_data_segment_len(8193);
    talk.feed(bhs.0.to_vec());
    assert_eq!(talk.error, Some(PeerError::Frame(FrameError::SegmentTooLong { len: 8193, max: 8192 })));
    assert!(talk.failed().why.contains("8193"));
}

// Text without an end runs into the limit on text; in pieces of a byte, into the limit on responses.
#[test]
fn text_without_an_end() {
    let limits = limited(|l| l.login_text_bytes = 16_384);
    let mut talk = Talk::with_limits(config(), limits.clone());
    talk.asked();
    let mut taken = 0;
    while talk.error.is_none() {
        let mut response = talk.response();
        response.continued = true;
        talk.push(response.emit(), &[b'a'; 8192]);
        taken += 8192;
        assert!(taken <= 16_384 + 8192);
        if talk.error.is_none() {
            talk.asked();
        }
    }
    assert_eq!(taken, 16_384 + 8192);
    talk.broken("16384 bytes of text");

    let mut talk = Talk::with_limits(config(), limits);
    talk.asked();
    for sent in 0.. {
        let mut response = talk.response();
        response.continued = true;
        talk.push(response.emit(), b"a");
        if talk.error.is_some() {
            assert_eq!(sent, 64);
            break;
        }
        talk.asked();
    }
    talk.broken("too many responses");
}

#[test]
fn a_login_without_an_end() {
    for pdus in [6, 64] {
        let mut talk = Talk::with_limits(config(), limited(|l| l.login_pdus = pdus));
        talk.asked();
        talk.answer(None, "AuthMethod=None");
        for _ in 1..pdus {
            talk.asked();
            talk.answer(None, "");
        }
        talk.asked();
        talk.answer(None, "");
        talk.broken("too many responses");
    }
}

// At least six exchanges are allowed with the limits as they are (RFC 7143 section 6.2).
#[test]
fn a_login_of_many_steps_is_fine() {
    let mut talk = Talk::operational(config());
    for pair in ANSWERS.split_whitespace() {
        talk.answer(None, pair);
        talk.asked();
    }
    talk.answer(FULL, "");
    talk.ready();
}

#[test]
fn keys_without_number() {
    let mut talk = Talk::operational(config());
    for round in 0..2 {
        let keys: Vec<String> = (0..200).map(|n| format!("X-k.{round}.{n}=1")).collect();
        talk.answer(None, &keys.join(" "));
        while talk.ask().is_some_and(|asked| asked.header.continued) {
            talk.answer(None, "");
        }
    }
    talk.broken("too many unknown keys");
}

#[test]
fn text_that_is_none() {
    for (data, part) in [
        (&b"AuthMethod"[..], "without a value"),
        (b"AuthMethod=None", "NUL"),
        (b"=None\0", "not a key"),
        (b"authMethod=None\0", "not a key"),
        (b"TargetAlias=\xff\0", "UTF-8"),
    ] {
        let mut talk = Talk::new(config());
        talk.asked();
        let response = talk.response();
        talk.push(response.emit(), data);
        talk.broken(part);
    }
    let long = format!("TargetAlias={}\0", "a".repeat(256));
    let mut talk = Talk::new(config());
    talk.asked();
    let response = talk.response();
    talk.push(response.emit(), long.as_bytes());
    talk.broken("too long");
}

#[test]
fn answers_to_requests_that_were_not_sent() {
    let mut talk = Talk::new(config());
    // Before the first request has left.
    let mut early = Talk::new(config());
    early.asked();
    let response = early.response();
    talk.push(response.emit(), &[]);
    assert!(matches!(talk.error, Some(PeerError::Login { .. })));

    // Two answers to one request, in one read.
    let mut talk = Talk::new(config());
    talk.asked();
    let first = LoginResponse { transit: true, nsg: Some(OPERATIONAL), ..talk.response() };
    let second =
        LoginResponse { transit: true, csg: OPERATIONAL, nsg: Some(FULL), tsih: Tsih(1), ..talk.response() };
    let mut bytes = pdu(first.emit(), &encode("AuthMethod=None"));
    bytes.extend(pdu(second.emit(), &encode(ANSWERS)));
    talk.feed(bytes);
    talk.broken("not sent yet");
}

#[test]
fn text_in_the_middle_of_a_request() {
    let unknown: Vec<String> = (0..60).map(|n| format!("X-com.example.key{n}=1")).collect();
    let text = format!("MaxRecvDataSegmentLength=512 {}", unknown.join(" "));
    for (continued, data) in [(false, "InitialR2T=Yes"), (true, "")] {
        let mut talk = Talk::operational(config());
        talk.answer(None, &text);
        assert!(talk.asked().header.continued);
        talk.answer_with(data, |r| r.continued = continued);
        talk.broken("not complete");
    }
}

// What was wrong stays wrong: nothing that arrives afterwards is looked at.
#[test]
fn errors_are_final() {
    let mut talk = Talk::operational(config());
    talk.answer(FULL, "InitialR2T=Maybe");
    let error = talk.error.take();
    assert!(error.is_some());
    talk.answer(FULL, ANSWERS);
    assert_eq!(talk.error, error);
    assert!(talk.failed().why.contains("InitialR2T=Maybe"));
    assert_eq!(talk.outgoing.parameters(), None);
}

// A refusal is read whatever the rest of the header says: all but its status is reserved.
#[test]
fn refusals_with_garbage_in_their_headers() {
    for fill in [0x00u8, 0xff, 0xa5] {
        let mut talk = Talk::new(config());
        talk.asked();
        let mut bhs = talk.response().emit();
        bhs.0[1] = fill;
        bhs.0[8..36].fill(fill);
        bhs.0[36..38].copy_from_slice(&LoginStatus::NOT_FOUND.0.to_be_bytes());
        talk.push(bhs, &[]);
        assert_eq!(talk.failed().status, Some(LoginStatus::NOT_FOUND));
        assert_eq!(talk.error, None, "to refuse breaks no rule");
    }
}

// Every response cut at every byte does no harm, and arrives as if it had not been cut.
#[test]
fn responses_in_pieces_of_any_size() {
    for size in [1, 2, 47, 48, 49, 100] {
        let mut talk = Talk::new(config());
        let mut next: Stage = OPERATIONAL;
        for text in ["AuthMethod=None", ANSWERS] {
            talk.asked();
            let tsih = if next == FULL { Tsih(1) } else { Tsih(0) };
            let response = LoginResponse { transit: true, nsg: Some(next), tsih, ..talk.response() };
            let bytes = pdu(response.emit(), &encode(text));
            bytes.chunks(size).for_each(|piece| talk.feed(piece.to_vec()));
            next = FULL;
        }
        talk.ready();
    }
}

// Whatever arrives, the login ends once or goes on; nothing panics. Method: a good login with bits turned over, bytes
// cut out and bytes doubled, from a generator that repeats itself.
#[test]
fn damaged_responses() {
    let mut state = 1u64;
    let mut dice = move |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % sides
    };
    let (mut ready, mut failed) = (0, 0);
    for _ in 0..5000 {
        let mut talk = Talk::new(mutual());
        let mut asked = talk.ask();
        for step in 0..6 {
            let Some(request) = asked else { break };
            let (text, next) = match step {
                0 => ("TargetPortalGroupTag=1 AuthMethod=CHAP".to_owned(), None),
                1 => ("CHAP_A=5 CHAP_I=1 CHAP_C=0x0102030405060708".to_owned(), None),
                2 if value(&request.text, "CHAP_C").is_some() => {
                    let proof = chap_proof(5, &request.text, TARGET_SECRET);
                    (format!("CHAP_N=disk CHAP_R={proof}"), Some(OPERATIONAL))
                }
                3 => (ANSWERS.to_owned(), Some(FULL)),
                _ => (String::new(), request.header.nsg),
            };
            let response =
                LoginResponse { transit: next.is_some(), nsg: next, tsih: Tsih(1), ..talk.response() };
            let mut bytes = pdu(response.emit(), &encode(&text));
            let at = dice(bytes.len());
            match dice(12) {
                0 => bytes[at] ^= 1 << dice(8),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[at]),
                _ => {}
            }
            talk.feed(bytes);
            asked = talk.ask();
        }
        match talk.outgoing.poll_event() {
            Some(iscsicore::initiator::OutgoingEvent::Ready) => ready += 1,
            Some(_) => failed += 1,
            None => assert!(talk.outgoing.poll_timeout().is_some(), "a login that goes on has a deadline"),
        }
        assert_eq!(talk.outgoing.poll_event(), None);
    }
    assert!(ready > 500 && failed > 500, "{ready} {failed}");
}
