//! What the sessions of a server share: the registry, and the ways to reach each other.
//!
//! Locks are taken in the order `sessions`, `peers`, a unit's state; none is held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iscsicore::disk::{AttachReason, NexusId};
use iscsicore::node::{LunMap, Node, SessionId, Sessions, UnitId};
use iscsicore::serve;
use iscsicore::target::{Incoming, Target};
use tokio::sync::{mpsc, oneshot, watch};

use super::inspect::SessionReport;
use super::transport::Transport;
use super::units::UnitTable;

/// What a session is asked to do by somebody else.
///
/// The channel has no bound of its own, because nobody may wait while sending. What can be in it is bounded: each
/// other session has at most as many task management functions running as its command window and its immediate
/// requests allow, a login sends one message, and the rest comes from the server's owner.
pub(super) enum Control {
    /// Take over a connection that has logged in to reinstate this session's.
    Reinstate(Box<(Incoming, Transport)>),
    /// End without a word, and drop `done` when nothing is left.
    Terminate { done: oneshot::Sender<()> },
    /// Abort the tasks on a unit, and drop `done` when they have ended.
    AbortTasks { unit: UnitId, done: oneshot::Sender<()> },
    /// Ask the initiator to log out.
    Shutdown { within: Duration },
    /// Tell about yourself.
    Report(oneshot::Sender<SessionReport>),
}

/// A session as others see it.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) control: mpsc::UnboundedSender<Control>,
    /// The sessions that had to end, or still have to, before this one begins.
    pub(super) follows: Vec<mpsc::UnboundedSender<Control>>,
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
    /// Holds every session of the registry, and those that were reinstated until nothing is left of them.
    pub(super) peers: Mutex<BTreeMap<SessionId, Peer>>,
    /// Set when the server stops: how long initiators have to log out.
    pub(super) stopping: watch::Sender<Option<Duration>>,
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

    /// Waits until the server stops.
    pub(super) async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(Option::is_some).await;
    }
}

/// A session's place among the others. Dropping it, also when the session's task panics, gives the place up: that is
/// due when nothing of the session is left.
pub(super) struct Place {
    pub(super) hub: Arc<Hub>,
    pub(super) id: SessionId,
    /// None for a discovery session.
    pub(super) nexus: Option<NexusId>,
    pub(super) luns: LunMap,
}

impl Place {
    /// Makes the session's nexus known to the units that its initiator sees.
    pub(super) fn attach(&self, reason: AttachReason, target: &Target) {
        let Some(nexus) = self.nexus else { return };
        serve::attach(&&self.hub.units, &self.luns, nexus, reason, target);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The registry stays locked meanwhile: a new session of this nexus must not attach before the old one's is
        // detached. A session that was reinstated has left the registry already, and its nexus lives on.
        let mut sessions = self.hub.sessions();
        self.hub.peers().remove(&self.id);
        let (Some(_), Some(nexus)) = (sessions.remove(self.id), self.nexus) else { return };
        serve::detach(&&self.hub.units, &self.luns, nexus);
    }
}
