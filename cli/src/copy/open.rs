//! Opening both ends of a copy, and finding out whether it goes on with an earlier one.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iscsicore_tokio::backend::{Access, FileBackend, FileOptions, OpenError};

use crate::connect::{Session, UnitUrl, at, log_out, unit_url};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

use super::end::{End, On};
use super::note::Note;
use super::ranges::Ranges;
use super::state::{Identity, State, beside};
use super::unit::Unit;

/// Where an end is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Unit(UnitUrl),
}

impl Place {
    /// Reads a path or a URL.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") { unit_url(text).map(Place::Unit) } else { Ok(Place::File(text.into())) }
    }
}

/// How the destination is to be treated.
pub(crate) struct Options<'a> {
    pub(crate) chunk: u64,
    pub(crate) overwrite: bool,
    pub(crate) restart: bool,
    pub(crate) state: Option<&'a Path>,
}

/// Opens the source.
///
/// # Errors
/// It cannot be opened.
pub(crate) async fn source(place: &Place, session: &Session, interrupt: &Interrupt) -> Result<End, Failure> {
    match place {
        Place::Unit(url) => unit(url, session, interrupt).await,
        Place::File(path) => {
            let opened = FileOptions::new().access(Access::ReadOnly).open(path);
            let storage = opened.map_err(|error| cannot_open(path, error))?;
            let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            // A source that has changed is another one.
            let changed =
                metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let changed = changed.map_or(0, |time| time.as_nanos());
            let id = format!("{} changed {changed}", file_id(path, &metadata));
            Ok(End::storage(path, id, Arc::new(storage), false))
        }
    }
}

/// Opens the destination: the end, where progress is noted, and the chunks that an earlier copy has made safe.
///
/// # Errors
/// It cannot be opened, is too small, or an earlier copy has left a note of something else.
pub(crate) async fn destination(
    place: &Place,
    source: &End,
    options: &Options<'_>,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(End, Note, Ranges), Failure> {
    let state_path = match (options.state, place) {
        (Some(path), _) => Some(path.to_owned()),
        // Nothing is to be left beside devices.
        (None, Place::File(path)) if !is_device(path) => Some(beside(path, ".iscsictl-state")),
        (None, _) => None,
    };
    let earlier = match &state_path {
        Some(path) if !options.restart => State::load(path)?,
        _ => None,
    };
    let end = match place {
        Place::Unit(url) => unit(url, session, interrupt).await?,
        Place::File(path) => file(path, source, options, earlier.is_some())?,
    };
    match check(&end, source, options, earlier, state_path) {
        Ok((note, safe)) => Ok((end, note, safe)),
        Err(failure) => {
            super::close(end).await;
            Err(failure)
        }
    }
}

/// That the destination fits, and what of an earlier copy counts.
fn check(
    end: &End,
    source: &End,
    options: &Options<'_>,
    earlier: Option<State>,
    state_path: Option<PathBuf>,
) -> Result<(Note, Ranges), Failure> {
    // Files were compared when the destination was opened.
    if let (On::Unit(a), On::Unit(b)) = (&source.on, &end.on)
        && a.is_same_as(b)
    {
        return Err(Failure::usage("source and destination are the same").at(&end.place));
    }
    if end.size() < source.size() {
        let what = format!(
            "it has {} bytes, which is too small for the {} of the source",
            end.size(),
            source.size()
        );
        return Err(Failure::usage(what).at(&end.place).try_("enlarge it, or name another one"));
    }
    for side in [source, end] {
        if !options.chunk.is_multiple_of(u64::from(side.block_size())) || options.chunk > 256 << 20 {
            let what = format!(
                "--chunk is {} bytes; it must be a multiple of the block size of {} and 256M at most",
                options.chunk,
                side.block_size()
            );
            return Err(Failure::usage(what).at(&side.place));
        }
    }
    let Some(path) = state_path else { return Ok((Note::nowhere(), Ranges::default())) };
    let state = State::new(source.identity.clone(), end.identity.clone());
    let safe = match earlier {
        // A file that was made just now has nothing of an earlier copy, whatever number it was given.
        Some(earlier) if !end.blank => {
            earlier.check_same_copy(&state, &path)?;
            earlier.safe_chunks(options.chunk)
        }
        _ => Ranges::default(),
    };
    let mut state = state;
    state.set_safe_chunks(&safe, options.chunk);
    // Before the first byte: a copy that is killed at once can be resumed, too.
    state.save(&path).map_err(|error| {
        Failure::operation(format!("cannot note the progress: {error}"))
            .at(path.display().to_string())
            .try_("name a file that can be written with --state")
    })?;
    Ok((Note::in_file(path, state), safe))
}

async fn unit(url: &UnitUrl, session: &Session, interrupt: &Interrupt) -> Result<End, Failure> {
    let place = url.0.to_string();
    let client = session.connect(url, interrupt).await?;
    let unit = Unit::new(client);
    let asked = async {
        unit.check()?;
        Ok(Identity { id: unit.id().await, size: unit.size() })
    };
    match interrupt.cuts(asked).await {
        Ok(identity) => Ok(End { place, identity, blank: false, on: On::Unit(unit) }),
        Err(failure) => {
            log_out(unit.into_client()).await;
            Err(at(failure, place))
        }
    }
}

/// Opens or makes the file of the destination.
fn file(path: &Path, source: &End, options: &Options<'_>, resumes: bool) -> Result<End, Failure> {
    let there = match std::fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(path, &error)),
    };
    let same = std::fs::metadata(&source.place).ok().zip(there.as_ref());
    if same.is_some_and(|(a, b)| file_id(Path::new(&source.place), &a) == file_id(path, b)) {
        return Err(Failure::usage("source and destination are the same").at(path.display().to_string()));
    }
    let content = there.as_ref().is_some_and(|metadata| metadata.is_file() && metadata.len() > 0);
    let device = there.as_ref().is_some_and(|metadata| !metadata.is_file());
    if content && !resumes {
        if !options.overwrite {
            return Err(Failure::usage("the file exists and has content")
                .at(path.display().to_string())
                .try_("add --overwrite to replace what is in it, or name another file"));
        }
        // Opening it first keeps hands off a file that somebody serves.
        drop(FileBackend::open(path).map_err(|error| cannot_open(path, error))?);
        let emptied = std::fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0));
        emptied.map_err(|error| unreadable(path, &error))?;
    }
    let wanted = if device { FileOptions::new() } else { FileOptions::new().size(source.size()) };
    let storage = wanted.open(path).map_err(|error| cannot_open(path, error))?;
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let kept = content && resumes;
    let blank = !device && !kept;
    Ok(End::storage(path, file_id(path, &metadata), Arc::new(storage), blank))
}

fn is_device(path: &Path) -> bool {
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
        OpenError::OtherSize { found, wanted, .. } => {
            Failure::usage(format!("it has {found} bytes where the earlier copy gave it {wanted}"))
                .at(place)
                .try_("add --restart --overwrite to begin anew")
        }
        OpenError::Io { doing, source, .. } => {
            Failure::operation(format!("cannot {doing} it: {source}")).at(place)
        }
        other => Failure::usage(other.to_string()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::operation(format!("cannot open it: {error}")).at(path.display().to_string())
}
