//! The calls of Linux.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use rustix::fs::{FallocateFlags, FlockOperation, OFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::open::Access;

/// A gathered write at a position; it may write less than it is given.
pub(super) type Write = fn(&File, &[IoSlice<'_>], u64) -> io::Result<usize>;

pub(super) fn read(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pread(file, room, offset)?)
}

/// Reads what is in the page cache.
///
/// # Errors
/// `Unsupported` when the file system never can; `WouldBlock`.
pub(super) fn read_cached(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut rooms = [IoSliceMut::new(room)];
    rustix::io::preadv2(file, &mut rooms, offset, ReadWriteFlags::NOWAIT).map_err(convert)
}

pub(super) fn write(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, slices, offset)?)
}

/// Writes into the page cache.
///
/// # Errors
/// `Unsupported` when the file system can never say whether it would wait; `WouldBlock`. In both cases nothing was
/// written.
pub(super) fn write_cached(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    rustix::io::pwritev2(file, slices, offset, ReadWriteFlags::NOWAIT).map_err(convert)
}

/// Whether a write into the page cache is as a rule so quick that it is worth trying where others wait.
pub(super) const WRITES_INLINE: bool = true;

/// The size of the pages of the page cache.
pub(super) fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Writes and waits until the bytes are on the medium.
///
/// # Errors
/// `Unsupported` when the kernel or the file system cannot, and then nothing was written.
pub(super) fn write_durable(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    rustix::io::pwritev2(file, slices, offset, ReadWriteFlags::DSYNC).map_err(convert)
}

pub(super) fn punch_hole(file: &File, offset: u64, len: u64) -> io::Result<()> {
    fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
}

pub(super) fn zero_range(file: &File, offset: u64, len: u64) -> io::Result<()> {
    fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, offset, len)
}

fn fallocate(file: &File, flags: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, flags, offset, len)).map_err(convert)
}

/// Where data begins at or behind `offset`; none when only a hole follows, or the end.
///
/// # Errors
/// `Unsupported` when the file system does not tell.
pub(super) fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    seek(file, SeekFrom::Data(offset))
}

/// Where a hole begins at or behind `offset`, the end of the file being one; none behind that.
///
/// # Errors
/// `Unsupported` when the file system does not tell.
pub(super) fn next_hole(file: &File, offset: u64) -> io::Result<Option<u64>> {
    seek(file, SeekFrom::Hole(offset))
}

/// Moves the position of the file, which nothing here depends on.
fn seek(file: &File, to: SeekFrom) -> io::Result<Option<u64>> {
    match rustix::io::retry_on_intr(|| rustix::fs::seek(file, to)) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
        Err(errno) => Err(convert(errno)),
    }
}

fn convert(errno: Errno) -> io::Error {
    match errno {
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV => io::ErrorKind::Unsupported.into(),
        other => other.into(),
    }
}

/// Locks the file, or says `WouldBlock`.
pub(super) fn lock(file: &File, access: Access) -> io::Result<()> {
    let how = match access {
        Access::ReadOnly => FlockOperation::NonBlockingLockShared,
        Access::ReadWrite => FlockOperation::NonBlockingLockExclusive,
    };
    Ok(rustix::fs::flock(file, how)?)
}

pub(super) fn unlock(file: &File) {
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Claims a block device from mounts and other exclusive users.
pub(super) fn claim(options: &mut OpenOptions, access: Access) {
    if access == Access::ReadWrite {
        options.custom_flags(OFlags::EXCL.bits().cast_signed());
    }
}

pub(super) fn is_block_device(metadata: &Metadata) -> bool {
    metadata.file_type().is_block_device()
}

/// The granularity of holes, when they can be punched, and what their place must be a multiple of.
///
/// Nothing of the file is changed.
pub(super) fn holes(file: &File, metadata: &Metadata, size: u64) -> (Option<u32>, u64) {
    if is_block_device(metadata) {
        let granularity = queue(metadata, "write_zeroes_max_bytes")
            .and(queue(metadata, "discard_max_bytes"))
            .and_then(|_| queue(metadata, "discard_granularity"));
        let align = queue(metadata, "logical_block_size").unwrap_or(4096);
        return (granularity.map(|g| g.max(align).min(1 << 30) as u32), align);
    }
    let granularity = metadata.blksize().clamp(512, 1 << 20) as u32;
    let works = punch_hole(file, size, granularity.into()).is_ok();
    (works.then_some(granularity), 1)
}

/// A number above zero that the kernel tells of the device's queue. A partition shares that of its disk.
fn queue(metadata: &Metadata, name: &str) -> Option<u64> {
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let device = format!("/sys/dev/block/{major}:{minor}");
    let text = std::fs::read_to_string(format!("{device}/queue/{name}"))
        .or_else(|_| std::fs::read_to_string(format!("{device}/../queue/{name}")))
        .ok()?;
    text.trim().parse().ok().filter(|number| *number > 0)
}
