//! What the nodes of this end are, as an operator says it, and the checks that it makes sense.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Access, ChapRules, IscsiName, LunMap, PortalGroup};
use crate::login::{Account, Offer};

/// Everything that a [`Node`](super::Node) is made of.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The targets, in the order in which SendTargets reports them.
    pub targets: Vec<TargetConfig>,
    /// The rules of discovery sessions.
    pub discovery: Discovery,
}

/// How discovery sessions log in. By default they do not authenticate.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Discovery {
    /// The accounts, when a discovery login must authenticate.
    pub chap: Option<ChapRules>,
    /// What is negotiated.
    pub offer: Offer,
}

/// One target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TargetConfig {
    /// Its name.
    pub name: IscsiName,
    /// Its name for people; initiators show it, nothing depends on it.
    pub alias: Option<String>,
    /// Where it is reachable.
    pub groups: Vec<PortalGroup>,
    /// The LUNs that initiators see, but for those in `luns_for`.
    pub luns: LunMap,
    /// The LUNs of particular initiators, in place of `luns`.
    pub luns_for: BTreeMap<IscsiName, LunMap>,
    /// Who may log in.
    pub access: Access,
    /// What is negotiated.
    pub offer: Offer,
    /// Whether it takes logins.
    pub service: Service,
}

/// Whether a target takes logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// It does.
    #[default]
    Online,
    /// Not now (maintenance, shutdown): initiators are told to try again later.
    Unavailable,
    /// Never again: initiators are told to forget it.
    Removed,
}

/// Why a configuration makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two targets have one name.
    #[error("target {0} is defined twice")]
    DuplicateTarget(IscsiName),
    /// A target without a portal cannot be reached.
    #[error("target {0} has no portal")]
    NoPortal(IscsiName),
    /// Two groups of a target have one tag.
    #[error("target {target} has two portal groups with tag {tag}")]
    DuplicateGroup {
        /// The target.
        target: IscsiName,
        /// The tag.
        tag: u16,
    },
    /// A portal belongs to exactly one group of a target (RFC 7143 section 4.4.1).
    #[error("target {target} has portal {portal} twice")]
    DuplicatePortal {
        /// The target.
        target: IscsiName,
        /// The portal.
        portal: SocketAddr,
    },
    /// What SendTargets is to report would not be an address.
    #[error("{0:?} cannot be announced as an address; write host:port")]
    Announce(String),
    /// An alias that does not fit into a text value (RFC 7143 section 6.1).
    #[error("the alias of target {0} is empty, longer than 255 bytes or has control characters")]
    Alias(IscsiName),
    /// A LUN above 16383.
    #[error("LUN {0} is out of range; the greatest is 16383")]
    LunRange(u16),
    /// A LUN that is already there.
    #[error("LUN {0} is mapped twice")]
    DuplicateLun(u16),
    /// CHAP is demanded but nobody could pass.
    #[error("{0} demands CHAP and has no account")]
    NoAccount(Place),
    /// Two accounts of one place have one name.
    #[error("{place} has two CHAP accounts named {name:?}")]
    DuplicateAccount {
        /// Where.
        place: Place,
        /// The account's name.
        name: String,
    },
    /// A name or secret that CHAP cannot carry.
    #[error("{place}: CHAP account {name:?}: {problem}")]
    Account {
        /// Where.
        place: Place,
        /// The account's name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// One secret for both directions, which lets an initiator answer with what it asked (RFC 7143 section 9.2.1).
    #[error("the secret of CHAP account {initiator:?} is also that of the target's own account {target:?}")]
    SharedSecret {
        /// The initiator's account.
        initiator: String,
        /// This end's account.
        target: String,
    },
}

/// Which part of a configuration an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The rules of discovery sessions.
    Discovery,
    /// The rules of a target.
    Target(IscsiName),
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Place::Discovery => f.write_str("discovery"),
            Place::Target(name) => write!(f, "target {name}"),
        }
    }
}

impl TargetConfig {
    /// A target that everybody may use, still without portals and LUNs.
    pub fn new(name: IscsiName) -> Self {
        TargetConfig {
            name,
            alias: None,
            groups: Vec::new(),
            luns: LunMap::new(),
            luns_for: BTreeMap::new(),
            access: Access::default(),
            offer: Offer::default(),
            service: Service::Online,
        }
    }
}

impl NodeConfig {
    /// Everything that makes no sense in it; none when it is fit for use.
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let mut names = BTreeSet::new();
        for target in &self.targets {
            if !names.insert(&target.name) {
                found.push(ConfigError::DuplicateTarget(target.name.clone()));
            }
            check_alias(target, &mut found);
            check_portals(target, &mut found);
        }
        for (place, chap) in self.rules() {
            check_accounts(&place, chap, &mut found);
        }
        self.check_shared_secrets(&mut found);
        found
    }

    fn rules(&self) -> impl Iterator<Item = (Place, &ChapRules)> {
        let discovery = self.discovery.chap.iter().map(|c| (Place::Discovery, c));
        discovery.chain(
            self.targets
                .iter()
                .filter_map(|t| Some((Place::Target(t.name.clone()), t.access.chap.as_ref()?))),
        )
    }

    /// The two directions must not share a secret anywhere, not only within one target (RFC 7143 section 9.2.1).
    fn check_shared_secrets(&self, found: &mut Vec<ConfigError>) {
        let own: Vec<&Account> = self.rules().filter_map(|(_, c)| c.mutual.as_ref()).collect();
        let theirs = self.rules().flat_map(|(_, c)| &c.accounts).map(|a| &a.account);
        for account in theirs {
            if let Some(own) = own.iter().find(|own| own.secret == account.secret) {
                let (initiator, target) = (account.name.clone(), own.name.clone());
                let error = ConfigError::SharedSecret { initiator, target };
                // One mutual account is often configured for many targets: it is one mistake.
                if !found.contains(&error) {
                    found.push(error);
                }
            }
        }
    }
}

fn check_alias(target: &TargetConfig, found: &mut Vec<ConfigError>) {
    if target.alias.as_ref().is_some_and(|a| a.is_empty() || a.len() > 255 || a.chars().any(char::is_control))
    {
        found.push(ConfigError::Alias(target.name.clone()));
    }
}

fn check_portals(target: &TargetConfig, found: &mut Vec<ConfigError>) {
    let (mut tags, mut portals) = (BTreeSet::new(), BTreeSet::new());
    for group in &target.groups {
        if !tags.insert(group.tag) {
            found.push(ConfigError::DuplicateGroup { target: target.name.clone(), tag: group.tag });
        }
        for portal in &group.portals {
            if !portals.insert(portal.address) {
                let target = target.name.clone();
                found.push(ConfigError::DuplicatePortal { target, portal: portal.address });
            }
            if let Some(bad) = portal.announce.as_ref().filter(|a| !is_host_and_port(a)) {
                found.push(ConfigError::Announce(bad.clone()));
            }
        }
    }
    if portals.is_empty() {
        found.push(ConfigError::NoPortal(target.name.clone()));
    }
}

fn check_accounts(place: &Place, chap: &ChapRules, found: &mut Vec<ConfigError>) {
    if chap.accounts.is_empty() {
        found.push(ConfigError::NoAccount(place.clone()));
    }
    let mut names = BTreeSet::new();
    for account in chap.accounts.iter().map(|a| &a.account) {
        if !names.insert(&account.name) {
            let (place, name) = (place.clone(), account.name.clone());
            found.push(ConfigError::DuplicateAccount { place, name });
        }
    }
    for account in chap.accounts.iter().map(|a| &a.account).chain(&chap.mutual) {
        let problem = if account.name.is_empty() || account.name.len() > 255 {
            "its name must have 1 to 255 bytes"
        } else if account.name.chars().any(char::is_control) {
            "its name must not have control characters"
        } else if account.secret.bytes().is_empty() {
            "its secret is empty"
        } else {
            continue;
        };
        found.push(ConfigError::Account { place: place.clone(), name: account.name.clone(), problem });
    }
}

/// Whether `text` has the form of a TargetAddress without its tag (RFC 7143 section 13.8).
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_is_fine = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            !host.is_empty() && host.len() <= 253 && host.chars().all(plain)
        }
    };
    // No sign, no zero: u16's own parser would take "+860".
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    host_is_fine && digits && port.parse::<u16>().is_ok_and(|p| p != 0)
}
