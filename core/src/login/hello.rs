//! How a login introduces itself, what it is admitted to, and why it fails.

use core::fmt;

use super::account::Authentication;
use super::keys::names;
use super::offer::Offer;
use crate::wire::text::IscsiName;
use crate::wire::{Cid, Isid, LoginStatus, Tsih};

/// What a session is for (RFC 7143 section 13.21).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SessionType {
    /// SCSI commands.
    #[default]
    Normal,
    /// SendTargets, and nothing else.
    Discovery,
}

/// Who logs in, and where to: the first request of a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// InitiatorName, checked and folded as [`IscsiName::received`] does.
    pub initiator: String,
    /// InitiatorAlias.
    pub initiator_alias: Option<String>,
    /// TargetName, checked and folded likewise; always there in a normal session.
    pub target: Option<String>,
    /// SessionType.
    pub session_type: SessionType,
    /// The initiator's part of the session's name.
    pub isid: Isid,
    /// Zero asks for a new session.
    pub tsih: Tsih,
    /// The connection within the session.
    pub cid: Cid,
}

/// On what terms a login may go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// How the initiator must prove who it is.
    pub authentication: Authentication,
    /// What operational keys are answered with.
    pub offer: Offer,
    /// The tag of the portal group that the connection came in by; absent when no target was named.
    pub portal_group_tag: Option<u16>,
    /// TargetAlias, told to initiators in normal sessions.
    pub target_alias: Option<String>,
}

/// Why a login fails: the status for the peer, and words for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Status-Class and Status-Detail (RFC 7143 section 11.13.5).
    pub status: LoginStatus,
    /// What was wrong. It never holds secrets, and no more of the peer's text than a key's name, one character of a
    /// node's, or the beginning of an answer, escaped.
    pub why: String,
}

impl Failure {
    /// Pairs a status with words.
    pub fn new(status: LoginStatus, why: impl Into<String>) -> Self {
        Failure { status, why: why.into() }
    }

    /// "Initiator error", the status of everything that has none of its own.
    ///
    /// On the initiator's side no status is sent, and this is every failure but that of an authentication.
    pub(crate) fn initiator(why: impl Into<String>) -> Self {
        Failure::new(LoginStatus::INITIATOR_ERROR, why)
    }

    /// "Authentication failure".
    pub(crate) fn authentication(why: impl Into<String>) -> Self {
        Failure::new(LoginStatus::AUTHENTICATION_FAILURE, why)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "login status {:#06x}: {}", self.status.0, self.why)
    }
}

/// Reads the introduction from the pairs of the first request.
pub(crate) fn read_hello(pairs: &[(&str, &str)], isid: Isid, tsih: Tsih, cid: Cid) -> Result<Hello, Failure> {
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let missing = |what: &str| Failure::new(LoginStatus::MISSING_PARAMETER, what);
    let initiator = match value(names::INITIATOR_NAME) {
        None | Some("") => return Err(missing("the first request names no initiator")),
        Some(name) => IscsiName::received(name)
            .map_err(|why| Failure::initiator(format!("InitiatorName is not an iSCSI name: {why}")))?,
    };
    let session_type = match value(names::SESSION_TYPE) {
        None | Some("Normal") => SessionType::Normal,
        Some("Discovery") => SessionType::Discovery,
        Some(_) => {
            return Err(Failure::new(
                LoginStatus::SESSION_TYPE_NOT_SUPPORTED,
                "SessionType is not one that exists",
            ));
        }
    };
    let target = match value(names::TARGET_NAME) {
        None | Some("") if session_type == SessionType::Normal => {
            return Err(missing("the first request of a normal session names no target"));
        }
        None => None,
        Some(name) => Some(IscsiName::received(name).map_err(|why| {
            Failure::new(LoginStatus::NOT_FOUND, format!("TargetName is not an iSCSI name: {why}"))
        })?),
    };
    let initiator_alias = value(names::INITIATOR_ALIAS).map(str::to_owned);
    Ok(Hello {
        initiator: initiator.into(),
        initiator_alias,
        target: target.map(String::from),
        session_type,
        isid,
        tsih,
        cid,
    })
}
