//! The disk: a file in memory, as `examples/c/storage.c` makes it.

use std::io;

use iscsicore::DataList;
use iscsicore::disk::{Allocation, IoError, Op, Outcome};
use rustix::fd::OwnedFd;
use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom};

/// The most extents that are told at a time.
const MOST_EXTENTS: u32 = 256;

pub(crate) struct Disk(OwnedFd);

impl Disk {
    pub(crate) fn new(size: u64) -> io::Result<Self> {
        let file = rustix::fs::memfd_create("disk", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, size)?;
        Ok(Disk(file))
    }

    pub(crate) fn carry_out(&self, op: &Op) -> Outcome {
        let done = match op {
            Op::Read { offset, len } => return self.read(*offset, *len as usize),
            Op::Write { offset, data, .. } => self.write(*offset, data),
            Op::Flush => Ok(()),
            Op::Unmap { ranges } => ranges
                .iter()
                .try_for_each(|(offset, len)| self.allocate(FallocateFlags::PUNCH_HOLE, *offset, *len)),
            Op::WriteZeroes { offset, len, may_unmap } => {
                let how = if *may_unmap { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
                self.allocate(how, *offset, *len)
            }
            Op::Extents { offset, len, most } => return self.extents(*offset, *len, *most),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(rustix::io::Errno::OPNOTSUPP) => Outcome::Failed(IoError::Unsupported),
            Err(rustix::io::Errno::NOSPC) => Outcome::Failed(IoError::NoSpace),
            Err(_) => Outcome::Failed(IoError::Other),
        }
    }

    /// Into memory that nobody has initialised, which is lent to the host.
    fn read(&self, offset: u64, len: usize) -> Outcome {
        let mut buffer = Vec::with_capacity(len);
        while buffer.len() < len {
            let at = offset + buffer.len() as u64;
            match rustix::io::pread(&self.0, rustix::buffer::spare_capacity(&mut buffer), at) {
                Ok(0) | Err(rustix::io::Errno::IO) => {
                    return Outcome::Failed(IoError::Medium { offset: at });
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Outcome::Failed(IoError::Other),
            }
        }
        buffer.truncate(len);
        Outcome::Data(buffer.into())
    }

    fn write(&self, mut offset: u64, data: &DataList) -> rustix::io::Result<()> {
        for chunk in data.chunks() {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let written = rustix::io::pwrite(&self.0, rest, offset)?;
                offset += written as u64;
                rest = &rest[written..];
            }
        }
        Ok(())
    }

    fn allocate(&self, how: FallocateFlags, offset: u64, len: u64) -> rustix::io::Result<()> {
        rustix::fs::fallocate(&self.0, how | FallocateFlags::KEEP_SIZE, offset, len)
    }

    fn extents(&self, offset: u64, len: u64, most: u32) -> Outcome {
        let (mut at, end, mut found) = (offset, offset + len, Vec::new());
        let seek = |from: SeekFrom| rustix::fs::seek(&self.0, from).map_or(end, |to| to.min(end));
        while at < end && found.len() < most.min(MOST_EXTENTS) as usize {
            let data = seek(SeekFrom::Data(at));
            let (next, state) = if data > at {
                (data, Allocation::Deallocated)
            } else {
                (seek(SeekFrom::Hole(at)), Allocation::Mapped)
            };
            if next <= at {
                break;
            }
            found.push((next - at, state));
            at = next;
        }
        Outcome::Extents(found)
    }
}
