//! The first decision of a login: may this initiator go on, and under which conditions?

use core::net::SocketAddr;

use thiserror::Error;

use super::portal::group_at;
use super::{ConfigError, IscsiName, LunMap, NodeConfig, Service, TargetConfig};
use crate::login::{Admission, Authentication, Hello, SessionType};
use crate::wire::LoginStatus;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Node {
    config: NodeConfig,
}

/// Why a login ends here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("login refused with status {:#06x}: {why}", status.0)]
pub struct Refusal {
    /// What the initiator is told.
    pub status: LoginStatus,
    /// What the log is told.
    pub why: String,
}

impl Refusal {
    /// Refuses with `status`, for the reason that `why` tells the log.
    pub fn new(status: LoginStatus, why: impl Into<String>) -> Self {
        Refusal { status, why: why.into() }
    }
}

impl Node {
    /// Takes a configuration into use.
    ///
    /// # Errors
    ///
    /// The first of [`NodeConfig::problems`].
    pub fn new(config: NodeConfig) -> Result<Self, ConfigError> {
        match config.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Node { config }),
        }
    }

    /// The configuration.
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// The target of that name, in whichever case it is written.
    pub fn target(&self, name: &str) -> Option<&TargetConfig> {
        let name = IscsiName::received(name).ok()?;
        self.config.targets.iter().find(|t| t.name == name)
    }

    /// The LUNs that `initiator` sees at `target`; `None` when there is no such target.
    ///
    /// Whether the initiator may log in at all is not asked here.
    pub fn luns(&self, target: &str, initiator: &str) -> Option<&LunMap> {
        let target = self.target(target)?;
        let own = IscsiName::received(initiator).ok().and_then(|i| target.luns_for.get(&i));
        Some(own.unwrap_or(&target.luns))
    }

    /// Lets targets take logins, or stop taking them.
    ///
    /// Sessions that exist are not touched. Returns whether there is such a target.
    pub fn set_service(&mut self, target: &str, service: Service) -> bool {
        let Ok(name) = IscsiName::received(target) else { return false };
        let found = self.config.targets.iter_mut().find(|t| t.name == name);
        found.map(|t| t.service = service).is_some()
    }

    /// Answers a hello that came over the connection whose local address is `local`.
    ///
    /// A discovery session that names a target is held to the rules of that target, its CHAP accounts included:
    /// it may replace a session of the target (RFC 7143 section 7.4.2.2), so it must not be easier to open.
    ///
    /// # Errors
    ///
    /// - 0x0200: the initiator's name is none.
    /// - 0x0203: there is no such target, or not on this portal.
    /// - 0x0202: the target exists, but not for this initiator. That the two can be told apart is deliberate: names
    ///   are no secret, and whoever has to find the mistake needs to know which one it was.
    /// - 0x0204, 0x0301: the target's [`Service`].
    /// - 0x0207: a normal session without a target.
    pub fn admit(&self, hello: &Hello, local: SocketAddr) -> Result<Admission, Refusal> {
        let initiator = IscsiName::received(&hello.initiator).map_err(|e| {
            Refusal::new(LoginStatus::INITIATOR_ERROR, format!("InitiatorName {:?}: {e}", hello.initiator))
        })?;
        match (&hello.target, hello.session_type) {
            (Some(target), kind) => self.admit_to_target(&initiator, target, kind, local),
            (None, SessionType::Discovery) => self.admit_to_discovery(&initiator, local),
            (None, SessionType::Normal) => {
                Err(Refusal::new(LoginStatus::MISSING_PARAMETER, "a normal session without TargetName"))
            }
        }
    }

    fn admit_to_target(
        &self,
        initiator: &IscsiName,
        target: &str,
        kind: SessionType,
        local: SocketAddr,
    ) -> Result<Admission, Refusal> {
        let asked = target;
        let Some(target) = self.target(asked) else {
            return Err(Refusal::new(LoginStatus::NOT_FOUND, format!("there is no target {asked:?}")));
        };
        let Some(tag) = group_at(&target.groups, local) else {
            let why = format!("target {} has no portal at {local}", target.name);
            return Err(Refusal::new(LoginStatus::NOT_FOUND, why));
        };
        if !target.access.initiators.allow(initiator) {
            let why = format!("initiator {initiator} may not use target {}", target.name);
            return Err(Refusal::new(LoginStatus::AUTHORIZATION_FAILURE, why));
        }
        match target.service {
            Service::Online => {}
            Service::Unavailable => {
                let why = format!("target {} takes no logins now", target.name);
                return Err(Refusal::new(LoginStatus::SERVICE_UNAVAILABLE, why));
            }
            Service::Removed => {
                let why = format!("target {} has been removed", target.name);
                return Err(Refusal::new(LoginStatus::TARGET_REMOVED, why));
            }
        }
        let (offer, fallback) = match kind {
            SessionType::Normal => (&target.offer, None),
            SessionType::Discovery => (&self.config.discovery.offer, self.config.discovery.chap.as_ref()),
        };
        let authentication = match target.access.chap.as_ref().or(fallback) {
            None => Authentication::None,
            Some(chap) => {
                chap.policy(initiator).ok_or_else(|| no_account(initiator, target.name.as_str()))?
            }
        };
        Ok(Admission {
            authentication,
            offer: offer.clone(),
            portal_group_tag: Some(tag),
            target_alias: target.alias.clone(),
        })
    }

    fn admit_to_discovery(&self, initiator: &IscsiName, local: SocketAddr) -> Result<Admission, Refusal> {
        let authentication = match &self.config.discovery.chap {
            None => Authentication::None,
            Some(chap) => chap.policy(initiator).ok_or_else(|| no_account(initiator, "discovery"))?,
        };
        // The tag must be declared (RFC 7143 section 6.3.1) though a portal group exists only within a target
        // (section 7.4.2): that of the first target here is as good as any.
        let tag = self.config.targets.iter().find_map(|t| group_at(&t.groups, local)).unwrap_or(1);
        Ok(Admission {
            authentication,
            offer: self.config.discovery.offer.clone(),
            portal_group_tag: Some(tag),
            target_alias: None,
        })
    }
}

fn no_account(initiator: &IscsiName, place: &str) -> Refusal {
    let why = format!("no CHAP account of {place} belongs to initiator {initiator}");
    Refusal::new(LoginStatus::AUTHORIZATION_FAILURE, why)
}
