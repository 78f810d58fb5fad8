//! A TCP connection with the two halves of the core that belong to it.

use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use iscsicore::Limits;
use iscsicore::link::{Receiver, Slot, TaskId, Transmitter, Want};
use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// Slices handed to one gathered write.
const SLICES: usize = 64;

/// Bytes read at once of payload that nobody waits for any more.
const SCRAP: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    pub(super) rx: Receiver,
    pub(super) tx: Transmitter,
}

/// The memory of the task whose payload is under way, away from the state while the socket reads into it.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) task: TaskId,
    /// Without memory the task has ended, and its payload goes into a bin.
    pub(super) memory: Option<BytesMut>,
}

/// What one attempt to read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// Bytes, and there may be more.
    Some,
    /// Bytes, and no more for now.
    Drained,
    /// The session has to take PDUs first.
    Full,
    /// The peer will send no more.
    End,
}

impl Link {
    pub(super) fn new(stream: TcpStream, limits: &Limits) -> Self {
        Link { stream, rx: Receiver::new(limits), tx: Transmitter::new() }
    }

    /// The payload that is under way, if it has a place.
    pub(super) fn slot(&mut self) -> Option<Slot> {
        match self.rx.want() {
            Want::Read { slot, .. } => slot,
            Want::Answer => None,
        }
    }

    /// Whether PDUs wait to be taken before there is room for more.
    pub(super) fn is_full(&mut self) -> bool {
        matches!(self.rx.want(), Want::Answer)
    }

    /// Reads once: payload into its place in `holding`, what follows it into the receiver.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        holding: Option<&mut Holding>,
        scrap: &mut Vec<u8>,
    ) -> Poll<io::Result<Read>> {
        let Want::Read { slot, staging } = self.rx.want() else { return Poll::Ready(Ok(Read::Full)) };
        let memory = place(slot.as_ref(), holding, scrap);
        // What follows the payload may be staged only when the payload is complete.
        let whole = slot.is_none_or(|s| memory.len() == s.len as usize);
        let staging = if whole { staging } else { &mut [] };
        let (count, drained) = ready!(read_vectored(&self.stream, cx, memory, staging))?;
        if count == 0 {
            return Poll::Ready(Ok(Read::End));
        }
        let placed = count.min(memory.len());
        let told = self.rx.advance(&memory[..placed], count - placed);
        let read = if drained { Read::Drained } else { Read::Some };
        Poll::Ready(told.map(|()| read).map_err(io::Error::other))
    }

    /// Writes until nothing is left or the socket takes no more. Ready means that nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tx.has_remaining() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.tx.chunks_vectored(&mut slices);
            match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.tx.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The memory that `slot` names, or a bin for what cannot be placed.
fn place<'a>(slot: Option<&Slot>, holding: Option<&'a mut Holding>, scrap: &'a mut Vec<u8>) -> &'a mut [u8] {
    let Some(slot) = slot else { return &mut [] };
    let len = slot.len as usize;
    let memory = holding.filter(|h| h.task == slot.task).and_then(|h| h.memory.as_mut());
    let range = usize::try_from(slot.offset).ok().and_then(|at| Some(at..at.checked_add(len)?));
    match memory.zip(range).and_then(|(memory, range)| memory.get_mut(range)) {
        Some(place) => place,
        None => {
            scrap.resize(SCRAP, 0);
            &mut scrap[..len.min(SCRAP)]
        }
    }
}

/// Reads into `first` and then `second`. Returns how many bytes came, and whether the socket has no more for now.
fn read_vectored(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    first: &mut [u8],
    second: &mut [u8],
) -> Poll<io::Result<(usize, bool)>> {
    let wanted = first.len() + second.len();
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let mut count = 0;
        let tried = stream.try_io(Interest::READABLE, || {
            let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
            let from = usize::from(slices[0].is_empty());
            count = (&*SockRef::from(stream)).read_vectored(&mut slices[from..])?;
            // Where readiness is told at its edges, a short read says what another one would have to ask: the socket is
            // empty. To say so with this error spares a call to the system for every wake.
            let drained = EDGES && count > 0 && count < wanted;
            if drained { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            Ok(()) => return Poll::Ready(Ok((count, false))),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock if count > 0 => return Poll::Ready(Ok((count, true))),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Poll::Ready(Err(error)),
            },
        }
    }
}

/// Whether a short read means that new bytes will be told anew (epoll and kqueue).
const EDGES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));
