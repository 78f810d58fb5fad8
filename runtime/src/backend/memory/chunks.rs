//! The bytes of a disk in memory, and their locks.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use iscsicore::DataList;
use iscsicore::disk::Allocation;

use super::grain::{GRAIN, Grain};
use crate::backend::extents::Extents;
use crate::backend::{beyond_the_end, within, zero_bytes};

/// A lock for each chunk, so that operations on different chunks never wait for one another. The locks of a
/// region are made by its first write, so that an empty disk of many terabytes costs next to nothing.
pub(super) struct Memory {
    pub(super) size: u64,
    regions: Box<[OnceLock<Region>]>,
    allocated: AtomicU64,
}

type Region = Box<[Chunk]>;

/// On a cache line of its own: its neighbour's lock may be busy on another core.
#[derive(Default)]
#[repr(align(64))]
struct Chunk(Mutex<Option<Grains>>);

type Grains = [Grain; CHUNK / GRAIN];

impl Chunk {
    /// A read holds the lock for as long as it takes to count the readers of some grains, a write while it copies.
    fn lock(&self) -> MutexGuard<'_, Option<Grains>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    pub(super) fn try_new(size: u64) -> io::Result<Self> {
        let count = usize::try_from(size.div_ceil(REGION)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut regions = Vec::new();
        regions.try_reserve_exact(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        regions.resize_with(count, OnceLock::new);
        Ok(Memory { size, regions: regions.into_boxed_slice(), allocated: AtomicU64::new(0) })
    }

    pub(super) fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> io::Result<DataList> {
        self.check(offset, len as u64)?;
        let mut data = DataList::new();
        let mut hole = 0;
        for piece in pieces(offset, len as u64) {
            let mut chunk = self.chunk(&piece).map(Chunk::lock);
            let Some(grains) = chunk.as_deref_mut().and_then(Option::as_mut) else {
                hole += piece.len() as u64;
                continue;
            };
            push_zeroes(&mut data, std::mem::take(&mut hole));
            piece.each_grain(|grain, range| data.push(grains[grain].slice(range)));
        }
        push_zeroes(&mut data, hole);
        Ok(data)
    }

    pub(super) fn write(&self, offset: u64, data: &DataList) -> io::Result<()> {
        self.check(offset, data.len() as u64)?;
        let mut source = Source { slice: &[], slices: data.chunks() };
        for piece in pieces(offset, data.len() as u64) {
            let region = self.regions[piece.region].get_or_init(|| self.new_region(piece.region));
            let mut chunk = region[piece.chunk].lock();
            let grains = chunk.get_or_insert_with(|| {
                self.allocated.fetch_add(CHUNK as u64, Ordering::Relaxed);
                std::array::from_fn(|_| Grain::new())
            });
            piece.each_grain(|grain, range| grains[grain].write(range, |to| source.copy_to(to)));
        }
        Ok(())
    }

    /// Makes a range zero, and frees the chunks that lie within it whole.
    pub(super) fn clear(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len)?;
        let (mut at, end) = (offset, offset + len);
        while at < end {
            // One region at a time, because a region that was never written is skipped whole.
            let stop = end.min((at / REGION + 1) * REGION);
            if self.regions[(at / REGION) as usize].get().is_some() {
                pieces(at, stop - at).for_each(|piece| self.clear_piece(&piece));
            }
            at = stop;
        }
        Ok(())
    }

    fn clear_piece(&self, piece: &Piece) {
        let Some(chunk) = self.chunk(piece) else { return };
        let mut chunk = chunk.lock();
        let chunk_end = self.size - (piece.region as u64 * REGION + (piece.chunk * CHUNK) as u64);
        let whole = piece.start == 0 && piece.end as u64 >= chunk_end.min(CHUNK as u64);
        if !whole {
            if let Some(grains) = chunk.as_mut() {
                piece.each_grain(|grain, range| grains[grain].write(range, |to| to.fill(0)));
            }
        } else if chunk.take().is_some() {
            self.allocated.fetch_sub(CHUNK as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn extents(&self, offset: u64, len: u64, most: usize) -> io::Result<Vec<(u64, Allocation)>> {
        self.check(offset, len)?;
        let mut extents = Extents::new(most);
        let (mut at, end) = (offset, offset + len);
        for _ in 0..MAX_LOOKS {
            if at >= end {
                break;
            }
            let chunks = self.regions[(at / REGION) as usize].get();
            let chunk = chunks.map(|region| &region[(at % REGION / CHUNK as u64) as usize]);
            // A region that was never written is one hole.
            let (unit, allocation) = match chunk {
                None => (REGION, Allocation::Deallocated),
                Some(chunk) if chunk.lock().is_some() => (CHUNK as u64, Allocation::Mapped),
                Some(_) => (CHUNK as u64, Allocation::Deallocated),
            };
            let stop = end.min((at / unit + 1) * unit);
            if !extents.push(stop - at, allocation) {
                break;
            }
            at = stop;
        }
        Ok(extents.into_list())
    }

    fn chunk(&self, piece: &Piece) -> Option<&Chunk> {
        self.regions[piece.region].get().map(|region| &region[piece.chunk])
    }

    fn new_region(&self, index: usize) -> Region {
        let left = self.size - index as u64 * REGION;
        (0..left.min(REGION).div_ceil(CHUNK as u64)).map(|_| Chunk::default()).collect()
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        if within(self.size, offset, len) { Ok(()) } else { Err(beyond_the_end(self.size, offset, len)) }
    }
}

fn push_zeroes(data: &mut DataList, mut count: u64) {
    while count > 0 {
        let zeroes = zero_bytes(count);
        count -= zeroes.len() as u64;
        data.append(zeroes);
    }
}

/// The bytes of a write that are still to be copied.
struct Source<'a, I> {
    slice: &'a [u8],
    slices: I,
}

impl<'a, I: Iterator<Item = &'a bytes::Bytes>> Source<'a, I> {
    /// Copies as many as `to` has room for.
    fn copy_to(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            if self.slice.is_empty() {
                let Some(next) = self.slices.next() else { return };
                self.slice = next;
            }
            let take = to.len().min(self.slice.len());
            let (now, later) = to.split_at_mut(take);
            now.copy_from_slice(&self.slice[..take]);
            (to, self.slice) = (later, &self.slice[take..]);
        }
    }
}

/// The part of a range that lies in one chunk.
struct Piece {
    region: usize,
    chunk: usize,
    start: usize,
    end: usize,
}

impl Piece {
    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Calls `each` with every grain that has a part of this piece, and with that part.
    fn each_grain(&self, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
        let mut at = self.start;
        while at < self.end {
            let (grain, from) = (at / GRAIN, at % GRAIN);
            let to = GRAIN.min(from + self.end - at);
            each(grain, from..to);
            at += to - from;
        }
    }
}

fn pieces(offset: u64, len: u64) -> impl Iterator<Item = Piece> {
    let end = offset + len;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let start = at % CHUNK as u64;
        let take = (end - at).min(CHUNK as u64 - start);
        let piece = Piece {
            region: (at / REGION) as usize,
            chunk: (at % REGION / CHUNK as u64) as usize,
            start: start as usize,
            end: (start + take) as usize,
        };
        at += take;
        Some(piece)
    })
}

/// What is allocated and freed at a time, and what a read sees at one moment.
pub(super) const CHUNK: usize = 64 << 10;
const REGION: u64 = 64 << 20;
/// A gigabyte of chunks, or a terabyte of regions that were never written.
const MAX_LOOKS: u32 = 16 << 10;
