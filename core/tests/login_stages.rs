//! Stages, header fields, continued text, and the status of every refusal.

mod login_support;

use iscsicore::login::Admission;
use iscsicore::target::{Incoming, Moved};
use iscsicore::wire::{Bhs, Cid, CmdSn, Isid, Itt, LoginRequest, LoginStatus, Opcode, Stage, StatSn, Tsih};
use iscsicore::{Instant, Limits, Misuse, PeerError};
use login_support::*;

const DURATION: u64 = 15_000_000_000;

fn many_keys(count: usize) -> String {
    (0..count).map(|i| format!("X-com.example.storage.k{i}=v ")).collect()
}

// Both stages, with and without the security stage; the response agrees only to what was asked.
// covers: 7143-6.3-5 7143-6.3-6 7143-6.3-9 7143-6.3-11 7143-11.13.6-2 7143-6.2-22
#[test]
fn ways_through_the_stages() {
    let mut c = Conversation::new(open());
    let reply = c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=None"));
    assert!(!reply.header.transit && reply.header.csg == SECURITY);
    // As often as it likes, within reason.
    for _ in 0..6 {
        assert!(!c.ask(SECURITY, None, "").header.transit);
    }
    let reply = c.ask(SECURITY, OPERATIONAL, "");
    assert_eq!((reply.header.transit, reply.header.nsg), (true, Some(OPERATIONAL)));
    let reply = c.ask(OPERATIONAL, None, "InitialR2T=Yes");
    assert!(!reply.header.transit && reply.header.csg == OPERATIONAL);
    assert!(!c.ready);
    assert!(c.replies(OPERATIONAL, FULL, "").is_empty());
    assert!(c.ready);
    // Names and all, in one request.
    let mut c = Conversation::new(open());
    assert!(c.replies(OPERATIONAL, FULL, NAMES).is_empty());
    assert!(c.ready && !c.incoming.is_closing());
    // Security, ready to skip it.
    let mut c = Conversation::new(open());
    let reply = c.ask(SECURITY, OPERATIONAL, NAMES);
    assert_eq!((reply.text.as_str(), reply.header.nsg), ("TargetPortalGroupTag=1", Some(OPERATIONAL)));
}

#[test]
fn ways_that_do_not_exist() {
    let illegal = [
        (FULL, None),
        (FULL, Some(FULL)),
        (SECURITY, Some(SECURITY)),
        (OPERATIONAL, Some(SECURITY)),
        (OPERATIONAL, Some(OPERATIONAL)),
    ];
    for (csg, nsg) in illegal {
        let mut c = Conversation::new(open());
        assert_eq!(c.ask(csg, nsg, NAMES).header.status.0, 0x0200, "{csg:?} {nsg:?}");
        c.assert_failed(0x0200);
    }
    // The stage changes without agreement.
    for (first, agreed, second) in [
        (SECURITY, None, OPERATIONAL),
        (OPERATIONAL, None, SECURITY),
        (SECURITY, Some(OPERATIONAL), SECURITY),
        (SECURITY, Some(OPERATIONAL), FULL),
    ] {
        let mut c = Conversation::new(open());
        assert!(c.ask(first, agreed, NAMES).header.status.is_success());
        assert_eq!(c.ask(second, None, "").header.status.0, 0x0200, "{first:?} {second:?}");
    }
    // The reserved stage, in either field; C with T.
    for byte in [0b0000_1000, 0b1000_0110, 0b1100_0101, 0b1100_0111] {
        let mut c = Conversation::new(open());
        let mut bhs = c.template.emit();
        bhs.0[1] = byte;
        let reply = c.exchange(bhs, &encode(NAMES)).pop().expect("a reply");
        assert_eq!(reply.header.status.0, 0x0200, "{byte:#010b}");
        assert_eq!(reply.header.itt, Itt(77));
        c.assert_failed(0x0200);
    }
}

// covers: 7143-6.2-1 7143-11.12.2-1
#[test]
fn continued_text_cannot_end_a_stage() {
    let mut c = Conversation::new(open());
    let mut bhs = LoginRequest { transit: true, nsg: Some(FULL), ..c.template }.emit();
    bhs.0[1] |= 0x40;
    assert_eq!(c.exchange(bhs, &encode(NAMES)).pop().map(|r| r.header.status.0), Some(0x0200));
    c.assert_failed(0x0200);
}

// covers: 7143-4.2.7.1-5 7143-6.3-3
#[test]
fn names_and_session_types() {
    let i = "InitiatorName=iqn.2024-01.com.example:host";
    let t = "TargetName=iqn.2024-01.com.example:disk";
    let long = format!("InitiatorName=iqn.2024-01.com.example:{}", "a".repeat(223 - 24));
    let table = [
        (format!("{i} {t}"), 0),
        (format!("{i} {t} SessionType=Normal"), 0),
        (format!("{i} SessionType=Discovery"), 0),
        (format!("{i} {t} SessionType=Discovery"), 0),
        (format!("{long} {t}"), 0),
        (t.to_owned(), 0x0207),
        (format!("InitiatorName= {t}"), 0x0207),
        (i.to_owned(), 0x0207),
        (format!("{i} TargetName="), 0x0207),
        (format!("{i} SessionType=Normal"), 0x0207),
        (String::new(), 0x0207),
        ("SessionType=Discovery".to_owned(), 0x0207),
        (format!("{i} {t} SessionType=Other"), 0x0209),
        (format!("{i} {t} SessionType="), 0x0209),
        (format!("{i} {t} SessionType=normal"), 0x0209),
        (format!("InitiatorName=a,b {t}"), 0x0200),
        (format!("{long}a {t}"), 0x0200),
        (format!("{i} TargetName=a,b"), 0x0203),
    ];
    for (text, want) in table {
        for stage in [SECURITY, OPERATIONAL] {
            let mut c = Conversation::new(open());
            assert_eq!(c.ask(stage, None, &text).header.status.0, want, "{text}");
            assert_eq!(c.hello.is_some(), want == 0);
        }
    }
}

// covers: 7143-11.13.2-1 7143-11.13.1-1 7143-11.12.4.2-2
#[test]
fn versions() {
    for (max, min, want) in [(0, 0, 0), (5, 0, 0), (5, 1, 0x0205), (0xff, 0xff, 0x0205), (0, 1, 0x0205)] {
        let mut c = Conversation::new(open());
        (c.template.version_max, c.template.version_min) = (max, min);
        let reply = c.ask(OPERATIONAL, None, NAMES);
        assert_eq!(reply.header.status.0, want, "{max} {min}");
        assert_eq!((reply.header.version_max, reply.header.version_active), (0, 0));
        if want == 0 {
            let reply = c.ask(OPERATIONAL, None, "");
            assert_eq!((reply.header.version_max, reply.header.version_active), (0, 0));
        }
    }
}

// Changes one field in the second request.
#[test]
fn fields_do_not_change_during_a_login() {
    let changes: [fn(&mut LoginRequest); 7] = [
        |r| r.version_max = 1,
        |r| r.version_min = 1,
        |r| r.isid = Isid([0; 6]),
        |r| r.tsih = Tsih(1),
        |r| r.itt = Itt(78),
        |r| r.cid = Cid(4),
        |r| r.cmd_sn = CmdSn(124),
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut c = Conversation::new(open());
        c.ask(OPERATIONAL, None, NAMES);
        change(&mut c.template);
        let reply = c.ask(OPERATIONAL, None, "");
        assert_eq!(reply.header.status.0, 0x0200, "change {i}");
        // The answer is to the login that there is.
        assert_eq!(reply.header.itt, Itt(77));
    }
    // In a session that is at work, CmdSN advances meanwhile.
    let mut c = Conversation::new(open());
    c.template.tsih = Tsih(5);
    c.ask(OPERATIONAL, None, NAMES);
    c.template.cmd_sn = CmdSn(130);
    assert!(c.ask(OPERATIONAL, None, "").header.status.is_success());
}

// covers: 7143-11.12.6-4 7143-11.12.7-2 7143-11.12.8-1
#[test]
fn the_first_request_says_who_it_is() {
    let mut c = Conversation::new(open());
    c.template.tsih = Tsih(0x1234);
    let reply = c.ask(OPERATIONAL, None, NAMES);
    let hello = c.hello.clone().expect("a hello");
    assert_eq!((hello.tsih, hello.cid, hello.isid), (Tsih(0x1234), Cid(3), Isid([0x40, 0, 1, 0x37, 0, 0])));
    assert_eq!(hello.initiator, "iqn.2024-01.com.example:host");
    assert_eq!((reply.header.tsih, reply.header.isid, reply.header.itt), (Tsih(0x1234), hello.isid, Itt(77)));
    let mut c = Conversation::new(open());
    let reply = c.ask(OPERATIONAL, None, NAMES);
    assert_eq!((reply.header.exp_cmd_sn, reply.header.max_cmd_sn), (CmdSn(123), CmdSn(250)));
}

// covers: 7143-11.13.3-1
#[test]
fn responses_are_numbered_and_name_no_session_yet() {
    let mut c = Conversation::new(open());
    let first = c.ask(SECURITY, None, NAMES).header.stat_sn;
    // From the seed, so that it cannot be foretold.
    assert_eq!(first, StatSn(2_089_272_248));
    for i in 1..5 {
        let header = c.ask(SECURITY, None, "").header;
        assert_eq!((header.stat_sn, header.tsih), (first.plus(i), Tsih(0)));
    }
}

// The text comes in pieces of one byte; each but the last is answered with nothing.
// covers: 7143-6.2-2 7143-6.3.1-1
#[test]
fn a_request_in_pieces() {
    let text = encode(&format!("{NAMES} InitialR2T=No"));
    for size in [1, 7, 64] {
        let mut limits = Limits::default();
        limits.login_pdus = 200;
        let mut c = Conversation::with_limits(open(), limits);
        let pieces: Vec<&[u8]> = text.chunks(size).collect();
        let (last, rest) = pieces.split_last().expect("pieces");
        for piece in rest {
            let reply = c.ask_continued(OPERATIONAL, piece);
            assert_eq!((reply.data_len, reply.header.transit, reply.header.continued), (0, false, false));
            assert!(reply.header.status.is_success() && c.hello.is_none());
        }
        let reply = c.ask_raw(OPERATIONAL, last);
        assert_eq!(reply.text, "TargetPortalGroupTag=1 MaxRecvDataSegmentLength=262144 InitialR2T=No");
    }
}

// An empty piece is a piece: nothing to join, and an empty answer.
#[test]
fn a_piece_without_text() {
    let mut c = Conversation::new(open());
    for _ in 0..3 {
        assert_eq!(c.ask_continued(OPERATIONAL, &[]).data_len, 0);
    }
    assert!(c.ask(OPERATIONAL, None, NAMES).header.status.is_success());
}

// The answer is longer than a response may be; the initiator fetches it with empty requests.
// covers: 7143-6.2-1 7143-11.13.7-1 7143-11.13.6-2 7143-6.3-1
#[test]
fn an_answer_in_pieces() {
    for (declared, room) in
        [("", 8192), ("MaxRecvDataSegmentLength=512", 512), ("MaxRecvDataSegmentLength=65536", 8192)]
    {
        let mut c = Conversation::new(open());
        let text = format!("{NAMES} {declared} {}", many_keys(250));
        let data = encode(&text);
        let (head, tail) = data.split_at(data.len().min(8000));
        let own = "TargetPortalGroupTag=1 MaxRecvDataSegmentLength=262144 ";
        let answers = (0..250).map(|i| format!("X-com.example.storage.k{i}=NotUnderstood").len() + 1);
        let mut left = own.len() + answers.sum::<usize>();
        let mut reply = if tail.is_empty() {
            c.ask_raw(OPERATIONAL, head)
        } else {
            c.ask_continued(OPERATIONAL, head);
            c.ask_raw(OPERATIONAL, tail)
        };
        let mut pieces = 1;
        while reply.header.continued {
            assert_eq!((reply.data_len, reply.header.transit), (room, false));
            left -= room;
            // Asking to leave does not make the answer shorter.
            let nsg = (left > room).then_some(FULL);
            reply = c.ask(OPERATIONAL, nsg, "");
            pieces += 1;
        }
        assert_eq!((reply.data_len, reply.header.transit), (left, false), "room {room}");
        assert!(pieces > 1);
        assert!(c.replies(OPERATIONAL, FULL, "").is_empty());
        assert!(c.ready);
    }
}

#[test]
fn text_in_the_middle_of_an_answer_is_an_error() {
    for continued in [false, true] {
        let mut c = Conversation::new(open());
        let reply =
            c.ask(OPERATIONAL, None, &format!("{NAMES} MaxRecvDataSegmentLength=512 {}", many_keys(40)));
        assert!(reply.header.continued);
        let reply = if continued {
            c.ask_continued(OPERATIONAL, &[])
        } else {
            c.ask(OPERATIONAL, None, "InitialR2T=Yes")
        };
        assert_eq!(reply.header.status.0, 0x0200);
        c.assert_failed(0x0200);
    }
}

// covers: 7143-4.2.4-5 7143-4.2.4-6
#[test]
fn only_login_requests_belong_in_a_login() {
    let codes = (0..64u8).filter(|c| *c != Opcode::LoginRequest.code());
    for code in codes {
        let other = Bhs::new(Opcode::from_code(code));
        let mut c = Conversation::new(open());
        assert!(c.exchange(other, &[]).is_empty(), "nothing is said before a login");
        assert!(c.incoming.is_closing());
        assert_eq!(c.error, Some(PeerError::Protocol("a PDU before the login")));

        let mut c = Conversation::new(open());
        c.ask(SECURITY, None, NAMES);
        let reply = c.exchange(other, &[]).pop().expect("a reply");
        assert_eq!((reply.header.status.0, reply.header.itt), (0x020b, Itt(77)), "{code:#x}");
        c.assert_failed(0x020b);
    }
}

#[test]
fn a_login_request_without_the_immediate_bit() {
    let mut c = Conversation::new(open());
    let mut bhs = c.template.emit();
    bhs.0[0] &= !0x40;
    assert_eq!(c.exchange(bhs, &encode(NAMES)).pop().map(|r| r.header.status.0), Some(0x0200));
}

#[test]
fn the_reserved_task_tag_names_no_login() {
    let mut c = Conversation::new(open());
    let mut bhs = c.template.emit();
    bhs.0[16..20].fill(0xff);
    assert_eq!(c.exchange(bhs, &encode(NAMES)).pop().map(|r| r.header.status.0), Some(0x0200));
}

// covers: 7143-11.13.5-5
#[test]
fn refusals_carry_their_status_and_end_the_connection() {
    for status in [0x0201, 0x0202, 0x0203, 0x0204, 0x0206, 0x0208, 0x020a, 0x0300, 0x0301, 0x0302] {
        for at_ready in [false, true] {
            let mut c = Conversation::new(open());
            if !at_ready {
                c.admission = None;
            }
            assert!(c.replies(OPERATIONAL, FULL, NAMES).is_empty());
            assert_eq!(c.ready, at_ready);
            c.incoming.refuse(LoginStatus(status), "for the test").expect("a login waits");
            let reply = c.drain().pop().expect("a reply");
            assert_eq!(reply.header.status.0, status);
            assert!(!reply.header.transit && !reply.header.continued && reply.text.is_empty());
            assert_eq!((reply.header.csg, reply.header.tsih), (Stage::SecurityNegotiation, Tsih(0)));
            assert!(c.incoming.is_closing());
            // Nothing more is taken.
            assert!(c.replies(OPERATIONAL, None, "").is_empty());
            assert_eq!(c.incoming.poll_event(), None);
        }
    }
}

// covers: 7143-11.13.5-1 7143-13.8-1
#[test]
fn redirections_name_the_address_without_a_tag() {
    for (moved, status) in [(Moved::Temporarily, 0x0101), (Moved::Permanently, 0x0102)] {
        let mut c = Conversation::new(open());
        c.admission = None;
        c.replies(SECURITY, None, NAMES);
        for bad in ["", "10.0.0.1,1", "a b", "a\0b"] {
            assert!(matches!(c.incoming.redirect(moved, bad), Err(Misuse::InvalidArgument(_))), "{bad:?}");
        }
        c.incoming.redirect(moved, "[2001:db8::1]:3261").expect("a login waits");
        let reply = c.drain().pop().expect("a reply");
        assert_eq!(reply.header.status.0, status);
        assert_eq!(reply.text, "TargetAddress=[2001:db8::1]:3261");
        assert!(c.incoming.is_closing());
    }
}

#[test]
fn answers_that_nobody_asked_for_are_misuse() {
    let mut c = Conversation::new(open());
    let refused = |r: Result<(), Misuse>| assert!(matches!(r, Err(Misuse::WrongState(_))));
    refused(c.incoming.admit(open()));
    refused(c.incoming.refuse(LoginStatus::NOT_FOUND, ""));
    refused(c.incoming.redirect(Moved::Permanently, "10.0.0.1"));
    c.ask(SECURITY, None, NAMES);
    refused(c.incoming.admit(open()));
    refused(c.incoming.refuse(LoginStatus::NOT_FOUND, ""));
    c.ask(SECURITY, OPERATIONAL, "");
    c.replies(OPERATIONAL, FULL, "");
    assert!(c.ready);
    refused(c.incoming.admit(open()));
    assert!(matches!(c.incoming.refuse(LoginStatus::SUCCESS, ""), Err(Misuse::InvalidArgument(_))));
    assert!(matches!(c.incoming.refuse(LoginStatus::MOVED_PERMANENTLY, ""), Err(Misuse::InvalidArgument(_))));
    assert!(c.incoming.is_ready());
}

#[test]
fn nothing_is_read_while_an_event_waits_for_its_answer() {
    let mut c = Conversation::new(open());
    c.admission = None;
    c.replies(SECURITY, None, NAMES);
    assert!(c.replies(SECURITY, None, "").is_empty());
    assert!(c.error.is_none());
    c.incoming.admit(open()).expect("a login waits");
    assert_eq!(c.drain().len(), 1);
    assert_eq!(c.feed(Vec::new()).len(), 1, "the request that had come meanwhile");
}

// covers: 7143-6.2-22
#[test]
fn logins_end_in_time() {
    let mut limits = Limits::default();
    limits.login_timeout = core::time::Duration::from_nanos(DURATION);
    let start = Instant::from_nanos(1000);
    let mut incoming = Incoming::new(limits, [1; 32], start);
    let deadline = Instant::from_nanos(1000 + DURATION);
    assert_eq!(incoming.poll_timeout(), Some(deadline));
    assert_eq!(incoming.handle_timeout(Instant::from_nanos(999 + DURATION)), Ok(()));
    assert!(!incoming.is_closing());
    assert!(matches!(incoming.handle_timeout(deadline), Err(PeerError::TimedOut(_))));
    assert!(incoming.is_closing());
}

// covers: 7143-6.3.1-1
#[test]
fn discovery_and_normal_sessions_say_hello() {
    let mut c = Conversation::new(Admission { target_alias: Some("x".into()), ..open() });
    let reply = c.ask(OPERATIONAL, None, "InitiatorName=iqn.2024-01.com.example:host SessionType=Discovery");
    assert_eq!(reply.text, "TargetPortalGroupTag=1 MaxRecvDataSegmentLength=262144");
    let hello = c.hello.clone().expect("a hello");
    assert_eq!((hello.target, hello.session_type), (None, iscsicore::login::SessionType::Discovery));
    let mut c = Conversation::new(open());
    c.admission = None;
    let bhs = LoginRequest { csg: SECURITY, ..c.template }.emit();
    assert!(c.exchange(bhs, &encode(NAMES)).is_empty());
    assert!(matches!(c.hello, Some(ref h) if h.target.is_some()));
}
