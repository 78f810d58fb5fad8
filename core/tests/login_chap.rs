//! CHAP over whole logins: every algorithm, both directions, both encodings, and every way to get it wrong.
//!
//! The expected digests were computed with another implementation (Python's hashlib) from the seed that the
//! conversations use.

mod login_support;

use iscsicore::Misuse;
use iscsicore::login::chap::{Challenge, ChapServer, response};
use iscsicore::login::{Authentication, ChapAlgorithm, ChapPolicy, Entropy, Secret};
use iscsicore::wire::text::{encode_hex, parse_binary};
use login_support::*;

struct Vector {
    algorithm: &'static str,
    challenge: &'static str,
    response: &'static str,
    response_base64: &'static str,
    /// What the target itself would answer to its challenge.
    reflected: &'static str,
    /// What the target answers to `PEER_CHALLENGE` of identifier 42.
    proof: &'static str,
}

const IDENTIFIER: &str = "89";
const PEER_CHALLENGE: &str = "0x0102030405060708090a0b0c0d0e0f101112131415161718";
const PEER_CHALLENGE_BASE64: &str = "0bAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY";

const VECTORS: [Vector; 4] = [
    Vector {
        algorithm: "5",
        challenge: "0xf222a20b21927d88e72377031f01efe0",
        response: "0x36276cd6aabd0fe9ce49a41e2fd56e3d",
        response_base64: "0bNids1qq9D+nOSaQeL9VuPQ==",
        reflected: "0xa45d89df7947a2610ad400d9c0756611",
        proof: "0x3fcc2813630c8130d4685184932ab298",
    },
    Vector {
        algorithm: "6",
        challenge: "0xf222a20b21927d88e72377031f01efe0de4396c6",
        response: "0xd21c7a826434722be6e76350411fc0b2136fdd66",
        response_base64: "0b0hx6gmQ0civm52NQQR/AshNv3WY=",
        reflected: "0x6c8258b85ce41e2f7042a9a6b80fe5f58930e47a",
        proof: "0x9216ba9481f07d598cad3eac6297ccd4274b9b56",
    },
    Vector {
        algorithm: "7",
        challenge: "0xf222a20b21927d88e72377031f01efe0de4396c67ea944d82dbf80126fe11e6d",
        response: "0x3943f8ad6166ac306bbeece684641aedb4841680e8e844dfb7553b1ea9511666",
        response_base64: "0bOUP4rWFmrDBrvuzmhGQa7bSEFoDo6ETft1U7HqlRFmY=",
        reflected: "0x17f6b2dad9e5fffa1421dfb7672ff2547571401fccbd093c46701eae64252495",
        proof: "0x947bbcb1df161f6fb49359e740c792e00bd4324b5628affa69febd2f332a0db0",
    },
    Vector {
        algorithm: "8",
        challenge: "0xf222a20b21927d88e72377031f01efe0de4396c67ea944d82dbf80126fe11e6d",
        response: "0x6a71fc066fd201aa7c396c888d6dc3071053ccfd9c0d554390ed63cf4afebb19",
        response_base64: "0banH8Bm/SAap8OWyIjW3DBxBTzP2cDVVDkO1jz0r+uxk=",
        reflected: "0xde28326cc63c6bc95adac2db4ba550939a01f6f8315cf419e0bd075c57534865",
        proof: "0x0020191838f1fb0644e944acca821f14e418e06fdab1940641af2bcc3759b15c",
    },
];

/// A conversation up to the target's challenge.
fn challenged(admission: iscsicore::login::Admission, algorithm: &str) -> Conversation {
    let mut c = Conversation::new(admission);
    let reply = c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP CHAP_A={algorithm}"));
    assert_eq!(reply.header.status.0, 0, "{:?}", c.incoming.failure());
    c
}

/// The status after the answer `text` to an MD5 challenge, from a target that can prove itself too.
fn answered(text: &str) -> u16 {
    let mut c = challenged(mutual(), "5");
    let status = c.ask(SECURITY, OPERATIONAL, text).header.status.0;
    if status != 0 {
        c.assert_failed(status);
    }
    status
}

// The initiator proves itself, with each algorithm and both encodings; then the login goes on to its end.
// covers: 7143-9.2.1-1 7143-12.1-2 7143-12.1-3 7143-12.1.3-2 7143-6.2.1-1
#[test]
fn one_way_with_every_algorithm() {
    for v in &VECTORS {
        for answer in [v.response, v.response_base64, &v.response.to_uppercase().replace("0X", "0x")] {
            let mut c = Conversation::new(chap());
            let reply = c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP,None"));
            assert_eq!(reply.text, "TargetPortalGroupTag=1 AuthMethod=CHAP");
            let reply = c.ask(SECURITY, None, &format!("CHAP_A={}", v.algorithm));
            let want = format!("CHAP_A={} CHAP_I={IDENTIFIER} CHAP_C={}", v.algorithm, v.challenge);
            assert_eq!(reply.text, want);
            assert_eq!(c.incoming.user(), None);
            let reply = c.ask(SECURITY, OPERATIONAL, &format!("CHAP_N=host CHAP_R={answer}"));
            assert_eq!((reply.header.status.0, reply.header.nsg), (0, Some(OPERATIONAL)), "{answer}");
            assert_eq!(reply.text, "");
            assert_eq!(c.incoming.user(), Some("host"));
            assert!(c.replies(OPERATIONAL, FULL, "").is_empty());
            assert!(c.ready);
        }
    }
}

// Both ends prove themselves; the target's proof is checked against a digest computed elsewhere.
// covers: 7143-12.1.3-5 7143-9.2.1-1
#[test]
fn mutual_with_every_algorithm() {
    for v in &VECTORS {
        for challenge in [PEER_CHALLENGE, PEER_CHALLENGE_BASE64] {
            for identifier in ["42", "0x2a", "0X2A"] {
                let mut c = challenged(mutual(), v.algorithm);
                let text =
                    format!("CHAP_N=host CHAP_R={} CHAP_I={identifier} CHAP_C={challenge}", v.response);
                let reply = c.ask(SECURITY, OPERATIONAL, &text);
                assert_eq!(reply.text, format!("CHAP_N=disk CHAP_R={}", v.proof));
                assert_eq!(reply.header.nsg, Some(OPERATIONAL));
            }
        }
    }
}

#[test]
fn responses_agree_with_another_implementation_for_challenges_of_every_size() {
    use ChapAlgorithm::*;
    let table = [
        (Md5, 1, "7904c470a315c8cd5e2e01e00c1cbc0f"),
        (Sha1, 1, "de75a9bc4388de2f92b1af28f66b8bb3423ffb4b"),
        (Sha256, 1, "7c5ffef0cceb38f3a9552101b82121f9000217917a68e4af597a23af850915a0"),
        (Sha3_256, 1, "6e932db399ba046ea0db9e61b5b4c60569e8a5c54f0bc474bc11008e26b33991"),
        (Md5, 255, "7b81c11bfc1baf5cf6c55ab554acfbb5"),
        (Sha1, 255, "34c616958c9e377bf5766fdba144815ddd503411"),
        (Sha256, 255, "cedb3bca5aa18c8231f9802552687534e9dd2e335bd54314f3b4aea60bba72df"),
        (Sha3_256, 255, "7320f141d2cac92bb8ec35435eabf7242e1c85e369d8fd4f10320463c25c1c47"),
        (Md5, 256, "8da3f1347fe8cb90cba599dbb34952e0"),
        (Sha1, 256, "4e4c187e9159bb45c90c2f3f88ad086756e92bd4"),
        (Sha256, 256, "cee5650e70d0d65021810b4a959a7527654e876de0aeb59cf67b7c2902be329a"),
        (Sha3_256, 256, "518979b23ed6efe46b4977b35e3b572e2e36da3c265ee123e6f9de1492d8fa81"),
        (Md5, 1024, "07bc8f2be0ada1de818774c5aec6f858"),
        (Sha1, 1024, "e6719593f2ab49eec6224a3a89d6595cd8f33149"),
        (Sha256, 1024, "43decc3c6ad087fef7681dbb553054c64d6951ff66b9677e5da53ce1d3d4056b"),
        (Sha3_256, 1024, "023cb8555a4cc22ce29d1eac9a624d5eee90f593293cd670422ab29b1b6fbb7d"),
    ];
    for (algorithm, len, want) in table {
        let challenge: Vec<u8> = (0..len).map(|i: u32| (i * 7 + 3) as u8).collect();
        let got = response(algorithm, 200, &Secret::new("a secret of bytes"), &challenge);
        let got: String = got.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(got, want, "{algorithm:?} {len}");
    }
}

#[test]
fn only_the_right_account_meets_a_challenge() {
    let accounts = [account("a", "secret a"), account("b", "secret b")];
    let challenge = Challenge { algorithm: ChapAlgorithm::Sha256, identifier: 1, bytes: vec![1, 2, 3] };
    let answer = |secret: &str| response(challenge.algorithm, 1, &Secret::new(secret), &challenge.bytes);
    assert!(challenge.is_met_by(&accounts, "a", &answer("secret a")));
    assert!(challenge.is_met_by(&accounts, "b", &answer("secret b")));
    assert!(!challenge.is_met_by(&accounts, "a", &answer("secret b")));
    assert!(!challenge.is_met_by(&accounts, "c", &answer("secret a")));
    assert!(!challenge.is_met_by(&accounts, "", &answer("secret a")));
    assert!(!challenge.is_met_by(&[], "a", &answer("secret a")));
}

// covers: 7143-12.1.3-4 7143-9.2-5 7143-6.3.2-4
#[test]
fn cryptographically_wrong_answers_are_authentication_failures() {
    let v = &VECTORS[0];
    let wrong_bit = v.response.replace("0x36", "0x37");
    let wrong = [
        format!("CHAP_N=host CHAP_R={wrong_bit}"),
        format!("CHAP_N=nobody CHAP_R={}", v.response),
        format!("CHAP_N=Host CHAP_R={}", v.response),
        format!("CHAP_N= CHAP_R={}", v.response),
        format!("CHAP_N=host CHAP_R={}00", v.response),
        format!("CHAP_N=host CHAP_R={}", &v.response[..32]),
        "CHAP_N=host CHAP_R=0x00".to_owned(),
        format!("CHAP_N=host CHAP_R={}", VECTORS[1].response),
    ];
    for text in wrong {
        assert_eq!(answered(&text), 0x0201, "{text}");
    }
}

// covers: 7143-9.2-4
#[test]
fn keys_that_are_not_according_to_the_step_are_initiator_errors_or_missing_parameters() {
    let r = VECTORS[0].response;
    let table = [
        ("CHAP_N=host".to_owned(), 0x0207),
        (format!("CHAP_R={r}"), 0x0207),
        (String::new(), 0x0207),
        // The reflection attack that the RFC describes: no response, but a challenge.
        (format!("CHAP_N=host CHAP_I=42 CHAP_C={PEER_CHALLENGE}"), 0x0207),
        (format!("CHAP_N=host CHAP_R={r} CHAP_I=42"), 0x0207),
        (format!("CHAP_N=host CHAP_R={r} CHAP_C={PEER_CHALLENGE}"), 0x0207),
        (format!("CHAP_N=host CHAP_R={r} CHAP_A=5"), 0x0200),
        (format!("CHAP_N=host CHAP_R={r} CHAP_R={r}"), 0x0200),
        (format!("CHAP_N=host CHAP_R={r} AuthMethod=None"), 0x0200),
        ("CHAP_N=host CHAP_R=Reject".to_owned(), 0x0200),
    ];
    for (text, want) in table {
        assert_eq!(answered(&text), want, "{text}");
    }
    // Before the challenge.
    for (text, want) in [
        ("AuthMethod=CHAP CHAP_N=host", 0x0200),
        ("AuthMethod=CHAP CHAP_A=5 CHAP_R=0x00", 0x0200),
        ("CHAP_A=5", 0x0200),
        ("AuthMethod=None CHAP_A=5", 0x0201),
    ] {
        let mut c = Conversation::new(chap());
        let reply = c.ask(SECURITY, None, &format!("{NAMES} {text}"));
        assert_eq!(reply.header.status.0, want, "{text}");
        c.assert_failed(want);
    }
    // The method was selected, and the first step does not come.
    let mut c = Conversation::new(chap());
    c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP"));
    assert_eq!(c.ask(SECURITY, OPERATIONAL, "").header.status.0, 0x0207);
    // After the exchange.
    let mut c = challenged(chap(), "5");
    c.ask(SECURITY, None, &format!("CHAP_N=host CHAP_R={r}"));
    assert_eq!(c.ask(SECURITY, None, "CHAP_I=1 CHAP_C=0x00").header.status.0, 0x0200);
}

#[test]
fn unreadable_binary_values_and_identifiers_are_initiator_errors() {
    let r = VECTORS[0].response;
    let run = "A".repeat(127);
    let over = "ab".repeat(1025);
    let responses = [
        format!("0b{run}"),
        format!("0b{run}A="),
        "0b".to_owned(),
        "0x".to_owned(),
        String::new(),
        "36276cd6aabd0fe9ce49a41e2fd56e3d".to_owned(),
        format!("{r}g"),
        "0bNids1qq9D+nOSaQeL9VuPQ=".to_owned(),
        "0bNids1qq9D+nOSaQeL9VuPQ".to_owned(),
        "0bNids1qq9D+nOSaQeL9VuPR==".to_owned(),
        "0bNids1qq9D+nOSaQeL9VuPQ====".to_owned(),
        format!("0x{over}"),
    ];
    for response in &responses {
        assert_eq!(answered(&format!("CHAP_N=host CHAP_R={response}")), 0x0200, "{response}");
        let text = format!("CHAP_N=host CHAP_R={r} CHAP_I=1 CHAP_C={response}");
        assert_eq!(answered(&text), 0x0200, "{text}");
    }
    // Well-formed base64 of 95 bytes is no digest.
    assert_eq!(answered(&format!("CHAP_N=host CHAP_R=0b{run}=")), 0x0201);
    // An odd digit count implies a leading zero: one byte too many here.
    assert_eq!(answered(&format!("CHAP_N=host CHAP_R={r}0")), 0x0201);
    for identifier in ["", "256", "-1", "0x100", "1.0", "a", "01", "0x", "4294967338"] {
        let text = format!("CHAP_N=host CHAP_R={r} CHAP_I={identifier} CHAP_C={PEER_CHALLENGE}");
        assert_eq!(answered(&text), 0x0200, "{text}");
    }
    for identifier in ["0", "255", "0xff"] {
        let text = format!("CHAP_N=host CHAP_R={r} CHAP_I={identifier} CHAP_C={PEER_CHALLENGE}");
        assert_eq!(answered(&text), 0, "{text}");
    }
}

// covers: 7143-12.1.3-7
#[test]
fn challenges_of_1_to_1024_bytes_are_taken() {
    let r = VECTORS[0].response;
    for (len, want) in [(1, 0), (255, 0), (256, 0), (1023, 0), (1024, 0), (1025, 0x0200), (4000, 0x0200)] {
        let text = format!("CHAP_N=host CHAP_R={r} CHAP_I=1 CHAP_C=0x{}", "5a".repeat(len));
        assert_eq!(answered(&text), want, "{len} bytes");
    }
}

// covers: 7143-9.2.1-12
#[test]
fn the_targets_own_challenge_does_not_come_back() {
    for v in &VECTORS {
        let mut c = challenged(mutual(), v.algorithm);
        let text = format!("CHAP_N=host CHAP_R={} CHAP_I=42 CHAP_C={}", v.response, v.challenge);
        assert_eq!(c.ask(SECURITY, OPERATIONAL, &text).header.status.0, 0x0201);
        c.assert_failed(0x0201);
    }
}

#[test]
fn a_response_that_the_target_would_give_itself_is_refused() {
    for v in &VECTORS {
        let mut c = challenged(mutual(), v.algorithm);
        assert_eq!(
            c.ask(SECURITY, None, &format!("CHAP_N=disk CHAP_R={}", v.reflected)).header.status.0,
            0x0201
        );
        let mut c = challenged(mutual(), v.algorithm);
        assert_eq!(
            c.ask(SECURITY, None, &format!("CHAP_N=host CHAP_R={}", v.reflected)).header.status.0,
            0x0201
        );
    }
}

// A policy that was not checked: the exchange itself notices that one secret serves both directions.
// covers: 7143-9.2.1-9
#[test]
fn one_secret_in_both_directions_fails_the_exchange() {
    for (own, want) in [("the same secret", Err(0x0201)), ("another secret", Ok(()))] {
        let mut policy = ChapPolicy::new(vec![account("host", "the same secret")]);
        policy.mutual = Some(account("disk", own));
        let mut server = ChapServer::new(policy);
        let mut entropy = Entropy::new([9; 32]);
        let answer = server.step(&[("CHAP_A", "7")], &mut entropy).expect("a challenge");
        let value = |key: &str| answer.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()).expect("a key");
        let challenge = parse_binary(&value("CHAP_C"), 32).expect("a challenge");
        let identifier = value("CHAP_I").parse().expect("an identifier");
        let right = response(ChapAlgorithm::Sha256, identifier, &Secret::new("the same secret"), &challenge);
        let keys = [("CHAP_N", "host"), ("CHAP_R", &encode_hex(&right))];
        assert_eq!(server.step(&keys, &mut entropy).map(|_| ()).map_err(|f| f.status.0), want);
        assert_eq!(server.user().is_some(), want.is_ok());
    }
}

// covers: 7143-9.2.1-8
#[test]
fn a_policy_with_one_secret_for_both_directions_is_misuse() {
    let mut policy = ChapPolicy::new(vec![account("host", "one secret")]);
    policy.mutual = Some(account("disk", "one secret"));
    let mut c = Conversation::new(open());
    c.admission = None;
    assert!(c.replies(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP")).is_empty());
    let admission = iscsicore::login::Admission { authentication: Authentication::Chap(policy), ..open() };
    assert!(matches!(c.incoming.admit(admission), Err(Misuse::InvalidArgument(_))));
    // Nothing has changed: better terms are taken.
    assert_eq!(c.incoming.admit(chap()), Ok(()));
    assert_eq!(c.drain().pop().map(|r| r.text).as_deref(), Some("TargetPortalGroupTag=1 AuthMethod=CHAP"));
}

// covers: 7143-12.1.3-5
#[test]
fn a_proof_that_is_not_configured_is_an_authentication_failure() {
    let mut c = challenged(chap(), "5");
    let text = format!("CHAP_N=host CHAP_R={} CHAP_I=42 CHAP_C={PEER_CHALLENGE}", VECTORS[0].response);
    assert_eq!(c.ask(SECURITY, OPERATIONAL, &text).header.status.0, 0x0201);
    c.assert_failed(0x0201);
}

// The initiator's order decides among what the policy allows; what is not understood is ignored.
// covers: 7143-12.1.3-2 7143-6.2.1-1 7143-6.2.1-3
#[test]
fn the_first_acceptable_algorithm_is_chosen() {
    let table = [
        ("5", Some("5")),
        ("7,5", Some("7")),
        ("5,8", Some("5")),
        ("9,sha512,,0x8,5", Some("8")),
        ("9", None),
        ("", None),
        ("05", None),
        ("MD5", None),
    ];
    for (proposed, want) in table {
        let mut c = Conversation::new(chap());
        let reply = c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP CHAP_A={proposed}"));
        match want {
            Some(want) => {
                assert!(reply.text.contains(&format!("AuthMethod=CHAP CHAP_A={want} ")), "{proposed}")
            }
            None => c.assert_failed(0x0201),
        }
    }
    let Authentication::Chap(mut policy) = chap().authentication else { unreachable!() };
    policy.algorithms = vec![ChapAlgorithm::Sha256];
    let admission =
        || iscsicore::login::Admission { authentication: Authentication::Chap(policy.clone()), ..open() };
    let mut c = Conversation::new(admission());
    assert!(
        c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP CHAP_A=5,6,7,8")).text.contains("CHAP_A=7 ")
    );
    let mut c = Conversation::new(admission());
    assert_eq!(c.ask(SECURITY, None, &format!("{NAMES} AuthMethod=CHAP CHAP_A=5")).header.status.0, 0x0201);
}

// A name that looks like an encoded value is a name.
#[test]
fn names_are_compared_as_text() {
    for name in ["0x686f7374", "0bQUJD", "0x41"] {
        let policy = ChapPolicy::new(vec![account(name, INITIATOR_SECRET)]);
        let admission =
            iscsicore::login::Admission { authentication: Authentication::Chap(policy), ..open() };
        let mut c = challenged(admission.clone(), "5");
        let text = format!("CHAP_N={name} CHAP_R={}", VECTORS[0].response);
        assert_eq!(c.ask(SECURITY, None, &text).header.status.0, 0);
        assert_eq!(c.incoming.user(), Some(name));
        let mut c = challenged(chap(), "5");
        assert_eq!(c.ask(SECURITY, None, &text).header.status.0, 0x0201, "{name} is not host");
    }
}

// covers: 7143-6.3.2-2 7143-6.2.1-3
#[test]
fn methods_are_selected_by_policy() {
    // (required, offered) -> answer or status
    let table = [
        (false, "None", Ok("AuthMethod=None")),
        (false, "CHAP,None", Ok("AuthMethod=None")),
        (false, "KRB5,Z-com.example.x,None,CHAP", Ok("AuthMethod=None")),
        (false, "CHAP", Ok("AuthMethod=Reject")),
        (false, "", Ok("AuthMethod=Reject")),
        (true, "None", Err(0x0201)),
        (true, "KRB5,SRP", Err(0x0201)),
        (true, "chap", Err(0x0201)),
        (true, "None,CHAP", Ok("AuthMethod=CHAP")),
        (true, "KRB5,CHAP,None", Ok("AuthMethod=CHAP")),
    ];
    for (required, offered, want) in table {
        let mut c = Conversation::new(if required { chap() } else { open() });
        let reply = c.ask(SECURITY, None, &format!("{NAMES} AuthMethod={offered}"));
        match want {
            Ok(text) => assert_eq!(reply.text, format!("TargetPortalGroupTag=1 {text}"), "{offered}"),
            Err(status) => c.assert_failed(status),
        }
    }
}

// An initiator without a proposal of its own is told the method, and takes the first step with its answer.
// covers: 7143-6.3.1-1
#[test]
fn the_target_proposes_when_the_initiator_does_not() {
    let mut c = Conversation::new(chap());
    let reply = c.ask(SECURITY, OPERATIONAL, NAMES);
    assert_eq!(
        (reply.text.as_str(), reply.header.transit),
        ("TargetPortalGroupTag=1 AuthMethod=CHAP", false)
    );
    let reply = c.ask(SECURITY, None, "AuthMethod=CHAP CHAP_A=5");
    assert_eq!(reply.text, format!("CHAP_A=5 CHAP_I={IDENTIFIER} CHAP_C={}", VECTORS[0].challenge));
    for refusal in ["", "AuthMethod=None"] {
        let mut c = Conversation::new(chap());
        c.ask(SECURITY, OPERATIONAL, NAMES);
        assert_eq!(c.ask(SECURITY, OPERATIONAL, refusal).header.status.0, 0x0201);
        c.assert_failed(0x0201);
    }
}

// covers: 7143-6.3-7
#[test]
fn a_transition_waits_for_the_proof() {
    let mut c = Conversation::new(chap());
    let reply = c.ask(SECURITY, OPERATIONAL, &format!("{NAMES} AuthMethod=CHAP CHAP_A=5"));
    assert!(!reply.header.transit);
    let reply = c.ask(SECURITY, None, &format!("CHAP_N=host CHAP_R={}", VECTORS[0].response));
    assert!(!reply.header.transit);
    let reply = c.ask(SECURITY, OPERATIONAL, "");
    assert_eq!(reply.header.nsg, Some(OPERATIONAL));
    // An operational stage that was entered without proof does not exist.
    let mut c = Conversation::new(chap());
    assert_eq!(c.ask(OPERATIONAL, FULL, NAMES).header.status.0, 0x0201);
    c.assert_failed(0x0201);
}

// Straight from security to the full-feature phase: the defaults hold, but for nothing.
#[test]
fn security_may_be_the_only_stage() {
    let mut c = challenged(chap(), "7");
    assert!(c.replies(SECURITY, FULL, &format!("CHAP_N=host CHAP_R={}", VECTORS[2].response)).is_empty());
    assert!(c.ready && c.incoming.is_ready());
    assert_eq!(c.incoming.parameters(), Some(&iscsicore::login::Parameters::default()));
}
