//! What a server asks of the runtime that it is on.

use std::future::Future;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use iscsicore::Instant;
use socket2::SockRef;

pub use crate::server::job::{Errand, Job};

/// A place where servers run: one or more *shards*, each a thread that polls tasks, or a pool of threads that counts as
/// one.
///
/// A session lives on one shard, and so does everything that belongs to it. What is not `Send` never leaves its shard:
/// between shards travel [`Errand`]s.
pub trait Runtime: Sized + Send + Sync + 'static {
    /// How it is set up.
    type Config: Default;
    /// A connection.
    type Stream: Stream;
    /// A socket that connections come in by.
    type Listener: Listener<Stream = Self::Stream>;
    /// A timer.
    type Timer: Timer;

    /// Starts the shards.
    ///
    /// # Errors
    /// What the system said.
    fn start(config: Self::Config) -> io::Result<Self>;

    /// The number of shards, at least one.
    fn shards(&self) -> usize;

    /// The shard of the calling task.
    fn here(&self) -> usize;

    /// Runs a job on the shard of the calling task, to its end or until [`abandon`](Self::abandon).
    ///
    /// A job never panics: it catches what its work does.
    fn spawn(&self, job: Job<Self>);

    /// Runs an errand on a shard; from any thread.
    fn dispatch(&self, shard: usize, errand: Errand<Self>);

    /// Drops every job, and takes no more.
    fn abandon(&self);
}

/// A TCP connection.
pub trait Stream: Sized + Unpin + 'static {
    /// The connection as it travels from one shard to another.
    type Parcel: Send + 'static;

    /// Reads what is there; zero bytes are the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes as much as the socket takes, from several places at once.
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// The socket, for its addresses and options.
    fn socket(&self) -> SockRef<'_>;

    /// Leaves the shard.
    ///
    /// # Errors
    /// The connection is lost then.
    fn detach(self) -> io::Result<Self::Parcel>;

    /// Arrives at the shard of the calling task.
    ///
    /// # Errors
    /// The connection is lost then.
    fn attach(parcel: Self::Parcel) -> io::Result<Self>;
}

/// A listening socket.
pub trait Listener: Sized + 'static {
    /// What comes in.
    type Stream: Stream;

    /// Takes a socket that listens already, and does not block, to the shard of the calling task.
    ///
    /// # Errors
    /// What the system said.
    fn new(socket: std::net::TcpListener) -> io::Result<Self>;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// A timer that can be set again and again. It may ring late, never early.
pub trait Timer: Unpin {
    /// A timer that is not set.
    fn new() -> Self;

    /// Rings at `at`, and no longer at any time before.
    fn set(&mut self, at: Instant);

    /// Ready when the time that was set last has come; pending forever when none was.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
