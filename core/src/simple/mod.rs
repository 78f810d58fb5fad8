//! A whole target server in one value, written with the public API of the other modules alone.
//!
//! A [`Host`] has the sessions, the logical units and the rules of a server; it decides who may log in, which
//! session ends when an initiator begins anew, and what a reset means to everybody else. What is left to a loop is
//! sockets, storage and time. Programs that serve sessions on many threads without a common lock use
//! [`Target`] and [`serve`](crate::serve) themselves; all others start here.
//!
//! *The contract*, which is that of every session of this crate: after any call, [`transmit`](Host::transmit) on the
//! link, take [`poll_job`](Host::poll_job) until it is empty, wake the links that [`poll_wake`](Host::poll_wake)
//! names, and re-arm a timer for [`poll_timeout`](Host::poll_timeout). The order does not matter, and too often is
//! harmless. That a transmitter was emptied counts as a call: transmit and then receive once more, since the core holds
//! commands and PDUs back while too much waits to be sent. An initiator's first words, without a socket:
//!
//! ```
//! use bytes::Bytes;
//! use iscsicore::disk::{BlockSize, LogicalUnit, Outcome, UnitConfig};
//! use iscsicore::link::{Placement, Receiver, Transmitter};
//! use iscsicore::node::{IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig};
//! use iscsicore::simple::Host;
//! use iscsicore::{Instant, Limits};
//!
//! let here = "192.0.2.1:3260".parse()?;
//! let mut target = TargetConfig::new(IscsiName::parse("iqn.2001-04.com.example:disk")?);
//! target.groups.push(PortalGroup::new(1, [here]));
//! let mut config = NodeConfig::default();
//! config.targets.push(target);
//! let unit = LogicalUnit::new(UnitConfig::new("serial-1", BlockSize::B512, 2048));
//! let mut host = Host::new(Node::new(config)?, vec![unit], Limits::default(), NodeLimits::default());
//!
//! // A connection was accepted. Its halves are the loop's, so that bytes move without the host.
//! let (mut rx, mut tx) = (Receiver::new(&Limits::default()), Transmitter::new());
//! let seed = [7; 32]; // from the system's source of randomness, one for each connection
//! let link = host.connect(Instant::ZERO, here, seed).map_err(|refusal| refusal.why)?;
//!
//! // One turn of the loop, when bytes have arrived:
//! # let words = b"InitiatorName=iqn.2001-04.com.example:me\0SessionType=Discovery\0";
//! # let mut hello = vec![0x43, 0x87, 0, 0, 0, 0, 0, words.len() as u8];
//! # hello.extend([0x40, 0, 0, 0, 0, 1]); // ISID
//! # hello.resize(48, 0);
//! # hello.extend(words);
//! # hello.resize(hello.len().next_multiple_of(4), 0);
//! # let arrived = Bytes::from(hello);
//! rx.push(arrived)?;
//! let now = Instant::from_nanos(1_000_000);
//! host.receive(now, link, &mut rx)?;
//! while let Some(job) = host.poll_job() {
//!     let outcome = Outcome::Done; // carry out `job.op` on the storage of `job.unit`
//!     host.finish(now, job.receipt, outcome);
//! }
//! host.transmit(now, link, &mut tx);
//! assert!(tx.queued() > 48, "the answer to the login: write it to the socket");
//! assert_eq!(host.sessions().count(), 1);
//!
//! // The initiator has closed the connection:
//! host.lost(now, link);
//! assert_eq!(host.sessions().count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod login;
mod management;

use core::cell::RefCell;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::disk::{LogicalUnit, Op, Outcome};
use crate::link::{Receiver, Transmitter};
use crate::node::{Asker, Asking, Node, NodeLimits, Refusal, SessionId, Sessions, UnitId};
use crate::serve::{Handled, Service, Ticket, Units, Work};
use crate::session::ConnId;
use crate::target::{Event, SendTargets, Target};
use crate::{Instant, Limits, PeerError, TransportError, login::SessionType};

use login::{Login, Waiting};
use management::Reset;

/// Names a connection of a [`Host`]; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(u64);

impl LinkId {
    /// The name as a number, for those who pass it through another language; never zero.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The name that [`to_bits`](Self::to_bits) made a number of. Any other number names no connection.
    pub const fn from_bits(bits: u64) -> Self {
        LinkId(bits)
    }
}

/// Something to be done on the storage of a unit.
#[derive(Debug)]
#[must_use = "a command waits until its job has been done"]
pub struct Job {
    /// Whose storage: the index of the unit in the list that the host was made with.
    pub unit: UnitId,
    /// What.
    pub op: Op,
    /// To be given back with the outcome.
    pub receipt: Receipt,
}

/// A command that waits for a [`Job`].
#[derive(Debug)]
#[must_use = "a command waits until its job has been done"]
pub struct Receipt {
    session: SessionId,
    ticket: Ticket,
}

/// All sessions of a server, its logical units, and its rules. See the [module](self).
#[derive(Debug)]
pub struct Host {
    node: Node,
    limits: Limits,
    units: Table,
    registry: Sessions,
    links: BTreeMap<LinkId, Link>,
    live: BTreeMap<SessionId, Session>,
    resets: Vec<Reset>,
    jobs: VecDeque<Job>,
    wakes: BTreeSet<LinkId>,
    last_link: u64,
}

#[derive(Debug)]
struct Link {
    local: SocketAddr,
    place: Place,
    /// Nothing more is to be said on it.
    closing: bool,
}

/// What a connection is.
#[derive(Debug)]
enum Place {
    Login(Box<Login>),
    /// Logged in, behind a session of which something is left.
    Waiting(Box<Waiting>),
    Session(SessionId),
    /// Nothing any more.
    Over,
}

#[derive(Debug)]
struct Session {
    target: Target,
    service: Service,
    link: LinkId,
    conn: ConnId,
    local: SocketAddr,
    /// A cold reset ends the session once everything is answered.
    end_when_idle: bool,
}

/// The units. A call into one of them never leads to another.
#[derive(Debug)]
struct Table(Vec<RefCell<LogicalUnit>>);

impl Units for Table {
    fn with_unit<R>(&self, unit: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        let unit = self.0.get(usize::try_from(unit.0).ok()?)?;
        unit.try_borrow_mut().ok().map(|mut unit| f(&mut unit))
    }
}

impl Host {
    /// A server without connections. The LUN maps of `node` name the units by their place in `units`.
    pub fn new(node: Node, units: Vec<LogicalUnit>, limits: Limits, of_all: NodeLimits) -> Self {
        Host {
            node,
            limits,
            units: Table(units.into_iter().map(RefCell::new).collect()),
            registry: Sessions::new(of_all),
            links: BTreeMap::new(),
            live: BTreeMap::new(),
            resets: Vec::new(),
            jobs: VecDeque::new(),
            wakes: BTreeSet::new(),
            last_link: 0,
        }
    }

    /// The rules; they may be changed, which concerns logins to come.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// A logical unit, to resize it, say.
    pub fn unit_mut(&mut self, unit: UnitId) -> Option<&mut LogicalUnit> {
        self.units.0.get_mut(usize::try_from(unit.0).ok()?).map(RefCell::get_mut)
    }

    /// The sessions that are there.
    pub fn sessions(&self) -> impl Iterator<Item = &Target> {
        self.live.values().map(|session| &session.target)
    }

    /// The session that a connection belongs to, if it has logged in.
    pub fn session(&self, link: LinkId) -> Option<&Target> {
        match self.links.get(&link)?.place {
            Place::Session(id) => self.live.get(&id).map(|session| &session.target),
            _ => None,
        }
    }

    /// Takes a connection that was accepted at the address `local`. `seed` must be unpredictable and of no other use.
    ///
    /// # Errors
    /// Too many connections are logging in: close this one.
    pub fn connect(&mut self, now: Instant, local: SocketAddr, seed: [u8; 32]) -> Result<LinkId, Refusal> {
        self.registry.enter_login()?;
        self.last_link += 1;
        let link = LinkId(self.last_link);
        let place = Place::Login(Box::new(Login::new(self.limits.clone(), seed, now)));
        self.links.insert(link, Link { local, place, closing: false });
        Ok(link)
    }

    /// Takes the PDUs that `rx` has whole.
    ///
    /// # Errors
    /// [`PeerError`] when the initiator broke the protocol or its login failed; what it is told is queued. From then
    /// on [`is_closing`](Self::is_closing) is true, or will be once that has been transmitted.
    pub fn receive(&mut self, now: Instant, link: LinkId, rx: &mut Receiver) -> Result<(), PeerError> {
        self.receive_login(now, link, rx)?;
        let Some((id, session)) = self.session_of(link) else { return Ok(()) };
        let conn = session.conn;
        let received = session.target.receive(now, conn, rx);
        self.settle(now, id);
        received
    }

    /// Moves what is to be sent on a connection into `tx`. Call it again when `tx` has been emptied.
    pub fn transmit(&mut self, now: Instant, link: LinkId, tx: &mut Transmitter) {
        self.wakes.remove(&link);
        if let Some(Link { place: Place::Login(login), .. }) = self.links.get_mut(&link) {
            return login.transmit(now, tx);
        }
        let Some((id, session)) = self.session_of(link) else { return };
        let conn = session.conn;
        session.target.transmit(now, conn, tx);
        // Room may set commands free, and the last word may have been said.
        self.settle(now, id);
    }

    /// Whether nothing more will be said on a connection: after one more [`transmit`](Self::transmit) flush the
    /// transmitter, close the transport and call [`lost`](Self::lost).
    pub fn is_closing(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|link| match &link.place {
            Place::Login(login) => link.closing || login.is_closing(),
            _ => link.closing,
        })
    }

    /// Tells that the transport of a connection is gone.
    pub fn lost(&mut self, now: Instant, link: LinkId) {
        self.wakes.remove(&link);
        match self.links.remove(&link).map(|link| link.place) {
            Some(Place::Login(_)) => self.registry.leave_login(),
            Some(Place::Waiting(waiting)) => self.forget(waiting.seat),
            Some(Place::Session(id)) => {
                let Some(session) = self.live.get_mut(&id).filter(|s| s.link == link) else { return };
                session.target.lost(now, session.conn, TransportError::Closed);
                self.settle(now, id);
            }
            Some(Place::Over) | None => {}
        }
    }

    /// The next job for the storage. Every job is to be done, whatever becomes of its connection.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Goes on with a command whose job has been done.
    pub fn finish(&mut self, now: Instant, receipt: Receipt, outcome: Outcome) {
        let Receipt { session: id, ticket } = receipt;
        // A session does not end before its last ticket has come back.
        let Some(Session { target, service, link, .. }) = self.live.get_mut(&id) else { return };
        let next = service.finish(target, &self.units, ticket, outcome);
        let link = *link;
        self.wake(link);
        self.jobs.extend(next.map(|work| job(id, work)));
        self.settle(now, id);
    }

    /// A connection for which something happened that it did not bring about itself: call
    /// [`receive`](Self::receive) and [`transmit`](Self::transmit) on it. A loop that does so regularly anyway needs
    /// not ask.
    pub fn poll_wake(&mut self) -> Option<LinkId> {
        self.wakes.pop_first()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let logins = self.links.values().filter(|link| !link.closing).filter_map(|link| match &link.place {
            Place::Login(login) => login.poll_timeout(),
            _ => None,
        });
        logins.chain(self.live.values().filter_map(|s| s.target.poll_timeout())).min()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (id, link) in self.links.iter_mut().filter(|(_, link)| !link.closing) {
            if let Place::Login(login) = &mut link.place
                && login.handle_timeout(now).is_err()
            {
                link.closing = true;
                self.wakes.insert(*id);
            }
        }
        let due = |session: &Session| session.target.poll_timeout().is_some_and(|at| at <= now);
        let due: Vec<_> = self.live.iter().filter(|(_, s)| due(s)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(session) = self.live.get_mut(&id) {
                session.target.handle_timeout(now);
                let link = session.link;
                self.wake(link);
                self.settle(now, id);
            }
        }
    }

    /// Asks all initiators to log out; sessions that have not ended after `within` are ended then.
    pub fn request_logout(&mut self, now: Instant, within: Duration) {
        let ids: Vec<_> = self.live.keys().copied().collect();
        for id in ids {
            if let Some(session) = self.live.get_mut(&id) {
                session.target.request_logout(now, within);
                let link = session.link;
                self.wake(link);
                self.settle(now, id);
            }
        }
    }

    fn session_of(&mut self, link: LinkId) -> Option<(SessionId, &mut Session)> {
        let Place::Session(id) = self.links.get(&link)?.place else { return None };
        self.live.get_mut(&id).filter(|session| session.link == link).map(|session| (id, session))
    }

    /// A link that is gone is not named: its sessions may live on for a while.
    fn wake(&mut self, link: LinkId) {
        if self.links.contains_key(&link) {
            self.wakes.insert(link);
        }
    }

    /// Acts on the events of a session, and of those that it disturbs.
    fn settle(&mut self, now: Instant, id: SessionId) {
        let (first, mut disturbed) = (id, Vec::new());
        let mut next = Some(id);
        while let Some(id) = next {
            if let Some(link) = self.live.get(&id).filter(|_| id != first).map(|session| session.link) {
                self.wake(link);
            }
            while let Some(session) = self.live.get_mut(&id) {
                let Some(event) = session.target.poll_event() else {
                    if session.end_when_idle && session.target.outstanding() == 0 {
                        session.end_when_idle = false;
                        session.target.terminate(now);
                        continue;
                    }
                    break;
                };
                match session.service.handle(&mut session.target, &self.units, event) {
                    Handled::Done => {}
                    Handled::Work(work) => self.jobs.push_back(job(id, work)),
                    Handled::Other(Event::Close(conn)) => {
                        if let Some(link) = self.links.get_mut(&session.link).filter(|_| session.conn == conn)
                        {
                            link.closing = true;
                        }
                    }
                    Handled::Other(Event::SendTargets { request, which }) => {
                        send_targets(&self.node, session, request, &which);
                    }
                    Handled::Other(Event::TaskManagement(request)) => {
                        disturbed.extend(self.begin_reset(now, id, request));
                    }
                    Handled::Other(Event::TasksAborted(abort)) => {
                        disturbed.extend(self.no_longer_wait(|other| *other == (id, abort)));
                    }
                    Handled::Other(Event::Ended(_)) => disturbed.extend(self.end_session(now, id)),
                    Handled::Other(_) => {}
                }
            }
            next = disturbed.pop();
        }
    }
}

fn job(session: SessionId, Work { unit, op, ticket }: Work) -> Job {
    Job { unit, op, receipt: Receipt { session, ticket } }
}

fn send_targets(node: &Node, session: &mut Session, request: crate::link::TaskId, which: &SendTargets) {
    let target = &session.target;
    let hello = target.hello();
    let asking = match (hello.session_type, hello.target.as_deref()) {
        (SessionType::Normal, Some(name)) => Asking::Normal(name),
        (_, name) => Asking::Discovery(name),
    };
    let asker =
        Asker { initiator: &hello.initiator, user: target.user(), session: asking, local: session.local };
    let records = node.send_targets(&asker, which).unwrap_or_default();
    // The request can only have gone together with its connection.
    let _ = session.target.answer_send_targets(request, &records);
}

#[cfg(test)]
mod tests;
