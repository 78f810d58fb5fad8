//! The initiator's side of a CHAP exchange (RFC 7143 sections 9.2.1 and 12.1.3).

use subtle::ConstantTimeEq;

use super::account::{Account, ChapAlgorithm};
use super::chap::{Challenge, PeerChallenge, pair, read_challenge, response};
use super::entropy::Entropy;
use super::keys::names;
use super::{Failure, Pair};
use crate::wire::text::{MAX_BINARY, encode_hex, parse_binary, parse_number};

/// The initiator's side of one exchange.
#[derive(Clone, Debug)]
pub struct ChapClient {
    account: Account,
    target: Option<Account>,
    algorithms: Vec<ChapAlgorithm>,
    chosen: Option<ChapAlgorithm>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// CHAP_A was, or is about to be, sent.
    Proposed,
    /// The response was sent, with the challenge if the target is to prove itself.
    Responded(Option<Challenge>),
    Done,
}

impl ChapClient {
    /// Proves `account` with one of `algorithms`, the preferred one first, and has the target prove `target`, if it
    /// is given.
    pub const fn new(account: Account, target: Option<Account>, algorithms: Vec<ChapAlgorithm>) -> Self {
        ChapClient { account, target, algorithms, chosen: None, state: State::Proposed }
    }

    /// CHAP_A, the first step of the exchange.
    pub fn proposal(&self) -> Pair {
        let codes: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm.code().to_string()).collect();
        pair(names::CHAP_A, codes.join(","))
    }

    /// The algorithm that the target has chosen.
    pub const fn algorithm(&self) -> Option<ChapAlgorithm> {
        self.chosen
    }

    /// Whether the exchange is over: the target has answered the response, and proved itself if it had to.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the CHAP keys of one response and gives those of the next request.
    ///
    /// # Errors
    ///
    /// Keys that do not belong to the step or are missing, values that cannot be read, an algorithm that was not
    /// proposed; a proof that does not do is an "authentication failure". The connection is to be closed.
    pub fn step(&mut self, keys: &[(&str, &str)], entropy: &mut Entropy) -> Result<Vec<Pair>, Failure> {
        let allowed: &[&str] = match &self.state {
            State::Proposed => &[names::CHAP_A, names::CHAP_I, names::CHAP_C],
            State::Responded(Some(_)) => &[names::CHAP_N, names::CHAP_R],
            State::Responded(None) | State::Done => &[],
        };
        if let Some((name, _)) = keys.iter().find(|(name, _)| !allowed.contains(name)) {
            return Err(Failure::initiator(format!("{name} does not belong in this step")));
        }
        let value = |name: &str| {
            let found = keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            found.ok_or_else(|| Failure::initiator(format!("{name} is missing")))
        };
        match &self.state {
            State::Proposed => {
                let algorithm = self.read_choice(value(names::CHAP_A)?)?;
                self.chosen = Some(algorithm);
                let theirs = read_challenge(value(names::CHAP_I)?, value(names::CHAP_C)?)?;
                Ok(self.respond(algorithm, &theirs, entropy))
            }
            State::Responded(Some(ours)) => {
                let (name, proof) = (value(names::CHAP_N)?, value(names::CHAP_R)?);
                self.check_proof(ours, name, proof)?;
                self.state = State::Done;
                Ok(Vec::new())
            }
            State::Responded(None) | State::Done => {
                self.state = State::Done;
                Ok(Vec::new())
            }
        }
    }

    /// The algorithm that the target chose, if it was proposed.
    fn read_choice(&self, value: &str) -> Result<ChapAlgorithm, Failure> {
        parse_number(value, 0..=255)
            .ok()
            .and_then(ChapAlgorithm::from_code)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| Failure::authentication("the target takes no CHAP algorithm that was offered"))
    }

    fn respond(
        &mut self,
        algorithm: ChapAlgorithm,
        theirs: &PeerChallenge,
        entropy: &mut Entropy,
    ) -> Vec<Pair> {
        let proof = response(algorithm, theirs.identifier, &self.account.secret, &theirs.bytes);
        let mut out =
            vec![pair(names::CHAP_N, self.account.name.clone()), pair(names::CHAP_R, encode_hex(&proof))];
        let ours = self.target.is_some().then(|| {
            let mut ours = Challenge::draw(algorithm, entropy);
            // RFC 7143 section 9.2.1: the challenge of the target is not to be sent back. A draw follows from
            // nothing that the target can know, and two of them differ.
            while ours.bytes == theirs.bytes {
                ours = Challenge::draw(algorithm, entropy);
            }
            ours
        });
        if let Some(ours) = &ours {
            out.push(pair(names::CHAP_I, ours.identifier.to_string()));
            out.push(pair(names::CHAP_C, encode_hex(&ours.bytes)));
        }
        self.state = State::Responded(ours);
        out
    }

    fn check_proof(&self, ours: &Challenge, name: &str, proof: &str) -> Result<(), Failure> {
        let proof = parse_binary(proof, MAX_BINARY)
            .map_err(|error| Failure::initiator(format!("CHAP_R is unreadable: {error}")))?;
        // RFC 7143 section 9.2.1: what this end would have answered itself must not be taken from the target.
        let own = response(ours.algorithm, ours.identifier, &self.account.secret, &ours.bytes);
        if own.ct_eq(&proof).into() {
            return Err(Failure::authentication(
                "the target's CHAP response is the one that this end would give",
            ));
        }
        if self.target.as_ref().is_some_and(|target| target.name != name) {
            return Err(Failure::authentication("the target proves another CHAP name than it should"));
        }
        if !ours.is_met_by(self.target.as_slice(), name, &proof) {
            return Err(Failure::authentication("the target does not know the secret that it should prove"));
        }
        Ok(())
    }
}
