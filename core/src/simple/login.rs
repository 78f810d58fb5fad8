//! Connections that log in, and how they become sessions.

use core::mem;

use crate::disk::{AttachReason, NexusId};
use crate::link::{Receiver, Transmitter};
use crate::login::SessionType;
use crate::node::{Decision, LoginFacts, LunMap, Node, Refusal, Seat, SessionId, Sessions};
use crate::serve::{self, Service};
use crate::target::{Incoming, IncomingEvent, Target};
use crate::wire::LoginStatus;
use crate::{Instant, Limits, PeerError};

use super::{Host, Link, LinkId, Place, Session};

/// A login under way.
#[derive(Debug)]
pub(super) struct Login {
    incoming: Incoming,
    portal_group_tag: Option<u16>,
}

/// A login that is complete, and the session whose end it waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    login: Login,
    pub(super) seat: Seat,
    behind: SessionId,
}

impl Login {
    pub(super) fn new(limits: Limits, seed: [u8; 32], now: Instant) -> Self {
        Login { incoming: Incoming::new(limits, seed, now), portal_group_tag: None }
    }

    pub(super) fn transmit(&mut self, now: Instant, tx: &mut Transmitter) {
        self.incoming.transmit(now, tx);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.incoming.is_closing()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.incoming.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        self.incoming.handle_timeout(now)
    }

    /// Takes what has arrived and answers who may log in, until the login is ready or needs more.
    fn receive(
        &mut self,
        now: Instant,
        (node, local): (&Node, core::net::SocketAddr),
        rx: &mut Receiver,
    ) -> Result<(), PeerError> {
        loop {
            let received = self.incoming.receive(now, rx);
            let Some(event) = self.incoming.poll_event() else { return received };
            let IncomingEvent::Hello(hello) = event else { return Ok(()) };
            let answered = match node.admit(&hello, local) {
                Ok(admission) => {
                    self.portal_group_tag = admission.portal_group_tag;
                    self.incoming.admit(admission)
                }
                Err(refusal) => self.incoming.refuse(refusal.status, &refusal.why),
            };
            if answered.is_err() {
                // The rules of the target contradict the RFC.
                let _ = self
                    .incoming
                    .refuse(LoginStatus::TARGET_ERROR, "the target's rules cannot be carried out");
            }
        }
    }

    fn seat(
        &self,
        registry: &mut Sessions,
        local: core::net::SocketAddr,
    ) -> Result<(Decision, Seat), Refusal> {
        let broken = || Refusal::new(LoginStatus::TARGET_ERROR, "the login is not complete");
        let hello = self.incoming.hello().ok_or_else(broken)?;
        let agreed = self.incoming.parameters().ok_or_else(broken)?;
        let facts = LoginFacts::new(hello, self.portal_group_tag, local, self.incoming.user())?;
        let decision = registry.decide(&facts);
        if let Decision::Refused(refusal) = decision {
            return Err(refusal);
        }
        // The decision cannot be out of date: nothing came between.
        let seat = registry
            .commit(decision.clone(), agreed.max_connections, agreed.error_recovery_level)
            .map_err(|_| broken())?;
        Ok((decision, seat))
    }
}

impl Host {
    pub(super) fn receive_login(
        &mut self,
        now: Instant,
        link: LinkId,
        rx: &mut Receiver,
    ) -> Result<(), PeerError> {
        let Some(Link { local, place: Place::Login(login), closing }) = self.links.get_mut(&link) else {
            return Ok(());
        };
        let received = login.receive(now, (&self.node, *local), rx);
        *closing |= received.is_err();
        if !login.incoming.is_ready() {
            return received;
        }
        match login.seat(&mut self.registry, *local) {
            Ok((decision, seat)) => {
                self.take_seat(now, link, decision, seat);
                Ok(())
            }
            Err(refusal) => {
                // A login that is ready can be refused.
                let _ = login.incoming.refuse(refusal.status, &refusal.why);
                Err(PeerError::Login { status: refusal.status.0, why: refusal.why })
            }
        }
    }

    fn take_seat(&mut self, now: Instant, link: LinkId, decision: Decision, seat: Seat) {
        let Some(entry) = self.links.get_mut(&link) else { return };
        let Place::Login(login) = mem::replace(&mut entry.place, Place::Over) else { return };
        self.registry.leave_login();
        match decision {
            Decision::New(_) => self.open(now, link, *login, seat, AttachReason::New),
            Decision::Joins(id, ..) => self.join(now, link, *login, id),
            Decision::Reinstates(old, _) => {
                let behind = self.displace(old);
                let waiting = Waiting { login: *login, seat, behind };
                self.put(link, Place::Waiting(Box::new(waiting)));
                if let Some(session) = self.live.get_mut(&behind) {
                    session.target.terminate(now);
                    session.target.lost(now, session.conn, crate::TransportError::Closed);
                    let its_link = session.link;
                    self.put(its_link, Place::Over);
                    self.settle(now, behind);
                }
                // When the old session was not there at all, nobody else will call.
                self.open_behind(now, behind);
            }
            Decision::Refused(_) => {}
        }
    }

    /// A session that is to be replaced: either it waits itself, and its place in the queue is taken, or it is at
    /// work. Returns whose end is to be waited for (RFC 7143 section 6.3.5).
    fn displace(&mut self, old: SessionId) -> SessionId {
        let waits = |link: &Link| match &link.place {
            Place::Waiting(waiting) if waiting.seat.session == old => Some(waiting.behind),
            _ => None,
        };
        let found = self.links.iter().find_map(|(id, link)| Some((*id, waits(link)?)));
        let Some((link, behind)) = found else { return old };
        self.put(link, Place::Over);
        behind
    }

    /// Lets those begin who wait for the end of `id`.
    pub(super) fn open_behind(&mut self, now: Instant, id: SessionId) {
        if self.live.contains_key(&id) {
            return;
        }
        let waits = |link: &Link| matches!(&link.place, Place::Waiting(waiting) if waiting.behind == id);
        let found: Vec<_> = self.links.iter().filter(|(_, l)| waits(l)).map(|(link, _)| *link).collect();
        for link in found {
            let Some(entry) = self.links.get_mut(&link) else { continue };
            if let Place::Waiting(waiting) = mem::replace(&mut entry.place, Place::Over) {
                self.open(now, link, waiting.login, waiting.seat, AttachReason::Relogin);
            }
        }
    }

    fn open(&mut self, now: Instant, link: LinkId, login: Login, seat: Seat, reason: AttachReason) {
        let Some(local) = self.links.get(&link).map(|entry| entry.local) else { return };
        let Ok((target, conn)) = Target::new(login.incoming, seat.tsih, now) else {
            self.forget(seat);
            return self.put(link, Place::Over);
        };
        let hello = target.hello();
        // A discovery session sees no units, even when it names a target.
        let luns = match (&hello.target, hello.session_type) {
            (Some(name), SessionType::Normal) => self.node.luns(name, &hello.initiator).cloned(),
            _ => None,
        };
        let (luns, nexus) = (luns.unwrap_or_else(LunMap::new), seat.nexus.unwrap_or(NexusId(0)));
        serve::attach(&self.units, &luns, nexus, reason, &target);
        let service = Service::new(nexus, luns);
        self.live.insert(seat.session, Session { target, service, link, conn, local, end_when_idle: false });
        self.put(link, Place::Session(seat.session));
    }

    /// Puts a connection in the place of that of a session (RFC 7143 section 6.3.4).
    fn join(&mut self, now: Instant, link: LinkId, login: Login, id: SessionId) {
        let joined = self.live.get_mut(&id).and_then(|session| {
            let busy = session.target.outstanding() > 0;
            let conn = session.target.reinstate(login.incoming, now).ok()?;
            let old = (mem::replace(&mut session.link, link), mem::replace(&mut session.conn, conn));
            // The session has another connection by now, so it does not end for this.
            session.target.lost(now, old.1, crate::TransportError::Closed);
            if busy {
                session.service.tasks_terminated(&self.units);
            }
            Some(old.0)
        });
        match joined {
            Some(old) => {
                self.put(old, Place::Over);
                self.put(link, Place::Session(id));
                self.settle(now, id);
            }
            None => self.put(link, Place::Over),
        }
    }

    /// Takes back a seat that no session has taken, or that its session has left.
    pub(super) fn forget(&mut self, seat: Seat) {
        // A session that was replaced has left the registry already, and its nexus lives on.
        if let (Some(_), Some(nexus)) = (self.registry.remove(seat.session), seat.nexus) {
            self.units.0.iter_mut().for_each(|unit| unit.get_mut().detach(nexus));
        }
    }

    fn put(&mut self, link: LinkId, place: Place) {
        if let Some(entry) = self.links.get_mut(&link) {
            entry.closing |= matches!(place, Place::Over);
            entry.place = place;
            self.wakes.insert(link);
        }
    }
}
