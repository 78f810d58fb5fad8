//! Storage: the trait a back end implements, and the back ends of this crate.
//!
//! [`MemoryBackend`] keeps a sparse disk in memory, [`FileBackend`] serves a file or a block device, and
//! [`Scripted`] wraps another back end to delay or fail chosen operations in tests. Anything else is a
//! [`Backend`] of yours. A whole one, over a client of some object store:
//!
//! ```
//! use bytes::Bytes;
//! use iscsicore::DataList;
//! use iscsicore_runtime::backend::{Backend, IoReply, Reply};
//! # mod store {
//! #     #[derive(Clone)]
//! #     pub struct Client;
//! #     impl Client {
//! #         pub async fn get(&self, _: u64, len: usize) -> std::io::Result<bytes::Bytes> { Ok(vec![7; len].into()) }
//! #         pub async fn put(&self, _: u64, _: bytes::Bytes) -> std::io::Result<()> { Ok(()) }
//! #         pub async fn sync(&self) -> std::io::Result<()> { Ok(()) }
//! #     }
//! # }
//!
//! struct Remote {
//!     client: store::Client, // a cheap handle: a clone of it moves into each future
//!     size: u64,
//! }
//!
//! impl Backend for Remote {
//!     fn size(&self) -> u64 {
//!         self.size
//!     }
//!
//!     fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
//!         let client = self.client.clone();
//!         Reply::later(async move { Ok(client.get(offset, len).await?.into()) })
//!     }
//!
//!     fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
//!         let client = self.client.clone();
//!         Reply::later(async move {
//!             client.put(offset, data.to_bytes()).await?;
//!             if fua { client.sync().await } else { Ok(()) }
//!         })
//!     }
//!
//!     fn flush(&self) -> IoReply<()> {
//!         let client = self.client.clone();
//!         Reply::later(async move { client.sync().await })
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let disk = Remote { client: store::Client, size: 1 << 20 };
//! # assert_eq!(disk.read(0, 512).wait().await.unwrap().to_bytes(), Bytes::from(vec![7; 512]));
//! # disk.write(0, DataList::from(vec![1; 512]), true).wait().await.unwrap();
//! # }
//! ```
//!
//! Storage with a blocking interface writes `Reply::blocking(move || ..)` instead, and storage that answers
//! without waiting `Reply::now(..)`.

use std::io;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::Allocation;

mod extents;
mod file;
mod memory;
mod pool;
mod reply;
mod scripted;

pub use file::{Access, FileBackend, FileOptions, Missed, Mover, OpenError, OpenFile, Pool};
pub(crate) use file::{out_of_space, zero_bytes};
pub use memory::MemoryBackend;
pub use reply::{IoReply, Reply};
pub use scripted::{Call, Fault, Gate, Kind, Scripted};

/// Storage for one disk: a fixed number of bytes that can be read and written anywhere.
///
/// *Ranges.* Offsets and lengths are bytes, and multiples of the disk's block size. [`submit`](crate::submit)
/// checks every range against [`size`](Self::size) before it calls, so that an implementation is never asked
/// beyond its end; it must not panic when somebody else does.
///
/// *Concurrency.* Any number of operations run at a time, in any order. An operation takes effect before its
/// reply is ready, so that one which is asked for after that sees it. Of overlapping operations that run
/// together either may come first, and a read beside a write may see some of it; each back end says how much.
///
/// *Not waited for.* A future may be dropped before it is ready. What it was doing may still take effect,
/// even later; so a caller that must know (to answer an abort, say) waits instead of dropping.
///
/// *Durability.* A write may stay in a volatile cache until [`flush`](Self::flush) succeeds, unless it
/// carried `fua`.
pub trait Backend: Send + Sync + 'static {
    /// The number of bytes.
    fn size(&self) -> u64;

    /// What the storage can do and how it likes to be used.
    ///
    /// The default is a writable disk with a volatile cache and without unmap.
    fn info(&self) -> Info {
        Info::default()
    }

    /// Reads exactly `len` bytes at `offset`. Bytes that were never written read as zeroes.
    fn read(&self, offset: u64, len: usize) -> IoReply<DataList>;

    /// Writes all of `data` at `offset`; with `fua` the bytes are durable when the reply is ready.
    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()>;

    /// Makes every write durable whose reply was ready before this call.
    fn flush(&self) -> IoReply<()>;

    /// Gives the space of `len` bytes at `offset` back; they read as zeroes afterwards, all of them.
    ///
    /// Called only when [`Info::unmap`] is there. The default answers [`io::ErrorKind::Unsupported`].
    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        let _ = (offset, len);
        Reply::unsupported()
    }

    /// Writes `len` zero bytes at `offset` in a cheaper way than [`write`](Self::write) can; with
    /// [`Zeroes::MayUnmap`] their space may be given back too.
    ///
    /// The default answers [`io::ErrorKind::Unsupported`], upon which [`submit`](crate::submit) writes
    /// zeroes.
    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        let _ = (offset, len, how);
        Reply::unsupported()
    }

    /// Tells which parts of `len` bytes at `offset` have space behind them: the lengths of at most `most`
    /// consecutive extents from `offset` on, and what is behind each. They may end before the range does.
    ///
    /// What is told to be [`Allocation::Deallocated`] must read as zeroes. Asked only when [`Info::unmap`] is
    /// there, for GET LBA STATUS, by which initiators find out what they need not copy. The default knows of
    /// no holes.
    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        let _ = (offset, most);
        Reply::now(Ok(vec![(len, Allocation::Mapped)]))
    }
}

impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn info(&self) -> Info {
        (**self).info()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        (**self).read(offset, len)
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        (**self).write(offset, data, fua)
    }

    fn flush(&self) -> IoReply<()> {
        (**self).flush()
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        (**self).unmap(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        (**self).write_zeroes(offset, len, how)
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        (**self).extents(offset, len, most)
    }
}

/// Whether zeroes must occupy space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeroes {
    /// The space stays allocated, so that a later write does not run out of it.
    KeepAllocated,
    /// The space may be given back.
    MayUnmap,
}

/// What a back end can do, for the disk to tell initiators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Every write is going to fail with [`io::ErrorKind::ReadOnlyFilesystem`].
    pub read_only: bool,
    /// Writes without `fua` may be lost until a flush, when the storage loses its power.
    pub volatile_cache: bool,
    /// The granularity in bytes in which [`Backend::unmap`] really frees space; `None` when unmap is not
    /// carried out, and then it must not be advertised.
    pub unmap: Option<u32>,
}

impl Default for Info {
    fn default() -> Self {
        Info { read_only: false, volatile_cache: true, unmap: None }
    }
}

impl Info {
    /// Says that the storage cannot be written.
    #[must_use]
    pub fn with_read_only(self) -> Self {
        Info { read_only: true, ..self }
    }

    /// Says that a write is as durable as it gets once its reply is ready.
    #[must_use]
    pub fn without_volatile_cache(self) -> Self {
        Info { volatile_cache: false, ..self }
    }

    /// Says that unmap is carried out, in units of `granularity` bytes.
    #[must_use]
    pub fn with_unmap(self, granularity: u32) -> Self {
        Info { unmap: Some(granularity), ..self }
    }
}

/// The medium failed at a known place: inside an [`io::Error`], it tells the initiator where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the medium failed at byte {offset}")]
pub struct MediumError {
    /// The first byte that could not be read or written.
    pub offset: u64,
}

impl From<MediumError> for io::Error {
    fn from(error: MediumError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Whether `len` bytes at `offset` lie within `size` bytes.
pub(crate) fn within(size: u64, offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= size)
}

/// The error of a back end that was asked beyond its end.
pub(crate) fn beyond_the_end(size: u64, offset: u64, len: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{len} bytes at {offset} reach beyond the end of {size} bytes"),
    )
}
