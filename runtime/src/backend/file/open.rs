//! Opening the file of a disk.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{FileBackend, Mover, OpenFile, sys};

/// What may be done with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing; nobody else may have the file.
    #[default]
    ReadWrite,
    /// Reading; others may read it too.
    ReadOnly,
}

/// How to open the file or block device of a [`FileBackend`].
#[derive(Clone, Debug)]
pub struct FileOptions {
    size: Option<u64>,
    access: Access,
    in_flight: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions { size: None, access: Access::ReadWrite, in_flight: 32 }
    }
}

impl FileOptions {
    /// An existing file or block device of any size, to be read and written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for exactly `size` bytes. A file that does not exist is then made, sparse, unless access is
    /// read-only.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets what may be done; the default is to read and write.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets how many operations may occupy a thread at a time, at least one; the default is 32.
    #[must_use]
    pub fn in_flight(mut self, operations: usize) -> Self {
        self.in_flight = operations.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Opens the file, or makes it.
    ///
    /// A file that has content keeps it and its size. One that is made is durable, name and all, on return; a
    /// regular file without any bytes counts as not made yet. Blocks: for a second at most when a device is
    /// busy.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use by another server, has another size than was asked for, or
    /// is neither a regular file nor a block device.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<FileBackend, OpenError> {
        self.open_with(path)
    }

    /// Opens the file, or makes it, whose bytes are to move as `M` does it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when `M` cannot work on such a file.
    pub fn open_with<M: Mover>(&self, path: impl AsRef<Path>) -> Result<FileBackend<M>, OpenError> {
        let path = path.as_ref();
        let at = |doing| move |source| OpenError::Io { path: path.into(), doing, source };
        let (file, created) = self.open_or_create(path)?;
        let opened = self.prepare(path, &file);
        if created && matches!(opened, Err(OpenError::Io { .. })) {
            // An empty file that nobody asked for would only be in the way. (In use, it is somebody's.)
            let _ = std::fs::remove_file(path);
        }
        let size = opened?;
        let metadata = file.metadata().map_err(at("inspect"))?;
        let holes = match self.access {
            Access::ReadWrite => sys::holes(&file, &metadata, size),
            Access::ReadOnly => (None, 1),
        };
        let in_flight = self.in_flight;
        let file = Arc::new(OpenFile::new(file, path.into(), size, self.access, holes, in_flight));
        let mover = Arc::new(M::prepare(&file).map_err(at("prepare"))?);
        Ok(FileBackend { file, mover })
    }

    /// The file, and whether it is new.
    fn open_or_create(&self, path: &Path) -> Result<(File, bool), OpenError> {
        let at = |doing| move |source| OpenError::Io { path: path.into(), doing, source };
        let mut options = OpenOptions::new();
        options.read(true).write(self.access == Access::ReadWrite);
        #[cfg(windows)]
        sys::claim_file(&mut options, self.access);
        let mut device = false;
        match std::fs::metadata(path) {
            Ok(metadata) => {
                check_kind(path, &metadata)?;
                device = sys::is_block_device(&metadata);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.creates() => {
                match options.clone().create_new(true).open(path) {
                    Ok(file) => return Ok((file, true)),
                    // Somebody was faster, or it is a link to nothing, which opening tells.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(at("create")(error)),
                }
            }
            Err(error) => return Err(at("open")(error)),
        }
        if device {
            sys::claim(&mut options, self.access);
        }
        let file = unless_in_use(path, "open", device, || options.open(path))?;
        Ok((file, false))
    }

    /// Locks the file, gives a new one its size, and returns the size.
    fn prepare(&self, path: &Path, file: &File) -> Result<u64, OpenError> {
        let at = |doing| move |source| OpenError::Io { path: path.into(), doing, source };
        let metadata = file.metadata().map_err(at("inspect"))?;
        // Again, because the path may mean something else by now.
        check_kind(path, &metadata)?;
        let device = sys::is_block_device(&metadata);
        unless_in_use(path, "lock", device, || sys::lock(file, self.access))?;
        // The end of a device is where one can seek to; a regular file's is there too.
        let mut size = (&*file).seek(SeekFrom::End(0)).map_err(at("find the size of"))?;
        if let (0, Some(wanted), true) = (size, self.size, self.creates() && metadata.is_file()) {
            file.set_len(wanted).map_err(at("set the size of"))?;
            file.sync_all().map_err(at("sync"))?;
            sync_directory_of(path).map_err(at("sync the directory of"))?;
            size = wanted;
        }
        match self.size {
            Some(wanted) if wanted != size => {
                Err(OpenError::OtherSize { path: path.into(), found: size, wanted })
            }
            _ if size == 0 => Err(OpenError::Empty { path: path.into() }),
            _ => Ok(size),
        }
    }

    fn creates(&self) -> bool {
        self.size.is_some() && self.access == Access::ReadWrite
    }
}

/// Why the file of a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another server has the file, or the device is mounted.
    #[error("{} is in use: it is served by another process or another disk, or it is mounted", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file has another size than was asked for; it is left as it is.
    #[error(
        "{} has {found} bytes where {wanted} were asked for: ask for {found} or for no size at all, or change \
         the file itself (`truncate -s {wanted}`; making it smaller destroys data)", path.display()
    )]
    OtherSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The size in bytes that was asked for.
        wanted: u64,
    },
    /// The file has no bytes.
    #[error("{} is empty: give a size", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a pipe or the like.
    #[error("{} is neither a regular file nor a block device", path.display())]
    NotStorage {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    if metadata.is_file() || sys::is_block_device(metadata) {
        return Ok(());
    }
    Err(OpenError::NotStorage { path: path.into() })
}

/// Repeats what fails because others have the file. Device managers have a block device for a moment while
/// they look at it, so that this is worth a second; for a file it is not.
fn unless_in_use<T>(
    path: &Path,
    doing: &'static str,
    block_device: bool,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Result<T, OpenError> {
    let mut patience = if block_device { 20 } else { 0 };
    loop {
        match attempt().map_err(|error| (error.kind(), error)) {
            Ok(done) => return Ok(done),
            Err((io::ErrorKind::Interrupted, _)) => {}
            Err((io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy, _)) => {
                if patience == 0 {
                    return Err(OpenError::InUse { path: path.into() });
                }
                patience -= 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            Err((_, source)) => return Err(OpenError::Io { path: path.into(), doing, source }),
        }
    }
}

#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    // The entry is in the directory of the file itself, not in that of a link to it.
    let path = path.canonicalize()?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}
