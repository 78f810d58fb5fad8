//! Peers that nobody knows yet. Each test names the class of defect and where it has bitten others; each asserts what
//! the peer gets, and that a well-behaved session is served meanwhile and afterwards.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use iscsicore::Limits;
use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::node::{ChapAccount, ChapRules, Initiators, IscsiName, NodeLimits, TargetConfig};
use iscsicore::wire::text::{Pairs, TextWriter, encode_base64};
use iscsicore::wire::{Bhs, LoginResponse, LoginStatus, Opcode, Stage};

use crate::support::initiator::{Login, Raw, Session};
use crate::support::serving::{Bystander, Serving, TARGET};

const CHAP_TARGET: &str = "iqn.2026-01.dev.iscsicore.test:chap";

/// The bytes of a login request as they stand on the wire.
fn wire((mut bhs, text): (Bhs, Vec<u8>)) -> Vec<u8> {
    bhs.set_data_segment_len(text.len() as u32);
    let mut bytes = bhs.0.to_vec();
    bytes.extend_from_slice(&text);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends bytes and the end of the stream; returns the statuses of the Login Responses that came.
fn say(serving: &Serving, bytes: &[u8]) -> Vec<LoginStatus> {
    let mut raw = Raw::connect(serving.address);
    raw.send_bytes(bytes);
    let _ = raw.stream.shutdown(Shutdown::Write);
    let answers = raw.drain();
    answers.iter().filter_map(|pdu| Some(LoginResponse::parse(&pdu.bhs).ok()?.status)).collect()
}

/// Sends one login request and returns how it was refused; the connection must be closed then.
fn refusal(serving: &Serving, login: &Login, text: &[u8]) -> Option<LoginStatus> {
    let mut raw = Raw::connect(serving.address);
    raw.send(login.header(), text.to_vec());
    let answer = raw.receive()?;
    let status = LoginResponse::parse(&answer.bhs).unwrap().status;
    assert!(!status.is_success(), "{:?}", String::from_utf8_lossy(text));
    assert!(raw.receive().is_none(), "closed after the refusal");
    Some(status)
}

/// Length underflow before authentication: a login shorter than its header (CVE-2026-53176).
#[test]
fn every_login_pdu_cut_at_every_byte() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let bytes = wire(Login::to(TARGET, "cut").request());
    for cut in 0..bytes.len() {
        assert_eq!(say(&serving, &bytes[..cut]), [], "cut at {cut}");
        if cut % 50 == 0 {
            bystander.is_served(&serving);
        }
    }
    assert_eq!(say(&serving, &bytes), [LoginStatus::SUCCESS], "not cut");
    // The same for the first PDU of a login in security negotiation, and with every length that the header may lie.
    let mut first = Login::to(CHAP_TARGET, "cut").header();
    first.0[1] = 0x81;
    let bytes =
        wire((first, b"InitiatorName=iqn.2026-01.a:b\0SessionType=Discovery\0AuthMethod=None\0".to_vec()));
    for cut in 0..bytes.len() {
        assert_eq!(say(&serving, &bytes[..cut]), [], "cut at {cut}");
    }
    for lie in 0..(bytes.len() - 48) {
        let mut lying = bytes.clone();
        lying[7] = lie as u8;
        let statuses = say(&serving, &lying);
        // A length that ends between two pairs is a whole login of another text.
        assert!(statuses.len() <= 1, "length {lie}: {statuses:?}");
    }
    bystander.is_served(&serving);
}

/// A 24-bit DataSegmentLength that is believed before login (`iscsi-target` 1.0.0): 16 MiB times connections. The
/// memory is measured in `server_memory`.
#[test]
fn data_segments_beyond_the_limit_of_the_login_end_the_connection() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    for len in [8193u32, 65536, 1 << 20, (1 << 24) - 1] {
        let mut bhs = Login::to(TARGET, "long").header();
        bhs.set_data_segment_len(len);
        let mut raw = Raw::connect(serving.address);
        raw.send_bytes(&bhs.0);
        let answers = raw.drain();
        assert!(answers.iter().all(|p| !LoginResponse::parse(&p.bhs).unwrap().status.is_success()), "{len}");
        bystander.is_served(&serving);
    }
}

/// Overflow by echoing an unknown key name, and keys without form (CVE-2013-2850).
#[test]
fn keys_and_values_without_form_are_initiator_errors() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "form");
    let good = format!("InitiatorName={}\0TargetName={TARGET}\0", login.initiator).into_bytes();
    let long = |n: usize| "K".repeat(n);
    let bad: Vec<Vec<u8>> = vec![
        long(4096).into_bytes(),
        [long(4096).into_bytes(), vec![0]].concat(),
        format!("{}=x\0", long(64)).into_bytes(),
        format!("{}=x\0", long(4000)).into_bytes(),
        b"=x\0".to_vec(),
        b"\xff\xfe=x\0".to_vec(),
        b"Key\x01=x\0".to_vec(),
        format!("InitiatorAlias={}\0", long(256)).into_bytes(),
        format!("InitiatorAlias={}\0", long(7000)).into_bytes(),
        b"X-unterminated=value".to_vec(),
        b"HeaderDigest=None\0HeaderDigest=None\0".to_vec(),
    ];
    for text in bad {
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        let status = refusal(&serving, &login, &[good.clone(), text].concat());
        assert_eq!(status, Some(LoginStatus::INITIATOR_ERROR), "{shown}");
    }
    bystander.is_served(&serving);
}

/// Names that are none, too long, or missing.
#[test]
fn names_without_form_or_missing_are_refused() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "names");
    let missing = LoginStatus::MISSING_PARAMETER;
    assert_eq!(refusal(&serving, &login, b""), Some(missing));
    assert_eq!(refusal(&serving, &login, format!("TargetName={TARGET}\0").as_bytes()), Some(missing));
    assert_eq!(refusal(&serving, &login, b"InitiatorName=iqn.2026-01.a:b\0"), Some(missing));
    for name in
        ["", "Reject", "iqn.2026-01.a b", "iqn.a,b", &format!("iqn.2026-01.a:{}", "x".repeat(240)), "\u{7f}"]
    {
        let text = format!("InitiatorName={name}\0TargetName={TARGET}\0");
        let status = refusal(&serving, &login, text.as_bytes());
        assert_eq!(status.map(LoginStatus::class), Some(2), "{name:?}");
    }
    bystander.is_served(&serving);
}

/// Names that follow no rule and confuse nobody are taken as they are, format strings among them.
#[test]
fn names_of_no_known_type_log_in() {
    let serving = Serving::new();
    for name in ["tester", "iqn.", "iqn.2026-01.a:My_VM", "%n%n%n%s"] {
        let mut raw = Raw::connect(serving.address);
        let text = format!("InitiatorName={name}\0TargetName={TARGET}\0");
        raw.send(Login::to(TARGET, "names").header(), text.into_bytes());
        let answer = raw.receive().unwrap();
        assert!(LoginResponse::parse(&answer.bhs).unwrap().status.is_success(), "{name:?}");
    }
}

/// Overflow of the response buffer: many keys, each answered, until the reply exceeds 8 KiB (LIO, bf33e01f; tgt
/// 8115bab). The answer comes in pieces of a legal size, and is whole.
#[test]
fn an_answer_longer_than_a_pdu_comes_in_pieces() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "pieces");
    let mut text = TextWriter::new();
    text.pair("InitiatorName", &login.initiator);
    text.pair("TargetName", TARGET);
    for n in 0..230 {
        text.pair(&format!("X-{}{n:03}", "k".repeat(58)), "1");
    }
    let text = text.finish();
    let mut raw = Raw::connect(serving.address);
    let chunks: Vec<&[u8]> = text.chunks(8000).collect();
    for (n, chunk) in chunks.iter().enumerate() {
        let mut bhs = login.header();
        if n + 1 < chunks.len() {
            bhs.0[1] = 0x44; // C, no T
        }
        raw.send(bhs, chunk.to_vec());
        if n + 1 < chunks.len() {
            assert!(raw.receive().unwrap().data.is_empty(), "an empty response asks for more");
        }
    }
    let (mut answer, mut pieces) = (Vec::new(), 0);
    loop {
        let pdu = raw.receive().expect("the answer goes on");
        let response = LoginResponse::parse(&pdu.bhs).unwrap();
        assert!(response.status.is_success(), "{:?} after {} bytes", response.status, answer.len());
        assert!(pdu.data.len() <= 8192);
        answer.extend_from_slice(&pdu.data);
        pieces += 1;
        if response.nsg == Some(Stage::FullFeature) {
            break;
        }
        assert!(response.continued);
        raw.send(login.header(), iscsicore::DataList::new());
    }
    let understood = Pairs::parse(&answer).map(Result::unwrap).filter(|(_, v)| *v == "NotUnderstood").count();
    assert_eq!(understood, 230);
    assert!(pieces > 1);
    // Beyond that it is no negotiation any more.
    let many: String = (0..1000).map(|n| format!("X-{n}=1\0")).collect();
    let text = format!("InitiatorName={}\0TargetName={TARGET}\0{many}", login.initiator);
    assert!(text.len() <= 8192);
    let statuses = say(&serving, &wire((login.header(), text.into_bytes())));
    assert_eq!(statuses, [LoginStatus::INITIATOR_ERROR]);
    bystander.is_served(&serving);
}

/// Text without end, in pieces that the C bit joins: bounded by bytes, and by requests.
#[test]
fn a_login_without_end_is_ended() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "endless");
    for text in [vec![b'X'; 8192], Vec::new()] {
        let mut raw = Raw::connect(serving.address);
        let mut bhs = login.header();
        bhs.0[1] = 0x44;
        let mut last = LoginStatus::SUCCESS;
        let mut requests = 0;
        while last.is_success() {
            raw.send(bhs, text.clone());
            last = LoginResponse::parse(&raw.receive().unwrap().bhs).unwrap().status;
            requests += 1;
            assert!(requests <= Limits::default().login_pdus + 1);
        }
        assert_eq!(last, LoginStatus::INITIATOR_ERROR);
        assert!(raw.receive().is_none());
    }
    bystander.is_served(&serving);
}

/// PDUs that are no login where a login is due.
// covers: 7143-4.2.4-5 7143-4.2.4-6
#[test]
fn other_pdus_before_and_during_a_login_end_the_connection() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    for code in (0..64u8).filter(|c| *c != 3) {
        let mut bhs = Bhs([0; 48]);
        bhs.0[0] = 0x40 | code;
        assert_eq!(say(&serving, &bhs.0), [], "opcode {code:#x} before the login");
        // During one: the first request leaves it open.
        let login = Login::to(TARGET, "mixed");
        let mut raw = Raw::connect(serving.address);
        let mut first = login.header();
        first.0[1] = 0x04;
        raw.send(first, login.request().1);
        assert!(LoginResponse::parse(&raw.receive().unwrap().bhs).unwrap().status.is_success());
        raw.send_bytes(&bhs.0);
        let answers = raw.drain();
        let statuses: Vec<_> = answers.iter().map(|p| LoginResponse::parse(&p.bhs).unwrap().status).collect();
        assert_eq!(statuses, [LoginStatus::INVALID_DURING_LOGIN], "opcode {code:#x} during the login");
    }
    bystander.is_served(&serving);
}

/// Headers of a login with fields that make no sense: stages, versions, additional headers, tags.
#[test]
fn login_headers_without_sense_are_refused() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "sense");
    let (good, text) = login.request();
    let change = |at: usize, value: u8| {
        let mut bhs = good;
        bhs.0[at] = value;
        bhs
    };
    let bad = [
        change(1, 0x88), // CSG 2
        change(1, 0x86), // NSG 2
        change(1, 0x8f), // from the full-feature phase
        change(1, 0xc7), // C and T
        change(3, 1),    // no version in common
        change(0, 0x03), // not immediate
        change(4, 255),  // 1020 bytes of additional headers
        change(4, 1),
    ];
    for bhs in bad {
        let statuses = say(&serving, &wire((bhs, text.clone())));
        assert!(statuses.iter().all(|s| !s.is_success()) && statuses.len() <= 1, "{bhs:?}: {statuses:?}");
    }
    let mut reserved = good;
    reserved.0[16..20].fill(0xff);
    assert!(!say(&serving, &wire((reserved, text.clone()))).contains(&LoginStatus::SUCCESS));
    bystander.is_served(&serving);
}

/// Noise instead of PDUs.
#[test]
fn noise_ends_the_connection() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut seed = 1u64;
    for round in 0..200 {
        let noise: Vec<u8> = (0..300)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        // Half of it behind the first byte of a login, which leads deeper.
        let bytes = if round % 2 == 0 { noise } else { [vec![0x43, 0x87, 0, 0, 0, 0, 0], noise].concat() };
        assert!(!say(&serving, &bytes).contains(&LoginStatus::SUCCESS));
    }
    bystander.is_served(&serving);
}

/// Half-open logins and floods of connections (MS14-028): a deadline, a cap, and no harm to those who are in.
#[test]
fn half_open_logins_are_few_and_short() {
    let mut limits = Limits::default();
    limits.login_timeout = Duration::from_millis(400);
    let mut node_limits = NodeLimits::default();
    node_limits.connections_in_login = 8;
    let serving = Serving::with(|b| {
        b.limits(limits).node_limits(node_limits);
    });
    let mut bystander = Bystander::new(&serving);
    let began = Instant::now();
    let bytes = wire(Login::to(TARGET, "half").request());
    let mut half: Vec<TcpStream> = (0..8usize)
        .map(|n| {
            let mut stream = TcpStream::connect(serving.address).unwrap();
            stream.write_all(&bytes[..n * 20]).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    for _ in 0..200 {
        let mut stream = TcpStream::connect(serving.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)), "one too many is closed");
    }
    bystander.is_served_here();
    for stream in &mut half {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let end = stream.read(&mut [0; 64]);
        assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset));
    }
    assert!(began.elapsed() < Duration::from_secs(4));
    bystander.is_served(&serving);
}

/// The deadline is one for the whole login: bytes that trickle in do not move it.
#[test]
fn a_login_that_trickles_in_is_cut_off() {
    let mut limits = Limits::default();
    limits.login_timeout = Duration::from_millis(300);
    let serving = Serving::with(|b| {
        b.limits(limits);
    });
    let mut bystander = Bystander::new(&serving);
    let bytes = wire(Login::to(TARGET, "trickle").request());
    let mut stream = TcpStream::connect(serving.address).unwrap();
    let began = Instant::now();
    let sent = bytes.iter().take_while(|byte| {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(&[**byte]).is_ok()
    });
    assert!(sent.count() < 60);
    assert!(began.elapsed() < Duration::from_secs(3));
    bystander.is_served(&serving);
}

/// More sessions than the server is to have: refused with a status that says so, and the others stay.
#[test]
fn sessions_are_bounded_and_those_of_one_initiator_too() {
    let mut node_limits = NodeLimits::default();
    node_limits.sessions_per_initiator = 4;
    node_limits.sessions = 10;
    let serving = Serving::with(|b| {
        b.node_limits(node_limits);
    });
    let mut bystander = Bystander::new(&serving);
    let login = |name: &str, isid| Session::login_only(serving.address, &Login::to(TARGET, name).isid(isid));
    let mut held: Vec<_> = (0..4).map(|n| login("greedy", n).unwrap()).collect();
    assert_eq!(login("greedy", 9).err(), Some(LoginStatus::OUT_OF_RESOURCES));
    held.extend((0..4).map(|n| login("greedy-2", n).unwrap()));
    held.push(login("third", 0).unwrap());
    assert_eq!(login("fourth", 0).err(), Some(LoginStatus::OUT_OF_RESOURCES));
    bystander.is_served_here();
    drop(held);
    serving.wait_for_sessions(1);
    bystander.is_served(&serving);
}

fn with_chap() -> Serving {
    Serving::with(|b| {
        let unit = b.disk("chap", std::sync::Arc::new(crate::platform::backend::MemoryBackend::new(1 << 20)));
        let mut target = TargetConfig::new(IscsiName::parse(CHAP_TARGET).unwrap());
        target.luns.insert(0, unit, iscsicore::node::UnitAccess::ReadWrite).unwrap();
        let account = |name: &str| ChapAccount {
            account: Account { name: name.to_owned(), secret: Secret::new("a secret of 96 bits") },
            initiators: Initiators::Any,
        };
        target.access.chap = Some(ChapRules {
            accounts: vec![account("A"), account("0x41"), account("ABC")],
            mutual: None,
            algorithms: ChapAlgorithm::ALL.to_vec(),
        });
        b.target_config(target);
    })
}

/// Begins a CHAP login and returns the connection with the target's challenge.
fn challenge(serving: &Serving, algorithm: &str) -> (Raw, Login, Vec<(String, String)>) {
    let login = Login::to(CHAP_TARGET, "chap");
    let mut raw = Raw::connect(serving.address);
    let mut bhs = login.header();
    bhs.0[1] = 0x00;
    let names = format!("InitiatorName={}\0TargetName={CHAP_TARGET}\0AuthMethod=CHAP\0", login.initiator);
    raw.send(bhs, names.into_bytes());
    assert!(String::from_utf8_lossy(&raw.receive().unwrap().data).contains("AuthMethod=CHAP"));
    raw.send(bhs, format!("CHAP_A={algorithm}\0").into_bytes());
    let pdu = raw.receive().unwrap();
    let pairs = Pairs::parse(&pdu.data).map(Result::unwrap);
    let pairs = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    (raw, login, pairs)
}

/// Responses and challenges of every wrong length and alphabet (LIO 85db7391, edk2 CVE-2021-38575, libiscsi#189,
/// SCST 6c6e7251b), values read as another type than they are (libiscsi#472, #473), and a repeated key.
#[test]
fn chap_answers_without_form_never_log_in() {
    let serving = with_chap();
    let mut bystander = Bystander::new(&serving);
    let hex = |bytes: usize| "ab".repeat(bytes);
    let base64 = |bytes: usize| encode_base64(&vec![0xab; bytes]);
    let mut answers: Vec<String> = Vec::new();
    for response in [
        format!("0b{}", "A".repeat(127)),
        format!("0b{}", "A".repeat(22) + "=="),
        format!("0b{}", "A".repeat(22)),
        format!("0b{}", "A".repeat(24) + "="),
        "0b====".to_owned(),
        "0b".to_owned(),
        "0x".to_owned(),
        String::new(),
        format!("0x{}", hex(15)),
        format!("0x{}", hex(16)),
        format!("0x{}", hex(17)),
        format!("0X{}", hex(16).to_uppercase()),
        format!("0x{}f", hex(15)),
        format!("0x{}", "zz".repeat(16)),
        format!("0x{}", hex(1024)),
        format!("0x{}", hex(3900)),
        base64(16),
        base64(1024),
        base64(1025),
        "12345".to_owned(),
        "-1".to_owned(),
    ] {
        answers.push(format!("CHAP_N=A\0CHAP_R={response}\0"));
    }
    let right_size = hex(16);
    for challenge in
        [String::new(), "0x".into(), format!("0x{}", hex(1025)), "0xabc".into(), format!("0x{}", hex(255))]
    {
        for identifier in ["0x2a", "256", "-1", "", "0", "4294967296"] {
            let back = format!("CHAP_I={identifier}\0CHAP_C={challenge}\0");
            answers.push(format!("CHAP_N=A\0CHAP_R=0x{right_size}\0{back}"));
        }
    }
    for name in ["0x41", "0b QUJD", "0bQUJD", "ABC", "", "%s%n", &"n".repeat(255), &"n".repeat(256)] {
        answers.push(format!("CHAP_N={name}\0CHAP_R=0x{right_size}\0"));
    }
    answers.push(format!("CHAP_N=A\0CHAP_N=A\0CHAP_R=0x{right_size}\0"));
    answers.push("CHAP_N=A\0".to_owned());
    answers.push(format!("CHAP_R=0x{right_size}\0"));
    answers.push(String::new());
    for answer in answers {
        let (mut raw, login, _) = challenge(&serving, "5");
        let mut bhs = login.header();
        bhs.0[1] = 0x83; // to the full-feature phase
        // A PDU of the login has at most 8192 bytes.
        let text = answer.clone().into_bytes();
        raw.send(bhs, text[..text.len().min(8192)].to_vec());
        let pdu = raw.receive().expect("a refusal");
        let response = LoginResponse::parse(&pdu.bhs).unwrap();
        assert_eq!(response.status.class(), 2, "{answer:?}: {response:?}");
        assert!(raw.receive().is_none());
    }
    bystander.is_served(&serving);
}

/// The challenge from a generator without a seed, identical at every boot (tgt, CVE-2024-45751).
#[test]
fn every_challenge_is_another() {
    let (first, second) = (with_chap(), with_chap());
    let mut seen = BTreeSet::new();
    for serving in [&first, &second] {
        for _ in 0..20 {
            let (_, _, pairs) = challenge(serving, "7");
            let challenge = pairs.iter().find(|(k, _)| k == "CHAP_C").unwrap().1.clone();
            assert!(challenge.len() >= 2 + 2 * 16, "{challenge}");
            assert!(seen.insert(challenge), "a challenge came twice");
        }
    }
}

/// Algorithms that are none, and logins that skip the authentication that the target demands.
#[test]
fn authentication_is_not_skipped() {
    let serving = with_chap();
    let mut bystander = Bystander::new(&serving);
    let (good, text) = Login::to(CHAP_TARGET, "skip").request();
    let names = format!("InitiatorName=iqn.2026-01.a:b\0TargetName={CHAP_TARGET}\0");
    let mut none = good;
    none.0[1] = 0x83;
    let mut to_operational = good;
    to_operational.0[1] = 0x81;
    for bytes in [
        wire((good, text)),
        wire((none, format!("{names}AuthMethod=None\0").into_bytes())),
        wire((none, names.clone().into_bytes())),
        wire((to_operational, format!("{names}AuthMethod=None\0").into_bytes())),
        wire((to_operational, format!("{names}AuthMethod=SRP,KRB5\0").into_bytes())),
    ] {
        let mut raw = Raw::connect(serving.address);
        raw.send_bytes(&bytes);
        let response = LoginResponse::parse(&raw.receive().unwrap().bhs).unwrap();
        // A target may also stay in the stage and wait for the method: it must not go on.
        assert!(response.status.class() == 2 || response.nsg.is_none(), "{response:?}");
    }
    // A login that goes on to the next stage while its response is owed.
    let (mut raw, ..) = challenge(&serving, "5");
    raw.send_bytes(&wire((good, Vec::new())));
    assert!(raw.drain().iter().all(|p| !LoginResponse::parse(&p.bhs).unwrap().status.is_success()));
    bystander.is_served(&serving);
}

/// A long-lived oddity: the login's last request and the first command in one segment, cut anywhere.
#[test]
fn what_follows_the_login_in_the_same_segment_is_served() {
    let serving = Serving::new();
    let login = Login::to(TARGET, "together");
    for cut in [0, 1, 47, 48, 100, 10_000] {
        let mut bytes = wire(login.request());
        let mut nop = Bhs::new(Opcode::NopOut);
        nop.set_immediate();
        nop.0[1] = 0x80;
        nop.0[19] = 9;
        nop.0[20..24].fill(0xff);
        nop.0[27] = 1;
        bytes.extend_from_slice(&nop.0);
        let mut raw = Raw::connect(serving.address);
        let cut = cut.min(bytes.len());
        raw.send_bytes(&bytes[..cut]);
        std::thread::sleep(Duration::from_millis(10));
        raw.send_bytes(&bytes[cut..]);
        assert!(LoginResponse::parse(&raw.receive().unwrap().bhs).unwrap().status.is_success());
        assert_eq!(raw.receive().unwrap().bhs.opcode(), Opcode::NopIn);
    }
}
