//! `iscsictl copy`: whole disks, between files and logical units.

mod end;
mod engine;
mod file;
mod ledger;
mod note;
mod open;
mod outages;
mod progress;
mod ranges;
mod state;
#[cfg(test)]
mod tests;
mod unit;
mod verify;
mod zeroes;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::connect::{Session, log_out};
use crate::failure::Failure;
use crate::output::Report;
use crate::{Context, units};
use end::{End, On};
use engine::{Job, ZeroesAre};
use ledger::Ledger;
use open::Place;
use outages::Outages;
use progress::{Progress, Show};

/// Copy a disk: from a file or URL to a file or URL
///
/// A file that is made is sparse: zeroes take no space. On a logical unit zeroes are written with WRITE SAME, which gives space
/// back where the unit can. An interrupted copy to a file goes on where it ended when the same command runs again, and so
/// does one to a logical unit with --state.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  iscsictl copy iscsi://10.0.0.7/iqn.2026-01.com.example:disk0/0 disk.img
  iscsictl copy disk.img iscsi://10.0.0.7/iqn.2026-01.com.example:disk0/0 --verify
  iscsictl copy iscsi://10.0.0.7/iqn.2026-01.com.example:disk0/0 iscsi://10.0.0.8/iqn.2026-01.com.example:disk0/0 --state c.state")]
pub(crate) struct Args {
    /// File, block device or URL to copy
    #[arg(value_name = "SRC", value_parser = Place::parse)]
    source: Place,

    /// File, block device or URL to copy to; a file is made when there is none
    #[arg(value_name = "DST", value_parser = Place::parse)]
    destination: Place,

    /// Afterwards read everything back and compare it
    #[arg(long)]
    verify: bool,

    /// Chunks under way at a time
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    depth: u16,

    /// Size of a chunk
    #[arg(long, value_name = "SIZE", value_parser = units::size_above_0, default_value = "1M")]
    chunk: u64,

    /// The destination reads as zeroes already: write none
    #[arg(long)]
    no_zeroes: bool,

    /// Write zeroes as data, so that all of the destination has space behind it
    #[arg(long, conflicts_with = "no_zeroes")]
    no_sparse: bool,

    /// Overwrite a file that has content
    #[arg(long)]
    overwrite: bool,

    /// Note progress in this file [default: DST.iscsictl-state for a file, nowhere for a URL]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Begin anew, whatever progress was noted; overwrites the file that the progress was noted of
    #[arg(long)]
    restart: bool,

    /// Flush and note progress this often
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0, default_value = "5s")]
    checkpoint: Duration,

    /// Show progress
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    progress: Show,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Copied {
    #[serde(rename = "type")]
    kind: &'static str,
    source: String,
    destination: String,
    bytes: u64,
    resumed_bytes: u64,
    data_bytes: u64,
    zero_bytes: u64,
    /// Of the copying alone.
    seconds: f64,
    verified: bool,
    verify_seconds: Option<f64>,
}

impl Report for Copied {
    fn human(&self) -> String {
        let now = self.bytes - self.resumed_bytes;
        let rate = (now as f64 / self.seconds.max(1e-3)) as u64;
        let mut text = format!(
            "copied {} in {} ({}/s): {} data, {} zeroes",
            units::human(now),
            units::human_time(self.seconds),
            units::human(rate),
            units::human(self.data_bytes),
            units::human(self.zero_bytes)
        );
        if self.resumed_bytes > 0 {
            text += &format!("; {} were there already", units::human(self.resumed_bytes));
        }
        if let Some(seconds) = self.verify_seconds {
            text += &format!("; verified in {}", units::human_time(seconds));
        }
        text
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let source = open::source(&args.source, &args.session, &context.interrupt).await?;
    let opened = open_destination(&args, &source, context).await;
    let (destination, mut note, safe) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            close(source).await;
            return Err(failure);
        }
    };
    let zeroes = match (args.no_zeroes, args.no_sparse) {
        (true, _) => ZeroesAre::LeftOut,
        (_, true) => ZeroesAre::Data,
        _ => ZeroesAre::Holes,
    };
    let job = Job {
        chunk: args.chunk,
        depth: usize::from(args.depth),
        zeroes,
        checkpoint: args.checkpoint,
        source,
        destination,
    };
    let resumed = (safe.count() * job.chunk).min(job.source.size());
    let mut ledger = Ledger::new(job.chunks(), safe);
    let done = carry_out(&args, &job, &mut ledger, &mut note, context).await;
    let Job { source, destination, .. } = job;
    let counts = ledger.counts();
    let copied = done.map(|times| Copied {
        kind: "copied",
        source: source.place.clone(),
        destination: destination.place.clone(),
        bytes: source.size(),
        resumed_bytes: resumed,
        data_bytes: counts.data,
        zero_bytes: counts.zeroes,
        seconds: in_seconds(times.copying),
        verified: args.verify,
        verify_seconds: times.verifying.map(in_seconds),
    });
    tokio::join!(close(source), close(destination));
    if copied.is_err() && ledger.safe().is_empty() {
        note.withdraw();
    }
    context.out.report(&copied?)
}

/// Opens the destination and finds out what of an earlier copy is there.
async fn open_destination(
    args: &Args,
    source: &End,
    context: &Context,
) -> Result<(End, note::Note, ranges::Ranges), Failure> {
    let options = open::Options {
        chunk: args.chunk,
        overwrite: args.overwrite,
        restart: args.restart,
        state: args.state.as_deref(),
    };
    let opened =
        open::destination(&args.destination, source, &options, &args.session, &context.interrupt).await?;
    if !opened.2.is_empty() {
        let size = (opened.2.count() * args.chunk).min(source.size());
        context.out.note(&format!("going on with an earlier copy: {} are there already", units::human(size)));
    }
    Ok(opened)
}

/// What took how long.
struct Times {
    copying: Duration,
    verifying: Option<Duration>,
}

async fn carry_out(
    args: &Args,
    job: &Job,
    ledger: &mut Ledger,
    note: &mut note::Note,
    context: &Context,
) -> Result<Times, Failure> {
    let begun = Instant::now();
    let size = job.source.size();
    let done = (ledger.safe().count() * job.chunk).min(size);
    let mut outages = Outages::of([&job.source, &job.destination]);
    let progress = Progress::begin("copying", done, size, args.progress, context.out);
    outages.told_beside(&progress, job.run(ledger, note, &progress, &context.interrupt)).await?;
    drop(progress);
    let mut times = Times { copying: begun.elapsed(), verifying: None };
    if args.verify {
        let progress = Progress::begin("verifying", 0, size, args.progress, context.out);
        let begun = Instant::now();
        let compared = job.verify(&progress, &context.interrupt);
        let difference = outages.told_beside(&progress, compared).await?;
        drop(progress);
        times.verifying = Some(begun.elapsed());
        // Right or wrong: what was noted is of no more use.
        note.forget()?;
        if let Some(found) = difference {
            return Err(Failure::mismatch(format!(
                "it differs from the source in {} bytes, the first of them byte {}",
                found.bytes, found.first
            ))
            .at(&job.destination.place)
            .try_("was one of them changed meanwhile? If not, do not trust the destination"));
        }
    }
    note.forget()?;
    Ok(times)
}

fn in_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// Logs out of an end that is a logical unit.
async fn close(end: End) {
    if let On::Unit(unit) = end.on {
        log_out(unit.into_client()).await;
    }
}
