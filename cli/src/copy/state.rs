//! The file that remembers how far a copy has come, so that it can be resumed.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

use super::ranges::Ranges;

/// One end of a copy, so that it is known again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// What the data is in, whatever way it is reached: a file's number, a logical unit's name.
    pub(crate) id: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// How far a copy has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    format: String,
    version: u32,
    source: Identity,
    destination: Identity,
    /// Ranges of bytes that are safe at the destination.
    safe: Vec<(u64, u64)>,
}

const FORMAT: &str = "iscsictl copy state";
const VERSION: u32 = 1;

impl State {
    pub(crate) fn new(source: Identity, destination: Identity) -> Self {
        State { format: FORMAT.to_owned(), version: VERSION, source, destination, safe: Vec::new() }
    }

    /// Whether `other` is about the same copy.
    pub(crate) fn check_same_copy(&self, other: &State, path: &Path) -> Result<(), Failure> {
        let differs = if self.source.id != other.source.id {
            "another source, or the source was changed since"
        } else if self.destination.id != other.destination.id {
            "another destination"
        } else {
            let ends = [
                ("source", &self.source, &other.source),
                ("destination", &self.destination, &other.destination),
            ];
            let Some((end, then, now)) = ends.into_iter().find(|(_, then, now)| then.size != now.size) else {
                return Ok(());
            };
            &format!("the {end} has {} bytes now, and had {} then", now.size, then.size)
        };
        Err(Failure::usage(format!("it tells of another copy: {differs}"))
            .at(path.display().to_string())
            .try_("add --restart to begin anew, or name another --state"))
    }

    /// Whether this tells of a copy to `destination`.
    pub(crate) fn is_for(&self, destination: &Identity) -> bool {
        self.destination == *destination
    }

    /// The chunks that are wholly safe.
    pub(crate) fn safe_chunks(&self, chunk: u64) -> Ranges {
        let size = self.source.size;
        // The last chunk may be shorter than the others.
        let whole = |(start, end): &(u64, u64)| {
            let end = (*end).min(size);
            start.div_ceil(chunk)..if end == size { size.div_ceil(chunk) } else { end / chunk }
        };
        self.safe.iter().map(whole).collect()
    }

    pub(crate) fn set_safe_chunks(&mut self, chunks: &Ranges, chunk: u64) {
        let size = self.source.size;
        self.safe = chunks.iter().map(|r| (r.start * chunk, (r.end * chunk).min(size))).collect();
    }

    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, Failure> {
        let place = || path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::operation(format!("cannot read: {error}")).at(place())),
        };
        match serde_json::from_slice::<State>(&bytes) {
            Ok(state) if state.format == FORMAT && state.version == VERSION => Ok(Some(state)),
            _ => Err(Failure::usage("it is not the state of a copy of this version of iscsictl")
                .at(place())
                .try_("name another --state, or remove the file")),
        }
    }

    /// That the file can be written, by writing what is written first in any case.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let new = beside(path, ".new");
        drop(File::create(&new)?);
        std::fs::remove_file(&new)
    }

    /// Writes the file so that it is either as before or wholly new, whenever the machine stops.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let new = beside(path, ".new");
        let mut file = File::create(&new)?;
        let mut text = serde_json::to_vec(self).map_err(io::Error::other)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&new, path)?;
        sync_directory_of(path)
    }

    /// Removes the file, if it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(path: &Path) -> io::Result<()> {
        for path in [path, &beside(path, ".new")] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `path` with something added to its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(source: &str, size: u64) -> State {
        let end = |id: &str| Identity { id: id.to_owned(), size };
        State::new(end(source), end("destination"))
    }

    #[test]
    fn a_state_comes_back_and_tells_other_copies_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.state");
        assert_eq!(State::load(&path).unwrap(), None);
        let mut written = state("source", 1000);
        written.set_safe_chunks(&[0..2, 5..8].into_iter().collect(), 128);
        written.save(&path).unwrap();
        let read = State::load(&path).unwrap().unwrap();
        assert_eq!(read, written);
        assert!(read.check_same_copy(&written, &path).is_ok());
        assert!(read.check_same_copy(&state("source", 1000), &path).is_ok());
        assert!(read.check_same_copy(&state("other", 1000), &path).is_err());
        let failure = read.check_same_copy(&state("source", 1001), &path).unwrap_err();
        assert!(
            failure.line().contains("the source has 1001 bytes now, and had 1000 then"),
            "{}",
            failure.line()
        );
        std::fs::write(&path, "{}").unwrap();
        assert!(State::load(&path).unwrap_err().line().contains("not the state of a copy"));
        State::remove(&path).unwrap();
        State::remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    // Goal: with another size of chunks, only chunks count of which every byte is safe.
    #[test]
    fn chunks_are_safe_when_all_of_their_bytes_are() {
        let mut state = state("source", 1000);
        state.set_safe_chunks(&[0..2, 5..8].into_iter().collect(), 128);
        assert_eq!(state.safe, [(0, 256), (640, 1000)], "the last one is shorter");
        let chunks = |chunk| state.safe_chunks(chunk).iter().collect::<Vec<_>>();
        assert_eq!(chunks(128), [0..2, 5..8]);
        assert_eq!(chunks(100), [0..2, 7..10]);
        assert_eq!(chunks(200), [0..1, 4..5]);
        assert_eq!(chunks(512), [] as [Range; 0]);
    }

    type Range = std::ops::Range<u64>;
}
