//! Files past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use iscsicore::DataList;
use rustix::fs::OFlags;

use super::aligned::{self, Memory};
use super::handle::{self, Handle};
use super::shard::Shard;
use super::stripes::Stripes;
use super::{Access, IoReply, Missed, Mover, OpenFile, Reply, uring};

/// Bytes move past the page cache (`O_DIRECT`), by the io_uring of the shard.
///
/// *Alignment.* The file system says in which units. A disk may be asked for less, and its file may end within one: a
/// write of a part of a unit reads the rest and writes all of it, alone with that unit; reads take more than was asked
/// for. What stands behind the last whole page of a file that does not end with a unit goes through the page cache,
/// always, so that no page is written both ways.
///
/// *Copies.* Written bytes are copied once, into aligned memory; read ones too, out of it, because glommio's buffers
/// must not leave their thread and answers may.
///
/// *Durability.* The storage may have a volatile cache: a flush and `fua` are an `fdatasync`.
#[derive(Debug)]
pub struct Direct {
    /// What offsets and lengths must be multiples of.
    unit: u64,
    /// What shares no page and no block with its neighbours is a multiple of.
    apart: u64,
    /// Where direct I/O ends, at the latest with the file.
    tail: u64,
    /// The file for threads that are no shards.
    file: File,
    /// None when nobody asks for less than a unit.
    stripes: Option<Stripes>,
}

impl Mover for Direct {
    fn prepare(file: &Arc<OpenFile>) -> io::Result<Self> {
        let (unit, size) = (aligned::unit(file.file())?, file.size());
        let apart = aligned::apart(file.file(), unit)?;
        let mut options = OpenOptions::new();
        options.read(true).write(file.access() == Access::ReadWrite);
        options.custom_flags(OFlags::DIRECT.bits().cast_signed());
        let direct = options.open(handle::again(file)).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => io::Error::new(error.kind(), "there is no direct I/O here"),
            _ => error,
        })?;
        // What the page cache has of the file is in the way: the kernel throws pages out before it writes past them, and
        // when several do so at once in one page it may fail, write through the page cache instead, and report that as an
        // error of the next flush. What is not there cannot be in the way.
        file.file().sync_data()?;
        let _ = rustix::fs::fadvise(file.file(), 0, None, rustix::fs::Advice::DontNeed);
        let tail = if size.is_multiple_of(unit) { size } else { size - size % apart };
        let stripes = (unit > SMALLEST_BLOCK).then(Stripes::new);
        Ok(Direct { unit, apart, tail, file: direct, stripes })
    }

    fn read(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, len: usize) -> IoReply<DataList> {
        if len == 0 {
            return Reply::now(Ok(DataList::new()));
        }
        let mover = Arc::clone(self);
        let Some(shard) = self.shard(offset, len) else {
            return file.blocking(move |file| mover.read_here(file, offset, len));
        };
        let open = Arc::clone(file);
        shard.run(
            file,
            |file| Box::pin(Handle::direct(file)),
            async move |handle: Option<Rc<Handle>>| {
                if let Some(handle) = handle {
                    let done = mover.read_on_shard(&open, &handle, offset, len).await;
                    if !is_unsupported(&done) {
                        return done;
                    }
                }
                open.blocking(move |file| mover.read_here(file, offset, len)).wait().await
            },
        )
    }

    fn write(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        if data.is_empty() {
            return if fua { self.flush(file) } else { Reply::now(Ok(())) };
        }
        let mover = Arc::clone(self);
        let on_thread = move |mover: Arc<Direct>, data: DataList| {
            move |file: &OpenFile| {
                if fua {
                    file.check_writes()?;
                }
                mover.write_here(file, offset, &data)?;
                if fua { file.sync() } else { Ok(()) }
            }
        };
        let Some(shard) = self.shard(offset, data.len()) else {
            return file.blocking(on_thread(mover, data));
        };
        let open = Arc::clone(file);
        shard.run(
            file,
            |file| Box::pin(Handle::direct(file)),
            async move |handle: Option<Rc<Handle>>| {
                if let Some(handle) = handle {
                    let done = mover.write_on_shard(&open, &handle, offset, &data, fua).await;
                    if !is_unsupported(&done) {
                        return done;
                    }
                }
                open.blocking(on_thread(mover, data)).wait().await
            },
        )
    }

    fn flush(self: &Arc<Self>, file: &Arc<OpenFile>) -> IoReply<()> {
        uring::flush(file, |file| Box::pin(Handle::direct(file)))
    }

    fn write_here(&self, file: &OpenFile, offset: u64, data: &DataList) -> io::Result<()> {
        let direct = self.before_tail(offset, data.len());
        if direct > 0 {
            self.write_direct_here(file, offset, &data.slice(0, direct))?;
        }
        file.write_all(offset + direct as u64, &data.slice(direct, data.len() - direct))
    }

    fn grain(&self) -> u64 {
        self.apart
    }

    fn alone(&self, offset: u64, len: u64, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // A write of a part would bring back what it has read before.
        let _held = self.stripes.as_ref().map(|stripes| stripes.own_here(offset, len));
        work()
    }
}

impl Direct {
    /// This shard, when an operation can be carried out by it.
    fn shard(&self, offset: u64, len: usize) -> Option<Shard> {
        if self.before_tail(offset, len) == len { Shard::here() } else { None }
    }

    /// How many of `len` bytes stand before the tail.
    fn before_tail(&self, offset: u64, len: usize) -> usize {
        self.tail.saturating_sub(offset).min(len as u64) as usize
    }

    /// The units that `len` bytes are in: where they begin and end.
    fn units(&self, offset: u64, len: usize) -> (u64, u64) {
        (offset - offset % self.unit, (offset + len as u64).next_multiple_of(self.unit))
    }

    /// What of a read of `count` bytes counts: the kernel may answer with less than it was asked for, and the next read
    /// must begin with a unit.
    fn whole(&self, file: &OpenFile, at: u64, count: usize) -> io::Result<usize> {
        match count - count % self.unit as usize {
            0 => Err(file.cut_short(at + count as u64)),
            whole => Ok(whole),
        }
    }

    async fn read_on_shard(
        &self,
        file: &OpenFile,
        handle: &Handle,
        offset: u64,
        len: usize,
    ) -> io::Result<DataList> {
        let mut memory = Missed::all(offset, len);
        let room = memory.room();
        let ((mut at, stop), end) = (self.units(offset, len), offset + len as u64);
        while at < stop {
            let bytes = handle.read(at, ((stop - at) as usize).min(AT_ONCE)).await?;
            let count = self.whole(file, at, bytes.len())?;
            // The part of it that was asked for.
            let (from, to) = (at.max(offset), (at + count as u64).min(end));
            if from < to {
                room[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            }
            at += count as u64;
        }
        Ok(memory.into_data())
    }

    async fn write_on_shard(
        &self,
        file: &OpenFile,
        handle: &Handle,
        offset: u64,
        data: &DataList,
        fua: bool,
    ) -> io::Result<()> {
        if fua {
            file.check_writes()?;
        }
        let (start, stop) = self.units(offset, data.len());
        if (start, stop) == (offset, offset + data.len() as u64) {
            let _held = match &self.stripes {
                Some(stripes) => Some(stripes.share(start, stop - start).await),
                None => None,
            };
            write_units(handle, offset, data).await?;
        } else {
            let _held = self.stripes()?.own(start, stop - start).await;
            let head = if offset > start {
                self.read_on_shard(file, handle, start, (offset - start) as usize).await?
            } else {
                DataList::new()
            };
            let end = offset + data.len() as u64;
            let tail = if stop > end {
                self.read_on_shard(file, handle, end, (stop - end) as usize).await?
            } else {
                DataList::new()
            };
            write_units(handle, start, &join(head, data, tail)).await?;
        }
        if fua { file.synced(handle.sync().await) } else { Ok(()) }
    }

    fn stripes(&self) -> io::Result<&Stripes> {
        let error = || {
            io::Error::new(io::ErrorKind::InvalidInput, format!("not a multiple of {SMALLEST_BLOCK} bytes"))
        };
        self.stripes.as_ref().ok_or_else(error)
    }

    fn read_here(&self, file: &OpenFile, offset: u64, len: usize) -> io::Result<DataList> {
        let direct = self.before_tail(offset, len);
        let mut data = DataList::new();
        if direct > 0 {
            data = self.read_direct_here(file, offset, direct)?;
        }
        if direct < len {
            let mut tail = Missed::all(offset + direct as u64, len - direct);
            file.read_all(tail.room(), offset + direct as u64)?;
            data.append(tail.into_data());
        }
        Ok(data)
    }

    fn read_direct_here(&self, file: &OpenFile, offset: u64, len: usize) -> io::Result<DataList> {
        let (start, stop) = self.units(offset, len);
        let mut memory = Memory::new((stop - start) as usize);
        let mut done = 0;
        while start + (done as u64) < stop {
            let at = start + done as u64;
            let count = retry(|| self.file.read_at(&mut memory.bytes_mut()[done..], at))?;
            done += self.whole(file, at, count)?;
        }
        let from = (offset - start) as usize;
        Ok(Bytes::from_owner(memory).slice(from..from + len).into())
    }

    fn write_direct_here(&self, file: &OpenFile, offset: u64, data: &DataList) -> io::Result<()> {
        let end = offset + data.len() as u64;
        let (start, stop) = self.units(offset, data.len());
        if (start, stop) == (offset, end) {
            let _held = self.stripes.as_ref().map(|stripes| stripes.share_here(start, stop - start));
            return self.write_units_here(offset, data);
        }
        let _held = self.stripes()?.own_here(start, stop - start);
        let part = |from: u64, to: u64| match to > from {
            true => self.read_direct_here(file, from, (to - from) as usize),
            false => Ok(DataList::new()),
        };
        let (head, tail) = (part(start, offset)?, part(end, stop)?);
        self.write_units_here(start, &join(head, data, tail))
    }

    fn write_units_here(&self, offset: u64, data: &DataList) -> io::Result<()> {
        let mut memory = Memory::new(data.len().min(AT_ONCE));
        let mut done = 0;
        while done < data.len() {
            let len = (data.len() - done).min(AT_ONCE);
            let room = &mut memory.bytes_mut()[..len];
            aligned::copy(data, done, room);
            done += written(retry(|| self.file.write_at(room, offset + done as u64))?)?;
        }
        Ok(())
    }
}

/// Writes whole units.
async fn write_units(handle: &Handle, offset: u64, data: &DataList) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        let len = (data.len() - done).min(AT_ONCE);
        done += written(handle.write(offset + done as u64, data, done, len).await?)?;
    }
    Ok(())
}

/// What a write that did `count` bytes has done. Less than all is whole units; the next write says why.
fn written(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

fn join(head: DataList, data: &DataList, tail: DataList) -> DataList {
    let mut all = head;
    all.append(data.clone());
    all.append(tail);
    all
}

/// Whether io_uring refused what a thread may be able to do.
fn is_unsupported<T>(done: &io::Result<T>) -> bool {
    matches!(done, Err(error) if error.kind() == io::ErrorKind::Unsupported)
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Disks have no smaller blocks, so that nobody asks for less.
const SMALLEST_BLOCK: u64 = 512;
/// Longer operations are done in parts, so that few of them do not take all memory.
const AT_ONCE: usize = 1 << 20;
