//! An open file, and what can be done with it on the calling thread.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::disk::Allocation;
use tokio::sync::Semaphore;

use super::mover::Calls;
use super::pace::Pace;
use super::{Access, sys};
use crate::backend::extents::Extents;
use crate::backend::pool::Buffer;
use crate::backend::reply::run_blocking;
use crate::backend::{IoReply, Reply};

/// The open file of a [`FileBackend`](super::FileBackend), for a [`Mover`](super::Mover) to work on.
pub struct OpenFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) access: Access,
    /// The granularity of holes; none when they cannot be punched.
    pub(super) unmap: Option<u32>,
    /// What the offsets and lengths of holes must be multiples of.
    pub(super) align: u64,
    permits: Arc<Semaphore>,
    pub(super) calls: Calls,
    pace: Pace,
    no_inline_read: AtomicBool,
    no_nowait_write: AtomicBool,
    no_durable_write: AtomicBool,
    no_zero_range: AtomicBool,
    writes_lost: AtomicBool,
}

impl OpenFile {
    pub(super) fn new(
        file: File,
        path: PathBuf,
        size: u64,
        access: Access,
        (unmap, align): (Option<u32>, u64),
        in_flight: usize,
    ) -> Self {
        OpenFile {
            file,
            path,
            size,
            access,
            unmap,
            align,
            permits: Arc::new(Semaphore::new(in_flight)),
            calls: Calls::default(),
            pace: Pace::default(),
            no_inline_read: AtomicBool::new(false),
            no_nowait_write: AtomicBool::new(false),
            no_durable_write: AtomicBool::new(false),
            no_zero_range: AtomicBool::new(false),
            writes_lost: AtomicBool::new(false),
        }
    }

    /// The file itself. It is locked; its position is nobody's.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What may be done with it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Runs `work`, which may wait, on a thread that is there for it, as soon as there is a place for one more
    /// ([`FileOptions::in_flight`](super::FileOptions::in_flight)).
    pub fn blocking<T, W>(self: &Arc<Self>, work: W) -> IoReply<T>
    where
        T: Send + 'static,
        W: FnOnce(&OpenFile) -> io::Result<T> + Send + 'static,
    {
        let file = Arc::clone(self);
        Reply::later(async move {
            let permit = Arc::clone(&file.permits).acquire_owned().await.map_err(io::Error::other)?;
            run_blocking(move || {
                // The permit lasts as long as the work, which outlives a future that is dropped.
                let _permit = permit;
                work(&file)
            })
            .await
        })
    }

    /// Reads without waiting what the page cache has.
    ///
    /// # Errors
    /// The memory to read into, when not all was there or the read is a long one.
    pub fn read_cached(&self, offset: u64, len: usize) -> Result<DataList, Missed> {
        let mut buffer = Buffer::new(len);
        let mut done = 0;
        if len <= INLINE && !self.no_inline_read.load(Ordering::Relaxed) {
            done = self.read_cached_into(buffer.room(), offset);
            if done == len {
                return Ok(buffer.freeze().into());
            }
        }
        Err(Missed { buffer, offset, done })
    }

    fn read_cached_into(&self, room: &mut [u8], offset: u64) -> usize {
        match (self.calls.read_cached)(&self.file, room, offset) {
            Ok(done) => done,
            Err(error) => {
                if error.kind() == io::ErrorKind::Unsupported {
                    self.no_inline_read.store(true, Ordering::Relaxed);
                }
                0 // A real error comes again where it can be waited for.
            }
        }
    }

    /// Writes into the page cache, if that is not going to wait; none when it may, or is too much for a thread that
    /// others wait for: the write is then to be done elsewhere, from its beginning.
    ///
    /// Where the kernel can say that it would wait, it is asked. Otherwise the write may in fact wait, and then the
    /// next ones are not tried for a while.
    pub fn write_cached(&self, offset: u64, data: &DataList) -> Option<io::Result<()>> {
        let began = (self.calls.now)();
        let len = data.len() as u64;
        if len > INLINE as u64 || !self.pace.allows(began) || !self.ends_are_cached(offset, len) {
            return None;
        }
        if !self.no_nowait_write.load(Ordering::Relaxed) {
            let mut whole = true;
            let written = self.write_with(offset, data, |file, slices, at| {
                let count = (self.calls.write_cached)(file, slices, at);
                // The rest of a write that was cut short would only wait.
                whole &= count.is_err() || at + *count.as_ref().unwrap_or(&0) as u64 == offset + len;
                if whole { count } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            self.pace.took(began, (self.calls.now)());
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.no_nowait_write.store(true, Ordering::Relaxed);
                    if !sys::WRITES_INLINE {
                        return None;
                    }
                }
                other => return Some(other),
            }
        } else if !sys::WRITES_INLINE {
            return None;
        }
        let written = self.write_all(offset, data);
        self.pace.took(began, (self.calls.now)());
        Some(written)
    }

    /// Whether the pages of which only a part is written are in memory: otherwise they would be read first.
    fn ends_are_cached(&self, offset: u64, len: u64) -> bool {
        let (page, end) = (sys::page_size(), offset + len);
        let cached = |at| self.read_cached_into(&mut [0], at) == 1;
        let head = !offset.is_multiple_of(page);
        let one_page = head && offset / page == end / page;
        let tail = !one_page && !end.is_multiple_of(page);
        (!head || cached(offset)) && (!tail || cached(end - 1))
    }

    /// Fills `room`.
    ///
    /// # Errors
    /// Those of the operating system; `UnexpectedEof` when somebody has cut the file short.
    pub fn read_all(&self, room: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < room.len() {
            match sys::read(&self.file, &mut room[done..], offset + done as u64) {
                Ok(0) => return Err(self.cut_short(offset + done as u64)),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The error of a file that ends at `at`, before its size.
    pub fn cut_short(&self, at: u64) -> io::Error {
        let what = format!("{} was cut short: it ends at {at}", self.path.display());
        io::Error::new(io::ErrorKind::UnexpectedEof, what)
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn write_all(&self, offset: u64, data: &DataList) -> io::Result<()> {
        self.write_with(offset, data, self.calls.write)
    }

    fn write_with(
        &self,
        mut offset: u64,
        data: &DataList,
        mut write: impl FnMut(&File, &[IoSlice<'_>], u64) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut few = [IoSlice::new(&[]); 8];
        let mut many = Vec::new();
        let mut left = gather(data, &mut few, &mut many);
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

    /// Writes all of `data` and waits until it is on the medium.
    ///
    /// # Errors
    /// Those of the operating system; any, once acknowledged writes were lost.
    pub fn write_durably(&self, offset: u64, data: &DataList) -> io::Result<()> {
        self.check_writes()?;
        if !self.no_durable_write.load(Ordering::Relaxed) {
            let Err(error) = self.write_with(offset, data, sys::write_durable) else { return Ok(()) };
            if error.kind() == io::ErrorKind::Unsupported {
                self.no_durable_write.store(true, Ordering::Relaxed);
            } else {
                // No space: was it for these bytes, or for older ones that the write brought to the medium
                // with them? Only the latter fails when the bytes are written again without that.
                if out_of_space(&error) {
                    self.write_all(offset, data)?;
                }
                self.writes_lost.store(true, Ordering::Release);
                return Err(error);
            }
        }
        self.write_all(offset, data)?;
        self.sync()
    }

    /// Waits until all that was written is on the medium.
    ///
    /// # Errors
    /// Those of the operating system; any, once acknowledged writes were lost.
    pub fn sync(&self) -> io::Result<()> {
        self.check_writes()?;
        self.synced(self.file.sync_data())
    }

    /// Takes note of what became of an `fdatasync` of this file.
    ///
    /// # Errors
    /// The one that is given.
    pub fn synced(&self, synced: io::Result<()>) -> io::Result<()> {
        if synced.is_err() {
            self.writes_lost.store(true, Ordering::Release);
        }
        synced
    }

    /// Whether a flush can still tell the truth.
    ///
    /// # Errors
    /// When a flush failed before.
    pub fn check_writes(&self) -> io::Result<()> {
        if self.writes_lost.load(Ordering::Acquire) {
            return Err(io::Error::other(WritesLost { path: self.path.clone() }));
        }
        Ok(())
    }

    /// Punches a hole; `Unsupported` when that is not to be had.
    pub(super) fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.unmap.is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        sys::punch_hole(&self.file, offset, len)
    }

    /// Zeroes a range without writing it; `Unsupported` when that is not to be had.
    pub(super) fn zero_range(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.no_zero_range.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let zeroed = sys::zero_range(&self.file, offset, len);
        if matches!(&zeroed, Err(error) if error.kind() == io::ErrorKind::Unsupported) {
            self.no_zero_range.store(true, Ordering::Relaxed);
        }
        zeroed
    }

    pub(super) fn extents(&self, offset: u64, len: u64, most: usize) -> io::Result<Vec<(u64, Allocation)>> {
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
}

impl Drop for OpenFile {
    /// Closing would unlock too, but not while a child that is just being started has a copy of the
    /// descriptor.
    fn drop(&mut self) {
        sys::unlock(&self.file);
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile")
            .field("path", &self.path)
            .field("size", &self.size)
            .field("access", &self.access)
            .field("unmap", &self.unmap)
            .finish()
    }
}

/// A read that the page cache could not answer, or not all of it: memory for the data.
pub struct Missed {
    buffer: Buffer,
    offset: u64,
    done: usize,
}

impl Missed {
    /// Memory for a read of which nothing has been done.
    pub fn all(offset: u64, len: usize) -> Self {
        Missed { buffer: Buffer::new(len), offset, done: 0 }
    }

    /// Where the bytes stand that are missing.
    pub fn offset(&self) -> u64 {
        self.offset + self.done as u64
    }

    /// The memory for the bytes that are missing.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer.room()[self.done..]
    }

    /// All of the data, once the room has been filled.
    pub fn into_data(self) -> DataList {
        self.buffer.freeze().into()
    }
}

impl std::fmt::Debug for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Missed").field("offset", &self.offset()).finish_non_exhaustive()
    }
}

/// The chunks of `data` as slices, in `few` when that is enough.
fn gather<'a, 'd>(
    data: &'d DataList,
    few: &'a mut [IoSlice<'d>],
    many: &'a mut Vec<IoSlice<'d>>,
) -> &'a mut [IoSlice<'d>] {
    let mut chunks = data.chunks().map(|chunk| IoSlice::new(chunk));
    let mut count = 0;
    for (room, slice) in few.iter_mut().zip(&mut chunks) {
        *room = slice;
        count += 1;
    }
    let Some(next) = chunks.next() else { return &mut few[..count] };
    many.extend(few.iter().copied());
    many.push(next);
    many.extend(chunks);
    many
}

/// Acknowledged writes were lost, and flushing cannot bring them back.
#[derive(Debug, thiserror::Error)]
#[error("an earlier flush of {} failed, and writes that were acknowledged may be lost: open it anew", path.display())]
struct WritesLost {
    path: PathBuf,
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

/// Longer reads and writes would keep other connections of the same thread waiting while they are copied.
const INLINE: usize = 256 << 10;
/// What Linux takes in one gathered write.
const MAX_SLICES: usize = 1024;
