//! Files and block devices as ends of a copy.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iscsicore_tokio::backend::{Access, FileBackend, FileOptions, OpenError};

use crate::failure::Failure;

use super::end::End;
use super::note::Traces;
use super::open::Options;
use super::state::{Identity, State};

/// Opens a file as the source.
pub(crate) fn source(path: &Path) -> Result<End, Failure> {
    let opened = FileOptions::new().access(Access::ReadOnly).open(path);
    let storage = opened.map_err(|error| cannot_open(path, error))?;
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    // A source that has changed is another one.
    let changed = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let changed = changed.map_or(0, |time| time.as_nanos());
    let id = format!("{} changed {changed}", file_id(path, &metadata));
    Ok(End::storage(path, id, Arc::new(storage), false))
}

/// Opens or makes the file of the destination, and tells what is to be taken back when nothing is copied.
///
/// `earlier` is the note of an earlier copy and where it was found. Everything is checked before the file is touched.
pub(crate) fn destination(
    path: &Path,
    source: &End,
    options: &Options<'_>,
    earlier: Option<(&State, &Path)>,
) -> Result<(End, Traces), Failure> {
    let there = match std::fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(path, &error)),
    };
    let same = std::fs::metadata(&source.place).ok().zip(there.as_ref());
    if same.is_some_and(|(a, b)| file_id(Path::new(&source.place), &a) == file_id(path, b)) {
        return Err(Failure::usage("source and destination are the same").at(path.display().to_string()));
    }
    let device = there.as_ref().is_some_and(|metadata| !metadata.is_file());
    let content = there.as_ref().filter(|metadata| metadata.is_file() && metadata.len() > 0);
    let mut kept = false;
    if let Some(metadata) = content {
        let identity = Identity { id: file_id(path, metadata), size: metadata.len() };
        match earlier {
            Some((earlier, at)) if !options.restart => {
                earlier.check_same_copy(&State::new(source.identity.clone(), identity), at)?;
                kept = true;
            }
            // What the note tells of was made by this program, to be the copy.
            Some((earlier, _)) if earlier.is_for(&identity) => empty(path)?,
            _ if options.overwrite => empty(path)?,
            _ => {
                return Err(Failure::usage("the file exists and has content")
                    .at(path.display().to_string())
                    .try_("add --overwrite to replace what is in it, or name another file"));
            }
        }
    }
    let wanted = if device { FileOptions::new() } else { FileOptions::new().size(source.size()) };
    let storage = wanted.open(path).map_err(|error| cannot_open(path, error))?;
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let id = file_id(path, &metadata);
    let traces = match (&there, content) {
        (None, _) => Traces::File { path: path.to_owned(), id: id.clone(), made: true },
        (Some(_), None) if !device => Traces::File { path: path.to_owned(), id: id.clone(), made: false },
        (Some(_), Some(_)) => Traces::Kept,
        _ => Traces::Note,
    };
    Ok((End::storage(path, id, Arc::new(storage), !device && !kept), traces))
}

/// Takes the content of a file away.
fn empty(path: &Path) -> Result<(), Failure> {
    // Opening it first keeps hands off a file that somebody serves.
    drop(FileBackend::open(path).map_err(|error| cannot_open(path, error))?);
    let emptied = std::fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0));
    emptied.map_err(|error| unreadable(path, &error))
}

/// Removes a file that was made, or empties one that was empty, as long as it is still the same file.
pub(crate) fn take_back(path: &Path, id: &str, made: bool) -> io::Result<()> {
    if file_id(path, &std::fs::metadata(path)?) != id {
        return Ok(());
    }
    if made {
        return std::fs::remove_file(path);
    }
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Whether two paths lead to one file, which need not be there yet.
pub(crate) fn is_same_path(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| -> Option<PathBuf> {
        if let Ok(path) = path.canonicalize() {
            return Some(path);
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?))
    };
    a == b || whole(a).zip(whole(b)).is_some_and(|(a, b)| a == b)
}

pub(crate) fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

#[cfg(unix)]
fn file_id(_: &Path, metadata: &Metadata) -> String {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    if metadata.file_type().is_block_device() {
        return format!("block device {:x}", metadata.rdev());
    }
    format!("file {:x}:{}", metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(path: &Path, _: &Metadata) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    format!("file {}", path.display())
}

fn cannot_open(path: &Path, error: OpenError) -> Failure {
    let place = path.display().to_string();
    match error {
        OpenError::InUse { .. } => Failure::operation("it is in use: served by a target, copied, or mounted")
            .at(place)
            .try_("stop what uses it first"),
        OpenError::Empty { .. } => Failure::usage("it is empty: there is nothing to copy").at(place),
        // The size was looked at just before.
        OpenError::OtherSize { found, wanted, .. } => Failure::operation(format!(
            "it has {found} bytes instead of {wanted}: somebody changes it meanwhile"
        ))
        .at(place),
        OpenError::Io { doing, source, .. } => {
            Failure::operation(format!("cannot {doing} it: {source}")).at(place)
        }
        other => Failure::usage(other.to_string()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::operation(format!("cannot open it: {error}")).at(path.display().to_string())
}
