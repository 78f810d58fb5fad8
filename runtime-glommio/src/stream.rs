//! Sockets on a shard.
//!
//! glommio reads into memory that it is lent, and waits; it has no gathered write. So answers leave by `sendmsg` on the
//! descriptor itself, without waiting, and only a socket that takes no more is waited for through glommio.
#![allow(unsafe_code, reason = "glommio takes and shows file descriptors by their numbers")]

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use iscsicore_runtime::socket2::SockRef;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

/// A connection.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// Takes a connected socket to the shard of the calling task.
    fn adopt(socket: OwnedFd) -> Self {
        // SAFETY: the descriptor is open and ours alone; glommio closes it when the stream is dropped.
        Stream(unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) })
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as the stream, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

impl iscsicore_runtime::Stream for Stream {
    /// The bare socket: what glommio knows of a connection belongs to one executor.
    type Parcel = OwnedFd;

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match sendmsg(self.as_fd(), slices, &mut SendAncillaryBuffer::default(), flags) {
                Err(Errno::INTR) => {}
                // Waits, or sends the first of them when there is room again by now.
                Err(Errno::AGAIN) => {
                    let first = slices.iter().find(|s| !s.is_empty()).map_or(&[][..], |s| s);
                    return Pin::new(&mut self.0).poll_write(cx, first);
                }
                sent => return Poll::Ready(sent.map_err(Into::into)),
            }
        }
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    /// A second descriptor of the socket leaves; glommio closes the first, and with it forgets what it waited for.
    fn detach(self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }

    fn attach(parcel: OwnedFd) -> io::Result<Self> {
        Ok(Stream::adopt(parcel))
    }
}

/// A listening socket. Each shard has one for the same address, by SO_REUSEPORT; glommio's own `bind` would set that,
/// but not SO_REUSEADDR, and a server that starts again could not have its port back for a minute.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl iscsicore_runtime::Listener for Listener {
    type Stream = Stream;

    fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        // io_uring answers EAGAIN for a socket that does not block, instead of waiting.
        socket.set_nonblocking(false)?;
        // SAFETY: the descriptor is open and ours alone; glommio closes it when the listener is dropped.
        Ok(Listener(unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }))
    }

    /// What `accept` returns has an owner at once: glommio's `AcceptedTcpStream`, which has none, would leak the
    /// descriptor where it is dropped.
    async fn accept(&self) -> io::Result<Stream> {
        Ok(Stream(self.0.accept().await?))
    }
}
