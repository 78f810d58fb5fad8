//! A disk in a file or on a block device.

use std::io;
use std::path::Path;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::Allocation;

use super::{Backend, Info, IoReply, Reply, Zeroes, beyond_the_end, within};

mod mover;
mod open;
mod open_file;
mod pace;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "portable.rs")]
mod sys;

pub use mover::{Mover, Pool};
pub use open::{Access, FileOptions, OpenError};
pub use open_file::{Missed, OpenFile};
pub(crate) use open_file::{out_of_space, zero_bytes};

/// A disk in a regular file, which may be sparse, or on a block device.
///
/// *Threads.* How bytes move is up to `M`. With [`Pool`], on Linux, a read that the page cache can answer is answered
/// at once, and a write of up to 256 KiB that the page cache is expected to take without waiting is done at once:
/// [`OpenFile::write_cached`] says when. Everything else runs on threads that are there for what blocks, at most
/// [`FileOptions::in_flight`] operations at a time.
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
pub struct FileBackend<M = Pool> {
    file: Arc<OpenFile>,
    mover: Arc<M>,
}

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
}

impl<M: Mover> FileBackend<M> {
    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    fn blocking<T, W>(&self, work: W) -> IoReply<T>
    where
        T: Send + 'static,
        W: FnOnce(&M, &OpenFile) -> io::Result<T> + Send + 'static,
    {
        let mover = Arc::clone(&self.mover);
        self.file.blocking(move |file| work(&mover, file))
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        let size = self.file.size;
        if within(size, offset, len) { Ok(()) } else { Err(beyond_the_end(size, offset, len)) }
    }

    fn check_write(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.file.access {
            Access::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Access::ReadWrite => self.check(offset, len),
        }
    }
}

impl<M: Mover> Backend for FileBackend<M> {
    fn size(&self) -> u64 {
        self.file.size
    }

    fn info(&self) -> Info {
        match self.file.access {
            Access::ReadOnly => Info::default().with_read_only(),
            Access::ReadWrite => Info { unmap: self.file.unmap, ..Info::default() },
        }
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        match self.check(offset, len as u64) {
            Ok(()) => self.mover.read(&self.file, offset, len),
            Err(error) => Reply::now(Err(error)),
        }
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        match self.check_write(offset, data.len() as u64) {
            Ok(()) => self.mover.write(&self.file, offset, data, fua),
            Err(error) => Reply::now(Err(error)),
        }
    }

    fn flush(&self) -> IoReply<()> {
        match self.file.access {
            Access::ReadOnly => Reply::now(Ok(())),
            Access::ReadWrite => self.mover.flush(&self.file),
        }
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        if let Err(error) = self.check_write(offset, len) {
            return Reply::now(Err(error));
        }
        self.blocking(move |mover, file| {
            with_aligned(mover, file, offset, len, |offset, len| {
                mover.alone(offset, len, || file.punch(offset, len))
            })
        })
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        if let Err(error) = self.check_write(offset, len) {
            return Reply::now(Err(error));
        }
        self.blocking(move |mover, file| {
            with_aligned(mover, file, offset, len, |offset, len| zero(mover, file, offset, len, how))
        })
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        if let Err(error) = self.check(offset, len) {
            return Reply::now(Err(error));
        }
        self.blocking(move |_, file| file.extents(offset, len, most))
    }
}

impl<M> Clone for FileBackend<M> {
    fn clone(&self) -> Self {
        FileBackend { file: Arc::clone(&self.file), mover: Arc::clone(&self.mover) }
    }
}

impl<M> std::fmt::Debug for FileBackend<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBackend").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Does `middle` for the aligned part of a range, and writes zeroes to what is left at its ends.
fn with_aligned<M: Mover>(
    mover: &M,
    file: &OpenFile,
    offset: u64,
    len: u64,
    middle: impl FnOnce(u64, u64) -> io::Result<()>,
) -> io::Result<()> {
    let (end, align) = (offset + len, file.align.max(mover.grain()));
    let start = offset.next_multiple_of(align);
    let stop = end - end % align;
    if start >= stop {
        return write_zero_bytes(mover, file, offset, len);
    }
    write_zero_bytes(mover, file, offset, start - offset)?;
    middle(start, stop - start)?;
    write_zero_bytes(mover, file, stop, end - stop)
}

fn zero<M: Mover>(mover: &M, file: &OpenFile, offset: u64, len: u64, how: Zeroes) -> io::Result<()> {
    let unsupported =
        |result: &io::Result<()>| matches!(result, Err(e) if e.kind() == io::ErrorKind::Unsupported);
    let zeroed = mover.alone(offset, len, || {
        if how == Zeroes::MayUnmap {
            let punched = file.punch(offset, len);
            if !unsupported(&punched) {
                return punched;
            }
        }
        file.zero_range(offset, len)
    });
    if unsupported(&zeroed) { write_zero_bytes(mover, file, offset, len) } else { zeroed }
}

fn write_zero_bytes<M: Mover>(mover: &M, file: &OpenFile, offset: u64, len: u64) -> io::Result<()> {
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let data = zero_bytes(end - at);
        mover.write_here(file, at, &data)?;
        at += data.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
