//! What a running server tells about itself.

use iscsicore::login::SessionType;
use iscsicore::target::Counters;

use super::session::Session;
use crate::Runtime;

/// A session as it is at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionReport {
    /// Target Session Identifying Handle.
    pub tsih: u16,
    /// Name of the initiator.
    pub initiator: String,
    /// The CHAP name that it authenticated as.
    pub user: Option<String>,
    /// Name of the target; none in a discovery session without one.
    pub target: Option<String>,
    /// Normal or discovery.
    pub session_type: SessionType,
    /// Addresses of the initiator, one a connection.
    pub connections: Vec<std::net::SocketAddr>,
    /// The shard that it is on.
    pub shard: usize,
    /// Requests that have not been answered.
    pub outstanding: usize,
    /// What it has done.
    pub counters: Counters,
}

impl<R: Runtime> Session<R> {
    pub(super) fn report(&self) -> SessionReport {
        let hello = self.target.hello();
        SessionReport {
            tsih: self.target.tsih().0,
            initiator: hello.initiator.clone(),
            user: self.target.user().map(str::to_owned),
            target: hello.target.clone(),
            session_type: hello.session_type,
            connections: self.link.iter().map(|l| l.peer).collect(),
            shard: self.place.shard,
            outstanding: self.target.outstanding(),
            counters: self.target.counters(),
        }
    }
}
