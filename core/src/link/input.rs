//! The bytes that arrived and were not taken yet: one read buffer, and owned pieces before it.

use core::iter;
use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::pool::{self, ReadBuffer};

/// Payload up to this many bytes is copied out. A slice keeps the whole buffer that it lies in alive, and a peer
/// that sends small payloads for tasks which stay open could keep a read buffer alive with each of them.
/// The usual payload of a write is larger than this; what is smaller (text, mode pages, reservation
/// parameters) is rare, and an allocation of its size costs less than the buffer it would hold.
/// Larger slices do keep their buffer: 4 KiB of payload may hold 128 KiB until it is dropped.
pub(super) const COPY_UP_TO: usize = 512;

/// Spare room after a data segment that got a buffer of its own: enough for the next headers to arrive with
/// its last bytes, and little enough that the next segment, when it too needs its own buffer, copies little.
const LOOKAHEAD: usize = 4096;

/// A read into less room than this is not worth its system call: the buffer is renewed before.
const SMALLEST_READ: usize = 4096;

/// The longest header (48 + 1020 + 4 bytes) must fit beside a read of the smallest size.
const LEAST_BUFFER: usize = 2 * SMALLEST_READ;

/// Small owned pieces are kept as they are up to this number, and copied together above it, so that a stream
/// cut into single bytes does not cost a queue entry and an allocation per byte.
const PIECES: usize = 32;

/// A stream of bytes: the pieces of `queue`, then `staging[head..filled]`.
///
/// `staging` is initialised to its whole length, since the core has no unsafe code; the bytes from `filled` on are
/// what the next read may fill. Payload leaves it in one of two ways:
///
/// - A buffer that is whole is frozen as it is, and payload sliced out of it (`frozen`). When all that payload has been
///   dropped by the next read, as it has where storage answers at once, the same buffer is read into from the
///   front again: nothing to clear, and the same cache lines every time.
/// - Where that payload was still held, the next payloads are split off the front of a buffer, and what is left is
///   read into; nobody else can write there, whoever holds the payload before it. So payload that is held for
///   long lies close together. A buffer that was split has to be cleared before it is used from the front again.
pub(super) struct Input {
    queue: VecDeque<Bytes>,
    queued: usize,
    staging: BytesMut,
    head: usize,
    filled: usize,
    /// The buffer while payload is sliced out of it. `staging` is empty then, and the last piece of `queue` what the
    /// buffer has left.
    frozen: Option<Frozen>,
    /// A buffer whose payload was still held when the next read came.
    spent: Option<Bytes>,
    /// How many payloads are to be split off yet, before slicing is tried again.
    splits: u32,
    /// Length of the allocation that `staging` is the rest of; of one that was lent, the size that was asked for.
    block: usize,
    /// Bytes at the front that [`Input::gather`] promised one buffer; 0 when there is no promise.
    gathering: usize,
    read_buffer: usize,
    #[cfg(test)]
    allocations: usize,
}

/// A whole buffer that slices are taken of.
struct Frozen {
    buffer: Bytes,
    /// End of what was read into it.
    filled: usize,
}

/// Payloads split off after one that was held for longer than until the next read. Each attempt to slice gives up
/// the rest of a buffer when it fails, so attempts are to be rare among payloads that are held: this many
/// of 4 KiB fill four buffers.
const SPLITS: u32 = 128;

impl Input {
    pub(super) fn new(read_buffer: usize) -> Self {
        Input {
            queue: VecDeque::new(),
            queued: 0,
            staging: BytesMut::new(),
            head: 0,
            filled: 0,
            frozen: None,
            spent: None,
            splits: 0,
            block: 0,
            gathering: 0,
            read_buffer: read_buffer.max(LEAST_BUFFER),
            #[cfg(test)]
            allocations: 0,
        }
    }

    /// Sets the size of the read buffer, from its next renewal on.
    pub(super) fn set_read_buffer(&mut self, bytes: usize) {
        self.read_buffer = bytes.max(LEAST_BUFFER);
    }

    /// Bytes waiting.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.queued + self.filled - self.head
    }

    /// The first `N` bytes, when they are there.
    #[inline]
    pub(super) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        let front = match self.queue.front() {
            Some(piece) => piece,
            None => &self.staging[self.head..self.filled],
        };
        if let Some(bytes) = front.first_chunk() {
            return Some(*bytes);
        }
        if self.len() < N {
            return None;
        }
        let mut out = [0; N];
        self.copy_front(0, &mut out);
        Some(out)
    }

    /// Copies the bytes from `at` on, as many as `out` takes or there are.
    pub(super) fn copy_front(&self, at: usize, out: &mut [u8]) {
        let (mut skip, mut done) = (at, 0);
        for chunk in self.chunks() {
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let n = (chunk.len() - skip).min(out.len() - done);
            out[done..done + n].copy_from_slice(&chunk[skip..skip + n]);
            done += n;
            skip = 0;
        }
    }

    /// Folds the first `len` bytes with `f`, piece by piece.
    pub(super) fn fold<T>(&self, len: usize, init: T, mut f: impl FnMut(T, &[u8]) -> T) -> T {
        let (mut left, mut acc) = (len, init);
        for chunk in self.chunks() {
            let n = left.min(chunk.len());
            acc = f(acc, &chunk[..n]);
            left -= n;
        }
        acc
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.queue.iter().map(|piece| &piece[..]).chain(iter::once(&self.staging[self.head..self.filled]))
    }

    /// Drops the first `len` bytes, or all when there are fewer.
    #[inline]
    pub(super) fn skip(&mut self, len: usize) {
        let mut left = len;
        while let Some(piece) = self.queue.front_mut() {
            let n = left.min(piece.len());
            if n < piece.len() {
                piece.advance(n);
                self.queued -= n;
                return;
            }
            self.queue.pop_front();
            self.queued -= n;
            left -= n;
        }
        self.head += left.min(self.filled - self.head);
        self.rewind();
    }

    /// Takes the first `len` bytes (or all when there are fewer) as one slice. They are copied only when they are
    /// few, or when they lie in several pieces.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let len = len.min(self.len());
        self.gathering = 0;
        if len <= COPY_UP_TO {
            return self.take_copy(len);
        }
        if self.queue.is_empty() && self.splits == 0 && self.staging.len() == self.block {
            self.freeze();
        }
        match self.queue.front_mut() {
            None => {
                self.splits = self.splits.saturating_sub(1);
                self.staging.advance(self.head);
                self.filled -= self.head + len;
                self.head = 0;
                self.staging.split_to(len).freeze()
            }
            Some(piece) if piece.len() > len => {
                self.queued -= len;
                piece.split_to(len)
            }
            Some(piece) if piece.len() == len => {
                self.queued -= len;
                self.queue.pop_front().unwrap_or_default()
            }
            Some(_) => self.take_copy(len),
        }
    }

    fn take_copy(&mut self, len: usize) -> Bytes {
        if len == 0 {
            return Bytes::new();
        }
        let mut out = vec![0; len];
        self.copy_front(0, &mut out);
        self.skip(len);
        Bytes::from(out)
    }

    /// Begins to slice payload out of the buffer.
    #[inline]
    fn freeze(&mut self) {
        let filled = self.filled;
        let buffer = core::mem::take(&mut self.staging).freeze();
        self.queued = filled - self.head;
        self.queue.push_back(buffer.slice(self.head..filled));
        (self.head, self.filled) = (0, 0);
        self.frozen = Some(Frozen { buffer, filled });
    }

    /// Makes the buffer one to read into again, what is left in it staying where it is; or gives it up, when payload
    /// of it is held.
    fn thaw(&mut self) {
        let Some(Frozen { buffer, filled }) = self.frozen.take() else { return };
        // The only piece: whatever joins the queue thaws the buffer before.
        let rest = self.queue.pop_front().map_or(0, |piece| piece.len());
        match buffer.try_into_mut() {
            Ok(buffer) => {
                self.queued = 0;
                (self.staging, self.head, self.filled) = (buffer, filled - rest, filled);
                self.rewind();
            }
            Err(buffer) => {
                if rest > 0 {
                    self.queue.push_back(buffer.slice(filled - rest..filled));
                }
                self.spent = Some(buffer);
                self.splits = SPLITS;
            }
        }
    }

    /// Appends owned bytes.
    pub(super) fn push(&mut self, mut bytes: Bytes) {
        self.thaw();
        if self.queue.is_empty() && self.len() < self.gathering {
            // A segment is being put together: its bytes join it now, rather than all pieces being held until
            // the last one is there.
            self.make_room();
            let n = bytes.len().min(self.gathering - self.len());
            self.append_copy(&bytes[..n]);
            bytes.advance(n);
        }
        if bytes.is_empty() {
            return;
        }
        if bytes.len() <= COPY_UP_TO && self.queue.len() >= PIECES {
            if self.room() < bytes.len() {
                self.seal();
                self.replace(pool::fresh(self.read_buffer));
            }
            self.append_copy(&bytes);
            return;
        }
        self.seal();
        self.queued += bytes.len();
        self.queue.push_back(bytes);
    }

    fn append_copy(&mut self, bytes: &[u8]) {
        self.staging[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Room for the next read without renewing the buffer.
    pub(super) fn room(&self) -> usize {
        self.staging.len() - self.filled
    }

    /// Where the next read may land.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        &mut self.staging[self.filled..]
    }

    /// Counts `len` bytes that were read into [`Input::spare`].
    pub(super) fn staged(&mut self, len: usize) {
        debug_assert!(len <= self.room());
        self.filled += len;
    }

    /// Renews the buffer when the next read needs that.
    pub(super) fn make_room(&mut self) {
        self.thaw();
        if let Some(least) = self.least() {
            let size = self.read_buffer.max(least);
            if !self.reclaim(size) {
                self.move_to(pool::fresh(size));
            }
        }
    }

    /// The least size of the buffer to be lent, when the next read needs one. A buffer of the receiver's own that
    /// nobody holds a slice of is renewed here.
    pub(super) fn needs(&mut self) -> Option<usize> {
        self.thaw();
        let least = self.least()?;
        (!self.reclaim(self.read_buffer.max(least))).then_some(least)
    }

    /// The least length of a buffer to go on with, where the one that there is does not do: it is nearly used up
    /// and little has to be moved, or the segment under way does not fit.
    fn least(&self) -> Option<usize> {
        if self.gathering > 0 {
            let fits = self.queue.is_empty() && self.staging.len() - self.head >= self.gathering;
            return (!fits).then_some(self.gathering + LOOKAHEAD);
        }
        let used_up = self.room() < SMALLEST_READ && self.len() <= SMALLEST_READ / 2;
        used_up.then(|| self.len() + SMALLEST_READ)
    }

    /// Goes on with `buffer`, and gives back the one that it replaces; or gives back `buffer`, where none is needed
    /// or this one is too small.
    pub(super) fn lend(&mut self, buffer: BytesMut) -> Option<ReadBuffer> {
        match self.least() {
            Some(least) if buffer.len() >= least => self.move_to(buffer),
            _ => Some(ReadBuffer::Open(buffer)),
        }
    }

    /// Gives up the buffer when nothing is in it and nothing is to come into this one.
    pub(super) fn release(&mut self) -> Option<ReadBuffer> {
        self.thaw();
        if self.len() > 0 || self.gathering > 0 {
            return None;
        }
        let suits = self.suits(self.read_buffer);
        let buffer = self.replace(BytesMut::new());
        buffer.filter(|_| suits)
    }

    /// Makes sure that the first `len` bytes will lie in one buffer when they have all arrived.
    ///
    /// A segment that reaches beyond the end of the buffer has part of it here already, and `Pdu::data` is one slice.
    /// So it gets a buffer that it fits into, before the next read, and the part that is here is copied there, once;
    /// what is still to come is read to its final place.
    pub(super) fn gather(&mut self, len: usize) {
        self.gathering = len;
        if self.queue.is_empty() || self.frozen.is_some() {
            return;
        }
        if self.head == self.filled && self.staging.len() >= len {
            self.rewind();
            while let Some(piece) = self.queue.pop_front() {
                self.append_copy(&piece);
            }
            self.queued = 0;
        } else {
            self.move_to(pool::fresh(self.read_buffer.max(len + LOOKAHEAD)));
        }
    }

    /// Whether the allocation is worth keeping where `size` bytes are needed.
    fn suits(&self, size: usize) -> bool {
        self.block >= size && self.block <= 2 * size
    }

    /// Moves all that waits to the front of the buffer that there is, when nobody holds a slice of it any more and its
    /// size suits; it has `size` bytes at least then. Else the rest of the buffer is given up: it was to be renewed.
    fn reclaim(&mut self, size: usize) -> bool {
        if !self.queue.is_empty() || !self.suits(size) {
            return false;
        }
        if self.staging.len() == self.block {
            self.staging.copy_within(self.head..self.filled, 0);
            (self.head, self.filled) = (0, self.filled - self.head);
            return true;
        }
        self.staging.truncate(self.filled);
        self.staging.advance(self.head);
        (self.head, self.filled) = (0, self.staging.len());
        let done = self.staging.try_reclaim(size - self.filled);
        if done {
            self.staging.resize(size, 0);
            self.block = size;
        }
        done
    }

    /// Moves all that waits to the front of `fresh`, and gives back the buffer before.
    fn move_to(&mut self, mut fresh: BytesMut) -> Option<ReadBuffer> {
        let len = self.len();
        self.copy_front(0, &mut fresh[..len]);
        self.queue.clear();
        self.queued = 0;
        let old = self.replace(fresh);
        self.filled = len;
        old
    }

    /// Turns what is staged into a piece of the queue, without copying it.
    fn seal(&mut self) {
        self.staging.advance(self.head);
        let len = self.filled - self.head;
        (self.head, self.filled) = (0, 0);
        if len > 0 {
            self.queued += len;
            self.queue.push_back(self.staging.split_to(len).freeze());
        }
    }

    fn replace(&mut self, fresh: BytesMut) -> Option<ReadBuffer> {
        self.block = if fresh.is_empty() { 0 } else { fresh.len().max(self.read_buffer) };
        (self.head, self.filled) = (0, 0);
        #[cfg(test)]
        {
            self.allocations += usize::from(!fresh.is_empty());
        }
        let old = core::mem::replace(&mut self.staging, fresh);
        match self.spent.take() {
            Some(spent) => Some(ReadBuffer::Frozen(spent)),
            None => (old.capacity() > 0).then_some(ReadBuffer::Open(old)),
        }
    }

    /// Starts again at the front of the buffer when all of it was taken.
    fn rewind(&mut self) {
        if self.head == self.filled {
            (self.head, self.filled) = (0, 0);
        }
    }

    /// Bytes of memory that this holds, slices handed out not counted.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.block + if self.frozen.is_some() { 0 } else { self.queued }
    }

    /// Pieces in the queue.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.queue.len()
    }

    /// Buffers allocated so far.
    #[cfg(test)]
    pub(super) fn allocations(&self) -> usize {
        self.allocations
    }
}
