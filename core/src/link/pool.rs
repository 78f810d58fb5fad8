//! Read buffers that connections share: those that read at the moment have one each, the idle ones none.

use core::fmt;

use bytes::{Bytes, BytesMut};

use super::Receiver;

/// A read buffer that a connection has given up.
#[derive(Debug)]
pub(super) enum ReadBuffer {
    /// The part of it that nobody else has, to be read into.
    Open(BytesMut),
    /// All of it, with payload in it that was still held.
    Frozen(Bytes),
}

impl ReadBuffer {
    /// The buffer to read into: as it is where that is enough, or from its front when nobody holds payload of it.
    fn open(&mut self, least: usize, size: usize) -> Option<BytesMut> {
        match self {
            ReadBuffer::Open(buffer) => {
                if buffer.len() < least {
                    buffer.clear();
                    if !buffer.try_reclaim(size) {
                        return None;
                    }
                    buffer.resize(size, 0);
                }
                Some(core::mem::take(buffer))
            }
            ReadBuffer::Frozen(buffer) if buffer.len() >= least && buffer.is_unique() => {
                core::mem::take(buffer).try_into_mut().ok()
            }
            ReadBuffer::Frozen(_) => None,
        }
    }
}

/// A new buffer of `size` bytes.
pub(super) fn fresh(size: usize) -> BytesMut {
    let mut buffer = BytesMut::zeroed(size);
    // From now on it has a count of those who share it, which would otherwise be allocated, and freed, each time that
    // payload is taken out of it.
    drop(buffer.split_to(0));
    buffer
}

/// Read buffers for all connections of one thread.
///
/// Before every read, [`lend`](Self::lend); after a read that found nothing, [`take_back`](Self::take_back). A
/// connection that waits for its peer then holds no buffer, unless it waits in the middle of a PDU, and those that
/// are busy in turn use the same few buffers, which stay in the cache.
///
/// Payload that was handed out keeps the buffer around it alive, and may be held by storage for long. The part of a
/// buffer behind it is lent on. A buffer that is used up waits here until its payload has been dropped, and is
/// whole again then. When more than `keep` buffers would be here the ones that came first are let go: their memory is
/// freed with the last payload in them. So a thread holds at most `keep` buffers, one for each connection in the
/// middle of a PDU, and those that payload under way lies in: at most one for each such payload, and far fewer as a rule,
/// as payload of all connections is laid down one after the other.
///
/// ```
/// use iscsicore::Limits;
/// use iscsicore::link::{BufferPool, Receiver, Want};
///
/// let limits = Limits::default();
/// let mut pool = BufferPool::new(limits.read_buffer, 8);
/// let mut rx = Receiver::new(&limits);
/// pool.lend(&mut rx);
/// if let Want::Read { staging, .. } = rx.want() {
///     // Read from the socket into `staging` here; it has nothing now:
///     assert!(staging.len() >= 4096);
///     pool.take_back(&mut rx);
/// }
/// assert_eq!(pool.len(), 1);
/// ```
pub struct BufferPool {
    buffers: Vec<ReadBuffer>,
    size: usize,
    keep: usize,
}

impl BufferPool {
    /// An empty pool of buffers of `size` bytes, which holds on to at most `keep` of them.
    ///
    /// `size` is to be what the receivers served have for a read buffer (`Limits::read_buffer`, unless
    /// [`Receiver::set_read_buffer`] says something else).
    pub fn new(size: usize, keep: usize) -> Self {
        BufferPool { buffers: Vec::with_capacity(keep), size, keep }
    }

    /// Gives `rx` a buffer where its next read needs one. A segment longer than the buffers here is left to `rx`,
    /// which allocates a buffer for it.
    pub fn lend(&mut self, rx: &mut Receiver) {
        let Some(least) = rx.needs_buffer().filter(|least| *least <= self.size) else { return };
        let buffer = self.take(least);
        if let Some(old) = rx.lend(buffer) {
            self.put(old);
        }
    }

    /// Takes the buffer of `rx`, when `rx` can do without until its next read.
    pub fn take_back(&mut self, rx: &mut Receiver) {
        if let Some(buffer) = rx.release() {
            self.put(buffer);
        }
    }

    /// How many buffers are here.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Whether there is no buffer here.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// A buffer of at least `least` bytes: the one that was used last, if it does, as it is the likeliest to be in the cache.
    fn take(&mut self, least: usize) -> BytesMut {
        for at in (0..self.buffers.len()).rev() {
            if let Some(buffer) = self.buffers[at].open(least, self.size) {
                self.buffers.remove(at);
                return buffer;
            }
        }
        fresh(self.size)
    }

    fn put(&mut self, buffer: ReadBuffer) {
        if self.keep == 0 {
            return;
        }
        if self.buffers.len() == self.keep {
            self.buffers.remove(0);
        }
        self.buffers.push(buffer);
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("buffers", &self.buffers.len())
            .field("size", &self.size)
            .field("keep", &self.keep)
            .finish()
    }
}
