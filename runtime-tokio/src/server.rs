//! The server on tokio: one task a session, on as many threads as the runtime has.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use iscsicore::Instant;
use iscsicore_runtime::{Errand, Job, Runtime, server};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::clock;

pub use iscsicore_runtime::server::{SessionReport, StartError};

/// A server on tokio. See [`server::Server`].
pub type Server = server::Server<Tokio>;

/// Describes a [`Server`]. See [`server::Builder`].
pub type Builder = server::Builder<Tokio>;

/// The tokio runtime that a server was started on: one shard, whatever threads it has.
#[derive(Debug)]
pub struct Tokio {
    handle: Handle,
    /// None when the server was dropped.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Runtime for Tokio {
    type Config = ();
    type Stream = Stream;
    type Listener = Listener;
    type Timer = Timer;

    fn start((): ()) -> io::Result<Self> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        Ok(Tokio { handle, tasks: Mutex::new(Some(JoinSet::new())) })
    }

    fn shards(&self) -> usize {
        1
    }

    fn here(&self) -> usize {
        0
    }

    fn spawn(&self, job: Job<Self>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = tasks.as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(job.run(), &self.handle);
        }
    }

    fn dispatch(&self, _shard: usize, errand: Errand<Self>) {
        self.spawn(errand.into_job());
    }

    fn abandon(&self) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Tasks that end take this lock again when they drop what they hold.
        drop(tasks);
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl iscsicore_runtime::Stream for Stream {
    type Parcel = TcpStream;

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

    /// All tasks are on one runtime: there is nothing to leave.
    fn detach(self) -> io::Result<TcpStream> {
        Ok(self.0)
    }

    fn attach(parcel: TcpStream) -> io::Result<Self> {
        Ok(Stream(parcel))
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl iscsicore_runtime::Listener for Listener {
    type Stream = Stream;

    fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(Listener)
    }

    async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = self.0.accept().await?;
        Ok(Stream(stream))
    }
}

/// A timer, made when it is first set: a connection that is closed needs none.
#[derive(Debug)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl iscsicore_runtime::Timer for Timer {
    fn new() -> Self {
        Timer(None)
    }

    fn set(&mut self, at: Instant) {
        let at = clock::to_tokio(at);
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
