//! The inbound half of a connection: bytes to PDUs, RFC 7143 sections 11.1 and 11.2.

use core::fmt;

use bytes::{Bytes, BytesMut};

use super::digest::{self, DIGEST_LEN};
use super::input::Input;
use super::pool::ReadBuffer;
use super::{TaskId, padding};
use crate::wire::{BHS_LEN, Bhs};
use crate::{FrameError, Limits};

/// Staging behind a slot. Where one payload goes to its place the next one probably does, too: what is staged of it would
/// have to be copied, so there is room for its header and little more.
const BEHIND_SLOT: usize = 512;

/// A whole PDU as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pdu {
    /// The basic header segment.
    pub bhs: Bhs,
    /// The additional header segments with their padding; empty when there are none.
    pub ahs: Bytes,
    /// The data segment without padding, or its first bytes when the rest was placed in a [`Slot`].
    pub data: Bytes,
    /// Bytes of the data segment after `data` that went where the [`Slot`] said.
    pub placed: u32,
    /// What the data digest says about `data` and the placed bytes.
    pub digest: SegmentDigest,
}

/// The verdict of a data digest (RFC 7143 section 11.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentDigest {
    /// The PDU has no data segment, or data digests are not in use.
    NotUsed,
    /// It matches.
    Good,
    /// It does not match: the payload is damaged, the header is not. The session answers as section 7.8 says.
    Bad,
}

/// A place in the memory of whoever serves a task: where payload bytes belong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The task.
    pub task: TaskId,
    /// Where in the buffer of the task the bytes begin.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
}

/// Where the payload of a PDU shall go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Into the receiver's own buffer; it is handed out as [`Pdu::data`].
    Stage,
    /// Into the memory that the slot names, which is for the whole data segment: `len` equals DataSegmentLength.
    Slot(Slot),
}

/// What the receiver is ready for.
#[derive(Debug)]
pub enum Want<'a> {
    /// Nothing: the session is to take PDUs (or the error) first. Reading stops.
    Answer,
    /// Bytes: first as many as `slot` names into its memory, then into `staging`, which is never empty.
    Read {
        /// Payload under way, the part that is still missing.
        slot: Option<Slot>,
        /// For what follows.
        staging: &'a mut [u8],
    },
}

/// Frames the bytes of one connection into PDUs and verifies digests.
///
/// Bytes come in through [`want`](Self::want) and [`advance`](Self::advance), where the adapter reads into memory
/// that it is lent, or through [`push`](Self::push), where it hands over memory that it owns; the two may alternate.
/// PDUs come out of [`next_pdu`](Self::next_pdu). A data segment that lies in one buffer is sliced out of it.
///
/// Beyond slices that were handed out it holds one buffer, of `Limits::read_buffer` bytes or a little more than the
/// largest data segment, whichever is larger, and what was pushed. Payload of more than 512 bytes is handed out as a
/// slice, which keeps the buffer around it alive until it is dropped.
///
/// The buffer need not be its own: with a [`BufferPool`](super::BufferPool) connections share the few that are in use at
/// one time. Where nobody lends one, [`want`](Self::want) allocates it.
///
/// Errors are final: the same one is returned from then on.
pub struct Receiver {
    input: Input,
    /// The PDU whose header was taken.
    body: Option<Body>,
    failed: Option<FrameError>,
    header_digest: bool,
    data_digest: bool,
    max_segment: u32,
    max_ahs: usize,
}

/// A PDU that lacks part of its data segment.
struct Body {
    bhs: Bhs,
    ahs: Bytes,
    /// Bytes of the header, with AHS and digest.
    header: usize,
    /// Whether a data digest follows. Kept here: a switch takes effect with the next PDU.
    digest: bool,
    placing: Option<Placing>,
}

/// A data segment on its way into a slot.
struct Placing {
    slot: Slot,
    prefix: Bytes,
    placed: u32,
    crc: u32,
}

/// Lengths that follow from a header.
struct Lengths {
    ahs: usize,
    header: usize,
    data: usize,
    /// Padding and digest after the data.
    tail: usize,
}

impl Receiver {
    /// A receiver at the start of a connection: no digests, data segments up to `limits.login_segment` bytes.
    pub fn new(limits: &Limits) -> Self {
        Receiver {
            input: Input::new(limits.read_buffer),
            body: None,
            failed: None,
            header_digest: false,
            data_digest: false,
            max_segment: limits.login_segment,
            max_ahs: limits.ahs_bytes,
        }
    }

    /// Says what to read next. Reading stops ([`Want::Answer`]) while a complete PDU or an error waits in
    /// [`next_pdu`](Self::next_pdu).
    pub fn want(&mut self) -> Want<'_> {
        if self.failed.is_some() || self.is_ready() {
            return Want::Answer;
        }
        self.input.make_room();
        if self.input.room() == 0 {
            // A segment longer than the buffer, whose header nobody has looked at.
            return Want::Answer;
        }
        let slot = self.body.as_ref().and_then(Body::missing);
        let spare = self.input.spare();
        let staging = if slot.is_some() { spare.len().min(BEHIND_SLOT) } else { spare.len() };
        Want::Read { slot, staging: &mut spare[..staging] }
    }

    /// Accounts for a read: `placed` are the bytes just read into the memory of the slot that [`want`](Self::want)
    /// named, for the digest; `staged` counts bytes read into `staging`.
    ///
    /// # Errors
    /// [`FrameError::Accounting`] when this is more than was wanted, or bytes were staged before the slot was full.
    pub fn advance(&mut self, placed: &[u8], staged: usize) -> Result<(), FrameError> {
        self.check()?;
        let missing = self.body.as_ref().and_then(Body::missing).map_or(0, |slot| slot.len as usize);
        if placed.len() > missing {
            return self.fail(FrameError::Accounting("more bytes placed than the slot takes"));
        }
        if staged > self.input.room() {
            return self.fail(FrameError::Accounting("more bytes staged than there was room for"));
        }
        if staged > 0 && placed.len() < missing {
            return self.fail(FrameError::Accounting("bytes staged before the slot was full"));
        }
        if let Some(Body { digest, placing: Some(placing), .. }) = &mut self.body {
            placing.placed += placed.len() as u32;
            if *digest {
                placing.crc = digest::append(placing.crc, placed);
            }
        }
        self.input.staged(staged);
        Ok(())
    }

    /// Takes owned input. A data segment that lies within one push, and is not very small, is sliced out of it.
    ///
    /// It does not stop: an adapter that pushes asks [`want`](Self::want) whether to go on.
    ///
    /// # Errors
    /// [`FrameError::Accounting`] when the payload under way belongs into a slot.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), FrameError> {
        self.check()?;
        if !bytes.is_empty() && self.body.as_ref().and_then(Body::missing).is_some() {
            return self.fail(FrameError::Accounting("owned input while a slot is not full"));
        }
        self.input.push(bytes);
        Ok(())
    }

    /// Turns digests on or off, from the next PDU on whose header was not taken: after a PDU was returned by
    /// [`next_pdu`](Self::next_pdu), this is the one that follows it.
    pub fn set_digests(&mut self, header: bool, data: bool) {
        self.header_digest = header;
        self.data_digest = data;
    }

    /// Sets the longest data segment to take, in bytes: the MaxRecvDataSegmentLength that this end declared.
    pub fn set_max_segment(&mut self, bytes: u32) {
        self.max_segment = bytes;
    }

    /// Sets the size of the read buffer in bytes, in place of `Limits::read_buffer`, from the next renewal of the
    /// buffer on. A connection whose peer nobody knows yet may have a small one.
    pub fn set_read_buffer(&mut self, bytes: usize) {
        self.input.set_read_buffer(bytes);
    }

    /// The least length of a buffer to be lent before the next [`want`](Self::want), if that would allocate one. A
    /// buffer that is here and of which nobody holds a slice is made ready again instead.
    pub(super) fn needs_buffer(&mut self) -> Option<usize> {
        if self.failed.is_some() || self.is_ready() { None } else { self.input.needs() }
    }

    /// Lends a buffer to read into; its length counts, not its capacity. The one in use so far comes back, if there
    /// is one, or `buffer` itself when it does not do.
    pub(super) fn lend(&mut self, buffer: BytesMut) -> Option<ReadBuffer> {
        self.input.lend(buffer)
    }

    /// Takes back the read buffer, when nothing that has arrived lies in it and no segment under way needs it. One
    /// that does not suit the size set ([`set_read_buffer`](Self::set_read_buffer)) is dropped: one that is smaller,
    /// or that a very long segment needed.
    pub(super) fn release(&mut self) -> Option<ReadBuffer> {
        self.input.release()
    }

    /// Bytes that arrived and belong to no PDU taken yet. When the peer closes the connection and this is not 0,
    /// it did so in the middle of a PDU.
    pub fn buffered(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| {
            let placed = body.placing.as_ref().map_or(0, |p| p.prefix.len() + p.placed as usize);
            body.header + placed
        });
        self.input.len() + body
    }

    /// Takes the next whole PDU; `None` when more bytes are needed.
    ///
    /// Framing happens here and not earlier, so that digests switched between two PDUs take effect at the right byte.
    /// `choose` is asked where the payload shall go: at most once for a PDU, after the header digest was verified,
    /// and only when the data segment has not arrived whole. What of it is here already becomes [`Pdu::data`].
    ///
    /// # Errors
    /// [`FrameError`] when the stream cannot be understood any more; the connection is to be closed.
    pub fn next_pdu(&mut self, choose: impl FnMut(&Bhs) -> Placement) -> Result<Option<Pdu>, FrameError> {
        self.check()?;
        let taken = if self.body.is_none() { self.start(choose) } else { Ok(self.go_on()) };
        if let Err(error) = taken {
            self.failed = Some(error);
        }
        taken
    }

    /// Bytes of memory held, slices handed out not counted.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.input.footprint() + self.body.as_ref().map_or(0, |body| body.ahs.len())
    }

    /// Pieces of pushed input held.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.input.pieces()
    }

    /// Buffers allocated so far.
    #[cfg(test)]
    pub(super) fn allocations(&self) -> usize {
        self.input.allocations()
    }

    fn check(&self) -> Result<(), FrameError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn fail<T>(&mut self, error: FrameError) -> Result<T, FrameError> {
        self.failed = Some(error);
        Err(error)
    }

    /// Whether `next_pdu` would return a PDU or an error.
    fn is_ready(&self) -> bool {
        if let Some(body) = &self.body {
            let lengths = self.lengths(&body.bhs, body.digest);
            return match &body.placing {
                Some(_) if body.missing().is_some() => false,
                Some(_) => self.input.len() >= lengths.tail,
                None => self.input.len() >= lengths.data + lengths.tail,
            };
        }
        let Some(bytes) = self.input.peek::<BHS_LEN>() else { return false };
        let bhs = Bhs(bytes);
        let lengths = self.lengths(&bhs, self.data_digest);
        if lengths.ahs > self.max_ahs {
            return true;
        }
        let too_long = bhs.data_segment_len() > self.max_segment;
        let body = if too_long { 0 } else { lengths.data + lengths.tail };
        self.input.len() >= lengths.header + body
    }

    #[inline]
    fn lengths(&self, bhs: &Bhs, data_digest: bool) -> Lengths {
        let ahs = bhs.total_ahs_len();
        let data = bhs.data_segment_len() as usize;
        let header = BHS_LEN + ahs + if self.header_digest { DIGEST_LEN } else { 0 };
        // Without a data segment there is no data digest either (section 11.2.3).
        let tail = padding(data) + if data_digest && data > 0 { DIGEST_LEN } else { 0 };
        Lengths { ahs, header, data, tail }
    }

    /// Takes the PDU whose header was taken, when all of it is here.
    fn go_on(&mut self) -> Option<Pdu> {
        let body = self.body.as_ref()?;
        let lengths = self.lengths(&body.bhs, body.digest);
        let arrived = match &body.placing {
            Some(_) if body.missing().is_some() => false,
            Some(_) => self.input.len() >= lengths.tail,
            None => self.input.len() >= lengths.data + lengths.tail,
        };
        let Body { bhs, ahs, digest, placing, .. } = self.body.take_if(|_| arrived)?;
        let mut pdu = Pdu { bhs, ahs, data: Bytes::new(), placed: 0, digest: SegmentDigest::NotUsed };
        match placing {
            Some(placing) => {
                (pdu.data, pdu.placed) = (placing.prefix, placing.placed);
                self.finish(&mut pdu, digest, placing.crc, lengths.tail);
            }
            None => self.take_data(&mut pdu, digest, &lengths),
        }
        Some(pdu)
    }

    /// Takes a header, and the rest of its PDU when that is here.
    #[inline]
    fn start(&mut self, mut choose: impl FnMut(&Bhs) -> Placement) -> Result<Option<Pdu>, FrameError> {
        let Some(bytes) = self.input.peek::<BHS_LEN>() else { return Ok(None) };
        let bhs = Bhs(bytes);
        let lengths = self.lengths(&bhs, self.data_digest);
        // The length that leads to the header digest has to be believed before it; the limit bounds the harm.
        if lengths.ahs > self.max_ahs {
            return Err(FrameError::AhsTooLong { len: lengths.ahs, max: self.max_ahs });
        }
        if self.input.len() < lengths.header {
            return Ok(None);
        }
        if self.header_digest {
            self.verify_header(BHS_LEN + lengths.ahs)?;
        }
        if bhs.data_segment_len() > self.max_segment {
            return Err(FrameError::SegmentTooLong { len: bhs.data_segment_len(), max: self.max_segment });
        }
        let mut pdu =
            Pdu { bhs, ahs: Bytes::new(), data: Bytes::new(), placed: 0, digest: SegmentDigest::NotUsed };
        if lengths.ahs == 0 {
            self.input.skip(lengths.header);
        } else {
            self.input.skip(BHS_LEN);
            pdu.ahs = self.input.take(lengths.ahs);
            self.input.skip(lengths.header - BHS_LEN - lengths.ahs);
        }
        let here = self.input.len();
        if here >= lengths.data + lengths.tail {
            self.take_data(&mut pdu, self.data_digest, &lengths);
            return Ok(Some(pdu));
        }
        let Pdu { bhs, ahs, .. } = pdu;
        let mut body = Body { bhs, ahs, header: lengths.header, digest: self.data_digest, placing: None };
        match if here < lengths.data { choose(&bhs) } else { Placement::Stage } {
            Placement::Stage => self.input.gather(lengths.data + lengths.tail),
            Placement::Slot(slot) if slot.len != bhs.data_segment_len() => {
                return Err(FrameError::Accounting("a slot of another length than the data segment"));
            }
            Placement::Slot(slot) => {
                let prefix = self.input.take(here);
                let crc = if body.digest { digest::append(0, &prefix) } else { 0 };
                body.placing = Some(Placing { slot, prefix, placed: 0, crc });
            }
        }
        self.body = Some(body);
        Ok(None)
    }

    fn verify_header(&self, len: usize) -> Result<(), FrameError> {
        let computed = self.input.fold(len, 0, digest::append);
        let mut word = [0; DIGEST_LEN];
        self.input.copy_front(len, &mut word);
        let received = digest::from_wire(word);
        if computed == received { Ok(()) } else { Err(FrameError::HeaderDigest { computed, received }) }
    }

    /// Takes the data segment of a PDU, all of which has arrived.
    #[inline]
    fn take_data(&mut self, pdu: &mut Pdu, digest: bool, lengths: &Lengths) {
        if lengths.data == 0 {
            return;
        }
        pdu.data = self.input.take(lengths.data);
        let crc = if digest { digest::append(0, &pdu.data) } else { 0 };
        self.finish(pdu, digest, crc, lengths.tail);
    }

    /// Takes what ends a data segment; `crc` is that of its bytes.
    fn finish(&mut self, pdu: &mut Pdu, digest: bool, crc: u32, tail: usize) {
        if digest {
            pdu.digest = self.verify_data(crc, tail);
        }
        if tail > 0 {
            self.input.skip(tail);
        }
    }

    /// Compares the digest behind the padding, which the digest covers whatever its value is.
    fn verify_data(&self, crc: u32, tail: usize) -> SegmentDigest {
        let pad = tail - DIGEST_LEN;
        let crc = self.input.fold(pad, crc, digest::append);
        let mut word = [0; DIGEST_LEN];
        self.input.copy_front(pad, &mut word);
        if crc == digest::from_wire(word) { SegmentDigest::Good } else { SegmentDigest::Bad }
    }
}

impl Body {
    /// What is still to be placed.
    fn missing(&self) -> Option<Slot> {
        let placing = self.placing.as_ref()?;
        let done = placing.prefix.len() as u32 + placing.placed;
        let len = placing.slot.len - done;
        (len > 0).then(|| Slot {
            offset: placing.slot.offset.saturating_add(done.into()),
            len,
            ..placing.slot
        })
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("buffered", &self.buffered())
            .field("under_way", &self.body.as_ref().map(|body| body.bhs))
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
