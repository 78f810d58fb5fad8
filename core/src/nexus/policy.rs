//! What a nexus is to, when it dials again, and when it gives up.

use core::time::Duration;

use crate::Limits;
use crate::initiator::{LoginFailure, LoginRequestConfig};
use crate::wire::LoginStatus;

/// What a nexus is to.
#[derive(Clone, Debug)]
pub struct NexusConfig {
    /// Where the target is, `host:port`.
    pub address: String,
    /// Who logs in, and on what terms.
    pub login: LoginRequestConfig,
    /// When to dial again, and when to give up.
    pub reconnect: ReconnectPolicy,
    /// Bounds.
    pub limits: Limits,
}

/// When to dial again, and when to give up.
///
/// The first attempt after a loss follows at once, or when Time2Wait is over. After each one that fails there is a
/// pause, which doubles from [`first_pause`](Self::first_pause) to [`longest_pause`](Self::longest_pause); of
/// it a random part between one half and all is waited, so that the initiators of a target that restarts do not
/// come all at the same moment. A connection that was lost again in less time than the next pause counts as an attempt
/// that failed, so that a target which takes every login and then breaks is not hammered; as long as commands
/// are answered in between, that pause does not grow.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The pause after the first attempt that failed; doubles from there on. At least a millisecond is kept.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Time for one attempt, from [`NexusEvent::Dial`](super::NexusEvent::Dial) to the end of the login, redirects
    /// included.
    pub attempt_timeout: Duration,
    /// Time without a connection after which the nexus ends; `None` never gives up. Commands have their own times.
    pub give_up_after: Option<Duration>,
    /// Whether the very first connection is tried again, too, when it fails for a reason that may pass.
    pub persist_at_first: bool,
    /// Whether "target not found" is a passing condition once the nexus has been up: a target that restarts says it.
    pub wait_for_missing_target: bool,
    /// Whether to dial again at all when a connection is lost. [`Nexus::reconnect`](super::Nexus::reconnect) makes one
    /// attempt in any case.
    pub enabled: bool,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        ReconnectPolicy {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(15),
            give_up_after: None,
            persist_at_first: false,
            wait_for_missing_target: true,
            enabled: true,
        }
    }
}

impl ReconnectPolicy {
    /// Whether the same login may succeed later. `been_up`: whether it has succeeded before. If it has, only a decision
    /// of somebody keeps it from doing so again; anything else is a target or a wire in trouble.
    pub(super) fn may_pass(&self, failure: &LoginFailure, been_up: bool) -> bool {
        match failure.status {
            // An algorithm is named when the target could not prove itself.
            None => failure.passing || (been_up && failure.algorithm.is_none()),
            Some(LoginStatus::NOT_FOUND) => been_up && self.wait_for_missing_target,
            // A connection of ours that the target has not noticed to be dead may be in the way.
            Some(LoginStatus::TOO_MANY_CONNECTIONS) => true,
            Some(status) if DECISIONS.contains(&status) => false,
            Some(status) => been_up || status.class() == TARGET_ERROR,
        }
    }
}

/// What a target says because it was told to.
const DECISIONS: [LoginStatus; 5] = [
    LoginStatus::AUTHENTICATION_FAILURE,
    LoginStatus::AUTHORIZATION_FAILURE,
    LoginStatus::TARGET_REMOVED,
    LoginStatus::UNSUPPORTED_VERSION,
    LoginStatus::SESSION_TYPE_NOT_SUPPORTED,
];

/// Status-Class 3: the target failed, the request was right (RFC 7143 section 11.13.5).
const TARGET_ERROR: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::ChapAlgorithm;

    fn failure(status: Option<LoginStatus>, passing: bool) -> LoginFailure {
        LoginFailure { status, why: "no".into(), remedy: "none", passing, algorithm: None }
    }

    // Goal: what cannot get better by waiting ends the nexus, whatever else the failure says of itself. Method: every kind
    // of status, before and after the nexus was up.
    #[test]
    fn only_what_may_pass_is_waited_for() {
        let policy = ReconnectPolicy::default();
        let always = [0x0206, 0x0300, 0x0301, 0x0302, 0x03ff];
        let never = [0x0201, 0x0202, 0x0204, 0x0205, 0x0209];
        // The same login has succeeded, so it is not to blame.
        let once_up = [0x0101, 0x0200, 0x0207, 0x0208, 0x020a, 0x020b, 0x02ff, 0x0400];
        for hint in [false, true] {
            let may_pass = |code, been_up| policy.may_pass(&failure(Some(LoginStatus(code)), hint), been_up);
            assert!(always.into_iter().all(|code| may_pass(code, false) && may_pass(code, true)));
            assert!(!never.into_iter().any(|code| may_pass(code, false) || may_pass(code, true)));
            assert!(once_up.into_iter().all(|code| !may_pass(code, false) && may_pass(code, true)));
        }
    }

    #[test]
    fn when_this_end_gives_up_it_tries_again_unless_the_target_proved_to_be_another() {
        let policy = ReconnectPolicy::default();
        assert!(policy.may_pass(&failure(None, true), false) && policy.may_pass(&failure(None, true), true));
        assert!(
            !policy.may_pass(&failure(None, false), false) && policy.may_pass(&failure(None, false), true)
        );
        let impostor = LoginFailure { algorithm: Some(ChapAlgorithm::Sha256), ..failure(None, false) };
        assert!(!policy.may_pass(&impostor, true));
    }

    #[test]
    fn a_missing_target_is_waited_for_once_it_was_there_if_so_wished() {
        let missing = failure(Some(LoginStatus::NOT_FOUND), false);
        let mut policy = ReconnectPolicy::default();
        assert!(policy.may_pass(&missing, true) && !policy.may_pass(&missing, false));
        policy.wait_for_missing_target = false;
        assert!(!policy.may_pass(&missing, true));
    }
}
