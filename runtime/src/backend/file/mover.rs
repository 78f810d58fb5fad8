//! How the bytes of a file move.

use std::fs::File;
use std::io;
use std::sync::Arc;

use iscsicore::DataList;

use super::{OpenFile, sys};
use crate::backend::{IoReply, Reply};

/// How the bytes of a file get into memory and back; everything else that a [`FileBackend`](super::FileBackend) does
/// is the same however they move.
///
/// Ranges have been checked against the size of the file, and writes against its access.
pub trait Mover: Send + Sync + Sized + 'static {
    /// Makes what is needed beside the open file.
    ///
    /// # Errors
    /// When the file cannot be used like this.
    fn prepare(file: &Arc<OpenFile>) -> io::Result<Self>;

    /// Reads exactly `len` bytes.
    fn read(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, len: usize) -> IoReply<DataList>;

    /// Writes all of `data`; with `fua` it is durable afterwards.
    fn write(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, data: DataList, fua: bool) -> IoReply<()>;

    /// Makes durable what has been written.
    fn flush(self: &Arc<Self>, file: &Arc<OpenFile>) -> IoReply<()>;

    /// Writes all of `data` from a thread that may wait.
    ///
    /// # Errors
    /// Those of the operating system.
    fn write_here(&self, file: &OpenFile, offset: u64, data: &DataList) -> io::Result<()> {
        file.write_all(offset, data)
    }

    /// What the ends of ranges that are zeroed or given back in another way than by writing must be multiples of.
    fn grain(&self) -> u64 {
        1
    }

    /// Does `work`, which changes `len` bytes at `offset` in another way than by writing, from a thread that may wait;
    /// no write that reads before it writes may overlap it.
    ///
    /// # Errors
    /// Those of `work`.
    fn alone(&self, offset: u64, len: u64, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let _ = (offset, len);
        work()
    }
}

/// Bytes move through the page cache: at once when that does not wait, or else on threads that are there for it.
#[derive(Debug)]
pub struct Pool(());

impl Mover for Pool {
    fn prepare(_: &Arc<OpenFile>) -> io::Result<Self> {
        Ok(Pool(()))
    }

    fn read(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, len: usize) -> IoReply<DataList> {
        match file.read_cached(offset, len) {
            Ok(data) => Reply::now(Ok(data)),
            Err(mut missed) => file.blocking(move |file| {
                let at = missed.offset();
                file.read_all(missed.room(), at)?;
                Ok(missed.into_data())
            }),
        }
    }

    fn write(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        if fua {
            return file.blocking(move |file| file.write_durably(offset, &data));
        }
        match file.write_cached(offset, &data) {
            Some(written) => Reply::now(written),
            None => file.blocking(move |file| file.write_all(offset, &data)),
        }
    }

    fn flush(self: &Arc<Self>, file: &Arc<OpenFile>) -> IoReply<()> {
        file.blocking(OpenFile::sync)
    }
}

/// What of the operating system a test may want to be different.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    pub(super) write: sys::Write,
    pub(super) write_cached: sys::Write,
    pub(super) read_cached: fn(&File, &mut [u8], u64) -> io::Result<usize>,
    /// Nanoseconds of any clock that does not jump.
    pub(super) now: fn() -> u64,
}

impl Default for Calls {
    fn default() -> Self {
        Calls { write: sys::write, write_cached: sys::write_cached, read_cached: sys::read_cached, now }
    }
}

fn now() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}
