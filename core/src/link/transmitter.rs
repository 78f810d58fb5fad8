//! The outbound half of a connection: PDUs to bytes, RFC 7143 sections 11.1 and 11.2.

use core::fmt;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::digest::{self, DIGEST_LEN};
use super::padding;
use crate::DataList;
use crate::wire::{BHS_LEN, Bhs};

const HEADER_MAX: usize = BHS_LEN + DIGEST_LEN;
const TAIL_MAX: usize = 3 + DIGEST_LEN;

/// The longest data segment that DataSegmentLength can say.
const SEGMENT_MAX: usize = (1 << 24) - 1;

/// The most bytes of additional header segments that TotalAHSLength can say.
const AHS_MAX: usize = 255 * 4;

/// PDUs that wait to be written, as a [`Buf`].
///
/// Payload is not copied: it lies between the headers as the slices that it came in. Write
/// [`chunks_vectored`](Buf::chunks_vectored), or [`chunk`](Buf::chunk) where there is no gathered write, and then
/// [`advance`](Buf::advance) by what was written. The queue keeps its memory, so that nothing is allocated once it
/// has grown to what the connection needs.
#[derive(Default)]
pub struct Transmitter {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that were written.
    written: usize,
    queued: usize,
    header_digest: bool,
    data_digest: bool,
}

enum Segment {
    /// A basic header segment, and the header digest when it follows at once.
    Header { bytes: [u8; HEADER_MAX], len: u8 },
    /// Payload, or additional header segments.
    Data(Bytes),
    /// What ends a segment: padding, a digest, or both.
    Tail { bytes: [u8; TAIL_MAX], len: u8 },
}

impl Transmitter {
    /// An empty queue; digests are off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns digests on or off for PDUs pushed from now on.
    pub fn set_digests(&mut self, header: bool, data: bool) {
        self.header_digest = header;
        self.data_digest = data;
    }

    /// Queues a PDU. DataSegmentLength and TotalAHSLength (0) are filled in; padding and digests are added.
    ///
    /// # Panics
    /// When `data` is longer than DataSegmentLength can say (2^24 - 1 bytes).
    pub fn push(&mut self, mut bhs: Bhs, data: DataList) {
        assert!(data.len() <= SEGMENT_MAX, "a data segment of {} bytes", data.len());
        bhs.set_data_segment_len(data.len() as u32);
        bhs.set_total_ahs_len(0);
        let mut bytes = [0; HEADER_MAX];
        bytes[..BHS_LEN].copy_from_slice(&bhs.0);
        let mut len = BHS_LEN;
        if self.header_digest {
            bytes[BHS_LEN..].copy_from_slice(&digest::to_wire(digest::append(0, &bhs.0)));
            len = HEADER_MAX;
        }
        self.queued += len;
        self.segments.push_back(Segment::Header { bytes, len: len as u8 });
        if !data.is_empty() {
            self.add_data(data);
        }
    }

    /// Queues a PDU with additional header segments, which are padded to whole words when they are not yet.
    ///
    /// # Panics
    /// When `data` is longer than 2^24 - 1 bytes, or `ahs` than 1020.
    pub fn push_with_ahs(&mut self, mut bhs: Bhs, ahs: &[u8], data: DataList) {
        if ahs.is_empty() {
            return self.push(bhs, data);
        }
        assert!(data.len() <= SEGMENT_MAX, "a data segment of {} bytes", data.len());
        assert!(ahs.len() <= AHS_MAX, "additional header segments of {} bytes", ahs.len());
        bhs.set_data_segment_len(data.len() as u32);
        bhs.set_total_ahs_len(ahs.len() + padding(ahs.len()));
        let mut bytes = [0; HEADER_MAX];
        bytes[..BHS_LEN].copy_from_slice(&bhs.0);
        self.add(Segment::Header { bytes, len: BHS_LEN as u8 });
        let crc = digest::append(digest::append(0, &bhs.0), ahs);
        self.add(Segment::Data(Bytes::copy_from_slice(ahs)));
        self.add_tail(padding(ahs.len()), self.header_digest.then_some(crc));
        if !data.is_empty() {
            self.add_data(data);
        }
    }

    /// Bytes not yet written.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Adds a data segment. Without one there is no data digest (section 11.2.3).
    #[inline]
    fn add_data(&mut self, data: DataList) {
        let pad = padding(data.len());
        let mut crc = 0;
        for chunk in data {
            if self.data_digest {
                crc = digest::append(crc, &chunk);
            }
            self.add(Segment::Data(chunk));
        }
        if pad > 0 || self.data_digest {
            self.add_tail(pad, self.data_digest.then_some(crc));
        }
    }

    /// Adds `pad` zero bytes, and the digest of what gave `crc` followed by them.
    fn add_tail(&mut self, pad: usize, crc: Option<u32>) {
        let mut bytes = [0; TAIL_MAX];
        let mut len = pad;
        if let Some(crc) = crc {
            let word = digest::to_wire(digest::append(crc, &bytes[..pad]));
            bytes[pad..pad + DIGEST_LEN].copy_from_slice(&word);
            len += DIGEST_LEN;
        }
        if len > 0 {
            self.add(Segment::Tail { bytes, len: len as u8 });
        }
    }

    fn add(&mut self, segment: Segment) {
        self.queued += segment.bytes().len();
        self.segments.push_back(segment);
    }

    /// What is left of each segment; none of them is empty.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.written;
        self.segments.iter().map(move |segment| &segment.bytes()[core::mem::take(&mut skip)..])
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Header { bytes, len } => &bytes[..usize::from(*len)],
            Segment::Data(bytes) => bytes,
            Segment::Tail { bytes, len } => &bytes[..usize::from(*len)],
        }
    }
}

impl Buf for Transmitter {
    fn remaining(&self) -> usize {
        self.queued
    }

    fn chunk(&self) -> &[u8] {
        self.slices().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (to, slice) in dst.iter_mut().zip(self.slices()) {
            *to = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    /// Drops the first `count` bytes.
    ///
    /// # Panics
    /// When `count` is more than [`remaining`](Buf::remaining).
    fn advance(&mut self, count: usize) {
        assert!(count <= self.queued, "advance by {count} of {} bytes", self.queued);
        self.queued -= count;
        self.written += count;
        while let Some(front) = self.segments.front() {
            let len = front.bytes().len();
            if self.written < len {
                break;
            }
            self.written -= len;
            self.segments.pop_front();
        }
    }
}

impl fmt::Debug for Transmitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmitter")
            .field("queued", &self.queued)
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}
