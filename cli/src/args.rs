//! The command line.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::{EXIT_CODES, Failure, Kind};
use crate::output::Output;
use crate::{bench, capture, commands, copy};

/// An iSCSI initiator for people: discover, inspect, copy, measure and watch disks.
#[derive(Parser, Debug)]
#[command(version, about, long_about = ABOUT, max_term_width = 110, after_long_help = EXIT_CODES)]
#[command(after_help = "Use --help for exit codes, and COMMAND --help for each command.")]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = false)]
pub(crate) struct Args {
    /// Write JSON: one object for each result on standard output, and for an error on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const ABOUT: &str = "\
An iSCSI initiator for people: discover, inspect, copy, measure and watch disks.

A URL is iscsi://[user@]host[:port]/target/lun, such as iscsi://10.0.0.7/iqn.2026-01.com.example:disk0/0; without /lun it \
means LUN 0. A PORTAL is host[:port]. The port is 3260 when it is left out.";

/// What to do. The help of each is that of its arguments.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Discover(commands::discover::Args),
    Info(commands::info::Args),
    Luns(commands::luns::Args),
    Copy(copy::Args),
    Read(commands::read::Args),
    Write(commands::write::Args),
    Bench(bench::Args),
    Ping(commands::ping::Args),
    Scsi(commands::scsi::Args),
    Keys(commands::reservations::KeysArgs),
    Register(commands::reservations::RegisterArgs),
    Reserve(commands::reservations::ReserveArgs),
    Release(commands::reservations::ReleaseArgs),
    Clear(commands::reservations::ClearArgs),
    Preempt(commands::reservations::PreemptArgs),
    ResizeWatch(commands::resize_watch::Args),
    Capture(capture::Args),
    Completions(commands::completions::Args),
}

/// Reads the command line of this process; the exit code when there is nothing to run.
pub(crate) fn read() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        // clap did not come so far as to read it.
        let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
        if json || error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            Output { json }.failure(&usage(&error));
        } else {
            let _ = error.print();
        }
        ExitCode::from(Kind::Usage.code())
    })
}

/// What clap says in several lines, in one.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let first = lines.next().unwrap_or_default();
    let mut what = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let (mut remedy, mut items) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        match line.strip_prefix("tip: ") {
            Some(tip) => remedy = Some(tip.to_owned()),
            None => {
                what += if items { ", " } else { " " };
                what += line;
                items = true;
            }
        }
    }
    Failure::usage(what).try_(remedy.unwrap_or_else(|| "see --help".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn usage_errors_are_one_line() {
        let failure =
            |line: &[&str]| usage(&Args::try_parse_from([&["iscsictl"], line].concat()).unwrap_err());
        let missing = failure(&["copy", "a"]);
        assert_eq!(
            missing.line(),
            "iscsictl: the following required arguments were not provided: <DST>; see --help"
        );
        let size = failure(&["copy", "a", "b", "--chunk", "1X"]);
        assert!(size.line().contains("invalid value '1X' for '--chunk <SIZE>'"), "{}", size.line());
        let typo = failure(&["copi"]);
        assert!(typo.remedy.unwrap().contains("'copy'"));
    }
}
