//! `iscsictl write`.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::FlushCoverage;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::Context;
use crate::connect::{Session, UnitUrl, check_disk, failed, unit_url};
use crate::failure::Failure;
use crate::output::Report;
use crate::units::{self, Amount};

/// Write to a range of a disk
#[derive(clap::Args, Debug)]
#[command(after_help = "\
OFFSET is in bytes (4096, 1M) or logical blocks (8blk). It and the amount of data must be multiples of the block size.")]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    /// Where to begin
    #[arg(long, value_name = "OFFSET", value_parser = units::amount)]
    offset: Amount,

    /// Take the data from this file [default: standard input]
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Do not wait until the data is on stable storage
    #[arg(long)]
    no_flush: bool,

    #[command(flatten)]
    session: Session,
}

#[derive(serde::Serialize)]
struct Written {
    offset: u64,
    bytes: u64,
    flushed: bool,
}

impl Report for Written {
    fn human(&self) -> String {
        let flushed = if self.flushed { ", on stable storage" } else { "" };
        format!("wrote {} at byte {}{flushed}", units::human(self.bytes), self.offset)
    }
}

/// Bytes that one write carries, and how many writes are under way.
const PIECE: usize = 1 << 20;
const DEPTH: usize = 8;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let work = async |client: &Client| write(&args, client).await;
    let written = args.session.with(&args.url, &context.interrupt, work).await?;
    context.out.report(&written)
}

async fn write(args: &Args, client: &Client) -> Result<Written, Failure> {
    check_disk(client)?;
    let block_size = u64::from(client.block_size());
    let disk = client.blocks().saturating_mul(block_size);
    let room = |offset: &u64| *offset <= disk;
    let offset = args.offset.bytes(client.block_size()).filter(room).ok_or_else(|| beyond(disk))?;
    aligned("the offset", offset, block_size)?;
    let mut input: Box<dyn AsyncRead + Unpin> = match &args.input {
        None => Box::new(tokio::io::stdin()),
        Some(path) => {
            let place = || path.display().to_string();
            let unreadable =
                |error: std::io::Error| Failure::operation(format!("cannot read it: {error}")).at(place());
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let metadata = file.metadata().await.map_err(unreadable)?;
            if metadata.is_file() {
                aligned("the size of the file", metadata.len(), block_size).map_err(|f| f.at(place()))?;
                if metadata.len() > disk - offset {
                    return Err(beyond(disk));
                }
            }
            Box::new(file)
        }
    };
    let mut under_way = FuturesUnordered::new();
    let mut at = offset;
    loop {
        let data = fill(&mut input).await?;
        let (len, last) = (data.len() as u64, data.len() < PIECE);
        if len % block_size != 0 || len > disk - at {
            let failure =
                if len % block_size == 0 { beyond(disk) } else { odd(at - offset + len, block_size) };
            // What came before is on its way: let it arrive, so that the message is true.
            while let Some(done) = under_way.next().await {
                done?;
            }
            return Err(Failure {
                what: format!("{}; {} bytes were written", failure.what, at - offset),
                ..failure
            });
        }
        if len > 0 {
            under_way.push(piece(client, at / block_size, data));
        }
        at += len;
        while under_way.len() >= DEPTH || (last && !under_way.is_empty()) {
            under_way.next().await.unwrap_or(Ok(()))?;
        }
        if last {
            break;
        }
    }
    if !args.no_flush {
        flush(client).await?;
    }
    Ok(Written { offset, bytes: at - offset, flushed: !args.no_flush })
}

async fn piece(client: &Client, lba: u64, data: Bytes) -> Result<(), Failure> {
    client.write(lba, data).await.map_err(|error| failed(&error))
}

async fn flush(client: &Client) -> Result<(), Failure> {
    match client.flush().await.map_err(|error| failed(&error))? {
        FlushCoverage::All => Ok(()),
        _ => Err(Failure::operation(
            "the session was interrupted meanwhile: whether all data is on stable storage is not known",
        )
        .try_("write it again")),
    }
}

/// Reads a piece; less than [`PIECE`] is the last.
async fn fill(input: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Failure> {
    let mut data = Vec::with_capacity(PIECE);
    let read = input.take(PIECE as u64).read_to_end(&mut data).await;
    read.map_err(|error| Failure::operation(format!("cannot read the input: {error}")))?;
    Ok(data.into())
}

fn aligned(what: &str, number: u64, block_size: u64) -> Result<(), Failure> {
    if number.is_multiple_of(block_size) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what} is {number} bytes, which is not a multiple of the block size of {block_size}"
    ))
    .try_("write whole blocks; nothing was written"))
}

fn odd(len: u64, block_size: u64) -> Failure {
    Failure::usage(format!(
        "the input has {len} bytes, which is not a multiple of the block size of {block_size}"
    ))
    .try_("write whole blocks")
}

fn beyond(disk: u64) -> Failure {
    Failure::usage(format!("this reaches beyond the end of the disk, which has {disk} bytes"))
}
