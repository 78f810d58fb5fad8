//! Reading both ends of a finished copy back and comparing them.

use futures_util::stream::{self, StreamExt as _};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

use super::end::Holes;
use super::engine::Job;
use super::progress::Progress;
use super::zeroes::is_zero;

/// Where the ends differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Difference {
    /// The first byte that differs.
    pub(crate) first: u64,
    /// How many bytes differ.
    pub(crate) bytes: u64,
}

impl Job {
    /// Compares every byte of the source with the destination; `None` when they are the same.
    ///
    /// The destination is read everywhere. Of the source, what is known to be a hole is not.
    ///
    /// # Errors
    /// An end cannot be read, or the interruption.
    pub(crate) async fn verify(
        &self,
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<Option<Difference>, Failure> {
        interrupt.cuts(self.compare(progress)).await
    }

    async fn compare(&self, progress: &Progress) -> Result<Option<Difference>, Failure> {
        let size = self.source.size();
        let mut holes = Holes::default();
        let mut found: Option<Difference> = None;
        let mut at = 0;
        while at < size {
            // A batch is planned, compared, and then the next: holes are asked for one after the other.
            let mut batch = Vec::new();
            while batch.len() < self.depth * 4 && at < size {
                let len = self.chunk.min(size - at);
                let hole = holes.hole_at(&self.source, at).await?.is_some_and(|end| end >= at + len);
                batch.push((at, len as usize, hole));
                at += len;
            }
            let mut compared = stream::iter(batch)
                .map(|(at, len, hole)| self.compare_chunk(at, len, hole))
                .buffered(self.depth);
            while let Some(difference) = compared.next().await {
                found = match (found, difference?) {
                    (Some(a), Some(b)) => Some(Difference { bytes: a.bytes + b.bytes, ..a }),
                    (found, difference) => found.or(difference),
                };
            }
            progress.at(at);
        }
        Ok(found)
    }

    async fn compare_chunk(&self, at: u64, len: usize, hole: bool) -> Result<Option<Difference>, Failure> {
        let copied = self.destination.read(at, len).await?;
        if hole {
            return Ok(if is_zero(&copied) { None } else { differ(at, &copied, &vec![0; len]) });
        }
        let original = self.source.read(at, len).await?;
        Ok(if original == copied { None } else { differ(at, &copied, &original) })
    }
}

fn differ(at: u64, one: &[u8], other: &[u8]) -> Option<Difference> {
    let mut places = one.iter().zip(other).enumerate().filter(|(_, (a, b))| a != b).map(|(place, _)| place);
    let first = places.next()?;
    Some(Difference { first: at + first as u64, bytes: 1 + places.count() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_from_the_first() {
        assert_eq!(differ(100, &[1, 2, 3, 4], &[1, 2, 3, 4]), None);
        assert_eq!(differ(100, &[1, 0, 3, 0], &[1, 2, 3, 4]), Some(Difference { first: 101, bytes: 2 }));
    }
}
