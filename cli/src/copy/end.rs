//! The two ends of a copy: a file or block device, or a logical unit.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use iscsicore::disk::Allocation;
use iscsicore_tokio::backend::{Backend, Zeroes};

use crate::failure::Failure;

use super::state::Identity;
use super::unit::Unit;

/// One end of a copy.
pub(crate) struct End {
    /// How people know it.
    pub(crate) place: String,
    /// How it is known again.
    pub(crate) identity: Identity,
    /// Whether all of it reads as zeroes before the copy begins.
    pub(crate) blank: bool,
    pub(crate) on: On,
}

/// What an end is made of.
pub(crate) enum On {
    /// A file or a block device of this machine.
    Storage(Arc<dyn Backend>),
    /// A logical unit.
    Unit(Unit),
}

/// What a flush says about the writes that were acknowledged before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Covered {
    /// All of them are on stable storage.
    All,
    /// Those since an interruption of the session are; of others nobody knows.
    Some,
}

/// Bytes in a row of which the same is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) end: u64,
    /// Whether they are known to read as zeroes.
    pub(crate) hole: bool,
}

impl End {
    /// An end on storage of this machine.
    pub(crate) fn storage(path: &Path, id: String, storage: Arc<dyn Backend>, blank: bool) -> Self {
        let identity = Identity { id, size: storage.size() };
        End { place: path.display().to_string(), identity, blank, on: On::Storage(storage) }
    }

    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// What places and lengths are multiples of.
    pub(crate) fn block_size(&self) -> u32 {
        match &self.on {
            On::Storage(_) => 1,
            On::Unit(unit) => unit.block_size(),
        }
    }

    /// The smallest piece in which zeroes are worth looking for.
    pub(crate) fn grain(&self) -> usize {
        match &self.on {
            On::Storage(_) => 4096,
            // Each run costs a command.
            On::Unit(unit) => 65536.max(unit.block_size() as usize),
        }
    }

    pub(crate) async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        match &self.on {
            On::Storage(storage) => match storage.read(offset, len).wait().await {
                Ok(data) => Ok(data.to_bytes()),
                Err(error) => Err(self.failed("read", offset, &error)),
            },
            On::Unit(unit) => unit.read(offset, len).await.map_err(|f| f.at(&self.place)),
        }
    }

    pub(crate) async fn write(&self, offset: u64, data: Bytes) -> Result<(), Failure> {
        match &self.on {
            On::Storage(storage) => {
                let written = storage.write(offset, data.into(), false).wait().await;
                written.map_err(|error| self.failed("write", offset, &error))
            }
            On::Unit(unit) => unit.write(offset, data).await.map_err(|f| f.at(&self.place)),
        }
    }

    /// Makes a range read as zeroes, without space behind it where that is possible.
    pub(crate) async fn zero(&self, offset: u64, len: u64) -> Result<(), Failure> {
        match &self.on {
            On::Storage(storage) => {
                // Punching holes first: it gives the space back wherever it is possible at all.
                let mut done = storage.unmap(offset, len).wait().await;
                if matches!(&done, Err(error) if error.kind() == std::io::ErrorKind::Unsupported) {
                    done = storage.write_zeroes(offset, len, Zeroes::MayUnmap).wait().await;
                }
                match done {
                    Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                        self.write_zeroes(offset, len).await
                    }
                    done => done.map_err(|error| self.failed("write zeroes", offset, &error)),
                }
            }
            On::Unit(unit) => unit.zero(offset, len).await.map_err(|f| f.at(&self.place)),
        }
    }

    async fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), Failure> {
        const PIECE: usize = 1 << 20;
        let zeroes = Bytes::from(vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))]);
        let mut at = offset;
        while at < offset + len {
            let piece = (offset + len - at).min(zeroes.len() as u64);
            self.write(at, zeroes.slice(..piece as usize)).await?;
            at += piece;
        }
        Ok(())
    }

    pub(crate) async fn flush(&self) -> Result<Covered, Failure> {
        match &self.on {
            On::Storage(storage) => match storage.flush().wait().await {
                Ok(()) => Ok(Covered::All),
                Err(error) => Err(self.failed("flush", 0, &error)),
            },
            On::Unit(unit) => unit.flush().await.map_err(|f| f.at(&self.place)),
        }
    }

    /// What is known of the bytes from `offset` on: at least one extent. Data, when nothing is known.
    pub(crate) async fn extents(&self, offset: u64) -> Result<Vec<Extent>, Failure> {
        let size = self.size();
        match &self.on {
            On::Storage(storage) => {
                const MOST: usize = 256;
                let told = storage.extents(offset, size - offset, MOST).wait().await;
                let mut at = offset;
                let told = told.unwrap_or_default().into_iter().map(|(len, allocation)| {
                    at += len;
                    Extent { end: at.min(size), hole: allocation == Allocation::Deallocated }
                });
                let told: Vec<_> = told.collect();
                Ok(if told.is_empty() { vec![Extent { end: size, hole: false }] } else { told })
            }
            On::Unit(unit) => unit.extents(offset).await.map_err(|f| f.at(&self.place)),
        }
    }

    fn failed(&self, doing: &str, offset: u64, error: &std::io::Error) -> Failure {
        let failure = Failure::operation(format!("cannot {doing} at byte {offset}: {error}")).at(&self.place);
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failure.try_("free some space and run the same command again")
            }
            std::io::ErrorKind::UnexpectedEof => failure.try_("somebody changes the file meanwhile"),
            _ => failure,
        }
    }
}

/// Where the holes of a source are, asked for piece by piece.
#[derive(Default)]
pub(crate) struct Holes {
    known: std::collections::VecDeque<Extent>,
    /// Where the first known extent begins.
    start: u64,
}

impl Holes {
    /// Where the hole ends in which the byte at `offset` lies; `None` when it lies in none.
    pub(crate) async fn hole_at(&mut self, end: &End, offset: u64) -> Result<Option<u64>, Failure> {
        if offset < self.start {
            self.known.clear();
        }
        while self.known.front().is_some_and(|extent| extent.end <= offset) {
            self.known.pop_front();
        }
        if self.known.is_empty() {
            self.known.extend(end.extents(offset).await?);
        }
        self.start = offset;
        // Extents in a row are one hole: they are told in pieces.
        let holes = self.known.iter().take_while(|extent| extent.hole);
        Ok(holes.last().map(|extent| extent.end))
    }
}
