//! The tasks of a server, and what travels between shards.

use std::future::Future;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::hub::{Alive, Hub};
use super::login::Arrival;
use super::transport::Transport;
use super::{listen, login, stop};
use crate::Runtime;

/// A task of a server. It stays on the shard that it began on.
pub struct Job<R: Runtime>(pub(super) Kind<R>);

pub(super) enum Kind<R: Runtime> {
    /// A connection from its start.
    Connection { hub: Arc<Hub<R>>, stream: R::Stream, seed: [u8; 32], alive: Alive },
    /// Closes a connection.
    Close(Transport<R>, Alive),
    /// Writes what is left, and closes.
    Finish(Transport<R>, Alive),
    /// Work that is carried through whatever becomes of who began it.
    Work(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// What came from another shard.
    Errand(Errand<R>),
}

/// A task that begins on another shard than the one it was made on.
pub struct Errand<R: Runtime>(pub(super) Away<R>);

pub(super) enum Away<R: Runtime> {
    /// Accepts connections until the server stops.
    Listen { hub: Arc<Hub<R>>, socket: TcpListener, alive: Alive },
    /// Goes on with a login that has found its session, or becomes one.
    Settle(Box<Arrival<R>>),
    /// Stops the server.
    Stop { hub: Arc<Hub<R>>, grace: Duration, done: oneshot::Sender<Vec<std::io::Error>> },
}

impl<R: Runtime> Job<R> {
    /// Does it.
    ///
    /// A panic of one job ends that job, with a line in the log: an executor that a panic would end goes on serving the
    /// others. What the job held is dropped, which is how others learn of its end.
    pub async fn run(self) {
        let work = AssertUnwindSafe(self.0.run()).catch_unwind().await;
        if work.is_err() {
            tracing::error!("a task of the server failed; what it served has been dropped");
        }
    }
}

impl<R: Runtime> Kind<R> {
    /// Each in a box of its own size: a task keeps the memory of the largest for as long as it lives.
    async fn run(self) {
        match self {
            Kind::Connection { hub, stream, seed, alive } => {
                Box::pin(login::run(hub, stream, seed, alive)).await
            }
            Kind::Close(transport, _closing) => Box::pin(transport.close()).await,
            Kind::Finish(transport, _closing) => Box::pin(transport.finish()).await,
            Kind::Work(work) => work.await,
            Kind::Errand(errand) => errand.run().await,
        }
    }
}

impl<R: Runtime> Errand<R> {
    /// The job that it is, where it has arrived.
    pub fn into_job(self) -> Job<R> {
        Job(Kind::Errand(self))
    }

    async fn run(self) {
        match self.0 {
            Away::Listen { hub, socket, alive } => Box::pin(listen::run(hub, socket, alive)).await,
            Away::Settle(arrival) => arrival.settle().await,
            Away::Stop { hub, grace, done } => {
                // Nobody listens any more when the caller has given up; the server is stopped all the same.
                let _ = done.send(Box::pin(stop::stop(&hub, grace)).await);
            }
        }
    }
}
