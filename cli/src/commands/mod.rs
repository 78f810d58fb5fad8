//! The commands that fit into a file each.

pub(crate) mod completions;
pub(crate) mod discover;
pub(crate) mod info;
pub(crate) mod luns;
pub(crate) mod ping;
pub(crate) mod read;
pub(crate) mod reservations;
pub(crate) mod resize_watch;
pub(crate) mod scsi;
pub(crate) mod write;

use crate::args::Command;
use crate::failure::Failure;
use crate::{Context, bench, capture, copy};

/// Carries out a command.
///
/// # Errors
/// Why it failed.
pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Discover(args) => discover::run(args, context).await,
        Command::Info(args) => info::run(args, context).await,
        Command::Luns(args) => luns::run(args, context).await,
        Command::Copy(args) => copy::run(args, context).await,
        Command::Read(args) => read::run(args, context).await,
        Command::Write(args) => write::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
        Command::Ping(args) => ping::run(args, context).await,
        Command::Scsi(args) => scsi::run(args, context).await,
        Command::Keys(args) => reservations::keys(args, context).await,
        Command::Register(args) => reservations::register(args, context).await,
        Command::Reserve(args) => reservations::reserve(args, context).await,
        Command::Release(args) => reservations::release(args, context).await,
        Command::Clear(args) => reservations::clear(args, context).await,
        Command::Preempt(args) => reservations::preempt(args, context).await,
        Command::ResizeWatch(args) => resize_watch::run(args, context).await,
        Command::Capture(args) => capture::run(args, context).await,
        Command::Completions(args) => completions::run(&args, context),
    }
}
