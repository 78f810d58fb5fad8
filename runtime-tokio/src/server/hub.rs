//! What the sessions of a server share: the registry, and the ways to reach each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use iscsicore::node::{Node, SessionId, Sessions, UnitId};
use iscsicore::target::Incoming;
use tokio::sync::{mpsc, oneshot, watch};

use super::inspect::SessionReport;
use super::transport::Transport;
use super::units::UnitTable;

/// What a session is asked to do by somebody else.
pub(super) enum Control {
    /// Take over a connection that has logged in to reinstate this session's.
    Reinstate(Box<(Incoming, Transport)>),
    /// End without a word, and drop `done` when nothing is left.
    Terminate { done: oneshot::Sender<()> },
    /// Abort the tasks on a unit, and drop `done` when they have ended.
    AbortTasks { unit: UnitId, done: oneshot::Sender<()> },
    /// Ask the initiator to log out.
    Shutdown,
    /// Tell about yourself.
    Report(oneshot::Sender<SessionReport>),
}

/// A session as others see it.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) control: mpsc::UnboundedSender<Control>,
    /// The target that it is a session of; `None` for discovery.
    pub(super) target: Option<String>,
    /// The units that its initiator sees.
    pub(super) units: Vec<UnitId>,
}

/// Shared by everything that a server runs.
pub(super) struct Hub {
    pub(super) node: Node,
    pub(super) units: UnitTable,
    pub(super) limits: iscsicore::Limits,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) peers: Mutex<BTreeMap<SessionId, Peer>>,
    /// Turns true when the server stops.
    pub(super) stopping: watch::Sender<bool>,
}

impl Hub {
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peers(&self) -> MutexGuard<'_, BTreeMap<SessionId, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions, but for `but`, that `wanted` picks.
    pub(super) fn others(&self, but: SessionId, wanted: impl Fn(&Peer) -> bool) -> Vec<(SessionId, Peer)> {
        let peers = self.peers();
        let others = peers.iter().filter(|(id, peer)| **id != but && wanted(peer));
        others.map(|(id, peer)| (*id, peer.clone())).collect()
    }
}
