//! What the sessions of a server share: the registry, and the ways to reach each other.
//!
//! None of it is touched by reading and writing: a login, the end of a session, and what one session asks of others
//! come here. Locks are taken in the order `sessions`, `peers`, a unit's state; none is held across an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iscsicore::disk::{AttachReason, NexusId};
use iscsicore::node::{LunMap, Node, SessionId, Sessions, UnitId};
use iscsicore::serve;
use iscsicore::target::{Incoming, Target};
use tokio::sync::{Notify, oneshot, watch};

use super::inbox::Sender;
use super::inspect::SessionReport;
use super::job::{Errand, Job, Kind};
use super::transport::{Parcel, Transport};
use super::units::UnitTable;
use crate::Runtime;

/// What a session is asked to do by somebody else.
///
/// The inbox has no bound of its own, because nobody may wait while sending. What can be in it is bounded: each
/// other session has at most as many task management functions running as its command window and its immediate
/// requests allow, a login sends one message, and the rest comes from the server's owner.
pub(super) enum Control<R: Runtime> {
    /// Take over a connection that has logged in to reinstate this session's.
    Reinstate(Box<(Incoming, Parcel<R>)>),
    /// End without a word, and drop `done` when nothing is left.
    Terminate { done: oneshot::Sender<()> },
    /// Abort the tasks on a unit, and drop `done` when they have ended.
    AbortTasks { unit: UnitId, done: oneshot::Sender<()> },
    /// Ask the initiator to log out.
    Shutdown { within: Duration },
    /// Tell about yourself.
    Report(oneshot::Sender<SessionReport>),
}

/// The way to a session.
pub(super) type ControlSender<R> = Sender<Control<R>>;

/// A session as others see it.
pub(super) struct Peer<R: Runtime> {
    pub(super) control: ControlSender<R>,
    /// The sessions that had to end, or still have to, before this one begins.
    pub(super) follows: Vec<ControlSender<R>>,
    /// The target that it is a session of; `None` for discovery.
    pub(super) target: Option<String>,
    /// The units that its initiator sees.
    pub(super) units: Vec<UnitId>,
}

impl<R: Runtime> Clone for Peer<R> {
    fn clone(&self) -> Self {
        Peer {
            control: self.control.clone(),
            follows: self.follows.clone(),
            target: self.target.clone(),
            units: self.units.clone(),
        }
    }
}

/// Shared by everything that a server runs.
pub(super) struct Hub<R: Runtime> {
    pub(super) runtime: R,
    pub(super) node: Node,
    pub(super) units: UnitTable,
    pub(super) limits: iscsicore::Limits,
    pub(super) sessions: Mutex<Sessions>,
    /// Holds every session of the registry, and those that were reinstated until nothing is left of them.
    pub(super) peers: Mutex<BTreeMap<SessionId, Peer<R>>>,
    /// Set when the server stops: how long initiators have to log out.
    pub(super) stopping: watch::Sender<Option<Duration>>,
    /// Sessions on each shard.
    pub(super) loads: Vec<AtomicUsize>,
    pub(super) living: Arc<Living>,
    /// Connections that nobody uses any more, and that get their last answers.
    pub(super) closing: Arc<Living>,
}

impl<R: Runtime> Hub<R> {
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peers(&self) -> MutexGuard<'_, BTreeMap<SessionId, Peer<R>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions, but for `but`, that `wanted` picks.
    pub(super) fn others(
        &self,
        but: SessionId,
        wanted: impl Fn(&Peer<R>) -> bool,
    ) -> Vec<(SessionId, Peer<R>)> {
        let peers = self.peers();
        let others = peers.iter().filter(|(id, peer)| **id != but && wanted(peer));
        others.map(|(id, peer)| (*id, peer.clone())).collect()
    }

    /// Waits until the server stops.
    pub(super) async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(Option::is_some).await;
    }

    /// Runs a job on this shard.
    pub(super) fn spawn(&self, job: Kind<R>) {
        self.runtime.spawn(Job(job));
    }

    /// Runs an errand on a shard.
    pub(super) fn dispatch(&self, shard: usize, errand: super::job::Away<R>) {
        self.runtime.dispatch(shard, Errand(errand));
    }

    /// Closes a connection behind its owner's back.
    pub(super) fn close(&self, transport: Transport<R>) {
        self.spawn(Kind::Close(transport, self.closing.enter()));
    }

    /// The same, once what is left has been written.
    pub(super) fn finish(&self, transport: Transport<R>) {
        self.spawn(Kind::Finish(transport, self.closing.enter()));
    }

    /// Takes a seat on the shard that has the fewest sessions; on this one if no other has fewer.
    ///
    /// The kernel spreads connections over listeners by a hash, so that two of them meet on one shard half of the time.
    pub(super) fn take_seat(&self) -> usize {
        let load = |shard: &usize| self.loads[*shard].load(Ordering::Relaxed);
        let here = self.runtime.here();
        let least = (0..self.loads.len()).min_by_key(|shard| (load(shard), *shard != here)).unwrap_or(here);
        self.loads[least].fetch_add(1, Ordering::Relaxed);
        least
    }
}

/// A session's place among the others. Dropping it, also when the session's task panics, gives the place up: that is
/// due when nothing of the session is left.
pub(super) struct Place<R: Runtime> {
    pub(super) hub: Arc<Hub<R>>,
    pub(super) id: SessionId,
    /// None for a discovery session.
    pub(super) nexus: Option<NexusId>,
    pub(super) luns: LunMap,
    /// The shard that the session is on.
    pub(super) shard: usize,
}

impl<R: Runtime> Place<R> {
    /// Makes the session's nexus known to the units that its initiator sees.
    pub(super) fn attach(&self, reason: AttachReason, target: &Target) {
        let Some(nexus) = self.nexus else { return };
        serve::attach(&&self.hub.units, &self.luns, nexus, reason, target);
    }
}

impl<R: Runtime> Drop for Place<R> {
    fn drop(&mut self) {
        self.hub.loads[self.shard].fetch_sub(1, Ordering::Relaxed);
        // The registry stays locked meanwhile: a new session of this nexus must not attach before the old one's is
        // detached. A session that was reinstated has left the registry already, and its nexus lives on.
        let mut sessions = self.hub.sessions();
        self.hub.peers().remove(&self.id);
        let (Some(_), Some(nexus)) = (sessions.remove(self.id), self.nexus) else { return };
        serve::detach(&&self.hub.units, &self.luns, nexus);
    }
}

/// Counts what a stop has to wait for: listeners, logins and sessions.
#[derive(Default)]
pub(super) struct Living {
    count: AtomicUsize,
    gone: Notify,
}

/// Something that a stop waits for.
pub(super) struct Alive(Arc<Living>);

impl Living {
    pub(super) fn enter(self: &Arc<Self>) -> Alive {
        self.count.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(self))
    }

    /// Waits until nothing is left. More can only come from what is there.
    pub(super) async fn none(&self) {
        loop {
            let gone = self.gone.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }
}

impl Alive {
    /// Another one, for what this one begins.
    pub(super) fn another(&self) -> Alive {
        self.0.enter()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.gone.notify_waiters();
        }
    }
}
