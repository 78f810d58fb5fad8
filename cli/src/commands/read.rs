//! `iscsictl read`.

use std::path::PathBuf;
use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use iscsicore_tokio::Client;
use tokio::io::AsyncWriteExt as _;

use crate::Context;
use crate::connect::{Session, UnitUrl, check_disk, failed, unit_url};
use crate::failure::{Failure, Kind};
use crate::hexdump::hexdump;
use crate::units::{self, Amount};

/// Read a range of a disk
#[derive(clap::Args, Debug)]
#[command(after_help = "\
OFFSET and LENGTH are in bytes (4096, 1M) or logical blocks (8blk). They need not be multiples of the block \
size: whole blocks are read, and what is too much is left out.")]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    /// Where to begin
    #[arg(long, value_name = "OFFSET", value_parser = units::amount, default_value = "0")]
    offset: Amount,

    /// How much to read [default: to the end of the disk]
    #[arg(long, value_name = "LENGTH", value_parser = units::amount)]
    length: Option<Amount>,

    /// Write the data to this file; - is standard output [default: a hex dump on standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    session: Session,
}

#[derive(serde::Serialize)]
struct Read {
    offset: u64,
    bytes: u64,
    output: Option<String>,
    data_hex: Option<String>,
}

impl crate::output::Report for Read {
    fn human(&self) -> String {
        let to = self.output.as_deref().unwrap_or_default();
        format!("read {} at byte {} into {to}", units::human(self.bytes), self.offset)
    }
}

/// Bytes that one read asks for, and how many reads are under way.
const PIECE: u64 = 1 << 20;
const DEPTH: usize = 8;
/// What a hex dump shows at most: more is for files.
const MOST_DUMPED: u64 = 16 << 20;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let done =
        args.session.with(&args.url, &context.interrupt, async |client| read(&args, client, context).await);
    done.await
}

async fn read(args: &Args, client: &Client, context: &Context) -> Result<(), Failure> {
    check_disk(client)?;
    let (offset, len) = range(args, client)?;
    let dump = args.output.is_none();
    if dump && len > MOST_DUMPED {
        return Err(Failure::usage(format!("{} are too much for a hex dump", units::human(len)))
            .try_("name a --length, or a file with -o (-o - is standard output)"));
    }
    let mut sink: Sink = match args.output.as_deref() {
        None => Sink::Memory(Vec::new()),
        Some(path) if path.as_os_str() == "-" => Sink::Stdout(tokio::io::stdout()),
        Some(path) => Sink::File(tokio::fs::File::create(path).await.map_err(|error| {
            Failure::operation(format!("cannot create it: {error}")).at(path.display().to_string())
        })?),
    };
    let starts = (0..len.div_ceil(PIECE)).map(|n| (offset + n * PIECE, PIECE.min(len - n * PIECE)));
    let pieces = stream::iter(starts).map(|(at, len)| piece(client, at, len)).buffered(DEPTH);
    let mut pieces = pin!(pieces);
    while let Some(data) = pieces.next().await {
        sink.write(&data?).await?;
    }
    let output = args.output.as_ref().map(|path| path.display().to_string());
    match sink {
        Sink::Memory(data) if context.out.json => {
            let data_hex = Some(units::to_hex(&data));
            context.out.report(&Read { offset, bytes: len, output, data_hex })
        }
        Sink::Memory(data) => context.out.bytes(format!("{}\n", hexdump(&data)).as_bytes()),
        Sink::Stdout(mut stdout) => stdout.flush().await.map_err(|error| unwritable(&error)),
        Sink::File(mut file) => {
            file.sync_all().await.map_err(|error| unwritable(&error))?;
            file.flush().await.map_err(|error| unwritable(&error))?;
            context.out.report(&Read { offset, bytes: len, output, data_hex: None })
        }
    }
}

/// The bytes to read: their offset and how many.
fn range(args: &Args, client: &Client) -> Result<(u64, u64), Failure> {
    let block_size = client.block_size();
    let disk = client.blocks().saturating_mul(u64::from(block_size));
    let beyond = || {
        Failure::usage(format!("the range reaches beyond the end of the disk, which has {disk} bytes"))
            .try_("name a smaller --offset or --length")
    };
    let offset = args.offset.bytes(block_size).filter(|offset| *offset <= disk).ok_or_else(beyond)?;
    let len = match args.length {
        None => disk - offset,
        Some(len) => len.bytes(block_size).ok_or_else(beyond)?,
    };
    if len > disk - offset {
        return Err(beyond());
    }
    Ok((offset, len))
}

/// Reads whole blocks, and leaves out what is too much.
async fn piece(client: &Client, offset: u64, len: u64) -> Result<Bytes, Failure> {
    let block_size = u64::from(client.block_size());
    let (first, end) = (offset / block_size, (offset + len).div_ceil(block_size));
    // A piece has few blocks.
    let data = client.read(first, (end - first) as u32).await.map_err(|error| failed(&error))?;
    let skip = (offset - first * block_size) as usize;
    Ok(data.slice(skip..skip + len as usize))
}

enum Sink {
    Memory(Vec<u8>),
    Stdout(tokio::io::Stdout),
    File(tokio::fs::File),
}

impl Sink {
    async fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Sink::Memory(memory) => {
                memory.extend_from_slice(data);
                Ok(())
            }
            Sink::Stdout(stdout) => stdout.write_all(data).await,
            Sink::File(file) => file.write_all(data).await,
        };
        written.map_err(|error| unwritable(&error))
    }
}

fn unwritable(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::new(Kind::Closed, "nobody reads the output any more"),
        _ => Failure::operation(format!("cannot write the output: {error}")),
    }
}
