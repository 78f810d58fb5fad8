//! `iscsictl bench`: how fast a disk is, and whether it keeps what it is given.

mod load;
mod pattern;
mod places;
mod tally;

use std::time::Duration;

use serde::Serialize;

use crate::connect::{Session, UnitUrl, unit_url};
use crate::failure::Failure;
use crate::output::{Report, table};
use crate::units::{self, Amount};
use crate::{Context, connect};
use load::{Load, Outcome};
use tally::{Figures, rounded};

/// Measure how fast a disk is, and check its data if wanted
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    /// Of a hundred operations, so many are reads
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(0..=100))]
    rw: u8,

    /// Size of an operation
    #[arg(long, value_name = "SIZE", value_parser = units::size_above_0, default_value = "4K")]
    size: u64,

    /// Operations under way at a time
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,

    /// How long to measure
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0, default_value = "5s")]
    time: Duration,

    /// Operations one behind the other
    #[arg(long, conflicts_with = "random")]
    sequential: bool,

    /// Operations anywhere; the default
    #[arg(long)]
    random: bool,

    /// Use only this part of the disk: LENGTH from its beginning, or OFFSET:LENGTH
    #[arg(long, value_name = "[OFFSET:]LENGTH", value_parser = range)]
    range: Option<Range>,

    /// Where chance begins, to do the same again; told in the result
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Allow to write, which destroys what is on the disk (in the range)
    #[arg(long, alias = "destructive")]
    write: bool,

    /// Write blocks that tell their number and version, check every read, and read everything back at the end
    #[arg(long, requires = "write")]
    verify: bool,

    #[command(flatten)]
    session: Session,
}

/// A part of a disk.
#[derive(Clone, Copy, Debug)]
struct Range {
    offset: Amount,
    len: Amount,
}

fn range(text: &str) -> Result<Range, String> {
    let (offset, len) = text.split_once(':').unwrap_or(("0", text));
    Ok(Range { offset: units::amount(offset)?, len: units::amount(len)? })
}

#[derive(Serialize)]
struct Measured {
    url: String,
    size: u64,
    depth: u16,
    read_percent: u8,
    order: &'static str,
    seed: u64,
    range_offset: u64,
    range_bytes: u64,
    seconds: f64,
    reads: Option<Figures>,
    writes: Option<Figures>,
    total: Option<Figures>,
    cpu_us_per_io: Option<f64>,
    verify: Option<Verified>,
}

#[derive(Serialize)]
struct Verified {
    reads_checked: u64,
    blocks_wrong: u64,
    first_wrong: Option<String>,
}

impl Report for Measured {
    fn human(&self) -> String {
        let mut text = format!(
            "{} {}, depth {}, {} % reads, {:.1} s over {}\n",
            units::human(self.size),
            self.order,
            self.depth,
            self.read_percent,
            self.seconds,
            units::human(self.range_bytes)
        );
        let kinds = [("reads", &self.reads), ("writes", &self.writes), ("total", &self.total)];
        let mut lines = Vec::new();
        for (kind, figures) in kinds {
            let Some(f) = figures else { continue };
            if kind == "total" && lines.len() < 2 {
                continue;
            }
            let l = &f.latency_us;
            let mut line = vec![kind.to_owned(), format!("{:.0}", f.iops), format!("{:.1}", f.mib_per_s)];
            line.extend([l.mean, l.p50, l.p90, l.p99, l.p99_9, l.max].map(|us| format!("{us:.0}")));
            lines.push(line);
        }
        let head = ["", "IOPS", "MiB/s", "mean us", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us"];
        text += &table(&head, &lines);
        if let Some(cpu) = self.cpu_us_per_io {
            text += &format!("\n{cpu:.1} us of this machine's CPU for each operation");
        }
        if let Some(verified) = &self.verify {
            text += &format!(
                "\nverified: {} reads checked, {} blocks wrong",
                verified.reads_checked, verified.blocks_wrong
            );
        }
        text
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.rw < 100 && !args.write {
        return Err(Failure::usage("this would write to the disk and destroy what is there")
            .at(args.url.0.to_string())
            .try_("add --write if that is wanted, or measure reads with --rw 100"));
    }
    let client = args.session.connect(&args.url, &context.interrupt).await?;
    let done = measure(&args, &client, context).await;
    connect::log_out(client).await;
    let (result, interrupted) = done?;
    context.out.report(&result)?;
    if let Some(verified) = &result.verify
        && let Some(first) = &verified.first_wrong
    {
        return Err(Failure::mismatch(format!(
            "{} blocks are wrong; the first: {first}",
            verified.blocks_wrong
        ))
        .at(&result.url)
        .try_("the disk, the target or the way to it loses data: do not trust it"));
    }
    match interrupted {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

async fn measure(
    args: &Args,
    client: &iscsicore_tokio::Client,
    context: &Context,
) -> Result<(Measured, Option<Failure>), Failure> {
    let url = args.url.0.to_string();
    let load = plan(args, client).map_err(|failure| failure.at(&url))?;
    let (offset, bytes) = (load.first_byte(), load.bytes());
    let seed = load.seed;
    let outcome =
        load.run(client, args.time, &context.interrupt).await.map_err(|failure| failure.at(&url))?;
    let Outcome { reads, writes, time, cpu, checked, wrong, interrupted } = outcome;
    let mut total = writes.clone();
    total.add(&reads);
    let operations = total.operations();
    let result = Measured {
        url,
        size: args.size,
        depth: args.depth,
        read_percent: args.rw,
        order: if args.sequential { "sequential" } else { "random" },
        seed,
        range_offset: offset,
        range_bytes: bytes,
        seconds: rounded(time.as_secs_f64() * 100.0) / 100.0,
        reads: reads.figures(time),
        writes: writes.figures(time),
        total: total.figures(time),
        cpu_us_per_io: cpu
            .filter(|_| operations > 0)
            .map(|cpu| rounded(cpu.as_secs_f64() * 1e6 / operations as f64)),
        verify: args.verify.then(|| Verified {
            reads_checked: checked,
            blocks_wrong: wrong.count,
            first_wrong: wrong.first.map(|wrong| wrong.to_string()),
        }),
    };
    Ok((result, interrupted))
}

/// What to do, from what was asked for and what the disk is.
fn plan(args: &Args, client: &iscsicore_tokio::Client) -> Result<Load, Failure> {
    let block_size = client.block_size();
    connect::check_disk(client)?;
    let disk = client.blocks().saturating_mul(u64::from(block_size));
    let range = args.range.unwrap_or(Range { offset: Amount::Bytes(0), len: Amount::Bytes(disk) });
    let bytes = |amount: Amount| {
        amount.bytes(block_size).ok_or_else(|| Failure::usage("--range is larger than any disk"))
    };
    let (offset, mut len) = (bytes(range.offset)?, bytes(range.len)?);
    if args.range.is_none() {
        len = disk;
    }
    if offset.checked_add(len).is_none_or(|end| end > disk) {
        return Err(Failure::usage(format!(
            "--range reaches beyond the end of the disk, which has {disk} bytes"
        )));
    }
    for (what, number) in [("--size", args.size), ("the offset of --range", offset)] {
        if number % u64::from(block_size) != 0 {
            return Err(Failure::usage(format!(
                "{what} is {number}, which is not a multiple of the block size of {block_size} bytes"
            )));
        }
    }
    let blocks = u32::try_from(args.size / u64::from(block_size)).ok().filter(|_| args.size <= 64 << 20);
    let blocks = blocks.ok_or_else(|| Failure::usage("--size is more than 64M"))?;
    let places = len / args.size;
    if places == 0 {
        return Err(Failure::usage(format!("not even one operation of {} bytes fits", args.size)));
    }
    if args.verify && places > places::MOST_CHECKED {
        return Err(Failure::usage("there are more places than can be kept track of")
            .try_("check a part of the disk with --range, or use a larger --size"));
    }
    Ok(Load {
        first: offset / u64::from(block_size),
        places,
        blocks,
        block_size,
        depth: usize::from(args.depth),
        reads: args.rw,
        sequential: args.sequential,
        seed: args.seed.unwrap_or_else(seed_of_chance),
        verify: args.verify,
    })
}

fn seed_of_chance() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Small enough that people can type it again.
    RandomState::new().hash_one(0) >> 32
}
