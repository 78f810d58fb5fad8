//! The note of progress that a copy leaves for the next run, and what else it leaves behind.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::units;

use super::file;
use super::ranges::Ranges;
use super::state::State;

/// Where progress is noted, if anywhere.
pub(crate) struct Note {
    place: Option<(PathBuf, State)>,
    traces: Traces,
}

/// What is taken back when nothing was copied, so that it is not in the way of the next run.
pub(crate) enum Traces {
    /// The note alone: nothing else was made.
    Note,
    /// The note and the file of the destination, which was made by this run or was empty before.
    File {
        path: PathBuf,
        /// By what it is known again.
        id: String,
        made: bool,
    },
    /// Nothing: the note tells the next run that the content of the file is the beginning of a copy.
    Kept,
}

impl Traces {
    /// Makes the destination be as before.
    pub(crate) fn take_back(&self) {
        if let Traces::File { path, id, made } = self {
            // Where that fails, what is left is no more than in the way.
            let _ = file::take_back(path, id, *made);
        }
    }
}

impl Note {
    /// Progress is noted in the state, which is kept in the file of this path, or nowhere.
    pub(crate) fn new(place: Option<(PathBuf, State)>, traces: Traces) -> Self {
        Note { place, traces }
    }

    /// Notes the chunks that are safe.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn take(&mut self, safe: &Ranges, chunk: u64) -> Result<(), Failure> {
        let Some((path, state)) = &mut self.place else { return Ok(()) };
        state.set_safe_chunks(safe, chunk);
        let (to, state) = (path.clone(), state.clone());
        let saved = tokio::task::spawn_blocking(move || state.save(&to)).await;
        let saved = saved.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        saved.map_err(|error| cannot_note(path, &error))
    }

    /// Forgets the progress: the copy is complete.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn forget(&self) -> Result<(), Failure> {
        let Some((path, _)) = &self.place else { return Ok(()) };
        State::remove(path).map_err(|error| {
            Failure::operation(format!("the copy is complete, but its state cannot be removed: {error}"))
                .at(path.display().to_string())
                .try_("remove the file")
        })
    }

    /// Leaves everything as it was before: nothing was copied.
    pub(crate) fn withdraw(&self) {
        self.traces.take_back();
        if let (Traces::Note | Traces::File { .. }, Some((path, _))) = (&self.traces, &self.place) {
            // As above.
            let _ = State::remove(path);
        }
    }

    /// Adds to `failure` what becomes of the progress.
    pub(crate) fn explain(&self, failure: Failure, safe: u64, size: u64) -> Failure {
        let cut = match &self.traces {
            Traces::File { .. } if safe == 0 => "nothing was copied".to_owned(),
            _ => format!("{} of {} are safe", units::human(safe), units::human(size)),
        };
        let again = match &self.place {
            Some((path, _)) if safe > 0 => {
                format!("run the same command again to go on from there (noted in {})", path.display())
            }
            Some(_) => "run the same command again".to_owned(),
            None => {
                "run it again, which copies all anew; with --state FILE a copy can be gone on with".to_owned()
            }
        };
        let cut_short = matches!(failure.kind, Kind::Interrupted | Kind::Terminated);
        let remedy = match failure.remedy.clone().filter(|_| !cut_short) {
            Some(first) => format!("{first}; then {again}"),
            None => again,
        };
        Failure { what: format!("{} ({cut})", failure.what), ..failure }.try_(remedy)
    }
}

/// The failure to write a note.
pub(crate) fn cannot_note(path: &Path, error: &io::Error) -> Failure {
    Failure::operation(format!("cannot note the progress: {error}"))
        .at(path.display().to_string())
        .try_("name a file that can be written with --state")
}
