//! A connection until it is part of a session.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::join_all;
use iscsicore::disk::{AttachReason, NexusId};
use iscsicore::login::SessionType;
use iscsicore::node::{Decision, LoginFacts, LunMap, Refusal, SessionId};
use iscsicore::serve::Service;
use iscsicore::target::{Incoming, IncomingEvent, Target};
use iscsicore::wire::{LoginStatus, Tsih};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::hub::{Control, Hub, Peer, Place};
use super::session::{Link, Session};
use super::transport::{Read, Transport};
use crate::clock;

/// Counts a connection as logging in, for as long as it lives.
struct InLogin<'a>(&'a Hub);

impl Drop for InLogin<'_> {
    fn drop(&mut self) {
        self.0.sessions().leave_login();
    }
}

/// Where a login belongs, and what has to happen before it is answered.
enum Seat {
    /// To a session that there is, in place of its connection.
    Joins(SessionId, Peer),
    /// To a session of its own, once those that it follows have ended.
    Own {
        place: Place,
        tsih: Tsih,
        reason: AttachReason,
        inbox: mpsc::UnboundedReceiver<Control>,
        follows: Vec<mpsc::UnboundedSender<Control>>,
    },
}

/// Runs a connection from its start to its end.
pub(super) async fn run(hub: Arc<Hub>, stream: TcpStream, peer: SocketAddr, seed: [u8; 32]) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(refusal) = hub.sessions().enter_login() {
        tracing::warn!(%peer, why = %refusal.why, "connection dropped");
        return;
    }
    let negotiated = {
        let _counted = InLogin(&hub);
        let transport = Transport::new(stream, &hub.limits);
        let incoming = Incoming::new(hub.limits.clone(), seed, clock::now());
        let login = Login { hub: hub.clone(), incoming, transport, peer, local, tag: None };
        // The core ends a login that takes too long; the limit here is for a peer that does not read the answer.
        let deadline = hub.limits.login_timeout * 2;
        tokio::select! {
            () = hub.stopped() => None,
            negotiated = tokio::time::timeout(deadline, login.negotiate()) => negotiated.unwrap_or(None),
        }
    };
    let Some((login, seat)) = negotiated else { return };
    if let Some(session) = login.take_seat(seat).await {
        let hello = session.target.hello();
        let (initiator, target_name) = (hello.initiator.clone(), hello.target.clone());
        let session_id = session.target.tsih().0;
        tracing::info!(%peer, initiator, target_name, session_id, "session opened");
        let reason = session.run().await;
        tracing::info!(%peer, initiator, target_name, session_id, ?reason, "session ended");
    }
}

struct Login {
    hub: Arc<Hub>,
    incoming: Incoming,
    transport: Transport,
    peer: SocketAddr,
    local: SocketAddr,
    /// The tag of the portal group that the login came in by.
    tag: Option<u16>,
}

impl Login {
    /// Negotiates up to the last answer; `None` when the connection was refused or lost.
    async fn negotiate(mut self) -> Option<(Login, Seat)> {
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
                self.transport.close().await;
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
        let deadline = self.incoming.poll_timeout().map(clock::to_tokio);
        let read = std::future::poll_fn(|cx| self.transport.poll_read(cx));
        let read = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, read).await,
            None => Ok(read.await),
        };
        match read {
            Ok(result) => matches!(result, Ok(Read::Some | Read::Full)),
            Err(_) => {
                tracing::warn!(peer = %self.peer, "login took too long");
                self.incoming.handle_timeout(clock::now()).is_ok()
            }
        }
    }

    /// Finds the place of the login among the sessions.
    ///
    /// Everything happens under the lock of the registry, so that a session that is found there can be reached.
    fn find_seat(&self) -> Result<Seat, Refusal> {
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
        let (control, inbox) = mpsc::unbounded_channel();
        let units = luns.iter().map(|(_, mapped)| mapped.unit).collect();
        let entry = Peer { control, follows: follows.clone(), target: hello.target.clone(), units };
        peers.insert(seat.session, entry);
        let place = Place { hub: self.hub.clone(), id: seat.session, nexus: seat.nexus, luns };
        Ok(Seat::Own { place, tsih: seat.tsih, reason, inbox, follows })
    }

    /// Makes the connection part of the session that it belongs to; returns that, if it is a new one.
    async fn take_seat(self, seat: Seat) -> Option<Box<Session>> {
        let Login { hub, incoming, transport, peer, local, .. } = self;
        let (place, tsih, reason, mut inbox, follows) = match seat {
            Seat::Own { place, tsih, reason, inbox, follows } => (place, tsih, reason, inbox, follows),
            Seat::Joins(session, peer) => {
                tracing::info!(%session, "connection reinstated");
                // A session that has ended meanwhile drops the connection, as it would have a moment later.
                let _ = peer.control.send(Control::Reinstate(Box::new((incoming, transport))));
                return None;
            }
        };
        if !end(&follows, &mut inbox).await {
            return None;
        }
        let (target, conn) = Target::new(incoming, tsih, clock::now()).ok()?;
        place.attach(reason, &target);
        let service = Service::new(place.nexus.unwrap_or(NexusId(0)), place.luns.clone());
        let link = Link::new((conn, target.hello().cid), transport, peer, &hub.limits);
        Some(Box::new(Session::new(place, target, service, link, local, inbox)))
    }
}

/// Ends the session that a login reinstates, RFC 7143 section 6.3.5, and waits until nothing of it is left, however
/// long its storage takes. Returns whether the new session is still wanted: it may be reinstated itself meanwhile, by
/// a login that waits for the same.
async fn end(old: &[mpsc::UnboundedSender<Control>], inbox: &mut mpsc::UnboundedReceiver<Control>) -> bool {
    let mut waits = Vec::new();
    for control in old {
        let (done, ended) = oneshot::channel();
        // A session that is gone already drops `done` at once.
        let _ = control.send(Control::Terminate { done });
        waits.push(ended);
    }
    let mut ended = std::pin::pin!(join_all(waits));
    loop {
        tokio::select! {
            _ = &mut ended => return true,
            // There are no tasks here yet, and nothing to report; the stop of the server is seen at the start.
            Some(control) = inbox.recv() => if let Control::Terminate { .. } = control {
                return false;
            },
        }
    }
}
