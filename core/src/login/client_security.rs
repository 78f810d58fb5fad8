//! The initiator's side of the security stage: an offer of methods, then the exchange of the one that the target
//! chose (RFC 7143 section 6.3.2).

use super::account::ChapAlgorithm;
use super::chap_client::ChapClient;
use super::entropy::Entropy;
use super::keys::{constants, names};
use super::{Failure, Pair};

const CHAP: &str = "CHAP";

/// How far the authentication has come.
#[derive(Debug)]
pub(super) struct ClientSecurity {
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// This end offers no authentication.
    NoneOffered,
    /// This end offers CHAP, and `or_none` if a target that wants none will do.
    ChapOffered { client: ChapClient, or_none: bool },
    /// The target chose CHAP.
    Chap(ChapClient),
    /// The target chose to go without, which this end had offered.
    NoneChosen,
}

impl ClientSecurity {
    /// Offers CHAP where there is a `client`; nothing else where there is none.
    pub(super) fn new(client: Option<ChapClient>, or_none: bool) -> Self {
        let method = match client {
            None => Method::NoneOffered,
            Some(client) => Method::ChapOffered { client, or_none },
        };
        ClientSecurity { method }
    }

    /// The methods, in order of preference.
    pub(super) fn offer(&self) -> Pair {
        let methods = match &self.method {
            Method::ChapOffered { or_none: true, .. } => "CHAP,None",
            Method::ChapOffered { .. } | Method::Chap(_) => CHAP,
            Method::NoneOffered | Method::NoneChosen => constants::NONE,
        };
        (names::AUTH_METHOD.to_owned(), methods.to_owned())
    }

    /// Whether nothing is left to be sent by this end, so that it asks for the next stage.
    pub(super) const fn is_ready(&self) -> bool {
        match &self.method {
            Method::NoneOffered | Method::NoneChosen => true,
            Method::ChapOffered { .. } => false,
            // The response is the last word of this end.
            Method::Chap(client) => client.algorithm().is_some(),
        }
    }

    /// Whether everything that this end asks for was proved.
    pub(super) const fn is_satisfied(&self) -> bool {
        match &self.method {
            Method::NoneOffered | Method::NoneChosen => true,
            Method::ChapOffered { .. } => false,
            Method::Chap(client) => client.is_done(),
        }
    }

    /// The CHAP algorithm that the target chose.
    pub(super) const fn algorithm(&self) -> Option<ChapAlgorithm> {
        match &self.method {
            Method::Chap(client) => client.algorithm(),
            _ => None,
        }
    }

    /// Takes the security keys of one response and gives those of the next request.
    pub(super) fn step(
        &mut self,
        keys: &[(&str, &str)],
        entropy: &mut Entropy,
    ) -> Result<Vec<Pair>, Failure> {
        let chosen = keys.iter().find(|(name, _)| *name == names::AUTH_METHOD).map(|(_, method)| *method);
        let exchange: Vec<_> = keys.iter().copied().filter(|(name, _)| *name != names::AUTH_METHOD).collect();
        match (&mut self.method, chosen) {
            (Method::Chap(client), None) => return client.step(&exchange, entropy),
            (Method::Chap(_) | Method::NoneChosen, Some(_)) => {
                return Err(Failure::initiator("AuthMethod was answered before"));
            }
            _ => {}
        }
        if let Some((name, _)) = exchange.first() {
            return Err(Failure::initiator(format!("{name} belongs to no method that was chosen")));
        }
        match (&self.method, chosen) {
            // A target that goes on without a word on the one method that was offered has taken it.
            (Method::NoneOffered, None | Some(constants::NONE)) => Ok(Vec::new()),
            (Method::NoneOffered, Some(CHAP | constants::REJECT)) => Err(Failure::authentication(
                "the target wants the initiator to prove itself, and there are no credentials",
            )),
            (Method::ChapOffered { client, .. }, Some(CHAP)) => {
                let client = client.clone();
                let proposal = client.proposal();
                self.method = Method::Chap(client);
                Ok(vec![proposal])
            }
            (Method::ChapOffered { or_none: true, .. }, Some(constants::NONE)) => {
                self.method = Method::NoneChosen;
                Ok(Vec::new())
            }
            (Method::ChapOffered { .. }, Some(constants::NONE)) => Err(Failure::authentication(
                "the target asks for no authentication here, which is to be allowed, or credentials left out",
            )),
            (Method::ChapOffered { .. }, Some(constants::REJECT)) => {
                Err(Failure::authentication("the target does not take CHAP"))
            }
            (Method::ChapOffered { .. }, None) => Err(Failure::initiator("AuthMethod was not answered")),
            (Method::NoneChosen | Method::Chap(_), None) => Ok(Vec::new()),
            (_, Some(_)) => Err(Failure::initiator("AuthMethod is answered with what was not offered")),
        }
    }
}
