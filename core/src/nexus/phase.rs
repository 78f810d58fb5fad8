//! What a nexus is about.

use crate::Instant;
use crate::initiator::Outgoing;
use crate::session::ConnId;

/// What a nexus is about. `Dialing` and what follows have a transport, or a dial under way, that is to be hung up.
#[derive(Debug)]
pub(super) enum Phase {
    /// For the next attempt.
    Waiting { until: Instant },
    /// For a transport.
    Dialing { deadline: Instant },
    /// The transport is up.
    LoggingIn { outgoing: Box<Outgoing>, deadline: Instant },
    /// The session is up.
    Up { conn: ConnId, since: Instant },
    /// The session is up until its commands have ended.
    LoggingOut { conn: ConnId },
    /// Nothing happens any more.
    Ended,
}

impl Phase {
    /// The connection of the session.
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self {
            Phase::Up { conn, .. } | Phase::LoggingOut { conn } => Some(*conn),
            _ => None,
        }
    }

    /// Whether there is a transport, or may be one in a moment.
    pub(super) fn has_transport(&self) -> bool {
        !matches!(self, Phase::Waiting { .. } | Phase::Ended)
    }

    /// Whether a connection is wanted that is not there.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self, Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::LoggingIn { .. })
    }

    /// When it ends by itself.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Phase::Waiting { until: at } | Phase::Dialing { deadline: at } => Some(*at),
            Phase::LoggingIn { outgoing, deadline } => {
                outgoing.poll_timeout().into_iter().chain([*deadline]).min()
            }
            Phase::Up { .. } | Phase::LoggingOut { .. } | Phase::Ended => None,
        }
    }
}
