//! A disk in memory.

use std::io;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::Allocation;

use super::{Backend, Info, IoReply, Reply, Zeroes};

mod chunks;
mod grain;

use chunks::{CHUNK, Memory};

/// A sparse disk in memory; it is gone with the process.
///
/// Memory is allocated by the first write to each 64 KiB, and freed by unmapping all of them. Every operation
/// is done when its call returns; only unmapping and zeroing of more than 64 MiB goes to a blocking thread.
///
/// A write copies its data once. A read copies nothing: it answers with slices of the disk's own memory, and of
/// zeroes where nothing was written. What a slice shows never changes. While one is held, a write to the same
/// 32 KiB (aligned) leaves them to the reader and goes on with a copy, and unmapping leaves them too: each slice
/// keeps as much in memory, and no more, until it is dropped.
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
        Ok(MemoryBackend(Arc::new(Memory::try_new(size)?)))
    }

    /// The bytes that are allocated for data, without those that only readers still hold.
    pub fn allocated(&self) -> u64 {
        self.0.allocated()
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

const INLINE_CLEAR: u64 = 64 << 20;

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
