//! iscsictl: an iSCSI initiator for people.
//!
//! This crate reads the command line, calls the client of `iscsicore-tokio`, and tells what came of it; the protocol is in
//! `iscsicore`.

mod args;
mod bench;
mod capture;
mod commands;
mod connect;
mod copy;
mod failure;
mod hexdump;
mod interrupt;
mod output;
mod units;

use std::process::ExitCode;

use args::Args;
use failure::{Failure, Kind};
use interrupt::Interrupt;
use output::Output;

/// What every command is given beside its arguments.
struct Context {
    out: Output,
    interrupt: Interrupt,
}

fn main() -> ExitCode {
    let args = match args::read() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let out = Output { json: args.json };
    match run(args, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { kind: kind @ (Kind::Closed | Kind::Child(_)), .. }) => ExitCode::from(kind.code()),
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.kind.code())
        }
    }
}

fn run(args: Args, out: Output) -> Result<(), Failure> {
    let cannot_start = |error: std::io::Error| Failure::operation(format!("cannot start: {error}"));
    // One thread does the I/O of all sessions: another would cost more time in wake-ups than it saves.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_start)?;
    let done = runtime.block_on(async {
        let context = Context { out, interrupt: Interrupt::listen().map_err(cannot_start)? };
        commands::run(args.command, &context).await
    });
    // A read of standard input or a slow disk must not hold up the end.
    runtime.shutdown_background();
    done
}
