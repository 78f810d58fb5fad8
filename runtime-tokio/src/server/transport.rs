//! A TCP connection and the two halves of the core that belong to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use iscsicore::Limits;
use iscsicore::link::{Receiver, Transmitter, Want};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// Slices handed to one gathered write.
const SLICES: usize = 128;

/// Bytes of the read buffer before a login is complete: one login request and the next header.
const LOGIN_BUFFER: usize = 16 << 10;

/// How long a peer may take to accept what was sent last.
pub(super) const FLUSH_TIME: Duration = Duration::from_secs(5);

/// How long a closed connection is drained, so that its last answer is not cut off by a reset.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Transport {
    stream: TcpStream,
    pub(super) rx: Receiver,
    pub(super) tx: Transmitter,
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

impl Transport {
    pub(super) fn new(stream: TcpStream, limits: &Limits) -> Self {
        let mut rx = Receiver::new(limits);
        rx.set_read_buffer(limits.read_buffer.min(LOGIN_BUFFER));
        Transport { stream, rx, tx: Transmitter::new() }
    }

    /// The peer's address.
    pub(super) fn peer(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.peer_addr()
    }

    /// Reads once, into the receiver.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let Want::Read { staging, .. } = self.rx.want() else { return Poll::Ready(Ok(Read::Full)) };
        let mut buffer = ReadBuf::new(staging);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let len = buffer.filled().len();
        if len == 0 {
            return Poll::Ready(Ok(Read::End));
        }
        let told = self.rx.advance(&[], len);
        Poll::Ready(told.map(|()| Read::Some).map_err(io::Error::other))
    }

    /// Writes until nothing is left or the socket takes no more. Ready means that nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tx.has_remaining() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.tx.chunks_vectored(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.tx.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left, as far as the peer takes it in time, and closes.
    pub(super) async fn finish(mut self) {
        let written = std::future::poll_fn(|cx| self.poll_write(cx));
        if matches!(tokio::time::timeout(FLUSH_TIME, written).await, Ok(Ok(()))) {
            self.close().await;
        }
    }

    /// Sends the end of the stream and takes what the peer still sends, for a bounded time: closing with bytes
    /// unread would reset the connection, and the peer might lose the answer that was sent last.
    pub(super) async fn close(mut self) {
        let drain = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            let mut sink = [0; 4096];
            let mut budget = 64usize;
            while budget > 0 && matches!(self.stream.read(&mut sink).await, Ok(n) if n > 0) {
                budget -= 1;
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}
