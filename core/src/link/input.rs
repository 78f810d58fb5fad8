//! The bytes that arrived and were not taken yet: one read buffer, and owned pieces before it.

use core::iter;
use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

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
/// what the next read may fill. Payload is split off its front, so it shrinks until it is renewed. Nobody else can
/// write to what is left of it, whoever holds the payload before it.
pub(super) struct Input {
    queue: VecDeque<Bytes>,
    queued: usize,
    staging: BytesMut,
    head: usize,
    filled: usize,
    /// Length of the allocation that `staging` is the rest of; of one that was lent, the size that was asked for.
    block: usize,
    /// Bytes at the front that [`Input::gather`] promised one buffer; 0 when there is no promise.
    gathering: usize,
    read_buffer: usize,
    #[cfg(test)]
    allocations: usize,
}

impl Input {
    pub(super) fn new(read_buffer: usize) -> Self {
        Input {
            queue: VecDeque::new(),
            queued: 0,
            staging: BytesMut::new(),
            head: 0,
            filled: 0,
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
    pub(super) fn len(&self) -> usize {
        self.queued + self.filled - self.head
    }

    /// The first `N` bytes, when they are there.
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
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let len = len.min(self.len());
        self.gathering = 0;
        if len <= COPY_UP_TO {
            return self.take_copy(len);
        }
        match self.queue.front_mut() {
            None => {
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

    /// Appends owned bytes.
    pub(super) fn push(&mut self, mut bytes: Bytes) {
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
                self.replace(BytesMut::zeroed(self.read_buffer));
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
        if let Some(least) = self.least() {
            let size = self.read_buffer.max(least);
            if !self.reclaim(size) {
                self.move_to(BytesMut::zeroed(size));
            }
        }
    }

    /// The least size of the buffer to be lent, when the next read needs one. A buffer of the receiver's own that
    /// nobody holds a slice of is renewed here.
    pub(super) fn needs(&mut self) -> Option<usize> {
        let least = self.least()?;
        (!self.reclaim(self.read_buffer.max(least))).then_some(least)
    }

    /// The least length of a buffer to go on with, where the one that there is does not do: it is nearly used up
    /// and little has to be moved, or the segment under way does not fit.
    fn least(&self) -> Option<usize> {
        if self.gathering > 0 {
            let fits = self.staging.len() - self.head >= self.gathering;
            return (!fits && self.queue.is_empty()).then_some(self.gathering + LOOKAHEAD);
        }
        let used_up = self.room() < SMALLEST_READ && self.len() <= SMALLEST_READ / 2;
        used_up.then(|| self.len() + SMALLEST_READ)
    }

    /// Goes on with `buffer`, and gives back the one that it replaces; or gives back `buffer`, where none is needed
    /// or this one is too small.
    pub(super) fn lend(&mut self, buffer: BytesMut) -> Option<BytesMut> {
        let other = match self.least() {
            Some(least) if buffer.len() >= least => self.move_to(buffer),
            _ => buffer,
        };
        (other.capacity() > 0).then_some(other)
    }

    /// Gives up the buffer when nothing is in it and nothing is to come into this one.
    pub(super) fn release(&mut self) -> Option<BytesMut> {
        if self.len() > 0 || self.gathering > 0 || self.staging.capacity() == 0 {
            return None;
        }
        let suits = self.suits(self.read_buffer);
        let buffer = core::mem::take(&mut self.staging);
        (self.head, self.filled, self.block) = (0, 0, 0);
        suits.then_some(buffer)
    }

    /// Makes sure that the first `len` bytes will lie in one buffer when they have all arrived.
    ///
    /// A segment that reaches beyond the end of the buffer has part of it here already, and `Pdu::data` is one slice.
    /// So it gets a buffer that it fits into, before the next read, and the part that is here is copied there, once;
    /// what is still to come is read to its final place.
    pub(super) fn gather(&mut self, len: usize) {
        self.gathering = len;
        if self.queue.is_empty() {
            return;
        }
        if self.head == self.filled && self.staging.len() >= len {
            self.rewind();
            while let Some(piece) = self.queue.pop_front() {
                self.append_copy(&piece);
            }
            self.queued = 0;
        } else {
            self.move_to(BytesMut::zeroed(self.read_buffer.max(len + LOOKAHEAD)));
        }
    }

    /// Whether the allocation is worth keeping where `size` bytes are needed.
    fn suits(&self, size: usize) -> bool {
        self.block >= size && self.block <= 2 * size
    }

    /// Moves all that waits to the front of the buffer that there is, when nobody holds a slice of it any more and its
    /// size suits; it has `size` bytes then. Else the rest of the buffer is given up: it was to be renewed.
    fn reclaim(&mut self, size: usize) -> bool {
        if !self.queue.is_empty() || !self.suits(size) {
            return false;
        }
        self.staging.truncate(self.filled);
        self.staging.advance(self.head);
        (self.head, self.filled) = (0, self.staging.len());
        let done = self.staging.try_reclaim(size - self.filled);
        if done {
            self.staging.resize(size, 0);
        }
        done
    }

    /// Moves all that waits to the front of `fresh`, and gives back the rest of the buffer before.
    fn move_to(&mut self, mut fresh: BytesMut) -> BytesMut {
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

    fn replace(&mut self, fresh: BytesMut) -> BytesMut {
        self.block = fresh.len().max(self.read_buffer);
        (self.head, self.filled) = (0, 0);
        #[cfg(test)]
        {
            self.allocations += 1;
        }
        core::mem::replace(&mut self.staging, fresh)
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
        self.block + self.queued
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
