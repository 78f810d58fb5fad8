//! An iSCSI target server, on any runtime.

mod builder;
mod hub;
mod inbox;
mod inspect;
pub(crate) mod job;
mod listen;
mod login;
mod management;
mod session;
mod stop;
mod timeout;
mod transport;
mod units;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iscsicore::node::NodeConfig;
use tokio::sync::oneshot;

use crate::Runtime;
use hub::{Control, Hub};
use job::Away;

pub use builder::{Builder, StartError};
pub use inspect::SessionReport;

/// How long initiators have to log out, when the caller does not say.
const GRACE: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
pub struct Server<R: Runtime> {
    hub: Arc<Hub<R>>,
    addresses: Vec<SocketAddr>,
}

impl<R: Runtime> Server<R> {
    /// Starts to describe a server.
    pub fn builder() -> Builder<R> {
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

    /// What it runs on.
    pub fn runtime(&self) -> &R {
        &self.hub.runtime
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
                peer.control.send(Control::Report(send));
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

    /// Waits until nothing of the server runs any more: no listener, no login, no session. From then on nothing is
    /// acknowledged.
    ///
    /// It holds nothing up, so that it can be asked for beforehand and waited for after the server was dropped, on
    /// whatever executor. What the storage still does then, nobody waits for; a flush after it makes durable what was
    /// acknowledged.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<R> {
        let (living, closing) = (Arc::clone(&self.hub.living), Arc::clone(&self.hub.closing));
        async move {
            living.none().await;
            closing.none().await;
        }
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
    pub async fn shutdown_within(self, grace: Duration) -> Vec<io::Error> {
        let (done, stopped) = oneshot::channel();
        self.hub.dispatch(0, Away::Stop { hub: Arc::clone(&self.hub), grace, done });
        match stopped.await {
            Ok(errors) => errors,
            Err(_) => self.flush_all().await,
        }
    }
}

impl<R: Runtime> Server<R> {
    /// Flushes when the shard that was to do it is gone. No time is watched here: there may be no executor that could.
    async fn flush_all(&self) -> Vec<io::Error> {
        let mut errors = vec![io::Error::other("a thread of the server ended before it was stopped")];
        for unit in self.hub.units.iter() {
            errors.extend(unit.backend.flush().wait().await.err());
        }
        errors
    }
}

impl<R: Runtime> Drop for Server<R> {
    fn drop(&mut self) {
        self.hub.runtime.abandon();
    }
}
