//! SendTargets, RFC 7143 appendix C: what an initiator learns about the targets here.

use core::net::SocketAddr;

use super::portal::group_at;
use super::{IscsiName, Node, TargetConfig};
use crate::target::{SendTargets, TargetAddress, TargetRecord};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// InitiatorName of the session.
    pub initiator: &'a str,
    /// The CHAP name that the session authenticated with, if it did.
    pub user: Option<&'a str>,
    /// The session's kind.
    pub session: Asking<'a>,
    /// The local address of the connection that the request came over.
    pub local: SocketAddr,
}

/// The kind of session that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking<'a> {
    /// A discovery session, and the target that it named, if it did.
    Discovery(Option<&'a str>),
    /// A normal session of this target.
    Normal(&'a str),
}

impl Node {
    /// Answers SendTargets; `None` when this session may not ask that (`All` on a normal session).
    ///
    /// A target is reported when the asking initiator could log in to it, as far as the rules on names tell, with all
    /// the portals that it can reach. A user that is an account of some target sees only targets without CHAP and
    /// those that it has an account of; a user that exists for discovery alone sees what the name allows.
    pub fn send_targets(&self, asker: &Asker<'_>, which: &SendTargets) -> Option<Vec<TargetRecord>> {
        let Ok(initiator) = IscsiName::received(asker.initiator) else { return Some(Vec::new()) };
        let own = match asker.session {
            Asking::Normal(target) => self.target(target),
            Asking::Discovery(target) => target.and_then(|t| self.target(t)),
        };
        let wanted: Vec<&TargetConfig> = match (which, asker.session) {
            (SendTargets::All, Asking::Normal(_)) => return None,
            (SendTargets::All, Asking::Discovery(_)) => self.config().targets.iter().collect(),
            (SendTargets::Current, _) => own.into_iter().collect(),
            (SendTargets::Named(name), Asking::Discovery(_)) => self.target(name).into_iter().collect(),
            (SendTargets::Named(name), Asking::Normal(_)) => {
                let named = self.target(name).map(|t| &t.name);
                own.filter(|own| Some(&own.name) == named).into_iter().collect()
            }
        };
        let user = self.user_for_targets(asker);
        Some(
            wanted
                .into_iter()
                .filter(|t| t.access.allows(&initiator, user))
                .filter_map(|t| record(t, asker.local))
                .collect(),
        )
    }

    /// The user as far as it says something about targets: a discovery session's may be of discovery only.
    fn user_for_targets<'a>(&self, asker: &Asker<'a>) -> Option<&'a str> {
        let user = asker.user?;
        let mut accounts = self.config().targets.iter().filter_map(|t| t.access.chap.as_ref());
        let known = accounts.any(|chap| chap.accounts.iter().any(|a| a.account.name == user));
        known.then_some(user)
    }
}

fn record(target: &TargetConfig, local: SocketAddr) -> Option<TargetRecord> {
    let mut addresses: Vec<TargetAddress> = Vec::new();
    for group in &target.groups {
        for portal in &group.portals {
            // A wildcard does not speak for an address that has a portal of its own, perhaps in another group.
            let here = SocketAddr::new(local.ip(), portal.address.port());
            let covered = portal.address.ip().is_unspecified() && here.port() != 0;
            if covered && group_at(&target.groups, here) != Some(group.tag) {
                continue;
            }
            let address = portal.reported(local);
            match address.map(|address| TargetAddress { address, portal_group_tag: group.tag }) {
                Some(address) if !addresses.contains(&address) => addresses.push(address),
                _ => {}
            }
        }
    }
    // A record without addresses would say "at the address that you asked", which is not so.
    (!addresses.is_empty()).then(|| TargetRecord { name: target.name.to_string(), addresses })
}
