//! iscsicored: an iSCSI target server.
//!
//! This crate reads the configuration and starts the server; the protocol is in `iscsicore`, the I/O in
//! `iscsicore-glommio` and `iscsicore-tokio`.

mod banner;
mod check;
mod cli;
mod config;
mod identity;
mod logging;
mod machine;
mod output;
mod run;
mod runtime;
mod size;

use std::process::ExitCode;

use clap::Parser;

use cli::Args;
use config::{Config, Diagnostic};

/// The server failed while starting or running.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong. clap ends the process with the same code.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let loaded = config::load(&args);
    let config = match loaded.config {
        Ok(config) => config,
        Err(errors) => {
            loaded.warnings.iter().chain(&errors).for_each(|found| output::complain(&found.to_string()));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    if args.check_config {
        return check_config(&args, &config, &loaded.warnings);
    }
    if let Err(problem) = logging::start(&config.log) {
        output::complain(&format!("iscsicored: the log cannot be started: {problem}"));
        return ExitCode::from(FAILED);
    }
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.unmarked());
    }
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            logging::last_words(&problem.to_string());
            ExitCode::from(FAILED)
        }
    }
}

/// Says what would be served, or what a start would fail of.
fn check_config(args: &Args, config: &Config, warnings: &[Diagnostic]) -> ExitCode {
    let source =
        args.config.as_ref().map_or_else(|| "command line".to_owned(), |path| path.display().to_string());
    warnings.iter().for_each(|warning| output::complain(&warning.to_string()));
    let chosen = runtime::choose(&config.runtime);
    let mut found = check::check(config, chosen.as_ref().ok().map(|(chosen, _)| &chosen.runtime));
    let chosen = match chosen {
        Ok((chosen, _)) => Some(chosen),
        Err(problem) => {
            found.errors.insert(0, problem);
            None
        }
    };
    found.warnings.iter().for_each(|warning| output::complain(&format!("{source}: warning: {warning}")));
    found.errors.iter().for_each(|error| output::complain(&format!("{source}: {error}")));
    let Some(chosen) = chosen.filter(|_| found.errors.is_empty()) else {
        return ExitCode::from(WRONG_USAGE);
    };
    match output::print(&banner::summary(config, &chosen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("iscsicored: cannot write: {error}"));
            ExitCode::from(FAILED)
        }
    }
}
