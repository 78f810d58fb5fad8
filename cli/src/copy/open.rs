//! Opening both ends of a copy, and finding out whether it goes on with an earlier one.

use std::path::{Path, PathBuf};

use crate::connect::{Session, UnitUrl, at, log_out, unit_url};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

use super::end::{End, On};
use super::file;
use super::note::{Note, Traces, cannot_note};
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
    /// What is wrong with the URL, or what to use in place of a stream.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "-" => Err("a copy needs two ends that can be read again, and standard input and output cannot; `iscsictl \
                        read URL -o -` and `iscsictl write URL` take them (a file of this name is ./-)"
                .to_owned()),
            _ if text.contains("://") => unit_url(text).map(Place::Unit),
            _ => Ok(Place::File(text.into())),
        }
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
        Place::File(path) => file::source(path),
    }
}

/// Opens the destination: the end, where progress is noted, and the chunks that an earlier copy has made safe.
///
/// A file is made or changed only when nothing else is in the way, and is as before when there is an error.
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
    check_chunk(options.chunk, source)?;
    let state_path = match (options.state, place) {
        (Some(path), _) => Some(path.to_owned()),
        // Nothing is to be left beside devices.
        (None, Place::File(path)) if !file::is_device(path) => Some(beside(path, ".iscsictl-state")),
        (None, _) => None,
    };
    let earlier = match &state_path {
        Some(path) => earlier(path, place, options)?,
        None => None,
    };
    let (end, traces) = match place {
        Place::Unit(url) => (unit(url, session, interrupt).await?, Traces::Note),
        Place::File(path) => {
            let earlier = earlier.as_ref().zip(state_path.as_deref());
            file::destination(path, source, options, earlier)?
        }
    };
    let checked = check(&end, source, options, earlier.as_ref().zip(state_path.as_deref()));
    let noted =
        checked.and_then(|safe| Ok((begin_note(&end, source, &safe, options.chunk, state_path)?, safe)));
    match noted {
        Ok((state, safe)) => Ok((end, Note::new(state, traces), safe)),
        Err(failure) => {
            super::close(end).await;
            traces.take_back();
            Err(failure)
        }
    }
}

/// The note of an earlier copy, if there is one. A new one can be written in its place.
fn earlier(path: &Path, destination: &Place, options: &Options<'_>) -> Result<Option<State>, Failure> {
    if let Place::File(destination) = destination
        && file::is_same_path(path, destination)
    {
        return Err(Failure::usage("the state cannot be noted in the destination itself")
            .at(path.display().to_string())
            .try_("name another --state"));
    }
    let earlier = State::load(path)?;
    State::check_writable(path).map_err(|error| match destination {
        // The file would be beside it, and cannot be made either.
        Place::File(file) if options.state.is_none() && !file.exists() => {
            Failure::operation(format!("cannot create it: {error}")).at(file.display().to_string())
        }
        _ => cannot_note(path, &error),
    })?;
    Ok(earlier)
}

/// That the destination fits; the chunks of an earlier copy that count.
fn check(
    end: &End,
    source: &End,
    options: &Options<'_>,
    earlier: Option<(&State, &Path)>,
) -> Result<Ranges, Failure> {
    // Files were compared when the destination was opened.
    if let (On::Unit(a), On::Unit(b)) = (&source.on, &end.on)
        && a.is_same_as(b)
    {
        return Err(Failure::usage("source and destination are the same").at(&end.place));
    }
    check_chunk(options.chunk, end)?;
    let safe = match earlier {
        // A file that was made just now has nothing of an earlier copy, whatever number it was given.
        Some((earlier, path)) if !end.blank && !options.restart => {
            earlier.check_same_copy(&State::new(source.identity.clone(), end.identity.clone()), path)?;
            earlier.safe_chunks(options.chunk)
        }
        _ => Ranges::default(),
    };
    if end.size() < source.size() {
        let what = format!(
            "it has {} bytes, which is too small for the {} of the source",
            end.size(),
            source.size()
        );
        return Err(Failure::usage(what).at(&end.place).try_("enlarge it, or name another one"));
    }
    Ok(safe)
}

fn check_chunk(chunk: u64, side: &End) -> Result<(), Failure> {
    if chunk.is_multiple_of(u64::from(side.block_size())) && chunk <= 256 << 20 {
        return Ok(());
    }
    let what = format!(
        "--chunk is {chunk} bytes; it must be a multiple of the block size of {} and 256M at most",
        side.block_size()
    );
    Err(Failure::usage(what).at(&side.place))
}

/// Notes what is safe before the first byte is copied: a copy that is killed at once can be resumed, too.
fn begin_note(
    end: &End,
    source: &End,
    safe: &Ranges,
    chunk: u64,
    path: Option<PathBuf>,
) -> Result<Option<(PathBuf, State)>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let mut state = State::new(source.identity.clone(), end.identity.clone());
    state.set_safe_chunks(safe, chunk);
    state.save(&path).map_err(|error| cannot_note(&path, &error))?;
    Ok(Some((path, state)))
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
