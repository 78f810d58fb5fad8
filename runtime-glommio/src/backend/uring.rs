//! Files through the page cache and io_uring.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use iscsicore::DataList;

use super::handle::Handle;
use super::shard::{Opening, Shard};
use super::{IoReply, Missed, Mover, OpenFile, Reply};

/// Bytes move through the page cache: at once when that does not wait; reads of what it lacks, and flushes, by the
/// io_uring of the shard.
///
/// Writes that would wait, or are long, go to threads: io_uring gives a write that cannot be absorbed at once to a thread
/// too, and glommio would want all of it copied into a vector first. So do long reads, which would be copied once more.
#[derive(Debug)]
pub struct Uring(());

impl Mover for Uring {
    fn prepare(_: &Arc<OpenFile>) -> io::Result<Self> {
        Ok(Uring(()))
    }

    fn read(self: &Arc<Self>, file: &Arc<OpenFile>, offset: u64, len: usize) -> IoReply<DataList> {
        let missed = match file.read_cached(offset, len) {
            Ok(data) => return Reply::now(Ok(data)),
            Err(missed) => missed,
        };
        let Some(shard) = Shard::here().filter(|_| len <= LONG) else { return read_on_thread(file, missed) };
        let open = Arc::clone(file);
        shard.run(
            file,
            |file| Box::pin(Handle::cached(file)),
            async move |handle: Option<Rc<Handle>>| match handle {
                Some(handle) => fill(&open, &handle, missed).await,
                None => read_on_thread(&open, missed).wait().await,
            },
        )
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
        flush(file, |file| Box::pin(Handle::cached(file)))
    }
}

/// Makes durable what has been written, by whichever way.
pub(super) fn flush(file: &Arc<OpenFile>, how: fn(Arc<OpenFile>) -> Opening) -> IoReply<()> {
    let Some(shard) = Shard::here() else { return file.blocking(OpenFile::sync) };
    let open = Arc::clone(file);
    shard.run(file, how, async move |handle: Option<Rc<Handle>>| {
        let Some(handle) = handle else { return open.blocking(OpenFile::sync).wait().await };
        open.check_writes()?;
        open.synced(handle.sync().await)
    })
}

fn read_on_thread(file: &Arc<OpenFile>, mut missed: Missed) -> IoReply<DataList> {
    file.blocking(move |file| {
        let at = missed.offset();
        file.read_all(missed.room(), at)?;
        Ok(missed.into_data())
    })
}

/// Reads what is missing. glommio reads into memory of its own, so that it is copied once.
async fn fill(file: &OpenFile, handle: &Handle, mut missed: Missed) -> io::Result<DataList> {
    let at = missed.offset();
    let room = missed.room();
    let mut done = 0;
    while done < room.len() {
        let bytes = handle.read(at + done as u64, room.len() - done).await?;
        if bytes.is_empty() {
            return Err(file.cut_short(at + done as u64));
        }
        room[done..done + bytes.len()].copy_from_slice(&bytes);
        done += bytes.len();
    }
    Ok(missed.into_data())
}

/// Longer reads go to threads.
const LONG: usize = 256 << 10;
