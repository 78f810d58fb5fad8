//! A TCP connection and the two halves of the core that belong to it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use iscsicore::Limits;
use iscsicore::link::{BufferPool, Receiver, Transmitter, Want};
use socket2::{SockAddr, SockRef, TcpKeepalive};

use super::timeout;
use crate::{Runtime, Stream};

/// Bytes of the send buffer for a peer on this machine (the kernel doubles it). Left to itself the kernel takes megabytes
/// from a server that is faster than its peer: each byte then leaves the processor's cache while it waits, and has to be
/// brought back when the peer takes it. Reads of 256 KiB cost less than half with this bound. Over a network the buffer has
/// to hold what is on its way, and the kernel knows best how much that is.
const LOCAL_SEND_BUFFER: usize = 512 << 10;

/// Slices handed to one gathered write.
const SLICES: usize = 128;

/// Bytes of the read buffer before a login is complete: one login request and the next header.
const LOGIN_BUFFER: usize = 16 << 10;

/// Read buffers that a thread keeps for its sessions.
const KEPT_BUFFERS: usize = 8;

thread_local! {
    static POOL: RefCell<(usize, BufferPool)> = RefCell::new((0, BufferPool::new(0, 0)));
}

/// How long a peer may take to accept what was sent last.
pub(super) const FLUSH_TIME: Duration = Duration::from_secs(5);

/// How long a closed connection is drained, so that its last answer is not cut off by a reset.
pub(super) const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Transport<R: Runtime> {
    stream: R::Stream,
    pub(super) rx: Receiver,
    pub(super) tx: Transmitter,
    /// The size of the buffers that it shares with others of this thread; none during login.
    shared_buffers: Option<usize>,
}

/// A transport between two shards.
pub(super) struct Parcel<R: Runtime> {
    stream: <R::Stream as Stream>::Parcel,
    rx: Receiver,
    tx: Transmitter,
}

/// What one attempt to read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// Bytes for the receiver.
    Some,
    /// The session has to take PDUs first.
    Full,
    /// The peer will send no more.
    End,
}

impl<R: Runtime> Transport<R> {
    /// A connection that has just come in. No delay: answers are gathered before they are written. Keep-alive finds
    /// peers whose host has gone.
    pub(super) fn new(stream: R::Stream, limits: &Limits) -> io::Result<Self> {
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
        #[cfg(target_os = "linux")]
        let keepalive = keepalive.with_interval(Duration::from_secs(20)).with_retries(3);
        stream.socket().set_tcp_nodelay(true)?;
        if is_local(&stream.socket())? {
            stream.socket().set_send_buffer_size(LOCAL_SEND_BUFFER)?;
        }
        stream.socket().set_tcp_keepalive(&keepalive)?;
        let mut rx = Receiver::new(limits);
        rx.set_read_buffer(limits.read_buffer.min(LOGIN_BUFFER));
        Ok(Transport { stream, rx, tx: Transmitter::new(), shared_buffers: None })
    }

    /// The peer's address.
    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        address(self.stream.socket().peer_addr()?)
    }

    /// Our address.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        address(self.stream.socket().local_addr()?)
    }

    /// Leaves this shard, with all that has arrived already.
    pub(super) fn detach(self) -> io::Result<Parcel<R>> {
        let Transport { stream, rx, tx, .. } = self;
        Ok(Parcel { stream: stream.detach()?, rx, tx })
    }

    /// Arrives on this shard.
    pub(super) fn attach(parcel: Parcel<R>) -> io::Result<Self> {
        let Parcel { stream, rx, tx } = parcel;
        Ok(Transport { stream: R::Stream::attach(stream)?, rx, tx, shared_buffers: None })
    }

    /// Reads once, into the receiver.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        self.with_pool(BufferPool::lend);
        let Want::Read { staging, .. } = self.rx.want() else { return Poll::Ready(Ok(Read::Full)) };
        let Poll::Ready(len) = self.stream.poll_read(cx, staging) else {
            self.with_pool(BufferPool::take_back);
            return Poll::Pending;
        };
        let len = len?;
        if len == 0 {
            return Poll::Ready(Ok(Read::End));
        }
        let told = self.rx.advance(&[], len);
        Poll::Ready(told.map(|()| Read::Some).map_err(io::Error::other))
    }

    /// Lends the receiver one of this thread's buffers, or takes it back. A login has a small buffer of its own.
    fn with_pool(&mut self, action: fn(&mut BufferPool, &mut Receiver)) {
        let Some(size) = self.shared_buffers else { return };
        POOL.with_borrow_mut(|pool| {
            if pool.0 != size {
                *pool = (size, BufferPool::new(size, KEPT_BUFFERS));
            }
            action(&mut pool.1, &mut self.rx);
        });
    }

    /// Reads from now on as a session does: into the buffers of `size` bytes that all sessions of this thread share.
    pub(super) fn share_buffers(&mut self, size: usize) {
        self.rx.set_read_buffer(size);
        self.shared_buffers = Some(size);
    }

    /// Writes until nothing is left or the socket takes no more. Ready means that nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tx.has_remaining() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.tx.chunks_vectored(&mut slices);
            match ready!(self.stream.poll_write_vectored(cx, &slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.tx.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left, as far as the peer takes it in time, and closes.
    pub(super) async fn finish(mut self) {
        let written = timeout::within::<R, _>(FLUSH_TIME, poll_fn(|cx| self.poll_write(cx))).await;
        if matches!(written, Some(Ok(()))) {
            self.close().await;
        }
    }

    /// Sends the end of the stream and takes what the peer still sends, for a bounded time: closing with bytes
    /// unread would reset the connection, and the peer might lose the answer that was sent last.
    pub(super) async fn close(self) {
        let Transport { mut stream, rx, tx, .. } = self;
        // Nothing of it is needed any more, and the peer decides how long this takes.
        drop((rx, tx));
        if stream.socket().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let drain = async {
            // Not on the stack: that is part of the task's memory for all of its life.
            let mut sink = vec![0; 4096];
            let mut budget = 64usize;
            while budget > 0 && matches!(poll_fn(|cx| stream.poll_read(cx, &mut sink)).await, Ok(n) if n > 0)
            {
                budget -= 1;
            }
        };
        let _ = timeout::within::<R, _>(LINGER, drain).await;
    }
}

/// Whether the peer is on this machine.
fn is_local(socket: &SockRef<'_>) -> io::Result<bool> {
    let (ours, theirs) = (address(socket.local_addr()?)?, address(socket.peer_addr()?)?);
    Ok(ours.ip() == theirs.ip() || theirs.ip().to_canonical().is_loopback())
}

fn address(of: SockAddr) -> io::Result<SocketAddr> {
    of.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}
