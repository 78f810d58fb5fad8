//! A connection until it is part of a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{FutureExt, join_all};
use iscsicore::disk::{AttachReason, NexusId};
use iscsicore::login::SessionType;
use iscsicore::node::{Decision, LoginFacts, LunMap, Refusal, SessionId};
use iscsicore::serve::Service;
use iscsicore::target::{Incoming, IncomingEvent, Target};
use iscsicore::wire::{LoginStatus, Tsih};
use tokio::sync::oneshot;

use super::hub::{Alive, Control, ControlSender, Hub, Peer, Place};
use super::inbox::{Inbox, inbox};
use super::job::{Away, Kind};
use super::session::{Link, Session};
use super::timeout::{unless, until, within};
use super::transport::{Parcel, Read, Transport};
use crate::{Runtime, clock};

/// Counts a connection as logging in, for as long as it lives.
struct InLogin<'a, R: Runtime>(&'a Hub<R>);

impl<R: Runtime> Drop for InLogin<'_, R> {
    fn drop(&mut self) {
        self.0.sessions().leave_login();
    }
}

/// Where a login belongs, and what has to happen before it is answered.
enum Seat<R: Runtime> {
    /// To a session that there is, in place of its connection.
    Joins(SessionId, Peer<R>),
    /// To a session of its own, once those that it follows have ended.
    Own(OwnSeat<R>),
}

struct OwnSeat<R: Runtime> {
    place: Place<R>,
    tsih: Tsih,
    reason: AttachReason,
    inbox: Inbox<Control<R>>,
    follows: Vec<ControlSender<R>>,
}

/// Runs a connection until it is part of a session.
pub(super) async fn run<R: Runtime>(hub: Arc<Hub<R>>, stream: R::Stream, seed: [u8; 32], alive: Alive) {
    let transport = match Transport::new(stream, &hub.limits) {
        Ok(transport) => transport,
        Err(error) => return tracing::warn!(%error, "connection dropped"),
    };
    let (Ok(local), Ok(peer)) = (transport.local(), transport.peer()) else { return };
    if let Err(refusal) = hub.sessions().enter_login() {
        tracing::warn!(%peer, why = %refusal.why, "connection dropped");
        return;
    }
    let negotiated = {
        let _counted = InLogin(&*hub);
        let incoming = Incoming::new(hub.limits.clone(), seed, clock::now());
        let login = Login { hub: hub.clone(), incoming, transport, peer, local, tag: None };
        // The core ends a login that takes too long; the limit here is for a peer that does not read the answer.
        let deadline = hub.limits.login_timeout * 2;
        // In a box, because each layer of futures would hold it twice: once as argument, once pinned.
        let negotiated = Box::pin(login.negotiate());
        unless(hub.stopped(), within::<R, _>(deadline, negotiated)).await
    };
    if let Some((login, seat)) = negotiated.flatten().flatten() {
        login.take_seat(seat, alive);
    }
}

/// A login on its way to the shard where its session is going to live.
///
/// Everything that has arrived travels with it: what the peer sent behind its last login request is not lost.
pub(super) struct Arrival<R: Runtime> {
    incoming: Incoming,
    parcel: Parcel<R>,
    peer: SocketAddr,
    local: SocketAddr,
    seat: OwnSeat<R>,
    _alive: Alive,
}

impl<R: Runtime> Arrival<R> {
    /// Makes a session of it on this shard, and runs that to its end.
    pub(super) async fn settle(self: Box<Self>) {
        let peer = self.peer;
        // What only the beginning needs is gone after it.
        let Some((session, _alive)) = Box::pin(self.begin()).await else { return };
        let hello = session.target.hello();
        let (initiator, target_name) = (hello.initiator.clone(), hello.target.clone());
        let (session_id, shard) = (session.target.tsih().0, session.place.shard);
        tracing::info!(%peer, initiator, target_name, session_id, shard, "session opened");
        let reason = session.run().await;
        tracing::info!(%peer, initiator, target_name, session_id, ?reason, "session ended");
    }

    async fn begin(self: Box<Self>) -> Option<(Box<Session<R>>, Alive)> {
        let Arrival { incoming, parcel, peer, local, seat, _alive } = *self;
        let OwnSeat { place, tsih, reason, mut inbox, follows } = seat;
        if !end(&follows, &mut inbox).await {
            return None;
        }
        let transport = match Transport::attach(parcel) {
            Ok(transport) => transport,
            Err(error) => {
                tracing::warn!(%peer, %error, "a connection was lost on its way to its shard");
                return None;
            }
        };
        let (target, conn) = Target::new(incoming, tsih, clock::now()).ok()?;
        place.attach(reason, &target);
        let service = Service::new(place.nexus.unwrap_or(NexusId(0)), place.luns.clone());
        let link = Link::new((conn, target.hello().cid), transport, peer, &place.hub.limits);
        Some((Box::new(Session::new(place, target, service, link, local, inbox)), _alive))
    }
}

struct Login<R: Runtime> {
    hub: Arc<Hub<R>>,
    incoming: Incoming,
    transport: Transport<R>,
    peer: SocketAddr,
    local: SocketAddr,
    /// The tag of the portal group that the login came in by.
    tag: Option<u16>,
}

impl<R: Runtime> Login<R> {
    /// Negotiates up to the last answer; `None` when the connection was refused or lost.
    async fn negotiate(mut self) -> Option<(Login<R>, Seat<R>)> {
        loop {
            let received = self.incoming.receive(clock::now(), &mut self.transport.rx);
            match self.incoming.poll_event() {
                Some(IncomingEvent::Hello(hello)) => {
                    tracing::debug!(peer = %self.peer, initiator = ?hello.initiator, target = ?hello.target, "login");
                    let answered = match self.hub.node.admit(&hello, self.local) {
                        Ok(admission) => {
                            self.tag = admission.portal_group_tag;
                            self.incoming.admit(admission)
                        }
                        Err(refusal) => self.incoming.refuse(refusal.status, &refusal.why),
                    };
                    if let Err(error) = answered {
                        tracing::error!(%error, "the target's login rules cannot be carried out");
                        return None;
                    }
                    continue;
                }
                Some(IncomingEvent::Ready) => match self.find_seat() {
                    Ok(seat) => return Some((self, seat)),
                    Err(refusal) => {
                        // The login waits for an answer, so a refusal is in place.
                        let _ = self.incoming.refuse(refusal.status, &refusal.why);
                    }
                },
                None => {}
            }
            self.incoming.transmit(clock::now(), &mut self.transport.tx);
            if std::future::poll_fn(|cx| self.transport.poll_write(cx)).await.is_err() {
                return None;
            }
            if self.incoming.is_closing() || received.is_err() {
                self.refused(received.err());
                self.hub.close(self.transport);
                return None;
            }
            if !self.read().await {
                return None;
            }
        }
    }

    fn refused(&self, error: Option<iscsicore::PeerError>) {
        let status = self.incoming.failure().map(|failure| format!("{:#06x}", failure.status.0));
        let why = match (self.incoming.failure(), error) {
            (Some(failure), _) => failure.why.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => String::new(),
        };
        let hello = self.incoming.hello();
        let (initiator, target_name) =
            (hello.map(|h| h.initiator.as_str()), hello.and_then(|h| h.target.as_deref()));
        // The reason may quote the peer: it is escaped.
        tracing::warn!(peer = %self.peer, initiator, target_name, status, ?why, "login refused");
    }

    /// Waits for bytes until the login's time is up. Returns whether there is anything to go on with.
    async fn read(&mut self) -> bool {
        let read = std::future::poll_fn(|cx| self.transport.poll_read(cx));
        let read = match self.incoming.poll_timeout() {
            Some(deadline) => until::<R, _>(deadline, read).await,
            None => Some(read.await),
        };
        match read {
            Some(result) => matches!(result, Ok(Read::Some | Read::Full)),
            None => {
                tracing::warn!(peer = %self.peer, "login took too long");
                self.incoming.handle_timeout(clock::now()).is_ok()
            }
        }
    }

    /// Finds the place of the login among the sessions.
    ///
    /// Everything happens under the lock of the registry, so that a session that is found there can be reached.
    fn find_seat(&self) -> Result<Seat<R>, Refusal> {
        let broken = |why: &str| Refusal::new(LoginStatus::TARGET_ERROR, why);
        let (Some(hello), Some(parameters)) = (self.incoming.hello(), self.incoming.parameters()) else {
            return Err(broken("a login without a result"));
        };
        let facts = LoginFacts::new(hello, self.tag, self.local, self.incoming.user())?;
        let mut sessions = self.hub.sessions();
        let decision = sessions.decide(&facts);
        if let Decision::Refused(refusal) = decision {
            return Err(refusal);
        }
        let (connections, level) = (parameters.max_connections, parameters.error_recovery_level);
        let seat = sessions.commit(decision.clone(), connections, level);
        let seat = seat.map_err(|stale| broken(&stale.to_string()))?;
        let mut peers = self.hub.peers();
        let (reason, follows) = match decision {
            Decision::Joins(session, ..) => {
                let peer = peers.get(&session).cloned().ok_or_else(|| broken("a session out of reach"))?;
                return Ok(Seat::Joins(session, peer));
            }
            // The old session may be waiting for yet another one, and stops waiting when it is told to end.
            Decision::Reinstates(old, _) => {
                let old = peers.get(&old).into_iter();
                let follows = old.flat_map(|p| std::iter::once(&p.control).chain(&p.follows));
                (AttachReason::Relogin, follows.filter(|c| !c.is_closed()).cloned().collect())
            }
            _ => (AttachReason::New, Vec::new()),
        };
        let luns = match (&hello.target, hello.session_type) {
            (Some(target), SessionType::Normal) => self.hub.node.luns(target, &hello.initiator).cloned(),
            _ => None,
        };
        let luns = luns.unwrap_or_else(LunMap::new);
        let (control, inbox) = inbox();
        let units = luns.iter().map(|(_, mapped)| mapped.unit).collect();
        let entry = Peer { control, follows: follows.clone(), target: hello.target.clone(), units };
        peers.insert(seat.session, entry);
        let shard = self.hub.take_seat();
        let place = Place { hub: self.hub.clone(), id: seat.session, nexus: seat.nexus, luns, shard };
        Ok(Seat::Own(OwnSeat { place, tsih: seat.tsih, reason, inbox, follows }))
    }

    /// Sends the connection to the session that it belongs to, or to the shard where it becomes one.
    fn take_seat(self, seat: Seat<R>, alive: Alive) {
        let Login { hub, incoming, transport, peer, local, .. } = self;
        let parcel = match transport.detach() {
            Ok(parcel) => parcel,
            Err(error) => {
                tracing::warn!(%peer, %error, "connection dropped");
                if let Seat::Own(seat) = seat {
                    hub.spawn(Kind::Work(Box::pin(give_up(seat))));
                }
                return;
            }
        };
        match seat {
            Seat::Own(seat) => {
                let shard = seat.place.shard;
                let arrival = Arrival { incoming, parcel, peer, local, seat, _alive: alive };
                hub.dispatch(shard, Away::Settle(Box::new(arrival)));
            }
            Seat::Joins(session, owner) => {
                tracing::info!(%session, "connection reinstated");
                // A session that has ended meanwhile drops the connection, as it would have a moment later.
                owner.control.send(Control::Reinstate(Box::new((incoming, parcel))));
            }
        }
    }
}

/// Gives a seat up whose connection was lost. The sessions that it took the place of have left the registry: they end all the
/// same, and only then is the place given back, so that no later login of the initiator can overtake their writes.
async fn give_up<R: Runtime>(mut seat: OwnSeat<R>) {
    let _ = end(&seat.follows, &mut seat.inbox).await;
}

/// Ends the session that a login reinstates, RFC 7143 section 6.3.5, and waits until nothing of it is left, however
/// long its storage takes. Returns whether the new session is still wanted: it may be reinstated itself meanwhile, by
/// a login that waits for the same.
async fn end<R: Runtime>(old: &[ControlSender<R>], inbox: &mut Inbox<Control<R>>) -> bool {
    let mut waits = Vec::new();
    for control in old {
        let (done, ended) = oneshot::channel();
        // A session that is gone already drops `done` at once.
        control.send(Control::Terminate { done });
        waits.push(ended);
    }
    let mut ended = join_all(waits);
    std::future::poll_fn(|cx| {
        // There are no tasks here yet, and nothing to report; the stop of the server is seen at the start.
        while let Poll::Ready(control) = inbox.poll_next(cx) {
            if let Control::Terminate { .. } = control {
                return Poll::Ready(false);
            }
        }
        ended.poll_unpin(cx).map(|_| true)
    })
    .await
}
