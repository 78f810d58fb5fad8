//! The calls of systems other than Linux: what the standard library has, and no more.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSlice};

use super::open::Access;

/// A gathered write at a position; it may write less than it is given.
pub(super) type Write = fn(&File, &[IoSlice<'_>], u64) -> io::Result<usize>;

#[cfg(unix)]
pub(super) fn read(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, room, offset)
}

#[cfg(windows)]
pub(super) fn read(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, room, offset)
}

#[cfg(unix)]
pub(super) fn write(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    let first = slices.iter().find(|s| !s.is_empty()).map_or(&[][..], |s| s);
    std::os::unix::fs::FileExt::write_at(file, first, offset)
}

#[cfg(windows)]
pub(super) fn write(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    let first = slices.iter().find(|s| !s.is_empty()).map_or(&[][..], |s| s);
    std::os::windows::fs::FileExt::seek_write(file, first, offset)
}

pub(super) fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn write_cached(_: &File, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) const WRITES_INLINE: bool = false;

pub(super) fn page_size() -> u64 {
    4096
}

pub(super) fn write_durable(_: &File, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn zero_range(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn next_data(_: &File, _: u64) -> io::Result<Option<u64>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn next_hole(_: &File, _: u64) -> io::Result<Option<u64>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
pub(super) fn lock(file: &File, access: Access) -> io::Result<()> {
    use rustix::fs::FlockOperation;
    let how = match access {
        Access::ReadOnly => FlockOperation::NonBlockingLockShared,
        Access::ReadWrite => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(file, how) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(unix)]
pub(super) fn unlock(file: &File) {
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(windows)]
pub(super) fn unlock(_: &File) {}

/// The share mode that the file was opened with is the lock.
#[cfg(windows)]
pub(super) fn lock(_: &File, _: Access) -> io::Result<()> {
    Ok(())
}

/// Keeps others from opening the file: from writing it, and from reading it too while we write.
#[cfg(windows)]
pub(super) fn claim_file(options: &mut OpenOptions, access: Access) {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_READ: u32 = 1;
    options.share_mode(if access == Access::ReadOnly { FILE_SHARE_READ } else { 0 });
}

pub(super) fn claim(_: &mut OpenOptions, _: Access) {}

#[cfg(unix)]
pub(super) fn is_block_device(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&metadata.file_type())
}

#[cfg(windows)]
pub(super) fn is_block_device(_: &Metadata) -> bool {
    false
}

pub(super) fn holes(_: &File, _: &Metadata, _: u64) -> (Option<u32>, u64) {
    (None, 1)
}
