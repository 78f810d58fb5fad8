//! CHAP from the initiator's side: every algorithm, both directions, both encodings, and every way for a target to get
//! it wrong.
//!
//! The expected digests were computed with another implementation (Python's hashlib) from the seed of the tests.

mod outgoing_support;

use iscsicore::initiator::{Credentials, LoginRequestConfig, OutgoingEvent};
use iscsicore::login::chap::response;
use iscsicore::login::{ChapAlgorithm, Entropy, Secret};
use iscsicore::wire::LoginStatus;
use iscsicore::wire::text::{encode_base64, encode_hex, parse_binary};
use outgoing_support::*;

struct Vector {
    algorithm: ChapAlgorithm,
    /// What the initiator answers to `CHALLENGE` of identifier 200.
    response: &'static str,
    /// The challenge that the seed brings.
    challenge: &'static str,
    /// What the target answers to it.
    proof: &'static str,
    /// What the initiator itself would answer to it.
    reflected: &'static str,
}

const CHALLENGE: &str = "0x0102030405060708090a0b0c0d0e0f101112131415161718";
const CHALLENGE_BASE64: &str = "0bAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY";
/// CHAP_I that the seed brings.
const IDENTIFIER: &str = "217";

const VECTORS: [Vector; 4] = [
    Vector {
        algorithm: ChapAlgorithm::Md5,
        response: "0x7ab76641b369f12c93352e9754b637d5",
        challenge: "0x6554207c7adbbdf5b4b0c0762b232d87",
        proof: "0x9e03bc9e9b7329867d0d96a68643ee2c",
        reflected: "0x55ac247cb4f7e63feb3d2f7ce01db41a",
    },
    Vector {
        algorithm: ChapAlgorithm::Sha1,
        response: "0xf6485e7a7dde183371792a20e8f207c8f99acc0c",
        challenge: "0x6554207c7adbbdf5b4b0c0762b232d877b12bd97",
        proof: "0x8526dd32643c9f1846ce2304d7885b1539d677ef",
        reflected: "0xf7b8e1b5c83a1b655034c2620c9b2928dee604e7",
    },
    Vector {
        algorithm: ChapAlgorithm::Sha256,
        response: "0x953b8e2f908ca5f0e974c0ba3b78bbc82841bf1ac4b870efde0e92f9889e159d",
        challenge: "0x6554207c7adbbdf5b4b0c0762b232d877b12bd9731ac55388aca16a86a5c1b64",
        proof: "0xe12f4be455f8c4e4f12824eab1e3f906c92b493c3d91c9951b0f0c8909df73d2",
        reflected: "0x3fece44dbd4fdddd4ab9fa173e25abaab112e0bb7aaedc684598c8d73d71efe4",
    },
    Vector {
        algorithm: ChapAlgorithm::Sha3_256,
        response: "0xf2bc8817c6c100e4d37680cdafbe0571d0feff2de3f7304454c851add318213b",
        challenge: "0x6554207c7adbbdf5b4b0c0762b232d877b12bd9731ac55388aca16a86a5c1b64",
        proof: "0x91b00e2aa81fcd47d049c0ac241dac1d36a9d3cb842951d46b6a045bde33350d",
        reflected: "0xe3d087b407b5b42de9d5d4147833088f0983dd64bd05872a361c08cc6d7d5982",
    },
];

fn with_credentials(
    mut config: LoginRequestConfig,
    change: impl FnOnce(&mut Credentials),
) -> LoginRequestConfig {
    change(config.credentials.as_mut().expect("credentials"));
    config
}

fn code(v: &Vector) -> u64 {
    v.algorithm.code()
}

/// A login up to the request that has the response.
fn responded(config: LoginRequestConfig, v: &Vector) -> Talk {
    let mut talk = proposed(config);
    talk.answer(None, &format!("CHAP_A={} CHAP_I=200 CHAP_C={CHALLENGE}", code(v)));
    talk.asked();
    talk
}

/// A login up to the request that proposes algorithms.
fn proposed(config: LoginRequestConfig) -> Talk {
    let mut talk = Talk::new(config);
    talk.asked();
    talk.answer(None, "TargetPortalGroupTag=1 AuthMethod=CHAP");
    talk.asked();
    talk
}

// The method alone, then the algorithms alone as soon as the method is chosen (LIO takes it no other way), then the
// response; the target says yes by going on.
// covers: 7143-12.1-1 7143-12.1.3-1 7143-12.1.3-3 7143-9.2.1-1
#[test]
fn one_way_with_every_algorithm() {
    for v in &VECTORS {
        for challenge in [CHALLENGE, CHALLENGE_BASE64] {
            let mut talk = Talk::new(chap());
            let names = format!("InitiatorName={HOST} TargetName={DISK} SessionType=Normal AuthMethod=CHAP");
            assert_eq!(talk.asked().says(), (SECURITY, None, &names[..]));
            talk.answer(None, "TargetPortalGroupTag=1 AuthMethod=CHAP");
            assert_eq!(talk.asked().says(), (SECURITY, None, "CHAP_A=8,7,6,5"));
            talk.answer(None, &format!("CHAP_A={} CHAP_I=0xc8 CHAP_C={challenge}", code(v)));
            let text = format!("CHAP_N=host CHAP_R={}", v.response);
            assert_eq!(talk.asked().says(), (SECURITY, Some(OPERATIONAL), &text[..]));
            talk.answer(OPERATIONAL, "");
            assert_eq!(talk.asked().says(), (OPERATIONAL, Some(FULL), OFFERS));
            talk.answer(FULL, ANSWERS);
            talk.ready();
        }
    }
}

// The target's proof may come with the end of the stage, or before it.
// covers: 7143-12.1.3-3
#[test]
fn mutual_with_every_algorithm() {
    for v in &VECTORS {
        for with_proof in [Some(OPERATIONAL), None] {
            let mut talk = responded(mutual(), v);
            let asked = talk.last.clone().expect("a response");
            let text =
                format!("CHAP_N=host CHAP_R={} CHAP_I={IDENTIFIER} CHAP_C={}", v.response, v.challenge);
            assert_eq!(asked.says(), (SECURITY, Some(OPERATIONAL), &text[..]));
            let proof = parse_binary(v.proof, 32).expect("a proof");
            let proof = if with_proof.is_some() { encode_hex(&proof) } else { encode_base64(&proof) };
            talk.answer(with_proof, &format!("CHAP_N=disk CHAP_R={proof}"));
            if with_proof.is_none() {
                assert_eq!(talk.asked().says(), (SECURITY, Some(OPERATIONAL), ""));
                talk.answer(OPERATIONAL, "");
            }
            assert_eq!(talk.asked().text, OFFERS);
            talk.answer(FULL, ANSWERS);
            talk.ready();
        }
    }
}

// Preference is the caller's, and a target may choose any of what was offered and nothing else.
#[test]
fn algorithms_are_offered_in_order_and_no_other_is_taken() {
    use ChapAlgorithm::*;
    let config = || with_credentials(chap(), |c| c.algorithms = vec![Sha256, Md5]);
    let talk = proposed(config());
    assert_eq!(talk.last.map(|asked| asked.text).as_deref(), Some("CHAP_A=7,5"));
    for bad in ["6", "8", "0", "4", "7,5", "MD5", "", "Reject", "261", "None"] {
        let mut talk = proposed(config());
        talk.answer(None, &format!("CHAP_A={bad} CHAP_I=1 CHAP_C={CHALLENGE}"));
        let failure = talk.failed();
        assert!(failure.why.contains("algorithm") && failure.status.is_none(), "{bad} {failure}");
    }
}

// A target that does not know the secret, or gives away that it only sends back what it gets, is not let near any
// data: nothing more is sent.
// covers: 7143-12.1.3-6 7143-9.2.1-9 7143-6.3.2-5
#[test]
fn a_target_that_does_not_prove_itself_is_left() {
    for v in &VECTORS {
        let short = &v.proof[..v.proof.len() - 2];
        let long = format!("{}00", v.proof);
        for (name, proof, part) in [
            ("disk", v.reflected, "that this end would give"),
            ("disk", v.response, "does not know the secret"),
            ("disk", short, "does not know the secret"),
            ("disk", &long, "does not know the secret"),
            ("disk", "0x00", "does not know the secret"),
            ("host", v.proof, "another CHAP name"),
            ("Disk", v.proof, "another CHAP name"),
        ] {
            for stay in [None, Some(OPERATIONAL)] {
                let mut talk = responded(mutual(), v);
                talk.answer(stay, &format!("CHAP_N={name} CHAP_R={proof}"));
                let failure = talk.failed();
                assert!(failure.why.contains(part), "{failure}");
                assert_eq!((failure.algorithm, failure.passing), (Some(v.algorithm), false));
            }
        }
    }
}

// covers: 7143-9.2-3
#[test]
fn keys_that_are_not_according_to_the_step_end_the_connection() {
    let v = &VECTORS[0];
    // Instead of the choice of a method.
    for (text, part) in [
        ("", "AuthMethod was not answered"),
        ("AuthMethod=SRP", "not offered"),
        ("AuthMethod=chap", "not offered"),
        ("AuthMethod=CHAP,None", "not offered"),
        ("AuthMethod=Irrelevant", "not offered"),
        ("CHAP_A=5", "CHAP_A belongs to no method"),
        ("AuthMethod=CHAP CHAP_A=5", "CHAP_A belongs to no method"),
        ("AuthMethod=CHAP AuthMethod=CHAP", "sent twice"),
    ] {
        let mut talk = Talk::new(chap());
        talk.asked();
        talk.answer(None, text);
        talk.broken(part);
    }
    // Instead of the challenge.
    let long = encode_hex(&[7; 1025]);
    for (text, part) in [
        ("", "CHAP_A is missing"),
        ("CHAP_A=5 CHAP_I=1", "CHAP_C is missing"),
        ("CHAP_A=5 CHAP_C=0x0102", "CHAP_I is missing"),
        ("CHAP_I=1 CHAP_C=0x0102", "CHAP_A is missing"),
        ("CHAP_A=5 CHAP_I=256 CHAP_C=0x0102", "CHAP_I is not a number"),
        ("CHAP_A=5 CHAP_I=1 CHAP_C=0x", "CHAP_C is unreadable"),
        ("CHAP_A=5 CHAP_I=1 CHAP_C=12", "CHAP_C is unreadable"),
        ("CHAP_A=5 CHAP_I=1 CHAP_C=0bZ===", "CHAP_C is unreadable"),
        (&format!("CHAP_A=5 CHAP_I=1 CHAP_C={long}"), "CHAP_C is unreadable"),
        ("CHAP_A=5 CHAP_I=1 CHAP_C=0x01 CHAP_N=disk", "CHAP_N does not belong in this step"),
        ("CHAP_A=5 CHAP_I=1 CHAP_C=0x01 CHAP_R=0x01", "CHAP_R does not belong in this step"),
        ("AuthMethod=None", "AuthMethod was"),
    ] {
        let mut talk = proposed(chap());
        talk.answer(None, text);
        talk.broken(part);
    }
    // Instead of the proof.
    let (proof, challenge) = (v.proof, CHALLENGE);
    for (text, part) in [
        ("", "CHAP_N is missing"),
        ("CHAP_N=disk", "CHAP_R is missing"),
        (&format!("CHAP_R={proof}"), "CHAP_N is missing"),
        ("CHAP_N=disk CHAP_R=word", "CHAP_R is unreadable"),
        (&format!("CHAP_N=disk CHAP_R={proof} CHAP_I=1"), "CHAP_I"),
        (&format!("CHAP_A=5 CHAP_I=1 CHAP_C={challenge}"), "CHAP_A"),
    ] {
        for to in [None, Some(OPERATIONAL)] {
            let mut talk = responded(mutual(), v);
            talk.answer(to, text);
            talk.broken(part);
        }
    }
    // A proof that nobody asked for.
    let mut talk = responded(chap(), v);
    talk.answer(OPERATIONAL, &format!("CHAP_N=disk CHAP_R={proof}"));
    talk.broken("CHAP_N");
}

// The stage is not over before this end has said its last word, whatever the target thinks.
#[test]
fn a_target_cannot_end_the_exchange() {
    let mut talk = Talk::new(chap());
    talk.asked();
    talk.answer(OPERATIONAL, "AuthMethod=CHAP");
    talk.broken("did not end");
    let mut talk = proposed(mutual());
    talk.answer(OPERATIONAL, "");
    talk.broken("did not end");
    let mut talk = proposed(mutual());
    talk.answer(FULL, "");
    talk.broken("did not end");
}

// covers: 7143-9.2.1-11
#[test]
fn the_challenge_of_the_target_is_not_sent_back() {
    for v in &VECTORS {
        // The very challenge that the initiator would draw next.
        let mut talk = proposed(mutual());
        talk.answer(None, &format!("CHAP_A={} CHAP_I=1 CHAP_C={}", code(v), v.challenge));
        let asked = talk.asked();
        let ours = value(&asked.text, "CHAP_C").expect("a challenge");
        assert_ne!(ours, v.challenge);
        assert_eq!(ours.len(), v.challenge.len());
        let proof = chap_proof(code(v), &asked.text, TARGET_SECRET);
        talk.answer(OPERATIONAL, &format!("CHAP_N=disk CHAP_R={proof}"));
        assert_eq!(talk.asked().text, OFFERS);
    }
}

#[test]
fn challenges_of_1024_bytes_are_answered() {
    let bytes: Vec<u8> = (0..1024u32).map(|i| (i * 7 + 3) as u8).collect();
    for challenge in [encode_hex(&bytes), encode_base64(&bytes)] {
        let mut talk = proposed(chap());
        talk.answer(None, &format!("CHAP_A=5 CHAP_I=200 CHAP_C={challenge}"));
        assert_eq!(talk.asked().text, "CHAP_N=host CHAP_R=0xcae52292c3374947a32b2d2c4968de56");
    }
}

// What goes over the wire has neither secret in it, in no encoding that the keys have.
// covers: 7143-9.2-2
#[test]
fn secrets_are_not_sent() {
    for v in &VECTORS {
        let mut talk = Talk::new(mutual());
        let mut sent = talk.asked().data;
        talk.answer(None, "AuthMethod=CHAP");
        sent.extend(talk.asked().data);
        talk.answer(None, &format!("CHAP_A={} CHAP_I=200 CHAP_C={CHALLENGE}", code(v)));
        sent.extend(talk.asked().data);
        talk.answer(OPERATIONAL, &format!("CHAP_N=disk CHAP_R={}", v.proof));
        sent.extend(talk.asked().data);
        let sent = String::from_utf8(sent).expect("text");
        for secret in [OWN_SECRET, TARGET_SECRET] {
            let bytes = secret.as_bytes();
            assert!(!sent.contains(secret) && !sent.contains(&encode_hex(bytes)[2..]));
            assert!(!sent.contains(&encode_base64(bytes)[2..]));
        }
    }
}

#[test]
fn no_authentication_is_taken_only_where_it_is_allowed() {
    let lenient = |config| with_credentials(config, |c| c.allow_none = true);
    let mut talk = Talk::new(lenient(chap()));
    let asked = talk.asked();
    assert_eq!((value(&asked.text, "AuthMethod"), asked.header.nsg), (Some("CHAP,None"), None));
    talk.answer(None, "AuthMethod=None");
    assert_eq!(talk.asked().says(), (SECURITY, Some(OPERATIONAL), ""));
    talk.answer(OPERATIONAL, "");
    assert_eq!(talk.asked().text, OFFERS);

    // A target that must prove itself cannot do so without CHAP.
    let mut talk = Talk::new(lenient(mutual()));
    assert_eq!(value(&talk.asked().text, "AuthMethod"), Some("CHAP"));
    for (config, answer) in [(lenient(mutual()), "None"), (chap(), "None"), (chap(), "Reject")] {
        let mut talk = Talk::new(config);
        talk.asked();
        talk.answer(None, &format!("AuthMethod={answer}"));
        let failure = talk.failed();
        let words = if answer == "None" { "asks for no authentication" } else { "does not take CHAP" };
        assert!(failure.why.contains(words), "{failure}");
    }
    // After CHAP was chosen there is no way back.
    let mut talk = proposed(lenient(chap()));
    talk.answer(None, "AuthMethod=None");
    talk.broken("AuthMethod was");
}

#[test]
fn a_target_that_wants_chap_from_someone_without_credentials() {
    for answer in ["CHAP", "Reject"] {
        for next in [None, Some(OPERATIONAL)] {
            let mut talk = Talk::new(config());
            talk.asked();
            talk.answer(next, &format!("AuthMethod={answer}"));
            let failure = talk.failed();
            assert!(failure.why.contains("there are no credentials"), "{failure}");
            assert!(failure.remedy.contains("give a CHAP name"), "{failure}");
        }
    }
}

// The algorithm stands in the failure: a target that means something else by its number is recognized by it.
#[test]
fn a_failed_authentication_tells_the_algorithm() {
    for v in &VECTORS {
        let mut talk = responded(chap(), v);
        talk.refuse(LoginStatus::AUTHENTICATION_FAILURE, "");
        let failure = talk.failed();
        assert_eq!(failure.status, Some(LoginStatus::AUTHENTICATION_FAILURE));
        assert_eq!(failure.algorithm, Some(v.algorithm));
        assert_eq!(failure.remedy.contains("tgt"), v.algorithm == ChapAlgorithm::Sha256);
        let mut talk = responded(chap(), v);
        talk.refuse(LoginStatus::OUT_OF_RESOURCES, "");
        assert_eq!(talk.failed().algorithm, None);
    }
}

#[test]
fn weak_secrets_are_used_and_can_be_told() {
    let config = with_credentials(chap(), |c| c.account = account("host", "short"));
    assert!(config.credentials.as_ref().is_some_and(|c| c.account.secret.is_weak()));
    let mut talk = proposed(config);
    talk.answer(None, &format!("CHAP_A=5 CHAP_I=200 CHAP_C={CHALLENGE}"));
    let challenge = parse_binary(CHALLENGE, 24).expect("a challenge");
    let want = response(ChapAlgorithm::Md5, 200, &Secret::new("short"), &challenge);
    assert_eq!(value(&talk.asked().text, "CHAP_R"), Some(&encode_hex(&want)[..]));
}

// Two logins of different seeds challenge differently.
#[test]
fn challenges_follow_the_seed() {
    let mut other = Entropy::new([8; 32]);
    assert_ne!(other.word(), first_cmd_sn().0);
    let mut talk = responded(mutual(), &VECTORS[3]);
    let asked = talk.last.clone().expect("a response");
    assert_eq!(value(&asked.text, "CHAP_C"), Some(VECTORS[3].challenge));
    assert_eq!(talk.outgoing.poll_event(), None::<OutgoingEvent>);
}
