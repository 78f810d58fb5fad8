//! The note of progress that a copy leaves for the next run.

use std::path::PathBuf;

use crate::failure::{Failure, Kind};
use crate::units;

use super::ranges::Ranges;
use super::state::State;

/// Where progress is noted, if anywhere.
pub(crate) struct Note {
    place: Option<(PathBuf, State)>,
}

impl Note {
    /// Progress is noted nowhere.
    pub(crate) fn nowhere() -> Self {
        Note { place: None }
    }

    /// Progress is noted in `state`, which is kept in the file at `path`.
    pub(crate) fn in_file(path: PathBuf, state: State) -> Self {
        Note { place: Some((path, state)) }
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
        let saved = saved.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
        saved.map_err(|error| {
            Failure::operation(format!("cannot note the progress: {error}"))
                .at(path.display().to_string())
                .try_("name a file that can be written with --state")
        })
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

    /// Adds to `failure` what becomes of the progress.
    pub(crate) fn explain(&self, failure: Failure, safe: u64, size: u64) -> Failure {
        let done = format!("{} of {} are safe", units::human(safe), units::human(size));
        let (cut, remedy) = match &self.place {
            Some((path, _)) => (
                done,
                format!("run the same command again to go on from there (noted in {})", path.display()),
            ),
            None => (
                done,
                "run it again; with --state FILE it would go on where it ended instead of beginning anew"
                    .to_owned(),
            ),
        };
        let cut_short = matches!(failure.kind, Kind::Interrupted | Kind::Terminated);
        let remedy = match failure.remedy.clone().filter(|_| !cut_short) {
            Some(first) => format!("{first}; then {remedy}"),
            None => remedy,
        };
        Failure { what: format!("{} ({cut})", failure.what), ..failure }.try_(remedy)
    }
}
