//! An iSCSI target server on tokio.
//!
//! ```no_run
//! use std::sync::Arc;
//! use iscsicore::node::{IscsiName, PortalGroup, TargetConfig};
//! use iscsicore_tokio::{Server, backend::MemoryBackend};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Server::builder();
//! let unit = builder.disk("example-0", Arc::new(MemoryBackend::new(64 << 20)));
//! builder.target("iqn.2026-01.dev.iscsicore:example", &[unit])?;
//! let server = builder.serve("127.0.0.1:0".parse()?).await?;
//! println!("serving on {}", server.addresses()[0]);
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod hub;
mod inspect;
mod listen;
mod login;
mod management;
mod session;
mod transport;
mod units;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iscsicore::node::NodeConfig;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use hub::{Control, Hub};

pub use builder::{Builder, StartError};
pub use inspect::SessionReport;

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

    /// Stops: takes no more connections, asks the initiators to log out and waits for them as long as
    /// [`Limits::logout_timeout`](iscsicore::Limits) says, ends the sessions that are left, and flushes every
    /// back end.
    ///
    /// Returns the errors of the flushes; without any, everything that was ever acknowledged is on stable storage.
    pub async fn shutdown(mut self) -> Vec<std::io::Error> {
        let _ = self.hub.stopping.send(true);
        for peer in self.hub.peers().values() {
            let _ = peer.control.send(Control::Shutdown);
        }
        let grace = self.hub.limits.logout_timeout + Duration::from_secs(1);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            let peers: Vec<_> = self.hub.peers().values().cloned().collect();
            for peer in peers {
                let (done, ended) = oneshot::channel();
                let _ = peer.control.send(Control::Terminate { done });
                let _ = tokio::time::timeout(grace, ended).await;
            }
        }
        let mut errors = Vec::new();
        for unit in self.hub.units.iter() {
            if let Err(error) = unit.backend.flush().wait().await {
                errors.push(error);
            }
        }
        errors
    }
}
