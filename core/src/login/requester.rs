//! The initiator's side of a whole login, on pairs of text: what to ask, and what to make of the answers.

use super::Pair;
use super::account::ChapAlgorithm;
use super::chap_client::ChapClient;
use super::client_security::ClientSecurity;
use super::entropy::Entropy;
use super::hello::{Failure, SessionType};
use super::intake::{Item, Seen, login_items};
use super::keys::{KEYS, Kind, Party, constants, names};
use super::negotiate::{Leading, Negotiation, in_range};
use super::offer::{Offer, Parameters};
use crate::wire::text::IscsiName;
use crate::wire::{LoginStatus, Stage};

/// Who logs in, and where to.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) initiator: IscsiName,
    pub(crate) initiator_alias: Option<String>,
    /// `None` in a discovery session.
    pub(crate) target: Option<IscsiName>,
}

impl Identity {
    pub(crate) const fn session_type(&self) -> SessionType {
        match self.target {
            Some(_) => SessionType::Normal,
            None => SessionType::Discovery,
        }
    }

    fn pairs(&self) -> Vec<Pair> {
        let session_type = match self.session_type() {
            SessionType::Normal => "Normal",
            SessionType::Discovery => "Discovery",
        };
        let target = self.target.as_ref().map(IscsiName::as_str);
        [
            (names::INITIATOR_NAME, Some(self.initiator.as_str())),
            (names::INITIATOR_ALIAS, self.initiator_alias.as_deref()),
            (names::TARGET_NAME, target),
            (names::SESSION_TYPE, Some(session_type)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
    }
}

/// One group of pairs to be sent.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) pairs: Vec<Pair>,
    /// The stage to ask for.
    pub(crate) next: Option<Stage>,
}

/// What follows from an answer.
#[derive(Debug)]
pub(crate) enum Progress {
    /// This is to be sent.
    Ask(Request),
    /// The login is complete.
    Done(Box<Parameters>),
}

/// Why this end gives up.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct GiveUp {
    pub(crate) trouble: Trouble,
    pub(crate) why: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// The target broke the protocol.
    Protocol,
    /// One end does not prove itself to the other.
    Authentication,
    /// The two ends cannot agree.
    Terms,
}

impl From<Failure> for GiveUp {
    fn from(failure: Failure) -> Self {
        let trouble = match failure.status {
            LoginStatus::AUTHENTICATION_FAILURE => Trouble::Authentication,
            _ => Trouble::Protocol,
        };
        GiveUp { trouble, why: failure.why }
    }
}

/// Asks through one login.
#[derive(Debug)]
pub(crate) struct Requester {
    identity: Identity,
    security: ClientSecurity,
    negotiation: Negotiation,
    entropy: Entropy,
    seen: Seen,
    stage: Stage,
    portal_group_tag: Option<u16>,
    target_alias: Option<String>,
}

impl Requester {
    /// Starts a login that begins a session.
    pub(crate) fn new(
        identity: Identity,
        client: Option<ChapClient>,
        or_none: bool,
        offer: Offer,
        entropy: Entropy,
    ) -> Self {
        Requester {
            security: ClientSecurity::new(client, or_none),
            negotiation: Negotiation::new(offer, identity.session_type(), Leading::Yes),
            identity,
            entropy,
            seen: Seen::default(),
            stage: Stage::SecurityNegotiation,
            portal_group_tag: None,
            target_alias: None,
        }
    }

    /// The stage that the login is in.
    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    /// TargetPortalGroupTag, if the target has told it.
    pub(crate) const fn portal_group_tag(&self) -> Option<u16> {
        self.portal_group_tag
    }

    /// TargetAlias, if the target has told it.
    pub(crate) fn target_alias(&self) -> Option<&str> {
        self.target_alias.as_deref()
    }

    /// The CHAP algorithm that the target chose.
    pub(crate) const fn algorithm(&self) -> Option<ChapAlgorithm> {
        self.security.algorithm()
    }

    /// The longest data segment that the target takes, as far as it is known.
    pub(crate) const fn peer_max_segment(&self) -> u32 {
        self.negotiation.parameters().peer_max_segment
    }

    /// The first request: who this is, whom it wants, and how it can prove itself.
    ///
    /// The first step of a method waits until the target has chosen it, though it could come along: LIO wants it so.
    pub(crate) fn begin(&self) -> Request {
        let mut pairs = self.identity.pairs();
        pairs.push(self.security.offer());
        Request { pairs, next: self.next() }
    }

    /// Takes one complete group of pairs, with which the target went to stage `moved`, or stayed.
    pub(crate) fn answer(
        &mut self,
        moved: Option<Stage>,
        pairs: &[(&str, &str)],
    ) -> Result<Progress, GiveUp> {
        let items = {
            let is_proposed = |row: usize| {
                let key = KEYS.get(row);
                key.is_some_and(|key| matches!(key.kind, Kind::Authentication))
                    || self.negotiation.is_proposed(row)
            };
            login_items(pairs, self.stage, Leading::Yes, Party::Target, &mut self.seen, is_proposed)?
        };
        self.note_declarations(&items)?;
        let mut answers = self.negotiation.answer_items(&items)?;
        // RFC 7143 section 11.13.6. Keys that nobody here knows are passed over: a target that declares some of its
        // own goes on without an answer.
        if moved.is_some() && answers.iter().any(|(_, value)| value != constants::NOT_UNDERSTOOD) {
            return Err(Failure::initiator("the target ends a stage with a proposal").into());
        }
        if self.stage == Stage::SecurityNegotiation {
            let keys: Vec<_> =
                items.iter().filter(|i| is_authentication(i)).map(|i| (i.name, i.value)).collect();
            answers.extend(self.security.step(&keys, &mut self.entropy)?);
        }
        match moved {
            None => Ok(Progress::Ask(Request { pairs: answers, next: self.next() })),
            Some(Stage::FullFeature) => match self.negotiation.finish() {
                Ok(parameters) => Ok(Progress::Done(Box::new(parameters))),
                Err(failure) => Err(GiveUp { trouble: Trouble::Terms, why: failure.why }),
            },
            Some(stage) => {
                // The steps above allow no other way here; this is the one place where all of them must have led.
                if !self.security.is_satisfied() {
                    return Err(Failure::initiator("the target ends an authentication too soon").into());
                }
                self.stage = stage;
                Ok(Progress::Ask(Request { pairs: self.negotiation.offers(), next: self.next() }))
            }
        }
    }

    /// The stage to ask for: once asked for, it is asked for again until the target goes there.
    const fn next(&self) -> Option<Stage> {
        match self.stage {
            Stage::SecurityNegotiation if self.security.is_ready() => {
                Some(Stage::LoginOperationalNegotiation)
            }
            Stage::LoginOperationalNegotiation => Some(Stage::FullFeature),
            Stage::SecurityNegotiation | Stage::FullFeature => None,
        }
    }

    fn note_declarations(&mut self, items: &[Item<'_>]) -> Result<(), Failure> {
        for item in items {
            if item.name == names::TARGET_PORTAL_GROUP_TAG {
                let tag = in_range(item.value, &(0..=0xffff)).and_then(|tag| u16::try_from(tag).ok());
                let wrong = || Failure::initiator("TargetPortalGroupTag is not a number of 16 bits");
                self.portal_group_tag = Some(tag.ok_or_else(wrong)?);
            }
            if item.name == names::TARGET_ALIAS {
                self.target_alias = Some(item.value.to_owned());
            }
        }
        Ok(())
    }
}

fn is_authentication(item: &Item<'_>) -> bool {
    matches!(item.key, Some((_, key)) if matches!(key.kind, Kind::Authentication))
}
