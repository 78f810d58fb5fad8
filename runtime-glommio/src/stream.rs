//! Sockets on a shard.
//!
//! glommio reads into memory that it is lent, and waits; it has no gathered write. So answers leave by `sendmsg` on the
//! descriptor itself, without waiting, and only a socket that takes no more is waited for through glommio.
#![allow(unsafe_code, reason = "glommio takes and shows file descriptors by their numbers")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use iscsicore_runtime::socket2::SockRef;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

/// A connection.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// Takes a connected socket to the shard of the calling task.
    pub(crate) fn adopt(socket: OwnedFd) -> Self {
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

/// A listening socket. Each shard has one for the same address, by SO_REUSEPORT.
///
/// Connections are accepted here, and glommio only says when there are some: its own `accept` lets the kernel take a
/// connection for a request that nobody waits for any more, as when the server stops, and that connection would stay
/// open for as long as the process.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    ready: RefCell<Option<Readiness>>,
}

/// Tells once when a socket has something to accept.
///
/// A stream of glommio's asks for that as it is made. It is then read from, which is the only way to wait for the answer;
/// the read itself fails, as a listening socket has no peer.
#[derive(Debug)]
struct Readiness(Stream);

impl Readiness {
    fn of(socket: &TcpListener) -> io::Result<Self> {
        Ok(Readiness(Stream::adopt(socket.as_fd().try_clone_to_owned()?)))
    }
}

impl iscsicore_runtime::Listener for Listener {
    type Stream = Stream;

    fn new(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Listener { socket, ready: RefCell::new(None) })
    }

    async fn accept(&self) -> io::Result<Stream> {
        loop {
            match self.socket.accept() {
                Ok((stream, _)) => return Ok(Stream::adopt(stream.into())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            poll_fn(|cx| {
                let mut ready = self.ready.borrow_mut();
                let waiting = match &mut *ready {
                    Some(waiting) => waiting,
                    // What came since the attempt above counts: it is asked whether there is something, not whether
                    // something has come.
                    none => none.insert(Readiness::of(&self.socket)?),
                };
                let read = iscsicore_runtime::Stream::poll_read(&mut waiting.0, cx, &mut [0]);
                let _ = ready!(read);
                *ready = None;
                Poll::Ready(Ok::<_, io::Error>(()))
            })
            .await?;
        }
    }
}

impl Drop for Listener {
    /// Nobody listens from now on. Closing the socket would do that only after the kernel has heard that the question
    /// for readiness is withdrawn.
    fn drop(&mut self) {
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}
