//! What a nexus asks for and tells.

use core::fmt;
use core::time::Duration;

use crate::initiator::{DownReason, Event, LoginFailure, Redirect};
use crate::{Instant, TransportError};

/// Something that the caller of a [`Nexus`](super::Nexus) has to act on, or may want to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NexusEvent {
    /// Open a transport to `address`, then call [`connected`](super::Nexus::connected) or
    /// [`dial_failed`](super::Nexus::dial_failed). It never comes while another transport or dial is in use: a
    /// [`HangUp`](Self::HangUp) stands before it.
    Dial {
        /// Where to, `host:port`. To find the addresses of a host, and to try them, is the caller's part.
        address: String,
        /// 1 for the first attempt after the nexus was up, or began. Redirects do not count.
        attempt: u32,
    },
    /// Close the transport, or stop dialing, and drop both halves of the connection. Nothing that still waits in them
    /// matters, and nothing is to be told back: no [`lost`](super::Nexus::lost), and above all no answer of a dial
    /// that was stopped.
    HangUp,
    /// Logged in.
    Up {
        /// Whether it is not the first time.
        again: bool,
        /// Where to, in the end.
        address: String,
    },
    /// The connection is gone. Commands that may not be repeated have ended; the others wait.
    Down {
        /// Why.
        why: Interruption,
        /// When it dials again; `None` when it does not.
        retry_at: Option<Instant>,
    },
    /// An attempt to get a connection has failed; another one follows.
    AttemptFailed {
        /// Why.
        why: AttemptError,
        /// When it dials again, unless it gives up before.
        retry_at: Instant,
    },
    /// The target sent us elsewhere during the login; the attempt goes on there.
    Redirected(Redirect),
    /// What the session has to tell. [`Event::Down`] and [`Event::Ended`] are not among it.
    Session(Event),
    /// The nexus is over; every command has ended before. Nothing follows.
    Ended(NexusEnd),
}

/// Why a connection that was up is gone.
pub type Interruption = DownReason;

/// Why an attempt to connect failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No transport.
    #[error("cannot connect to {address}: {why}")]
    Dial {
        /// Where to.
        address: String,
        /// In the words of the adapter.
        why: String,
    },
    /// The login failed.
    #[error("cannot log in at {address}: {failure}")]
    Login {
        /// Where.
        address: String,
        /// How.
        failure: LoginFailure,
    },
    /// The transport was lost during the login.
    #[error("the connection to {address} was lost during the login: {why}")]
    Lost {
        /// Where.
        address: String,
        /// How.
        why: TransportError,
    },
    /// The attempt took too long.
    #[error("connecting to {address} took longer than {}", HumanTime(*.limit))]
    TimedOut {
        /// Where.
        address: String,
        /// The time allowed.
        limit: Duration,
    },
    /// The target sent us on too often, or in a circle.
    #[error("redirected {hops} times, last to {address}")]
    RedirectLoop {
        /// Where to, last.
        address: String,
        /// How often.
        hops: u32,
    },
}

/// Why a nexus is over.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NexusEnd {
    /// It was logged out: the target has answered.
    LoggedOut,
    /// The first connection failed, or one for a reason that does not pass, or the time to try was over: then it is
    /// the last failure.
    Failed(AttemptError),
    /// The connection was lost, and the policy says not to dial again, or it was being logged out.
    Lost(Interruption),
    /// [`Nexus::end`](super::Nexus::end) was called, or [`logout`](super::Nexus::logout) without a connection.
    Wanted,
}

struct HumanTime(Duration);

impl fmt::Display for HumanTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LoginStatus;

    #[test]
    fn errors_say_what_and_where() {
        let address = || "192.0.2.1:3260".to_owned();
        let failure = LoginFailure {
            status: Some(LoginStatus::NOT_FOUND),
            why: "there is no such target".into(),
            remedy: "look at the targets that discovery finds",
            passing: false,
            algorithm: None,
        };
        let said = [
            AttemptError::Dial { address: address(), why: "connection refused".into() },
            AttemptError::Login { address: address(), failure },
            AttemptError::Lost { address: address(), why: TransportError::Closed },
            AttemptError::TimedOut { address: address(), limit: Duration::from_millis(2500) },
            AttemptError::RedirectLoop { address: address(), hops: 8 },
        ]
        .map(|error| error.to_string());
        assert_eq!(
            said,
            [
                "cannot connect to 192.0.2.1:3260: connection refused",
                "cannot log in at 192.0.2.1:3260: login status 0x0203: there is no such target; look at the targets that discovery finds",
                "the connection to 192.0.2.1:3260 was lost during the login: the peer closed the connection",
                "connecting to 192.0.2.1:3260 took longer than 2.5 s",
                "redirected 8 times, last to 192.0.2.1:3260",
            ]
        );
    }
}
