//! An iSCSI target server on tokio.

mod builder;
mod hub;
mod inspect;
mod listen;
mod login;
mod management;
mod session;
mod transport;
mod units;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use iscsicore::node::NodeConfig;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use hub::{Control, Hub};

pub use builder::{Builder, StartError};
pub use inspect::SessionReport;

/// How long initiators have to log out, when the caller does not say.
const GRACE: Duration = Duration::from_secs(5);

/// How long a stop waits for storage that does not answer.
const STORAGE_TIME: Duration = Duration::from_secs(30);

/// A running server. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
pub struct Server {
    hub: Arc<Hub>,
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts to describe a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What is served, with the ports that the system chose.
    pub fn node(&self) -> &NodeConfig {
        self.hub.node.config()
    }

    /// The sessions at this moment.
    pub async fn sessions(&self) -> Vec<SessionReport> {
        let asked: Vec<_> = self
            .hub
            .peers()
            .values()
            .map(|peer| {
                let (send, receive) = oneshot::channel();
                // A session that has just ended does not answer.
                let _ = peer.control.send(Control::Report(send));
                receive
            })
            .collect();
        let mut reports = Vec::new();
        for receive in asked {
            if let Ok(report) = receive.await {
                reports.push(report);
            }
        }
        reports
    }

    /// Stops as [`shutdown_within`](Self::shutdown_within) does, with five seconds of grace.
    pub async fn shutdown(self) -> Vec<io::Error> {
        self.shutdown_within(GRACE).await
    }

    /// Stops: takes no more connections, asks the initiators to log out and gives them `grace` for it (zero asks and
    /// does not wait), ends the sessions that are left, waits for what their storage is still doing, and flushes
    /// every back end.
    ///
    /// Returns what went wrong; when that is nothing, everything that was ever acknowledged is on stable storage.
    /// Storage that hangs is an error after half a minute, and for its flush after half a minute more, so that this
    /// always returns.
    pub async fn shutdown_within(mut self, grace: Duration) -> Vec<io::Error> {
        // Sessions that begin after this see it for themselves.
        self.hub.stopping.send_replace(Some(grace));
        for peer in self.hub.peers().values() {
            let _ = peer.control.send(Control::Shutdown { within: grace });
        }
        let mut errors = Vec::new();
        if tokio::time::timeout(grace, self.sessions_end()).await.is_err() {
            for peer in self.hub.peers().values() {
                let (done, _) = oneshot::channel();
                let _ = peer.control.send(Control::Terminate { done });
            }
            if tokio::time::timeout(STORAGE_TIME, self.sessions_end()).await.is_err() {
                errors.push(timed_out("operations of ended sessions did not end"));
            }
        }
        let units = self.hub.units.iter().enumerate();
        let flushes = units.map(|(index, unit)| async move {
            match tokio::time::timeout(STORAGE_TIME, unit.backend.flush().wait()).await {
                Ok(result) => result,
                Err(_) => Err(timed_out(&format!("the flush of unit {index} did not end"))),
            }
        });
        errors.extend(join_all(flushes).await.into_iter().filter_map(Result::err));
        errors
    }

    async fn sessions_end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
