//! The target's side of a whole login, over complete groups of pairs.

use super::Pair;
use super::entropy::Entropy;
use super::hello::{Admission, Failure, SessionType};
use super::intake::{Item, Seen, login_items};
use super::keys::{Kind, Party, names};
use super::negotiate::{Leading, Negotiation};
use super::offer::Parameters;
use super::security::Security;
use crate::wire::{LoginStatus, Stage};

/// Answers the requests of one login.
///
/// Each complete group of pairs goes to [`answer`](Self::answer). When all of the answer has been sent, a request that
/// asks for a transition may have it if [`may_leave`](Self::may_leave) says so.
#[derive(Debug)]
pub struct Responder {
    security: Security,
    negotiation: Negotiation,
    leading: Leading,
    entropy: Entropy,
    seen: Seen,
    portal_group_tag: Option<u16>,
    /// Told once, in the operational stage of a normal session: an initiator has proved itself by then.
    target_alias: Option<String>,
    initiator_alias: Option<String>,
    first: bool,
    declared: bool,
    /// Whether the last answer has proposals, which the initiator may answer in this stage.
    proposing: bool,
    answer_limit: usize,
}

impl Responder {
    /// Starts a login on the terms of `admission`; answers grow to `answer_limit` bytes of text at most.
    pub fn new(
        admission: Admission,
        session_type: SessionType,
        leading: Leading,
        entropy: Entropy,
        answer_limit: usize,
    ) -> Self {
        Responder {
            security: Security::new(admission.authentication),
            negotiation: Negotiation::new(admission.offer, session_type, leading),
            leading,
            entropy,
            seen: Seen::default(),
            portal_group_tag: admission.portal_group_tag,
            target_alias: admission.target_alias.filter(|_| session_type == SessionType::Normal),
            initiator_alias: None,
            first: true,
            declared: false,
            proposing: false,
            answer_limit,
        }
    }

    /// Answers one complete group of pairs, which came in `stage` with the wish to go to `next`.
    ///
    /// Keys that the initiator left out, and whose defaults the offer does not allow, are proposed when it wants to
    /// leave the operational stage.
    ///
    /// # Errors
    ///
    /// The login fails with the status given.
    pub fn answer(
        &mut self,
        stage: Stage,
        next: Option<Stage>,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<Pair>, Failure> {
        let operational = stage == Stage::LoginOperationalNegotiation;
        if operational && !self.security.is_satisfied() {
            return Err(Failure::new(
                LoginStatus::AUTHENTICATION_FAILURE,
                "authentication is required and was skipped",
            ));
        }
        let items = {
            let is_proposed = |row| self.negotiation.is_proposed(row);
            login_items(pairs, stage, self.leading, Party::Initiator, &mut self.seen, is_proposed)?
        };
        self.check_identity(&items)?;
        let mut answers = Vec::new();
        if let (true, Some(tag)) = (core::mem::take(&mut self.first), self.portal_group_tag) {
            answers.push((names::TARGET_PORTAL_GROUP_TAG.to_owned(), tag.to_string()));
        }
        if operational && !core::mem::replace(&mut self.declared, true) {
            let alias = self.target_alias.take();
            answers.extend(alias.map(|alias| (names::TARGET_ALIAS.to_owned(), alias)));
            answers.extend(self.negotiation.declarations());
        }
        answers.extend(self.negotiation.answer_items(&items)?);
        self.proposing = false;
        if operational {
            self.negotiation.expect_answers()?;
            if next.is_some() {
                let proposals = self.negotiation.proposals();
                self.proposing = !proposals.is_empty();
                answers.extend(proposals);
            }
        } else {
            let keys: Vec<_> =
                items.iter().filter(|i| is_authentication(i)).map(|i| (i.name, i.value)).collect();
            answers.extend(self.security.step(&keys, &mut self.entropy)?);
        }
        let size: usize = answers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        if size > self.answer_limit {
            return Err(Failure::initiator("the answer would be too long"));
        }
        Ok(answers)
    }

    /// Whether this end is ready to leave `stage`.
    ///
    /// # Errors
    ///
    /// What was negotiated contradicts itself (checked on leaving the operational stage).
    pub fn may_leave(&self, stage: Stage) -> Result<bool, Failure> {
        match stage {
            Stage::SecurityNegotiation => Ok(self.security.is_satisfied()),
            Stage::LoginOperationalNegotiation if self.proposing => Ok(false),
            Stage::LoginOperationalNegotiation => self.negotiation.finish().map(|_| true),
            Stage::FullFeature => Ok(false),
        }
    }

    /// What was agreed on.
    ///
    /// # Errors
    ///
    /// It contradicts itself.
    pub fn parameters(&self) -> Result<Parameters, Failure> {
        self.negotiation.finish()
    }

    /// The longest data segment that the initiator takes, as far as it is known.
    pub const fn peer_max_segment(&self) -> u32 {
        self.negotiation.parameters().peer_max_segment
    }

    /// The CHAP name that the initiator proved.
    pub fn user(&self) -> Option<&str> {
        self.security.user()
    }

    /// InitiatorAlias, if the initiator has declared it.
    pub fn initiator_alias(&self) -> Option<&str> {
        self.initiator_alias.as_deref()
    }

    /// Names come in the first group only: the session that is admitted rests on them.
    fn check_identity(&mut self, items: &[Item<'_>]) -> Result<(), Failure> {
        for item in items {
            if item.name == names::INITIATOR_ALIAS {
                self.initiator_alias = Some(item.value.to_owned());
            }
            let identity =
                [names::INITIATOR_NAME, names::TARGET_NAME, names::SESSION_TYPE].contains(&item.name);
            if identity && !self.first {
                return Err(Failure::initiator(format!("{} belongs in the first request", item.name)));
            }
        }
        Ok(())
    }
}

fn is_authentication(item: &Item<'_>) -> bool {
    matches!(item.key, Some((_, key)) if matches!(key.kind, Kind::Authentication))
}
