//! The target's side of the security stage: selection of a method, then its exchange (RFC 7143 section 6.3.2).

use super::account::Authentication;
use super::chap::ChapServer;
use super::entropy::Entropy;
use super::keys::{constants, names};
use super::{Failure, Pair};
use crate::wire::LoginStatus;
use crate::wire::text::list;

const CHAP: &str = "CHAP";

/// How far the authentication of an initiator has come.
#[derive(Debug)]
pub(crate) struct Security {
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// Nobody needs to prove anything.
    Open,
    /// CHAP is required; `proposed` once this end has named it, because the initiator did not.
    ChapRequired { server: ChapServer, proposed: bool },
    /// CHAP was selected.
    Chap(ChapServer),
}

impl Security {
    pub(crate) fn new(authentication: Authentication) -> Self {
        let method = match authentication {
            Authentication::None => Method::Open,
            Authentication::Chap(policy) => {
                Method::ChapRequired { server: ChapServer::new(policy), proposed: false }
            }
        };
        Security { method }
    }

    /// Whether the initiator may go on to another stage.
    pub(crate) fn is_satisfied(&self) -> bool {
        match &self.method {
            Method::Open => true,
            Method::ChapRequired { .. } => false,
            Method::Chap(server) => server.user().is_some(),
        }
    }

    /// The CHAP name that was proved.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.method {
            Method::Chap(server) => server.user(),
            _ => None,
        }
    }

    /// Takes the security keys of one group and gives the answers.
    pub(crate) fn step(
        &mut self,
        keys: &[(&str, &str)],
        entropy: &mut Entropy,
    ) -> Result<Vec<Pair>, Failure> {
        let offered = keys.iter().find(|(name, _)| *name == names::AUTH_METHOD).map(|(_, methods)| *methods);
        let exchange: Vec<_> = keys.iter().copied().filter(|(name, _)| *name != names::AUTH_METHOD).collect();
        let mut answers = Vec::new();
        if let Some(methods) = offered {
            answers.extend(self.select(methods)?);
        }
        match &mut self.method {
            Method::Open => {
                if let Some((name, _)) = exchange.first() {
                    return Err(Failure::initiator(format!("{name} belongs to no method that was selected")));
                }
            }
            Method::ChapRequired { proposed, .. } => {
                if let Some((name, _)) = exchange.first() {
                    return Err(Failure::initiator(format!("{name} comes before AuthMethod")));
                }
                if *proposed {
                    return Err(refused("the initiator does not take up CHAP"));
                }
                *proposed = true;
                answers.push(auth_method(CHAP));
            }
            // The method alone is a whole step when this end has just selected it: the first step of the exchange
            // may come along with it, or next.
            Method::Chap(_) if offered.is_some() && exchange.is_empty() => {}
            // After the exchange, empty requests carry the transition.
            Method::Chap(server) if server.user().is_some() && exchange.is_empty() => {}
            Method::Chap(server) => answers.extend(server.step(&exchange, entropy)?),
        }
        Ok(answers)
    }

    /// Selects from the methods that the initiator offers, or takes its answer to what this end proposed.
    fn select(&mut self, methods: &str) -> Result<Option<Pair>, Failure> {
        match &self.method {
            Method::Open if lists(methods, constants::NONE) => Ok(Some(auth_method(constants::NONE))),
            Method::Open => Ok(Some(auth_method(constants::REJECT))),
            Method::ChapRequired { server, proposed } if lists(methods, CHAP) => {
                let answer = (!proposed).then(|| auth_method(CHAP));
                self.method = Method::Chap(server.clone());
                Ok(answer)
            }
            Method::ChapRequired { .. } => {
                Err(refused("the initiator does not offer CHAP, which is required"))
            }
            Method::Chap(_) => Err(Failure::initiator("a method was selected already")),
        }
    }
}

fn lists(methods: &str, entry: &str) -> bool {
    list(methods).any(|e| e == entry)
}

fn auth_method(value: &str) -> Pair {
    (names::AUTH_METHOD.to_owned(), value.to_owned())
}

fn refused(why: &str) -> Failure {
    Failure::new(LoginStatus::AUTHENTICATION_FAILURE, why)
}
