//! iscsicored: an iSCSI target server.
//!
//! This crate reads the configuration and starts the server; the protocol is in `iscsicore`, the I/O in
//! `iscsicore-tokio`.

mod banner;
mod cli;
mod config;
mod identity;
mod logging;
mod run;
mod size;

use std::process::ExitCode;

use clap::Parser;

use cli::Args;

/// The server failed while starting or running.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong. clap ends the process with the same code.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let loaded = config::load(&args);
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let config = match loaded.config {
        Ok(config) => config,
        Err(errors) => {
            for error in &errors {
                eprintln!("{error}");
            }
            return ExitCode::from(WRONG_USAGE);
        }
    };
    if args.check_config {
        print!("{}", banner::summary(&config));
        return ExitCode::SUCCESS;
    }
    let ran = logging::start(&config.log)
        .map_err(|problem| format!("the log cannot be started: {problem}"))
        .and_then(|()| run::run(config).map_err(|error| error.to_string()));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("iscsicored: {problem}");
            ExitCode::from(FAILED)
        }
    }
}
