//! A disk in a file or on a block device.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::disk::Allocation;
use tokio::sync::Semaphore;

use super::extents::Extents;
use super::pool::Buffer;
use super::reply::run_blocking;
use super::{Backend, Info, IoReply, Reply, Zeroes, beyond_the_end, within};

mod open;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "portable.rs")]
mod sys;

pub use open::{Access, FileOptions, OpenError};

/// A disk in a regular file, which may be sparse, or on a block device.
///
/// *Threads.* On Linux a read that the page cache can answer is answered at once. Everything else runs on
/// tokio's blocking threads, at most [`FileOptions::in_flight`] operations at a time.
///
/// *Durability.* Writes go through the page cache; a write with `fua` and a flush reach the medium. When the
/// kernel fails to write acknowledged data back it reports that once and forgets the data. So after a failed
/// flush every further flush and every write with `fua` fails too, until the file is opened anew: an
/// initiator must not mistake a later success for the safety of what was lost.
///
/// *Atomicity.* Is that of the operating system's files. On most file systems of Linux a read beside a write
/// of the same bytes may see any part of it, even a part of a block; two writes of the same page do not mix.
///
/// *Space.* On Linux, unmap punches holes where the file system or the device can, which is tried when the
/// file is opened; elsewhere unmap is not offered. Zeroes are written through the file system's or the
/// device's own operation, or else as data. A full file system is [`io::ErrorKind::StorageFull`]. Extents are
/// those that the file system tells, which counts space that is allocated and was never written as a hole;
/// block devices, and systems other than Linux, tell of no holes.
///
/// *Exclusion.* The file is locked with `flock`: for this process alone when it is writable, shared when it
/// is read-only. A writable block device is also claimed from mounts and from other exclusive users. On
/// Windows the file is opened without sharing; other systems without `flock` have no lock.
///
/// Clones share the file.
#[derive(Clone)]
pub struct FileBackend(Arc<Shared>);

impl FileBackend {
    /// Opens an existing file or block device for reading and writing; its size is the disk's.
    ///
    /// # Errors
    /// See [`FileOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        FileOptions::new().open(path)
    }

    /// Opens an existing file or block device for reading.
    ///
    /// # Errors
    /// See [`FileOptions::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        FileOptions::new().access(Access::ReadOnly).open(path)
    }

    /// Opens a file for reading and writing, or makes it, sparse and of `size` bytes, when there is none.
    ///
    /// # Errors
    /// See [`FileOptions::open`]; a file of another size is one.
    pub fn create(path: impl AsRef<Path>, size: u64) -> Result<Self, OpenError> {
        FileOptions::new().size(size).open(path)
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn off_reactor<T, W>(&self, work: W) -> IoReply<T>
    where
        T: Send + 'static,
        W: FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        Reply::later(async move {
            let permit = Arc::clone(&shared.permits).acquire_owned().await.map_err(io::Error::other)?;
            run_blocking(move || {
                // The permit lasts as long as the work, which outlives a future that is dropped.
                let _permit = permit;
                work(&shared)
            })
            .await
        })
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        let size = self.0.size;
        if within(size, offset, len) { Ok(()) } else { Err(beyond_the_end(size, offset, len)) }
    }

    fn check_write(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.0.access {
            Access::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Access::ReadWrite => self.check(offset, len),
        }
    }
}

impl Backend for FileBackend {
    fn size(&self) -> u64 {
        self.0.size
    }

    fn info(&self) -> Info {
        match self.0.access {
            Access::ReadOnly => Info::default().with_read_only(),
            Access::ReadWrite => Info { unmap: self.0.unmap, ..Info::default() },
        }
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        if let Err(error) = self.check(offset, len as u64) {
            return Reply::now(Err(error));
        }
        let mut buffer = Buffer::new(len);
        let mut done = 0;
        if len <= INLINE_READ && !self.0.no_inline_read.load(Ordering::Relaxed) {
            done = self.0.read_cached(buffer.room(), offset);
            if done == len {
                return Reply::now(Ok(buffer.freeze().into()));
            }
        }
        self.off_reactor(move |shared| {
            shared.read_all(&mut buffer.room()[done..], offset + done as u64)?;
            Ok(buffer.freeze().into())
        })
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        if let Err(error) = self.check_write(offset, data.len() as u64) {
            return Reply::now(Err(error));
        }
        self.off_reactor(move |shared| {
            if fua {
                shared.write_durably(offset, &data)
            } else {
                shared.write_all(offset, &data, sys::write)
            }
        })
    }

    fn flush(&self) -> IoReply<()> {
        match self.0.access {
            Access::ReadOnly => Reply::now(Ok(())),
            Access::ReadWrite => self.off_reactor(Shared::sync),
        }
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        if let Err(error) = self.check_write(offset, len) {
            return Reply::now(Err(error));
        }
        self.off_reactor(move |shared| shared.with_aligned(offset, len, Shared::punch))
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        if let Err(error) = self.check_write(offset, len) {
            return Reply::now(Err(error));
        }
        self.off_reactor(move |shared| {
            shared.with_aligned(offset, len, |shared, offset, len| shared.zero(offset, len, how))
        })
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        if let Err(error) = self.check(offset, len) {
            return Reply::now(Err(error));
        }
        self.off_reactor(move |shared| shared.extents(offset, len, most))
    }
}

impl std::fmt::Debug for FileBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBackend")
            .field("path", &self.0.path)
            .field("size", &self.0.size)
            .field("access", &self.0.access)
            .field("unmap", &self.0.unmap)
            .finish()
    }
}

/// Acknowledged writes were lost, and flushing cannot bring them back.
#[derive(Debug, thiserror::Error)]
#[error("an earlier flush of {} failed, and writes that were acknowledged may be lost: open it anew", path.display())]
struct WritesLost {
    path: PathBuf,
}

struct Shared {
    file: File,
    path: PathBuf,
    size: u64,
    access: Access,
    /// The granularity of holes; none when they cannot be punched.
    unmap: Option<u32>,
    /// What the offsets and lengths of holes must be multiples of.
    align: u64,
    permits: Arc<Semaphore>,
    no_inline_read: AtomicBool,
    no_durable_write: AtomicBool,
    no_zero_range: AtomicBool,
    writes_lost: AtomicBool,
}

impl Shared {
    /// Reads what the page cache has, from the front, without waiting; returns how much that was.
    fn read_cached(&self, room: &mut [u8], offset: u64) -> usize {
        match sys::read_cached(&self.file, room, offset) {
            Ok(done) => done,
            Err(error) => {
                if error.kind() == io::ErrorKind::Unsupported {
                    self.no_inline_read.store(true, Ordering::Relaxed);
                }
                0 // A real error comes again where it can be waited for.
            }
        }
    }

    fn read_all(&self, room: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < room.len() {
            match sys::read(&self.file, &mut room[done..], offset + done as u64) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("{} was cut short: it ends at {}", self.path.display(), offset + done as u64),
                    ));
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_all(&self, mut offset: u64, data: &DataList, write: sys::Write) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = data.chunks().map(|c| IoSlice::new(c)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match write(&self.file, &left[..left.len().min(MAX_SLICES)], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    offset += count as u64;
                    IoSlice::advance_slices(&mut left, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_durably(&self, offset: u64, data: &DataList) -> io::Result<()> {
        self.check_writes()?;
        if !self.no_durable_write.load(Ordering::Relaxed) {
            let Err(error) = self.write_all(offset, data, sys::write_durable) else { return Ok(()) };
            if error.kind() == io::ErrorKind::Unsupported {
                self.no_durable_write.store(true, Ordering::Relaxed);
            } else {
                // No space: was it for these bytes, or for older ones that the write brought to the medium
                // with them? Only the latter fails when the bytes are written again without that.
                if out_of_space(&error) {
                    self.write_all(offset, data, sys::write)?;
                }
                self.writes_lost.store(true, Ordering::Release);
                return Err(error);
            }
        }
        self.write_all(offset, data, sys::write)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        self.check_writes()?;
        let synced = self.file.sync_data();
        if synced.is_err() {
            self.writes_lost.store(true, Ordering::Release);
        }
        synced
    }

    fn check_writes(&self) -> io::Result<()> {
        if self.writes_lost.load(Ordering::Acquire) {
            return Err(io::Error::other(WritesLost { path: self.path.clone() }));
        }
        Ok(())
    }

    /// Does `middle` for the aligned part of a range, and writes zeroes to what is left at its ends.
    fn with_aligned(
        &self,
        offset: u64,
        len: u64,
        middle: impl FnOnce(&Self, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = offset + len;
        let start = offset.next_multiple_of(self.align);
        let stop = end - end % self.align;
        if start >= stop {
            return self.write_zero_bytes(offset, len);
        }
        self.write_zero_bytes(offset, start - offset)?;
        middle(self, start, stop - start)?;
        self.write_zero_bytes(stop, end - stop)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.unmap.is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        sys::punch_hole(&self.file, offset, len)
    }

    fn zero(&self, offset: u64, len: u64, how: Zeroes) -> io::Result<()> {
        let unsupported =
            |result: &io::Result<()>| matches!(result, Err(e) if e.kind() == io::ErrorKind::Unsupported);
        if how == Zeroes::MayUnmap {
            let punched = self.punch(offset, len);
            if !unsupported(&punched) {
                return punched;
            }
        }
        if !self.no_zero_range.load(Ordering::Relaxed) {
            let zeroed = sys::zero_range(&self.file, offset, len);
            if !unsupported(&zeroed) {
                return zeroed;
            }
            self.no_zero_range.store(true, Ordering::Relaxed);
        }
        self.write_zero_bytes(offset, len)
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> io::Result<Vec<(u64, Allocation)>> {
        let metadata = self.file.metadata()?;
        if !metadata.is_file() {
            return Ok(vec![(len, Allocation::Mapped)]);
        }
        match self.find_extents(metadata.len(), offset, offset + len, most) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(vec![(len, Allocation::Mapped)]),
            found => found,
        }
    }

    /// Others write meanwhile, so that what is found is held to the order in which it must come.
    fn find_extents(
        &self,
        file_end: u64,
        mut at: u64,
        end: u64,
        most: usize,
    ) -> io::Result<Vec<(u64, Allocation)>> {
        let mut extents = Extents::new(most);
        let stop = file_end.clamp(at, end);
        while at < stop {
            let data = sys::next_data(&self.file, at)?.map_or(stop, |data| data.clamp(at, stop));
            if !extents.push(data - at, Allocation::Deallocated) || !extents.takes(Allocation::Mapped) {
                return Ok(extents.into_list());
            }
            let hole = sys::next_hole(&self.file, data)?.map_or(stop, |hole| hole.clamp(data, stop));
            if !extents.push(hole - data, Allocation::Mapped) || hole == at {
                return Ok(extents.into_list());
            }
            at = hole;
        }
        // When somebody has cut the file short, reading the rest must fail and not be taken for needless.
        let _ = extents.push(end - stop, Allocation::Mapped);
        Ok(extents.into_list())
    }

    fn write_zero_bytes(&self, offset: u64, len: u64) -> io::Result<()> {
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let data = zero_bytes(end - at);
            self.write_all(at, &data, sys::write)?;
            at += data.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Shared {
    /// Closing would unlock too, but not while a child that is just being started has a copy of the
    /// descriptor.
    fn drop(&mut self) {
        sys::unlock(&self.file);
    }
}

/// `len` zero bytes, or as many as are written in one go.
pub(crate) fn zero_bytes(len: u64) -> DataList {
    static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = len.min(1 << 20) as usize;
    let mut data = DataList::new();
    while left > 0 {
        let take = left.min(ZEROES.len());
        data.push(Bytes::from_static(&ZEROES[..take]));
        left -= take;
    }
    data
}

/// Whether an operation failed because it would have needed more space.
pub(crate) fn out_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Longer reads would keep other connections of the same thread waiting while they are copied.
const INLINE_READ: usize = 256 << 10;
/// What Linux takes in one gathered write.
const MAX_SLICES: usize = 1024;
