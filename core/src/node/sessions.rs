//! The sessions that exist, and what a login becomes: RFC 7143 sections 6.3.1, 6.3.4, 6.3.5 and 7.4.2.

use core::fmt;
use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{InitiatorPort, IscsiName, Nexus, Refusal, TargetPort};
use crate::disk::NexusId;
use crate::login::{Hello, SessionType};
use crate::wire::{Cid, Isid, LoginStatus, Tsih};

/// Names a session; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(u64);

/// How many of everything one server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeLimits {
    /// Sessions of both kinds. More than 65535 cannot be: TSIH has 16 bits, and zero is taken.
    pub sessions: usize,
    /// Sessions of one initiator name, of both kinds.
    pub sessions_per_initiator: usize,
    /// Discovery sessions.
    pub discovery_sessions: usize,
    /// Connections whose login is not complete.
    pub connections_in_login: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits {
            sessions: 1024,
            sessions_per_initiator: 64,
            discovery_sessions: 128,
            connections_in_login: 256,
        }
    }
}

/// What is known of a login that is complete but for its last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginFacts {
    initiator: InitiatorPort,
    end: End,
    kind: SessionType,
    tsih: Tsih,
    cid: Cid,
    user: Option<String>,
}

/// The target's side of a session's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Port(TargetPort),
    /// A discovery session without a target is named by the address that it came to (section 7.4.2.1).
    Address(SocketAddr),
}

/// What a login becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision takes effect with `Sessions::commit`"]
pub enum Decision {
    /// A new session.
    New(Plan),
    /// A new session in place of this one, which is to be ended without a word to its initiator: its tasks first,
    /// then its nexus (section 6.3.5). It has left the registry when the decision is committed.
    Reinstates(SessionId, Plan),
    /// One more connection of this session.
    Joins(SessionId, Connection, Plan),
    /// Nothing.
    Refused(Refusal),
}

/// What [`Sessions::commit`] needs to carry a decision out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(LoginFacts);

/// How a connection joins a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Beside those that are there.
    Added,
    /// In place of the one with the same CID, which is implicitly logged out (section 6.3.4).
    Reinstated,
}

/// A login's place among the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The session.
    pub session: SessionId,
    /// Its handle, for the last Login Response.
    pub tsih: Tsih,
    /// Its I_T nexus; a discovery session has none.
    pub nexus: Option<NexusId>,
}

/// Sessions came or went since the decision, so that it no longer holds: decide anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the decision is out of date: decide anew")]
pub struct StaleDecision;

/// A session as the registry knows it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    id: SessionId,
    tsih: Tsih,
    facts: LoginFacts,
    nexus: Option<NexusId>,
    max_connections: u16,
    connections: BTreeSet<Cid>,
}

/// The sessions of one server, over all its targets and portals.
///
/// It decides and remembers; the sessions themselves are the adapter's.
#[derive(Debug, Default)]
pub struct Sessions {
    limits: NodeLimits,
    by_id: BTreeMap<SessionId, SessionInfo>,
    by_tsih: BTreeMap<Tsih, SessionId>,
    by_name: BTreeMap<(InitiatorPort, End), SessionId>,
    by_nexus: BTreeMap<NexusId, SessionId>,
    last_id: u64,
    last_tsih: u16,
    in_login: usize,
}

impl LoginFacts {
    /// Gathers the facts: the hello, the portal group that [`Node::admit`](super::Node::admit) found, the local
    /// address of the connection, and the CHAP name that was proved.
    ///
    /// # Errors
    ///
    /// The hello has no name that is one, or a normal session no target; `admit` would have refused it.
    pub fn new(
        hello: &Hello,
        portal_group_tag: Option<u16>,
        local: SocketAddr,
        user: Option<&str>,
    ) -> Result<Self, Refusal> {
        let read = |key: &str, name: &str| {
            IscsiName::received(name)
                .map_err(|e| Refusal::new(LoginStatus::INITIATOR_ERROR, format!("{key} {name:?}: {e}")))
        };
        let initiator = InitiatorPort { name: read("InitiatorName", &hello.initiator)?, isid: hello.isid };
        let end = match (&hello.target, hello.session_type) {
            (Some(target), _) => End::Port(TargetPort {
                name: read("TargetName", target)?,
                tag: portal_group_tag.unwrap_or(1),
            }),
            (None, SessionType::Discovery) => {
                End::Address(SocketAddr::new(local.ip().to_canonical(), local.port()))
            }
            (None, SessionType::Normal) => {
                let why = "a normal session without TargetName";
                return Err(Refusal::new(LoginStatus::MISSING_PARAMETER, why));
            }
        };
        Ok(LoginFacts {
            initiator,
            end,
            kind: hello.session_type,
            tsih: hello.tsih,
            cid: hello.cid,
            user: user.map(str::to_owned),
        })
    }

    fn name(&self) -> (InitiatorPort, End) {
        (self.initiator.clone(), self.end.clone())
    }

    fn nexus(&self) -> Option<NexusId> {
        match (&self.end, self.kind) {
            (End::Port(target), SessionType::Normal) => {
                Some(Nexus { initiator: self.initiator.clone(), target: target.clone() }.id())
            }
            _ => None,
        }
    }
}

impl Sessions {
    /// A registry without sessions.
    pub fn new(limits: NodeLimits) -> Self {
        Sessions { limits, ..Sessions::default() }
    }

    /// Counts a connection that begins to log in.
    ///
    /// # Errors
    ///
    /// Too many are at it: close the connection. Nothing is counted then.
    pub fn enter_login(&mut self) -> Result<(), Refusal> {
        if self.in_login >= self.limits.connections_in_login {
            return Err(full("connections that are logging in"));
        }
        self.in_login += 1;
        Ok(())
    }

    /// Ends what [`enter_login`](Self::enter_login) began, whether or not the login succeeded.
    pub fn leave_login(&mut self) {
        self.in_login = self.in_login.saturating_sub(1);
    }

    /// Decides what a login becomes. Nothing changes.
    pub fn decide(&self, login: &LoginFacts) -> Decision {
        match self.judge(login) {
            Ok(decision) => decision,
            Err(refusal) => Decision::Refused(refusal),
        }
    }

    /// Carries a decision out.
    ///
    /// `max_connections` and the login's error recovery level are those negotiated; both are read only for a new
    /// session. At level 2 a session of one connection may open a second one to clean up after the first
    /// (section 6.3.4).
    ///
    /// # Errors
    ///
    /// [`StaleDecision`] when another login was faster, and for a refusal. Nothing has changed then.
    pub fn commit(
        &mut self,
        decision: Decision,
        max_connections: u16,
        error_recovery_level: u8,
    ) -> Result<Seat, StaleDecision> {
        let facts = match &decision {
            Decision::New(plan) | Decision::Reinstates(_, plan) | Decision::Joins(_, _, plan) => &plan.0,
            Decision::Refused(_) => return Err(StaleDecision),
        };
        if self.decide(facts) != decision {
            return Err(StaleDecision);
        }
        match decision {
            Decision::New(Plan(facts)) => self.open(facts, max_connections, error_recovery_level),
            Decision::Reinstates(old, Plan(facts)) => {
                self.remove(old);
                self.open(facts, max_connections, error_recovery_level)
            }
            Decision::Joins(session, _, Plan(facts)) => {
                let info = self.by_id.get_mut(&session).ok_or(StaleDecision)?;
                info.connections.insert(facts.cid);
                Ok(Seat { session, tsih: info.tsih, nexus: info.nexus })
            }
            Decision::Refused(_) => Err(StaleDecision),
        }
    }

    /// Forgets a connection of a session; the session stays, with or without connections, until it is removed.
    ///
    /// A connection that another one with its CID has replaced must not be reported here.
    pub fn remove_connection(&mut self, session: SessionId, cid: Cid) {
        if let Some(info) = self.by_id.get_mut(&session) {
            info.connections.remove(&cid);
        }
    }

    /// Forgets a session that has ended; returns what it was, or `None` when a reinstatement has removed it before.
    pub fn remove(&mut self, session: SessionId) -> Option<SessionInfo> {
        let info = self.by_id.remove(&session)?;
        self.by_tsih.remove(&info.tsih);
        self.by_name.remove(&info.facts.name());
        if let Some(nexus) = info.nexus {
            self.by_nexus.remove(&nexus);
        }
        Some(info)
    }

    /// The session of that id.
    pub fn get(&self, session: SessionId) -> Option<&SessionInfo> {
        self.by_id.get(&session)
    }

    /// The session that carries a nexus.
    pub fn by_nexus(&self, nexus: NexusId) -> Option<&SessionInfo> {
        self.by_id.get(self.by_nexus.get(&nexus)?)
    }

    /// The sessions, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &SessionInfo> {
        self.by_id.values()
    }

    /// The number of sessions.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The table of section 6.3.1.
    fn judge(&self, login: &LoginFacts) -> Result<Decision, Refusal> {
        let existing = self.by_name.get(&login.name()).and_then(|id| self.by_id.get(id));
        match existing {
            None if login.tsih == Tsih::NEW => {
                self.check_room(login, None)?;
                Ok(Decision::New(Plan(login.clone())))
            }
            Some(old) if login.tsih == Tsih::NEW => {
                check_user(login, old)?;
                self.check_room(login, Some(old))?;
                Ok(Decision::Reinstates(old.id, Plan(login.clone())))
            }
            Some(session) if session.tsih == login.tsih => {
                check_user(login, session)?;
                let how = session.take(login)?;
                Ok(Decision::Joins(session.id, how, Plan(login.clone())))
            }
            _ => {
                let why = format!("no session of {} has TSIH {}", login.initiator, login.tsih.0);
                Err(Refusal::new(LoginStatus::SESSION_DOES_NOT_EXIST, why))
            }
        }
    }

    /// Whether one more session fits once `replaced` has gone.
    fn check_room(&self, login: &LoginFacts, replaced: Option<&SessionInfo>) -> Result<(), Refusal> {
        let others = || self.iter().filter(|s| replaced.is_none_or(|r| r.id != s.id));
        let limits = &self.limits;
        if others().count() >= limits.sessions.min(usize::from(u16::MAX)) {
            return Err(full("sessions"));
        }
        let name = &login.initiator.name;
        if others().filter(|s| s.initiator().name == *name).count() >= limits.sessions_per_initiator {
            return Err(full("sessions of this initiator"));
        }
        let discovery = others().filter(|s| s.kind() == SessionType::Discovery).count();
        if login.kind == SessionType::Discovery && discovery >= limits.discovery_sessions {
            return Err(full("discovery sessions"));
        }
        // Two nexuses with one number: the disk would take them for one another.
        let holder = login.nexus().and_then(|nexus| self.by_nexus.get(&nexus));
        if holder.is_some_and(|&id| replaced.is_none_or(|r| r.id != id)) {
            return Err(full("nexuses of this number"));
        }
        Ok(())
    }

    fn open(&mut self, facts: LoginFacts, max_connections: u16, level: u8) -> Result<Seat, StaleDecision> {
        let tsih = self.free_tsih().ok_or(StaleDecision)?;
        self.last_tsih = tsih.0;
        self.last_id += 1;
        let (id, nexus) = (SessionId(self.last_id), facts.nexus());
        let spare = if level >= 2 { 2 } else { 1 };
        self.by_tsih.insert(tsih, id);
        self.by_name.insert(facts.name(), id);
        if let Some(nexus) = nexus {
            self.by_nexus.insert(nexus, id);
        }
        let connections = BTreeSet::from([facts.cid]);
        let max_connections = max_connections.max(spare);
        self.by_id.insert(id, SessionInfo { id, tsih, facts, nexus, max_connections, connections });
        Ok(Seat { session: id, tsih, nexus })
    }

    /// The next handle after the last one given out, so that a handle rests before it is used again.
    fn free_tsih(&self) -> Option<Tsih> {
        let after = (self.last_tsih..=u16::MAX).skip(1);
        after.chain(1..=self.last_tsih).map(Tsih).find(|t| *t != Tsih::NEW && !self.by_tsih.contains_key(t))
    }
}

impl SessionInfo {
    /// Its id.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Its handle.
    pub const fn tsih(&self) -> Tsih {
        self.tsih
    }

    /// Its kind.
    pub const fn kind(&self) -> SessionType {
        self.facts.kind
    }

    /// The initiator's end.
    pub const fn initiator(&self) -> &InitiatorPort {
        &self.facts.initiator
    }

    /// The initiator's part of the session's name.
    pub const fn isid(&self) -> Isid {
        self.facts.initiator.isid
    }

    /// The target's end; `None` for a discovery session that named no target.
    pub const fn target(&self) -> Option<&TargetPort> {
        match &self.facts.end {
            End::Port(port) => Some(port),
            End::Address(_) => None,
        }
    }

    /// The CHAP name that its logins proved.
    pub fn user(&self) -> Option<&str> {
        self.facts.user.as_deref()
    }

    /// Its nexus; a discovery session has none.
    pub const fn nexus(&self) -> Option<NexusId> {
        self.nexus
    }

    /// The CIDs of its connections.
    pub fn connections(&self) -> impl Iterator<Item = Cid> + '_ {
        self.connections.iter().copied()
    }

    fn take(&self, login: &LoginFacts) -> Result<Connection, Refusal> {
        if login.kind != self.kind() {
            let why = "a connection of another session type than the session's";
            return Err(Refusal::new(LoginStatus::CANT_INCLUDE_IN_SESSION, why));
        }
        if self.connections.contains(&login.cid) {
            return Ok(Connection::Reinstated);
        }
        if self.connections.len() >= usize::from(self.max_connections) {
            let why = format!("session {} has its {} connections", self.tsih.0, self.connections.len());
            return Err(Refusal::new(LoginStatus::TOO_MANY_CONNECTIONS, why));
        }
        Ok(Connection::Added)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Nobody takes over or joins a session as somebody else than its logins so far (section 9.2): an account that is
/// good for one name would otherwise end the sessions of others.
fn check_user(login: &LoginFacts, session: &SessionInfo) -> Result<(), Refusal> {
    if login.user == session.facts.user {
        return Ok(());
    }
    let user = |user: &Option<String>| user.as_ref().map_or("nobody".to_owned(), |u| format!("{u:?}"));
    let (now, before) = (user(&login.user), user(&session.facts.user));
    let why = format!("authenticated as {now}; the session {} belongs to {before}", session.tsih.0);
    Err(Refusal::new(LoginStatus::AUTHENTICATION_FAILURE, why))
}

fn full(what: &str) -> Refusal {
    Refusal::new(LoginStatus::OUT_OF_RESOURCES, format!("too many {what}"))
}
