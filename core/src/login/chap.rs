//! CHAP (RFC 7143 sections 9.2.1 and 12.1.3, RFC 1994): challenges, responses, and the target's side of an exchange.

use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest;
use sha3::Sha3_256;
use subtle::{Choice, ConstantTimeEq};

use super::account::{Account, ChapAlgorithm, ChapPolicy, Secret};
use super::entropy::Entropy;
use super::keys::names;
use super::{Failure, Pair};
use crate::wire::LoginStatus;
use crate::wire::text::{MAX_BINARY, encode_hex, list, parse_binary, parse_number};

/// The response to a challenge: the hash of identifier, secret and challenge.
pub fn response(algorithm: ChapAlgorithm, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
    fn hash<D: Digest>(identifier: u8, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
        let mut hash = D::new();
        hash.update([identifier]);
        hash.update(secret);
        hash.update(challenge);
        hash.finalize().to_vec()
    }
    let hash = match algorithm {
        ChapAlgorithm::Md5 => hash::<Md5>,
        ChapAlgorithm::Sha1 => hash::<Sha1>,
        ChapAlgorithm::Sha256 => hash::<Sha256>,
        ChapAlgorithm::Sha3_256 => hash::<Sha3_256>,
    };
    hash(identifier, secret.bytes(), challenge)
}

/// A challenge that this end has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Hash function of the exchange.
    pub algorithm: ChapAlgorithm,
    /// CHAP_I.
    pub identifier: u8,
    /// CHAP_C.
    pub bytes: Vec<u8>,
}

impl Challenge {
    /// Draws a challenge as long as the responses of `algorithm`.
    pub fn draw(algorithm: ChapAlgorithm, entropy: &mut Entropy) -> Self {
        let mut bytes = vec![0; algorithm.output_len()];
        entropy.fill(&mut bytes);
        Challenge { algorithm, identifier: entropy.byte(), bytes }
    }

    /// Whether `answer` proves knowledge of the secret of the account called `name`.
    ///
    /// Every account costs the same work, whether it is the one or not, and an unknown name as much as a wrong
    /// response.
    pub fn is_met_by(&self, accounts: &[Account], name: &str, answer: &[u8]) -> bool {
        let mut met = Choice::from(0);
        for account in accounts {
            let right = response(self.algorithm, self.identifier, &account.secret, &self.bytes);
            met |= right.ct_eq(answer) & account.name.as_bytes().ct_eq(name.as_bytes());
        }
        met.into()
    }
}

/// A challenge that the peer has made.
pub(super) struct PeerChallenge {
    pub(super) identifier: u8,
    pub(super) bytes: Vec<u8>,
}

/// The target's side of one exchange.
#[derive(Clone, Debug)]
pub struct ChapServer {
    policy: ChapPolicy,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Start,
    Challenged(Challenge),
    Done { user: String },
}

impl ChapServer {
    /// Starts after CHAP was selected as the authentication method.
    pub const fn new(policy: ChapPolicy) -> Self {
        ChapServer { policy, state: State::Start }
    }

    /// The name that was proved, once it was.
    pub fn user(&self) -> Option<&str> {
        match &self.state {
            State::Done { user } => Some(user),
            _ => None,
        }
    }

    /// Takes the CHAP keys of one request and gives those of the answer.
    ///
    /// # Errors
    ///
    /// Keys that do not belong to the step: "initiator error"; keys that are not there: "missing parameter"; a
    /// response, name or algorithm that does not do: "authentication failure".
    pub fn step(&mut self, keys: &[(&str, &str)], entropy: &mut Entropy) -> Result<Vec<Pair>, Failure> {
        let value = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let allowed: &[&str] = match self.state {
            State::Start => &[names::CHAP_A],
            State::Challenged(_) => &[names::CHAP_N, names::CHAP_R, names::CHAP_I, names::CHAP_C],
            State::Done { .. } => &[],
        };
        if let Some((name, _)) = keys.iter().find(|(name, _)| !allowed.contains(name)) {
            return Err(Failure::initiator(format!("{name} does not belong in this step")));
        }
        match &self.state {
            State::Start => {
                let proposed = value(names::CHAP_A).ok_or_else(|| missing(names::CHAP_A))?;
                let challenge = Challenge::draw(self.choose(proposed)?, entropy);
                let answer = vec![
                    pair(names::CHAP_A, challenge.algorithm.code().to_string()),
                    pair(names::CHAP_I, challenge.identifier.to_string()),
                    pair(names::CHAP_C, encode_hex(&challenge.bytes)),
                ];
                self.state = State::Challenged(challenge);
                Ok(answer)
            }
            State::Challenged(challenge) => {
                let user = value(names::CHAP_N).ok_or_else(|| missing(names::CHAP_N))?;
                let answer = value(names::CHAP_R).ok_or_else(|| missing(names::CHAP_R))?;
                let theirs = peer_challenge(value(names::CHAP_I), value(names::CHAP_C))?;
                self.check_response(challenge, user, answer)?;
                let proof = match theirs {
                    Some(theirs) => self.prove(challenge, &theirs)?,
                    None => Vec::new(),
                };
                self.state = State::Done { user: user.to_owned() };
                Ok(proof)
            }
            State::Done { .. } => Ok(Vec::new()),
        }
    }

    /// The first proposed algorithm that the policy accepts.
    fn choose(&self, proposed: &str) -> Result<ChapAlgorithm, Failure> {
        list(proposed)
            .filter_map(|entry| parse_number(entry, 0..=255).ok().and_then(ChapAlgorithm::from_code))
            .find(|algorithm| self.policy.algorithms.contains(algorithm))
            .ok_or_else(|| unauthenticated("no CHAP algorithm in common"))
    }

    fn check_response(&self, challenge: &Challenge, user: &str, answer: &str) -> Result<(), Failure> {
        let answer = parse_binary(answer, MAX_BINARY)
            .map_err(|error| Failure::initiator(format!("CHAP_R is unreadable: {error}")))?;
        if answer.len() != challenge.algorithm.output_len() {
            return Err(unauthenticated("CHAP_R has a wrong length"));
        }
        if !challenge.is_met_by(&self.policy.accounts, user, &answer) {
            return Err(unauthenticated("CHAP name or response is wrong"));
        }
        // RFC 7143 section 9.2.1: what this end would have answered itself must not be taken from the peer.
        let own = self.policy.mutual.as_ref();
        let reflected = own.is_some_and(|own| {
            let ours = response(challenge.algorithm, challenge.identifier, &own.secret, &challenge.bytes);
            ours.ct_eq(&answer).into()
        });
        if reflected {
            return Err(unauthenticated("the CHAP response is the one that this end would give"));
        }
        Ok(())
    }

    fn prove(&self, ours: &Challenge, theirs: &PeerChallenge) -> Result<Vec<Pair>, Failure> {
        if bool::from(theirs.bytes.ct_eq(&ours.bytes)) {
            return Err(unauthenticated("the CHAP challenge of this end came back"));
        }
        let own = self.policy.mutual.as_ref();
        let own = own.ok_or_else(|| unauthenticated("the initiator wants a proof that is not configured"))?;
        let proof = response(ours.algorithm, theirs.identifier, &own.secret, &theirs.bytes);
        Ok(vec![pair(names::CHAP_N, own.name.clone()), pair(names::CHAP_R, encode_hex(&proof))])
    }
}

/// Reads CHAP_I and CHAP_C of the peer, which come together or not at all.
fn peer_challenge(identifier: Option<&str>, bytes: Option<&str>) -> Result<Option<PeerChallenge>, Failure> {
    let (identifier, bytes) = match (identifier, bytes) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(missing(names::CHAP_C)),
        (None, Some(_)) => return Err(missing(names::CHAP_I)),
        (Some(identifier), Some(bytes)) => (identifier, bytes),
    };
    read_challenge(identifier, bytes).map(Some)
}

/// Reads the values of CHAP_I and CHAP_C.
pub(super) fn read_challenge(identifier: &str, bytes: &str) -> Result<PeerChallenge, Failure> {
    let identifier = parse_number(identifier, 0..=255)
        .ok()
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| Failure::initiator("CHAP_I is not a number from 0 to 255"))?;
    let bytes = parse_binary(bytes, MAX_BINARY)
        .map_err(|error| Failure::initiator(format!("CHAP_C is unreadable: {error}")))?;
    Ok(PeerChallenge { identifier, bytes })
}

pub(super) fn pair(name: &str, value: String) -> Pair {
    (name.to_owned(), value)
}

fn missing(name: &str) -> Failure {
    Failure::new(LoginStatus::MISSING_PARAMETER, format!("{name} is missing"))
}

fn unauthenticated(why: &str) -> Failure {
    Failure::new(LoginStatus::AUTHENTICATION_FAILURE, why)
}
