//! Blocking storage: what is done when the disk of the core asks for it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::sync::{PoisonError, RwLock};

use iscsicore::disk::{IoError, Op, Outcome};

/// A disk in memory or in a file. Threads may use it at the same time.
#[derive(Debug)]
pub struct Storage {
    size: u64,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    Memory(RwLock<Vec<u8>>),
    File(File),
}

impl Storage {
    /// A disk of `size` zero bytes, gone with the process.
    pub fn memory(size: u64) -> Self {
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        Storage { size, medium: Medium::Memory(RwLock::new(vec![0; len])) }
    }

    /// The first `size` bytes of a file, which is made or made longer where necessary.
    ///
    /// # Errors
    /// The file cannot be opened for reading and writing, or not have that size.
    pub fn file(path: &str, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() < size {
            file.set_len(size)?;
        }
        Ok(Storage { size, medium: Medium::File(file) })
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Carries out what the disk asks for, and blocks until it is done. The disk has checked all ranges already.
    pub fn carry_out(&self, op: Op) -> Outcome {
        let result = match op {
            Op::Read { offset, len } => {
                self.read(offset, len as usize).map(|data| Outcome::Data(data.into()))
            }
            Op::Write { offset, data, fua } => {
                // The payload comes in the slices in which it arrived, so that nobody had to copy it together.
                let mut at = offset;
                let written = data.chunks().try_for_each(|chunk| {
                    self.write(at, chunk)?;
                    at += chunk.len() as u64;
                    Ok(())
                });
                written.and_then(|()| if fua { self.flush() } else { Ok(()) }).map(|()| Outcome::Done)
            }
            Op::Flush => self.flush().map(|()| Outcome::Done),
            // A unit that is fully provisioned is not asked to unmap or for what is, and writes zeroes itself
            // when told that its storage has no better way.
            Op::Unmap { .. } | Op::WriteZeroes { .. } | Op::Extents { .. } => {
                Ok(Outcome::Failed(IoError::Unsupported))
            }
        };
        result.unwrap_or_else(|error| {
            eprintln!("storage: {error}");
            Outcome::Failed(match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => IoError::NoSpace,
                ErrorKind::ReadOnlyFilesystem => IoError::ReadOnly,
                _ => IoError::Other,
            })
        })
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        match &self.medium {
            Medium::Memory(bytes) => {
                let bytes = bytes.read().unwrap_or_else(PoisonError::into_inner);
                let found = range(offset, len).and_then(|range| bytes.get(range));
                found.map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::UnexpectedEof.into())
            }
            Medium::File(file) => {
                let mut buffer = vec![0; len];
                positional::read(file, &mut buffer, offset)?;
                Ok(buffer)
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &self.medium {
            Medium::Memory(bytes) => {
                let mut bytes = bytes.write().unwrap_or_else(PoisonError::into_inner);
                let place = range(offset, data.len()).and_then(|range| bytes.get_mut(range));
                place.ok_or(ErrorKind::UnexpectedEof)?.copy_from_slice(data);
                Ok(())
            }
            Medium::File(file) => positional::write(file, data, offset),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match &self.medium {
            Medium::Memory(_) => Ok(()),
            Medium::File(file) => file.sync_data(),
        }
    }
}

fn range(offset: u64, len: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(len)?)
}

/// Reads and writes at a place in a file without moving a position that threads would have to share.
#[cfg(unix)]
mod positional {
    use std::os::unix::fs::FileExt;

    pub(super) fn read(file: &std::fs::File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    pub(super) fn write(file: &std::fs::File, data: &[u8], offset: u64) -> std::io::Result<()> {
        file.write_all_at(data, offset)
    }
}

/// Reads and writes at a place in a file; the position that moves along is of no meaning.
#[cfg(windows)]
mod positional {
    use std::io::{ErrorKind, Result};
    use std::os::windows::fs::FileExt;

    pub(super) fn read(file: &std::fs::File, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
        while !buffer.is_empty() {
            match file.seek_read(buffer, offset)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
            }
        }
        Ok(())
    }

    pub(super) fn write(file: &std::fs::File, mut data: &[u8], mut offset: u64) -> Result<()> {
        while !data.is_empty() {
            match file.seek_write(data, offset)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => (data, offset) = (&data[n..], offset + n as u64),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use iscsicore::DataList;

    // Goal: both media hold what was written where it was written, and say so when they cannot.
    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        for storage in [Storage::memory(4096), Storage::file(path.to_str().unwrap(), 4096).unwrap()] {
            let data: DataList = [&[1u8; 700][..], &[2; 324]].map(Bytes::from_static).into_iter().collect();
            let write = Op::Write { offset: 512, data: data.clone(), fua: true };
            assert_eq!(storage.carry_out(write), Outcome::Done);
            let want = [&[0; 512][..], &data.to_bytes(), &[0; 512]].concat();
            let read = storage.carry_out(Op::Read { offset: 0, len: 2048 });
            assert_eq!(read, Outcome::Data(want.into()), "{storage:?}");
            assert_eq!(storage.carry_out(Op::Flush), Outcome::Done);
            let beyond = storage.carry_out(Op::Read { offset: 3584, len: 1024 });
            assert_eq!(beyond, Outcome::Failed(IoError::Other));
        }
        let again = Storage::file(path.to_str().unwrap(), 512).unwrap();
        assert_eq!(again.size(), 512);
        assert_eq!(std::fs::metadata(path).unwrap().len(), 4096, "opening never makes a file shorter");
    }
}
