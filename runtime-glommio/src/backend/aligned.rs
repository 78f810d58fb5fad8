//! What direct I/O wants to be aligned, and memory that is.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use iscsicore::DataList;
use rustix::fs::{AtFlags, StatxFlags};

/// What offsets and lengths of direct I/O on `file` must be multiples of.
///
/// The file system knows, and says so since Linux 6.1. Before, or where it is silent, the block size of the file system
/// is more than what is needed; for a block device it is the kernel's own buffering unit of it.
pub(super) fn unit(file: &File) -> io::Result<u64> {
    let told = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
    let told = told.ok().filter(|statx| statx.stx_mask & StatxFlags::DIOALIGN.bits() != 0);
    let unit = match told.map(|statx| u64::from(statx.stx_dio_offset_align)) {
        // Memory comes in pages.
        Some(unit) if unit > 0 => unit,
        Some(_) => return Err(io::Error::new(io::ErrorKind::Unsupported, "there is no direct I/O here")),
        None => file.metadata()?.blksize(),
    };
    Ok(unit.next_power_of_two().max(512))
}

/// What a part of the file must be a multiple of to share no page and no block with another.
pub(super) fn apart(file: &File, unit: u64) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let block = if metadata.file_type().is_block_device() { 0 } else { metadata.blksize() };
    Ok(unit.max(block.next_power_of_two()).max(4096))
}

/// Memory that direct I/O can use, without what glommio has for a shard.
pub(super) struct Memory {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Memory {
    pub(super) fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGN];
        // Its address does not change any more.
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Memory { bytes, start, len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// Copies the bytes of `data` from `from` on, as many as `to` has room for.
pub(super) fn copy(data: &DataList, mut from: usize, mut to: &mut [u8]) {
    for chunk in data.chunks() {
        if from >= chunk.len() {
            from -= chunk.len();
            continue;
        }
        let take = (chunk.len() - from).min(to.len());
        let (room, rest) = to.split_at_mut(take);
        room.copy_from_slice(&chunk[from..from + take]);
        (to, from) = (rest, 0);
        if to.is_empty() {
            return;
        }
    }
}

/// No device asks for more.
const ALIGN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned() {
        for len in [1, 512, 4096, 1 << 20] {
            let mut memory = Memory::new(len);
            assert_eq!(memory.bytes().as_ptr() as usize % ALIGN, 0);
            assert_eq!(memory.bytes_mut().len(), len);
        }
    }

    #[test]
    fn any_part_of_a_list_is_copied() {
        let bytes: Vec<u8> = (0..100).collect();
        let data: DataList = bytes.chunks(7).map(bytes::Bytes::copy_from_slice).collect();
        for from in 0..100 {
            for len in 0..=100 - from {
                let mut to = vec![0; len];
                copy(&data, from, &mut to);
                assert_eq!(to, bytes[from..from + len]);
            }
        }
    }
}
