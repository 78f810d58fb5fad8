//! Input that no initiator means well with: it is refused with a status, bounded in memory, and never panics.

mod login_support;

use iscsicore::login::{Leading, Negotiation, Offer, SessionType};
use iscsicore::wire::LoginRequest;
use iscsicore::{Limits, PeerError};
use login_support::*;
use proptest::prelude::*;

fn raw(data: &[u8]) -> u16 {
    let mut c = Conversation::new(open());
    let mut bytes = encode(NAMES);
    bytes.extend_from_slice(data);
    c.ask_raw(OPERATIONAL, &bytes).header.status.0
}

// covers: 7143-6.1-1 7143-6.1-2
#[test]
fn text_that_is_not_pairs() {
    let key = "K".repeat(64);
    let kilobytes = "K".repeat(4096);
    let table: [&[u8]; 12] = [
        kilobytes.as_bytes(),
        &[kilobytes.as_bytes(), b"\0"].concat(),
        &[key.as_bytes(), b"=1\0"].concat(),
        &[kilobytes.as_bytes(), b"=1\0"].concat(),
        b"=1\0",
        b"NoValue\0",
        b"Unterminated=1",
        b"9Key=1\0",
        b"lower=1\0",
        b"A key=1\0",
        b"X-a=\xff\xfe\0",
        b"\xc3\x28=1\0",
    ];
    for data in table {
        assert_eq!(raw(data), 0x0200, "{:?}", String::from_utf8_lossy(data.get(..20).unwrap_or(data)));
    }
    // What looks odd and is in order: padding counted as text, 63 characters, an `=` in the value.
    assert_eq!(raw(b"\0\0\0"), 0);
    assert_eq!(raw(&[&key.as_bytes()[1..], b"=1\0"].concat()), 0);
    assert_eq!(raw(b"X-a=b=c\0"), 0);
    assert_eq!(raw(&[b"X-a=".as_slice(), &[b'v'; 256], b"\0"].concat()), 0x0200);
}

// covers: 7143-6.1-4
#[test]
fn text_is_taken_up_to_the_limit_and_no_further() {
    let mut limits = Limits::default();
    limits.login_text_bytes = 10_000;
    let mut c = Conversation::with_limits(open(), limits.clone());
    assert!(Limits::default().login_text_bytes >= 8192);
    // 8192 bytes and more are taken, in one piece as in several.
    let mut text = encode(NAMES);
    text.resize(8192, 0);
    assert_eq!(c.ask_raw(OPERATIONAL, &text).header.status.0, 0);
    let mut c = Conversation::with_limits(open(), limits.clone());
    assert_eq!(c.ask_continued(OPERATIONAL, &text).header.status.0, 0);
    assert_eq!(c.ask_raw(OPERATIONAL, &[0; 1808]).header.status.0, 0);
    let mut c = Conversation::with_limits(open(), limits);
    assert_eq!(c.ask_continued(OPERATIONAL, &text).header.status.0, 0);
    assert_eq!(c.ask_raw(OPERATIONAL, &[0; 1809]).header.status.0, 0x0200);
    c.assert_failed(0x0200);
}

#[test]
fn a_segment_longer_than_the_default_is_not_taken() {
    let mut c = Conversation::new(open());
    assert_eq!(c.ask(SECURITY, None, NAMES).header.status.0, 0);
    let mut bhs = c.template.emit();
    bhs.set_data_segment_len(8193);
    let replies = c.feed(bhs.0.to_vec());
    assert_eq!(replies.last().map(|r| r.header.status.0), Some(0x0200));
    assert!(matches!(c.error, Some(PeerError::Frame(_))), "{:?}", c.error);
    assert!(c.incoming.is_closing());
    // The largest length that fits the field, from a stranger: not a byte is said, nor held.
    let mut c = Conversation::new(open());
    bhs.set_data_segment_len(0xff_ffff);
    assert!(c.feed(bhs.0.to_vec()).is_empty());
    assert!(matches!(c.error, Some(PeerError::Frame(_))));
    assert!(c.incoming.is_closing());
}

#[test]
fn an_answer_does_not_outgrow_its_limit() {
    let keys: String = (0..100).map(|i| format!(" X-{i}=")).collect();
    let mut limits = Limits::default();
    limits.text_answer_bytes = 1000;
    let mut c = Conversation::with_limits(open(), limits);
    assert_eq!(c.ask(OPERATIONAL, None, &format!("{NAMES}{keys}")).header.status.0, 0x0200);
    c.assert_failed(0x0200);
    // Memory for keys that nobody knows has a bound of its own.
    let mut c = Conversation::new(open());
    let mut status = c.ask(OPERATIONAL, None, NAMES).header.status.0;
    let mut sent = 0;
    while status == 0 && sent < 1000 {
        status = c.ask(OPERATIONAL, None, &format!("X-{sent}=")).header.status.0;
        sent += 1;
        if sent % 50 == 0 {
            let more: String = (0..100).map(|i| format!("X-{sent}.{i}= ")).collect();
            status = c.ask(OPERATIONAL, None, &more).header.status.0;
            sent += 100;
        }
    }
    assert_eq!(status, 0x0200);
    assert!(sent <= 300, "{sent} keys");
}

#[test]
fn a_login_does_not_go_on_for_ever() {
    let mut c = Conversation::new(open());
    c.ask(SECURITY, None, NAMES);
    let answered = (0..100).take_while(|_| c.ask(SECURITY, None, "").header.status.is_success()).count();
    assert_eq!(answered as u32, Limits::default().login_pdus - 1);
    c.assert_failed(0x0200);
    let mut c = Conversation::new(open());
    let answered = (0..100).take_while(|_| c.ask_continued(SECURITY, &[]).header.status.is_success()).count();
    assert_eq!(answered as u32, Limits::default().login_pdus);
}

// Every prefix of a login is a connection that waits, and the rest completes it.
#[test]
fn requests_cut_at_every_byte() {
    let data = encode(&format!("{NAMES} InitialR2T=No"));
    let mut bhs = Conversation::new(open()).template.emit();
    bhs.set_data_segment_len(data.len() as u32);
    let mut bytes = bhs.0.to_vec();
    bytes.extend_from_slice(&data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    for cut in 0..bytes.len() {
        let mut c = Conversation::new(open());
        assert!(c.feed(bytes[..cut].to_vec()).is_empty(), "cut at {cut}");
        assert!(c.error.is_none() && !c.incoming.is_closing());
        let reply = c.feed(bytes[cut..].to_vec()).pop().expect("a reply");
        assert!(reply.text.ends_with("InitialR2T=No"));
    }
}

// The text itself, cut: the length in the header agrees, the pairs do not.
#[test]
fn text_cut_at_every_byte() {
    let data = encode(&format!("{NAMES} MaxBurstLength=65536"));
    for cut in 0..data.len() {
        let mut c = Conversation::new(chap());
        let status = c.ask_raw(OPERATIONAL, &data[..cut]).header.status.0;
        assert!([0x0200, 0x0201, 0x0207].contains(&status), "cut at {cut}: {status:#x}");
        assert!(c.incoming.is_closing());
    }
}

#[test]
fn additional_headers_do_not_confuse() {
    let mut c = Conversation::new(open());
    let mut bhs = c.template.emit();
    let data = encode(NAMES);
    bhs.set_data_segment_len(data.len() as u32);
    bhs.set_total_ahs_len(8);
    let mut bytes = bhs.0.to_vec();
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let reply = c.feed(bytes).pop().expect("a reply");
    assert_eq!(reply.header.status.0, 0x0200);
}

proptest! {
    // Whatever comes: an answer or a closed connection, and never a login that skipped the proof.
    #[test]
    fn any_bytes_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut c = Conversation::new(chap());
        c.feed(bytes);
        prop_assert!(!c.ready);
    }

    #[test]
    fn any_headers_and_any_keys(
        requests in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec((0..40usize, "[0-9A-Za-z,~=]{0,12}"), 0..4)),
            0..6,
        )
    ) {
        let mut c = Conversation::new(chap());
        for (n, (flags, keys)) in requests.iter().enumerate() {
            let mut text = if n == 0 { encode(NAMES) } else { Vec::new() };
            for (row, value) in keys {
                let name = iscsicore::login::keys::KEYS.get(*row).map_or("X-other", |k| k.name);
                text.extend_from_slice(format!("{name}={value}\0").as_bytes());
            }
            let mut bhs = LoginRequest { csg: SECURITY, ..c.template }.emit();
            bhs.0[1] = *flags;
            c.exchange(bhs, &text);
            if c.incoming.is_closing() {
                break;
            }
        }
        prop_assert!(!c.ready);
        prop_assert!(c.incoming.user().is_none());
    }

    // The result of any negotiation is a set of values that the RFC allows, whatever was proposed.
    #[test]
    fn results_are_always_admissible(
        proposals in proptest::collection::vec((0..35usize, prop_oneof![
            any::<u32>().prop_map(|n| n.to_string()),
            (0..70_000u32).prop_map(|n| n.to_string()),
            Just("Yes".to_owned()),
            Just("No".to_owned()),
            Just("None,CRC32C".to_owned()),
        ]), 0..12),
    ) {
        let mut n = Negotiation::new(Offer::default(), SessionType::Normal, Leading::Yes);
        for (row, value) in &proposals {
            let name = iscsicore::login::keys::KEYS[*row].name;
            let Ok(answers) = n.answer(&[(name, value)]) else { continue };
            prop_assert!(answers.len() <= 1);
        }
        if let Ok(p) = n.finish() {
            prop_assert!(p.first_burst <= p.max_burst);
            prop_assert!((512..1 << 24).contains(&p.max_burst) && (512..1 << 24).contains(&p.first_burst));
            prop_assert!((512..1 << 24).contains(&p.peer_max_segment));
            prop_assert!(p.max_connections == 1 && p.error_recovery_level == 0 && p.protocol_level <= 1);
            prop_assert!(p.max_outstanding_r2t >= 1 && p.time2wait <= 3600 && p.time2retain <= 3600);
        }
    }
}
