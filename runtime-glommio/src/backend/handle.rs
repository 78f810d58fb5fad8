//! A file as glommio has it.

use std::io;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use glommio::io::{BufferedFile, DmaFile, OpenOptions, ReadResult};
use iscsicore::DataList;
use rustix::fs::OFlags;

use super::{Access, OpenFile};

/// A file that is open on this shard.
#[derive(Debug)]
pub(super) enum Handle {
    /// Through the page cache; and for direct I/O that is never written, which does not need a [`DmaFile`].
    Buffered(BufferedFile),
    Direct(DmaFile),
}

impl Handle {
    /// Opens `file` once more, to be used through the page cache.
    pub(super) async fn cached(file: Arc<OpenFile>) -> io::Result<Self> {
        Ok(Handle::Buffered(options(&file).buffered_open(again(&file)).await?))
    }

    /// Opens `file` once more, past the page cache.
    pub(super) async fn direct(file: Arc<OpenFile>) -> io::Result<Self> {
        let path = again(&file);
        if file.access() == Access::ReadOnly {
            // Only writes need a buffer of DmaFile. Reads go to aligned buffers either way, and this way without its
            // probe for polled I/O (below).
            return Ok(Handle::Buffered(direct_options(&file).buffered_open(path).await?));
        }
        // glommio reads the first block of the first DmaFile that a thread opens on a device, to find out whether the
        // device can be polled; whatever succeeds without reaching the device makes it believe so, and then every later
        // operation fails with EOPNOTSUPP. That is known of empty files, and goes for a hole at the beginning too, which
        // a new sparse disk has. A file that is open for writing alone cannot be read: the probe fails, which glommio
        // takes for a no (and logs). `DmaFile::create` opens like this, so its files cannot be read at all.
        if begins_with_a_hole(&file) {
            let probe = OpenOptions::new().write(true).clone();
            guarded(probe.dma_open(path.clone())).await?.close().await?;
        }
        Ok(Handle::Direct(guarded(direct_options(&file).dma_open(path)).await?))
    }

    /// Reads up to `len` bytes.
    pub(super) async fn read(&self, offset: u64, len: usize) -> io::Result<ReadResult> {
        Ok(match self {
            Handle::Buffered(file) => file.read_at(offset, len).await?,
            // `read_at` would align by what glommio takes for the alignment: the block size of the disk with the minor
            // number 0, whichever disk the file is on. Ours is that of the file.
            Handle::Direct(file) => file.read_at_aligned(offset, len).await?,
        })
    }

    /// Writes `len` bytes of `data` from `from` on, or fewer; direct files only.
    pub(super) async fn write(
        &self,
        offset: u64,
        data: &DataList,
        from: usize,
        len: usize,
    ) -> io::Result<usize> {
        let Handle::Direct(file) = self else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        let mut buffer = file.alloc_dma_buffer(len);
        super::aligned::copy(data, from, buffer.as_bytes_mut());
        Ok(file.write_at(buffer, offset).await?)
    }

    pub(super) async fn sync(&self) -> io::Result<()> {
        match self {
            Handle::Buffered(file) => file.fdatasync().await?,
            Handle::Direct(file) => file.fdatasync().await?,
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        // Nothing is lost when it fails: what had to be durable was flushed.
        let _ = match self {
            Handle::Buffered(file) => file.close().await,
            Handle::Direct(file) => file.close().await,
        };
    }
}

fn options(file: &OpenFile) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(file.access() == Access::ReadWrite);
    options
}

/// glommio sets `O_DIRECT` by itself, but not on tmpfs; and takes every block device for a file on it, because /dev is a
/// tmpfs. So it is asked for.
fn direct_options(file: &OpenFile) -> OpenOptions {
    let mut options = options(file);
    options.custom_flags(OFlags::DIRECT.bits().cast_signed());
    options
}

/// A path that leads to the very file that is open and locked, even if its name means another one by now, or none.
pub(super) fn again(file: &OpenFile) -> PathBuf {
    format!("/proc/self/fd/{}", file.file().as_raw_fd()).into()
}

fn begins_with_a_hole(file: &OpenFile) -> bool {
    // The position that this moves is nobody's. Unknown counts as a hole.
    !matches!(rustix::fs::seek(file.file(), rustix::fs::SeekFrom::Data(0)), Ok(0))
}

/// Opening a DmaFile looks at files below /sys and panics when one is not as expected, as in some containers. A panic in
/// a task would end the executor.
async fn guarded<T>(opening: impl Future<Output = glommio::Result<T, ()>>) -> io::Result<T> {
    match AssertUnwindSafe(opening).catch_unwind().await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(io::Error::other("glommio panicked")),
    }
}
