//! A connection until it is part of a session.

use std::net::SocketAddr;
use std::sync::Arc;

use iscsicore::disk::{AttachReason, NexusAccess, NexusId};
use iscsicore::login::SessionType;
use iscsicore::node::{Decision, LoginFacts, LunMap, Refusal, Seat, SessionId, UnitAccess};
use iscsicore::serve::{Service, Units};
use iscsicore::target::{Incoming, IncomingEvent, Target};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::hub::{Control, Hub, Peer};
use super::session::Session;
use super::transport::{Read, Transport};
use crate::clock;

/// What a login came to.
enum Outcome {
    /// A session of its own.
    Session(Box<Session>),
    /// Another session took the connection, or it was refused or lost.
    Nothing,
}

/// Counts a connection as logging in, for as long as it lives.
struct InLogin<'a>(&'a Hub);

impl Drop for InLogin<'_> {
    fn drop(&mut self) {
        self.0.sessions().leave_login();
    }
}

/// Runs a connection from its start to its end.
pub(super) async fn run(hub: Arc<Hub>, stream: TcpStream, peer: SocketAddr, seed: [u8; 32]) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(refusal) = hub.sessions().enter_login() {
        tracing::warn!(%peer, why = %refusal.why, "connection dropped");
        return;
    }
    let outcome = {
        let _counted = InLogin(&hub);
        let transport = Transport::new(stream, &hub.limits);
        let incoming = Incoming::new(hub.limits.clone(), seed, clock::now());
        let login = Login { hub: hub.clone(), incoming, transport, peer, local, tag: None };
        let deadline = hub.limits.login_timeout * 2;
        // The core ends a login that takes too long; the limit here is for a peer that does not read the answer.
        match tokio::time::timeout(deadline, login.run()).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Nothing,
        }
    };
    if let Outcome::Session(session) = outcome {
        let (id, nexus) = (session.id, session.service.nexus());
        let units: Vec<_> = session.service.luns().iter().map(|(_, mapped)| mapped.unit).collect();
        let initiator = session.target.hello().initiator.clone();
        tracing::info!(%peer, %initiator, session = session.target.tsih().0, "session opened");
        let reason = session.run().await;
        tracing::info!(%peer, %initiator, ?reason, "session ended");
        hub.peers().remove(&id);
        // A session that was reinstated has left the registry already, and its nexus lives on.
        if hub.sessions().remove(id).is_some() {
            for unit in units {
                (&hub.units).with_unit(unit, |unit| unit.detach(nexus));
            }
        }
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
    async fn run(mut self) -> Outcome {
        loop {
            let received = self.incoming.receive(clock::now(), &mut self.transport.rx);
            match self.incoming.poll_event() {
                Some(IncomingEvent::Hello(hello)) => {
                    tracing::debug!(peer = %self.peer, initiator = %hello.initiator, target = ?hello.target, "login");
                    let answered = match self.hub.node.admit(&hello, self.local) {
                        Ok(admission) => {
                            self.tag = admission.portal_group_tag;
                            self.incoming.admit(admission)
                        }
                        Err(refusal) => self.incoming.refuse(refusal.status, &refusal.why),
                    };
                    if let Err(error) = answered {
                        tracing::error!(%error, "the target's login rules cannot be carried out");
                        return Outcome::Nothing;
                    }
                    continue;
                }
                Some(IncomingEvent::Ready) => match self.seat().await {
                    Ok((decision, seat)) => return self.join(&decision, seat),
                    Err(refusal) => {
                        // The login waits for an answer, so a refusal is in place.
                        let _ = self.incoming.refuse(refusal.status, &refusal.why);
                    }
                },
                None => {}
            }
            self.incoming.transmit(clock::now(), &mut self.transport.tx);
            if std::future::poll_fn(|cx| self.transport.poll_write(cx)).await.is_err() {
                return Outcome::Nothing;
            }
            if self.incoming.is_closing() || received.is_err() {
                self.refused(received.err());
                self.transport.close().await;
                return Outcome::Nothing;
            }
            if !self.read().await {
                return Outcome::Nothing;
            }
        }
    }

    fn refused(&self, error: Option<iscsicore::PeerError>) {
        let why = match (self.incoming.failure(), error) {
            (Some(failure), _) => failure.why.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => String::new(),
        };
        let initiator = self.incoming.hello().map(|h| h.initiator.as_str());
        tracing::warn!(peer = %self.peer, initiator, why, "login refused");
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

    /// Finds the place of the login among the sessions; ends the session that it replaces.
    async fn seat(&mut self) -> Result<(Decision, Seat), Refusal> {
        let (Some(hello), Some(parameters)) = (self.incoming.hello(), self.incoming.parameters()) else {
            return Err(Refusal::new(iscsicore::wire::LoginStatus::TARGET_ERROR, "a login without a result"));
        };
        let facts = LoginFacts::new(hello, self.tag, self.local, self.incoming.user())?;
        let (connections, level) = (parameters.max_connections, parameters.error_recovery_level);
        let (decision, seat) = loop {
            let mut sessions = self.hub.sessions();
            let decision = sessions.decide(&facts);
            if let Decision::Refused(refusal) = decision {
                return Err(refusal);
            }
            // Stale only when another login was faster: decide anew.
            if let Ok(seat) = sessions.commit(decision.clone(), connections, level) {
                break (decision, seat);
            }
        };
        if let Decision::Reinstates(old, _) = decision {
            self.end(old).await;
        }
        Ok((decision, seat))
    }

    /// Ends the session that this login reinstates, RFC 7143 section 6.3.5, and waits until nothing of it is left.
    async fn end(&self, old: SessionId) {
        let peer = self.hub.peers().get(&old).cloned();
        if let Some(peer) = peer {
            let (done, ended) = oneshot::channel();
            let _ = peer.control.send(Control::Terminate { done });
            let _ = ended.await;
        }
    }

    fn join(self, decision: &Decision, seat: Seat) -> Outcome {
        if let Decision::Joins(session, ..) = decision {
            if let Some(peer) = self.hub.peers().get(session) {
                let _ = peer.control.send(Control::Reinstate(Box::new((self.incoming, self.transport))));
            }
            return Outcome::Nothing;
        }
        let reason = match decision {
            Decision::Reinstates(..) => AttachReason::Relogin,
            _ => AttachReason::New,
        };
        let Login { hub, incoming, transport, peer, local, .. } = self;
        let made = Target::new(incoming, seat.tsih, clock::now());
        let Ok((target, conn)) = made else {
            hub.sessions().remove(seat.session);
            return Outcome::Nothing;
        };
        let hello = target.hello();
        let luns = match (&hello.target, hello.session_type) {
            (Some(target), SessionType::Normal) => hub.node.luns(target, &hello.initiator).cloned(),
            _ => None,
        };
        let (luns, nexus) = (luns.unwrap_or_else(LunMap::new), seat.nexus.unwrap_or(NexusId(0)));
        for (_, mapped) in luns.iter() {
            let access = match mapped.access {
                UnitAccess::ReadWrite => NexusAccess::ReadWrite,
                UnitAccess::ReadOnly => NexusAccess::ReadOnly,
            };
            (&hub.units).with_unit(mapped.unit, |unit| {
                unit.attach(nexus, reason);
                unit.set_access(nexus, access);
            });
        }
        let (control, inbox) = mpsc::unbounded_channel();
        let peer_entry = Peer {
            control,
            target: hello.target.clone(),
            units: luns.iter().map(|(_, mapped)| mapped.unit).collect(),
        };
        hub.peers().insert(seat.session, peer_entry);
        let service = Service::new(nexus, luns);
        let session =
            Session::new(hub, seat.session, (target, conn), service, (transport, peer, local), inbox);
        Outcome::Session(Box::new(session))
    }
}
