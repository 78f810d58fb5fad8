//! Who may use a target: rules on names, and CHAP accounts.

use std::collections::BTreeSet;

use super::IscsiName;
use crate::login::{Account, Authentication, ChapAlgorithm, ChapPolicy};

/// The rules of one target. The default lets everybody in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Access {
    /// Which initiators, by name.
    pub initiators: Initiators,
    /// The accounts, when a login must authenticate.
    pub chap: Option<ChapRules>,
}

/// Which initiator names a rule lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Initiators {
    /// All of them.
    #[default]
    Any,
    /// These, by their exact names (build them with [`IscsiName::received`]).
    Only(BTreeSet<IscsiName>),
}

/// CHAP as a requirement: a login that does not authenticate fails.
#[derive(Clone, Debug)]
pub struct ChapRules {
    /// Who may log in.
    pub accounts: Vec<ChapAccount>,
    /// What this end authenticates itself with to an initiator that asks for it.
    pub mutual: Option<Account>,
    /// The algorithms taken, the most wanted first.
    pub algorithms: Vec<ChapAlgorithm>,
}

/// An account, and the initiators that it belongs to.
#[derive(Clone, Debug)]
pub struct ChapAccount {
    /// Name and secret.
    pub account: Account,
    /// The initiators that may use it: a valid secret does not let one initiator pose as another
    /// (RFC 7143 section 9.2).
    pub initiators: Initiators,
}

impl Initiators {
    /// Whether the rule lets `initiator` in.
    pub fn allow(&self, initiator: &IscsiName) -> bool {
        match self {
            Initiators::Any => true,
            Initiators::Only(names) => names.contains(initiator),
        }
    }
}

impl FromIterator<IscsiName> for Initiators {
    fn from_iter<I: IntoIterator<Item = IscsiName>>(names: I) -> Self {
        Initiators::Only(names.into_iter().collect())
    }
}

impl ChapRules {
    /// The accounts that `initiator` may use.
    pub(super) fn accounts_of(&self, initiator: &IscsiName) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|a| a.initiators.allow(initiator)).map(|a| &a.account)
    }

    /// What `initiator` must prove; `None` when no account is its own.
    pub(super) fn policy(&self, initiator: &IscsiName) -> Option<Authentication> {
        let accounts: Vec<Account> = self.accounts_of(initiator).cloned().collect();
        if accounts.is_empty() {
            return None;
        }
        let (mutual, algorithms) = (self.mutual.clone(), self.algorithms.clone());
        Some(Authentication::Chap(ChapPolicy { accounts, mutual, algorithms }))
    }
}

impl Access {
    /// Whether `initiator`, known as `user` where CHAP gave it a name, could log in.
    ///
    /// Without a user the names alone decide: what the accounts add is asked at the login itself.
    pub(super) fn allows(&self, initiator: &IscsiName, user: Option<&str>) -> bool {
        self.initiators.allow(initiator)
            && self.chap.as_ref().is_none_or(|chap| {
                chap.accounts_of(initiator).any(|account| user.is_none_or(|user| account.name == user))
            })
    }
}
