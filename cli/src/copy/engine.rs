//! Copying: chunks in parallel, flushes and notes of progress in between.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

use super::end::{Covered, End, Holes};
use super::ledger::{Counts, Ledger, Work};
use super::note::Note;
use super::progress::Progress;
use super::zeroes;

/// What is copied, and how.
pub(crate) struct Job {
    pub(crate) source: End,
    pub(crate) destination: End,
    /// Bytes in a chunk.
    pub(crate) chunk: u64,
    /// Chunks in flight.
    pub(crate) depth: usize,
    /// What becomes of zeroes.
    pub(crate) zeroes: ZeroesAre,
    /// How often the destination is flushed.
    pub(crate) checkpoint: Duration,
}

/// What becomes of zeroes of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZeroesAre {
    /// Holes in a file, blocks without space behind them on a logical unit.
    Holes,
    /// Left out: the destination reads as zeroes there already.
    LeftOut,
    /// Data as any other.
    Data,
}

/// Time that work in flight has to end when the copy is cut short, and then the last flush.
const LAST_WORK: Duration = Duration::from_millis(600);
/// How often a copy begins chunks anew because flushes did not cover them, before it gives up.
const MOST_INTERRUPTIONS: u32 = 16;
/// The longest piece of a hole that is carried out at once.
const LONGEST_HOLE: u64 = 256 << 20;

type Background<'a> = Pin<Box<dyn Future<Output = Result<Covered, Failure>> + 'a>>;

impl Job {
    pub(crate) fn chunks(&self) -> u64 {
        self.source.size().div_ceil(self.chunk)
    }

    /// Copies every chunk that is not safe yet, until all are; the ledger tells what was done.
    ///
    /// # Errors
    /// The first failure, or the interruption. What was safe by then is noted.
    pub(crate) async fn run(
        &self,
        ledger: &mut Ledger,
        note: &mut Note,
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        let mut in_flight = FuturesUnordered::new();
        let mut background: Option<Background<'_>> = None;
        let mut holes = Holes::default();
        let mut checkpoint = tokio::time::interval(self.checkpoint);
        checkpoint.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        checkpoint.tick().await;
        let mut due = false;
        let ended = loop {
            while in_flight.len() < self.depth
                && let Some(next) = ledger.next()
            {
                let (chunks, hole) = match interrupt.cuts(self.plan(&mut holes, next)).await {
                    Ok(planned) => planned,
                    Err(failure) => return self.give_up(ledger, note, in_flight, background, failure).await,
                };
                let work = ledger.start(chunks);
                in_flight.push(self.carry_out(work, hole));
            }
            if background.is_none() && ledger.wants_flush() && (due || ledger.is_idle()) {
                due = false;
                ledger.flush_begins();
                background = Some(Box::pin(self.destination.flush()));
            }
            if ledger.is_complete() {
                break Ok(());
            }
            tokio::select! {
                Some(done) = in_flight.next(), if !in_flight.is_empty() => match done {
                    Ok((work, counts)) => ledger.written(work, counts),
                    Err(failure) => break Err(failure),
                },
                covered = wait_for(&mut background) => {
                    background = None;
                    match covered {
                        Ok(Covered::All) => ledger.flush_covers_all(),
                        Ok(Covered::Some) => {
                            if let Err(failure) = self.copy_again(ledger, progress) {
                                break Err(failure);
                            }
                        }
                        Err(failure) => break Err(failure),
                    }
                    note.take(ledger.safe(), self.chunk).await?;
                }
                _ = checkpoint.tick() => due = true,
                interrupted = interrupt.requested() => break Err(interrupted),
            }
            progress.at((ledger.progress() * self.chunk).min(self.source.size()));
        };
        match ended {
            Ok(()) => Ok(()),
            Err(failure) => self.give_up(ledger, note, in_flight, background, failure).await,
        }
    }

    /// The chunks to take next out of those in `next`, and whether they are a hole.
    async fn plan(
        &self,
        holes: &mut Holes,
        next: std::ops::Range<u64>,
    ) -> Result<(std::ops::Range<u64>, bool), Failure> {
        let start = next.start * self.chunk;
        let size = self.source.size();
        if self.zeroes != ZeroesAre::Data
            && let Some(end) = holes.hole_at(&self.source, start).await?
        {
            let end = if end >= size { self.chunks() } else { end / self.chunk };
            let most = next.end.min(next.start + (LONGEST_HOLE / self.chunk).max(1));
            if end > next.start {
                return Ok((next.start..end.min(most), true));
            }
        }
        Ok((next.start..next.start + 1, false))
    }

    async fn carry_out(&self, work: Work, hole: bool) -> Result<(Work, Counts), Failure> {
        let start = work.chunks.start * self.chunk;
        let end = (work.chunks.end * self.chunk).min(self.source.size());
        let mut counts = Counts::default();
        if hole {
            self.zero(start, end - start, &mut counts).await?;
            return Ok((work, counts));
        }
        // A chunk is bounded by what the command line takes.
        let data = self.source.read(start, (end - start) as usize).await?;
        if self.zeroes == ZeroesAre::Data {
            counts.data = data.len() as u64;
            self.destination.write(start, data).await?;
            return Ok((work, counts));
        }
        for run in zeroes::runs(&data, self.destination.grain()) {
            let offset = start + run.range.start as u64;
            if run.zero {
                self.zero(offset, run.range.len() as u64, &mut counts).await?;
            } else {
                counts.data += run.range.len() as u64;
                self.destination.write(offset, data.slice(run.range)).await?;
            }
        }
        Ok((work, counts))
    }

    async fn zero(&self, offset: u64, len: u64, counts: &mut Counts) -> Result<(), Failure> {
        counts.zeroes += len;
        if self.destination.blank || self.zeroes == ZeroesAre::LeftOut {
            return Ok(());
        }
        self.destination.zero(offset, len).await
    }

    fn copy_again(&self, ledger: &mut Ledger, progress: &Progress) -> Result<(), Failure> {
        let chunks = ledger.flush_covers_some();
        progress.note(&format!(
            "the session was interrupted before a flush: {chunks} chunks are copied again to be sure"
        ));
        if ledger.interruptions() > MOST_INTERRUPTIONS {
            return Err(Failure::operation("the session is interrupted again and again before data is safe")
                .at(&self.destination.place)
                .try_("look for the cause at the network or the target, then run the same command again"));
        }
        Ok(())
    }

    /// Ends what is under way as far as that is quick, flushes, and notes what is safe.
    async fn give_up(
        &self,
        ledger: &mut Ledger,
        note: &mut Note,
        mut in_flight: FuturesUnordered<impl Future<Output = Result<(Work, Counts), Failure>>>,
        background: Option<Background<'_>>,
        failure: Failure,
    ) -> Result<(), Failure> {
        let until = Instant::now() + LAST_WORK;
        let last_work = async {
            while let Some(done) = in_flight.next().await {
                if let Ok((work, counts)) = done {
                    ledger.written(work, counts);
                }
            }
        };
        let _ = timeout_at(until, last_work).await;
        drop(in_flight);
        let until = Instant::now() + LAST_WORK;
        let mut flush = background;
        loop {
            let covered = match flush.take() {
                Some(flush) => timeout_at(until, flush).await,
                None if ledger.wants_flush() => {
                    ledger.flush_begins();
                    timeout_at(until, self.destination.flush()).await
                }
                None => break,
            };
            match covered {
                Ok(Ok(Covered::All)) => ledger.flush_covers_all(),
                _ => break,
            }
        }
        note.take(ledger.safe(), self.chunk).await?;
        let safe = (ledger.safe().count() * self.chunk).min(self.source.size());
        Err(note.explain(failure, safe, self.source.size()))
    }
}

/// The result of what goes on in the background; nothing, for ever, when nothing does.
async fn wait_for(background: &mut Option<Background<'_>>) -> Result<Covered, Failure> {
    match background {
        Some(background) => background.await,
        None => std::future::pending().await,
    }
}
