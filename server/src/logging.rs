//! The log: to standard error, in the chosen form.

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::Log;

/// Starts logging for the whole process.
///
/// # Errors
///
/// The filter cannot be read (which loading has checked), or logging was started before.
pub(crate) fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|e| e.to_string())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| e.to_string())
}

/// Says why the server ends: in the log if that lets errors through, and in any case somewhere.
pub(crate) fn last_words(problem: &str) {
    if tracing::enabled!(target: "iscsicored", tracing::Level::ERROR) {
        tracing::error!(target: "iscsicored", "{problem}");
    } else {
        crate::output::complain(&format!("iscsicored: {problem}"));
    }
}
