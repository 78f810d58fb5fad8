//! Why a login failed, in words that say what to do about it (RFC 7143 section 11.13.5).

use crate::login::{ChapAlgorithm, GiveUp, Trouble};
use crate::wire::LoginStatus;

use super::Credentials;

/// Why a login failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginFailure {
    /// As sent by the target; `None` when this end gave up.
    pub status: Option<LoginStatus>,
    /// What is wrong.
    pub why: String,
    /// What to try.
    pub remedy: &'static str,
    /// Whether the same login may succeed later.
    pub passing: bool,
    /// The CHAP algorithm that had been chosen, when authentication failed or may have.
    pub algorithm: Option<ChapAlgorithm>,
}

impl core::fmt::Display for LoginFailure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.status {
            Some(status) => write!(f, "login status {:#06x}: {}; {}", status.0, self.why, self.remedy),
            None => write!(f, "{}; {}", self.why, self.remedy),
        }
    }
}

/// What this end had offered to prove, as far as the words depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proofs {
    /// It proves itself.
    own: bool,
    /// It wants a proof of the target.
    targets: bool,
}

impl Proofs {
    pub(super) fn of(credentials: Option<&Credentials>) -> Self {
        Proofs { own: credentials.is_some(), targets: credentials.is_some_and(|c| c.target.is_some()) }
    }

    /// What to try when an authentication failed.
    const fn remedy(self, algorithm: Option<ChapAlgorithm>) -> &'static str {
        match (self, algorithm) {
            (Proofs { own: false, .. }, _) => "give a CHAP name and secret, as the target has them",
            (_, Some(ChapAlgorithm::Sha256)) => {
                "check CHAP names and secrets at both ends; if the target is tgt, do not offer SHA-256: by its number, \
                 7, tgt means another algorithm"
            }
            (Proofs { targets: true, .. }, _) => {
                "check CHAP names and secrets at both ends, and that the target has credentials of its own for mutual \
                 CHAP (some targets have separate ones for discovery)"
            }
            _ => "check CHAP name and secret at both ends",
        }
    }
}

impl LoginFailure {
    /// The target answered with a status that ends the login.
    pub(super) fn refused(status: LoginStatus, proofs: Proofs, algorithm: Option<ChapAlgorithm>) -> Self {
        let (why, remedy) = match status {
            LoginStatus::AUTHENTICATION_FAILURE => (
                "the target does not accept how the initiator proves itself, or cannot prove itself",
                proofs.remedy(algorithm),
            ),
            _ => explain(status),
        };
        LoginFailure {
            status: Some(status),
            why: why.to_owned(),
            remedy,
            passing: status.class() == 3 || status == LoginStatus::TOO_MANY_CONNECTIONS,
            // tgt answers a response of another length than it expects with "initiator error".
            algorithm: algorithm.filter(|_| status.class() == LoginStatus::INITIATOR_ERROR.class()),
        }
    }

    /// This end gives up because of what the target said.
    pub(super) fn gave_up(why: GiveUp, proofs: Proofs, algorithm: Option<ChapAlgorithm>) -> Self {
        let (remedy, algorithm) = match why.trouble {
            Trouble::Protocol => (REPORT, None),
            Trouble::Authentication => (proofs.remedy(algorithm), algorithm),
            Trouble::Terms => ("offer what the target takes, or have it take what is offered", None),
        };
        LoginFailure { status: None, why: why.why, remedy, passing: false, algorithm }
    }

    /// The target broke the protocol.
    pub(super) fn protocol(why: String) -> Self {
        LoginFailure { status: None, why, remedy: REPORT, passing: false, algorithm: None }
    }

    /// The login cannot even begin.
    pub(super) fn misuse(why: String) -> Self {
        LoginFailure {
            status: None,
            why,
            remedy: "correct the configuration",
            passing: false,
            algorithm: None,
        }
    }

    /// The target did not answer in time.
    pub(super) fn timed_out() -> Self {
        LoginFailure {
            status: None,
            why: "the target does not complete the login in time".to_owned(),
            remedy: "check that the address is one of an iSCSI target, and that the target is well",
            passing: true,
            algorithm: None,
        }
    }
}

const REPORT: &str = "the target breaks the protocol: update it, or report this with a capture of the login";

/// The cause that a status stands for, and a remedy.
const fn explain(status: LoginStatus) -> (&'static str, &'static str) {
    match status {
        LoginStatus::INITIATOR_ERROR => (
            "the target takes something in the login for an error of the initiator",
            "the log of the target says more; offer other operational parameters, without digests for a start",
        ),
        LoginStatus::AUTHORIZATION_FAILURE => (
            "the target does not let this initiator in",
            "add the InitiatorName to those that the target lets in, or log in by the name that is",
        ),
        LoginStatus::NOT_FOUND => (
            "there is no target of this name at this address",
            "check the TargetName; discovery lists the names that there are",
        ),
        LoginStatus::TARGET_REMOVED => {
            ("the target was removed", "run discovery again to learn where its data are now")
        }
        LoginStatus::UNSUPPORTED_VERSION => {
            ("the target speaks no version of iSCSI that this end speaks", "update the target")
        }
        LoginStatus::TOO_MANY_CONNECTIONS => (
            "the target takes no more connections",
            "wait until it has dropped an old one, or raise its limit",
        ),
        LoginStatus::MISSING_PARAMETER => (
            "the target misses something in the login",
            "the log of the target says what; if it wants a TargetName for discovery, log in to the target itself",
        ),
        LoginStatus::CANT_INCLUDE_IN_SESSION => (
            "the target does not let this connection into the session",
            "use another ISID, or wait until the target has dropped the old session",
        ),
        LoginStatus::SESSION_TYPE_NOT_SUPPORTED => (
            "the target does not have this type of session for this initiator",
            "where discovery is not possible, give the TargetName",
        ),
        LoginStatus::SESSION_DOES_NOT_EXIST => (
            "the target looks for a session that should exist already, though a new one was asked for",
            "use another ISID",
        ),
        LoginStatus::INVALID_DURING_LOGIN => {
            ("the target takes a request for one that does not belong into a login", REPORT)
        }
        LoginStatus::TARGET_ERROR => (
            "the target has failed, in hardware or software",
            "the log of the target says more; try again later",
        ),
        LoginStatus::SERVICE_UNAVAILABLE => {
            ("the target is not in operation at present", "try again later, or enable the target")
        }
        LoginStatus::OUT_OF_RESOURCES => (
            "the target lacks resources for another session or connection",
            "try again later, or end sessions that nobody needs",
        ),
        _ => match status.class() {
            2 => ("the target refuses the login for a reason of its own", "the log of the target says more"),
            3 => (
                "the target cannot serve for a reason of its own",
                "the log of the target says more; try again later",
            ),
            _ => ("the target answers with a status that does not exist", REPORT),
        },
    }
}
