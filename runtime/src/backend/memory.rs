//! A disk in memory.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use iscsicore::DataList;
use iscsicore::disk::Allocation;

use super::extents::Extents;
use super::pool::Buffer;
use super::{Backend, Info, IoReply, Reply, Zeroes, beyond_the_end, within};

/// A sparse disk in memory; it is gone with the process.
///
/// Memory is allocated by the first write to each 64 KiB, and freed by unmapping all of them. Every operation
/// is done when its call returns, with one copy of the data; only unmapping and zeroing of more than 64 MiB
/// goes to a blocking thread.
///
/// Reads and writes of the same 64 KiB (aligned) exclude one another: a read sees all or nothing of what one
/// write puts there. An operation that spans several is not atomic as a whole, and may be torn where two of
/// them meet.
///
/// Clones share the disk.
#[derive(Clone)]
pub struct MemoryBackend(Arc<Memory>);

impl MemoryBackend {
    /// The greatest size: 64 TiB.
    pub const MAX_SIZE: u64 = 64 << 40;

    /// Makes a disk of `size` zero bytes. Empty, it takes some 30 bytes for each 64 MiB: half a megabyte for
    /// a tebibyte.
    ///
    /// # Panics
    /// When [`try_new`](Self::try_new) fails: a size that comes from outside belongs there.
    pub fn new(size: u64) -> Self {
        match Self::try_new(size) {
            Ok(disk) => disk,
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes a disk of `size` zero bytes, as [`new`](Self::new) does.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when it is to have more than [`MAX_SIZE`](Self::MAX_SIZE), and
    /// [`io::ErrorKind::OutOfMemory`] when there is no memory for its table.
    pub fn try_new(size: u64) -> io::Result<Self> {
        if size > Self::MAX_SIZE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a disk in memory has {} bytes at most, not {size}", Self::MAX_SIZE),
            ));
        }
        let count = usize::try_from(size.div_ceil(REGION)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut regions = Vec::new();
        regions.try_reserve_exact(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        regions.resize_with(count, OnceLock::new);
        let regions = regions.into_boxed_slice();
        Ok(MemoryBackend(Arc::new(Memory { size, regions, allocated: AtomicU64::new(0) })))
    }

    /// The bytes that are allocated for data.
    pub fn allocated(&self) -> u64 {
        self.0.allocated.load(Ordering::Relaxed)
    }

    fn clear(&self, offset: u64, len: u64) -> IoReply<()> {
        if len <= INLINE_CLEAR {
            return Reply::now(self.0.clear(offset, len));
        }
        let memory = Arc::clone(&self.0);
        Reply::blocking(move || memory.clear(offset, len))
    }
}

impl Backend for MemoryBackend {
    fn size(&self) -> u64 {
        self.0.size
    }

    fn info(&self) -> Info {
        Info::default().without_volatile_cache().with_unmap(CHUNK as u32)
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        Reply::now(self.0.read(offset, len))
    }

    fn write(&self, offset: u64, data: DataList, _fua: bool) -> IoReply<()> {
        Reply::now(self.0.write(offset, &data))
    }

    fn flush(&self) -> IoReply<()> {
        Reply::now(Ok(()))
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        self.clear(offset, len)
    }

    /// Frees memory either way: no promise is made that memory for a later write is there.
    fn write_zeroes(&self, offset: u64, len: u64, _how: Zeroes) -> IoReply<()> {
        self.clear(offset, len)
    }

    /// Looks at so many chunks that the call stays short, and tells no more than it saw.
    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        Reply::now(self.0.extents(offset, len, most))
    }
}

impl std::fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("size", &self.0.size)
            .field("allocated", &self.allocated())
            .finish()
    }
}

/// A lock for each chunk, so that operations on different chunks never wait for one another. The locks of a
/// region are made by its first write, so that an empty disk of many terabytes costs next to nothing.
struct Memory {
    size: u64,
    regions: Box<[OnceLock<Region>]>,
    allocated: AtomicU64,
}

type Region = Box<[Chunk]>;
type Chunk = RwLock<Option<Box<[u8]>>>;

impl Memory {
    fn read(&self, offset: u64, len: usize) -> io::Result<DataList> {
        self.check(offset, len as u64)?;
        let mut buffer = Buffer::new(len);
        for piece in pieces(offset, len as u64) {
            match self.chunk(&piece).map(|c| c.read().unwrap_or_else(PoisonError::into_inner)) {
                Some(chunk) => match chunk.as_deref() {
                    Some(chunk) => buffer.put(&chunk[piece.start..piece.end]),
                    None => buffer.put_zeroes(piece.len()),
                },
                None => buffer.put_zeroes(piece.len()),
            }
        }
        Ok(buffer.freeze().into())
    }

    fn write(&self, offset: u64, data: &DataList) -> io::Result<()> {
        self.check(offset, data.len() as u64)?;
        let mut slices = data.chunks();
        let mut slice: &[u8] = &[];
        for piece in pieces(offset, data.len() as u64) {
            let region = self.regions[piece.region].get_or_init(|| self.new_region(piece.region));
            let mut chunk = region[piece.chunk].write().unwrap_or_else(PoisonError::into_inner);
            let chunk = chunk.get_or_insert_with(|| {
                self.allocated.fetch_add(CHUNK as u64, Ordering::Relaxed);
                vec![0; CHUNK].into_boxed_slice()
            });
            let mut to = &mut chunk[piece.start..piece.end];
            while !to.is_empty() {
                if slice.is_empty() {
                    let Some(next) = slices.next() else { return Ok(()) };
                    slice = next;
                }
                let take = to.len().min(slice.len());
                let (now, later) = to.split_at_mut(take);
                now.copy_from_slice(&slice[..take]);
                (to, slice) = (later, &slice[take..]);
            }
        }
        Ok(())
    }

    /// Makes a range zero, and frees the chunks that lie within it whole.
    fn clear(&self, offset: u64, len: u64) -> io::Result<()> {
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
        let mut chunk = chunk.write().unwrap_or_else(PoisonError::into_inner);
        let chunk_end = self.size - (piece.region as u64 * REGION + (piece.chunk * CHUNK) as u64);
        let whole = piece.start == 0 && piece.end as u64 >= chunk_end.min(CHUNK as u64);
        if !whole {
            if let Some(bytes) = chunk.as_deref_mut() {
                bytes[piece.start..piece.end].fill(0);
            }
        } else if chunk.take().is_some() {
            self.allocated.fetch_sub(CHUNK as u64, Ordering::Relaxed);
        }
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> io::Result<Vec<(u64, Allocation)>> {
        self.check(offset, len)?;
        let mut extents = Extents::new(most);
        let (mut at, end) = (offset, offset + len);
        for _ in 0..MAX_LOOKS {
            if at >= end {
                break;
            }
            let chunks = self.regions[(at / REGION) as usize].get();
            let chunk = chunks.map(|region| &region[(at % REGION / CHUNK as u64) as usize]);
            let is_there = |c: &Chunk| c.read().unwrap_or_else(PoisonError::into_inner).is_some();
            // A region that was never written is one hole.
            let (unit, allocation) = match chunk {
                None => (REGION, Allocation::Deallocated),
                Some(chunk) if is_there(chunk) => (CHUNK as u64, Allocation::Mapped),
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

const CHUNK: usize = 64 << 10;
const REGION: u64 = 64 << 20;
const INLINE_CLEAR: u64 = 64 << 20;
/// A gigabyte of chunks, or a terabyte of regions that were never written.
const MAX_LOOKS: u32 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(reply: IoReply<T>) -> T {
        let Reply::Now(Ok(answer)) = reply else { panic!("neither there nor good") };
        answer
    }

    #[test]
    fn memory_is_allocated_by_writing_and_freed_by_unmapping_whole_chunks() {
        let disk = MemoryBackend::new(10 * CHUNK as u64 + 512);
        now(disk.write(CHUNK as u64 - 512, vec![1; 1024].into(), false));
        assert_eq!(disk.allocated(), 2 * CHUNK as u64);
        now(disk.unmap(0, CHUNK as u64 * 2 - 512));
        assert_eq!(disk.allocated(), CHUNK as u64);
        now(disk.unmap(CHUNK as u64, CHUNK as u64));
        assert_eq!(disk.allocated(), 0);
        // The last chunk is short, and whole all the same.
        now(disk.write(10 * CHUNK as u64, vec![1; 512].into(), false));
        assert_eq!(disk.allocated(), CHUNK as u64);
        now(disk.write_zeroes(10 * CHUNK as u64, 512, Zeroes::MayUnmap));
        assert_eq!(disk.allocated(), 0);
    }

    #[test]
    fn a_huge_empty_disk_costs_little_and_its_end_works() {
        let size = 16 << 40;
        let disk = MemoryBackend::new(size);
        now(disk.write(size - 512, vec![9; 512].into(), true));
        assert_eq!(now(disk.read(size - 1024, 1024)).to_bytes()[500..524], [[0; 12], [9; 12]].concat());
        assert_eq!(disk.allocated(), CHUNK as u64);
    }

    #[test]
    fn a_size_beyond_all_bounds_is_an_error() {
        for size in [MemoryBackend::MAX_SIZE + 1, 16_000_000 << 40, u64::MAX] {
            assert_eq!(MemoryBackend::try_new(size).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let most = MemoryBackend::try_new(MemoryBackend::MAX_SIZE).unwrap();
        now(most.write(MemoryBackend::MAX_SIZE - 512, vec![1; 512].into(), false));
    }

    #[tokio::test]
    async fn a_large_range_is_cleared_off_the_reactor() {
        let disk = MemoryBackend::new(1 << 30);
        for at in (0..1 << 30).step_by(100 << 20) {
            now(disk.write(at, vec![1; 4096].into(), false));
        }
        let reply = disk.unmap(0, 1 << 30);
        assert!(matches!(reply, Reply::Later(_)));
        reply.wait().await.unwrap();
        assert_eq!(disk.allocated(), 0);
    }
}
