//! The iSCSI nodes of this end as configuration and decisions: who may log in where, and what they see there.
//!
//! [`Node`] is the checked configuration: targets with their portal groups, LUN maps, access rules and accounts.
//! It answers a login's first question ([`Node::admit`]) and SendTargets ([`Node::send_targets`]).
//! [`Sessions`] knows which sessions exist and decides what a login becomes: a new session, the successor of an
//! old one, or one more connection (RFC 7143 section 6.3.1). Neither does I/O nor owns a session's state.
//!
//! An adapter's order of events: `admit` when the hello is known; when the login is complete [`Sessions::decide`]
//! and at once [`Sessions::commit`]; [`Sessions::remove_connection`] and [`Sessions::remove`] when they end.

mod access;
mod admit;
mod config;
mod discovery;
mod lun_map;
mod port;
mod portal;
mod sessions;

pub use access::{Access, ChapAccount, ChapRules, Initiators};
pub use admit::{Node, Refusal};
pub use config::{ConfigError, Discovery, NodeConfig, Place, Service, TargetConfig};
pub use discovery::{Asker, Asking};
pub use lun_map::{LunMap, MappedUnit, UnitAccess, UnitId};
pub use port::{InitiatorPort, Nexus, TargetPort};
pub use portal::{Portal, PortalGroup};
pub use sessions::{
    Connection, Decision, LoginFacts, NodeLimits, Seat, SessionId, SessionInfo, Sessions, StaleDecision,
};

pub use crate::wire::text::{IscsiName, MAX_NAME_LEN, NameError};
