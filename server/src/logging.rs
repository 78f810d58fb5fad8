//! The log: to standard error, in the chosen form.

use std::borrow::Cow;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::Log;

/// Starts logging for the whole process.
///
/// # Errors
///
/// The filter cannot be read (which loading has checked), or logging was started before.
pub(crate) fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(without_glommio(&log.filter)).map_err(|e| e.to_string())?;
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

/// The filter, silent about glommio unless it names that: opening a sparse disk makes glommio report an error which is none (see
/// `backend/handle.rs` of `iscsicore-glommio`), and what goes wrong with a disk or a shard is told by those who use them.
fn without_glommio(filter: &str) -> Cow<'_, str> {
    if filter.contains("glommio") { filter.into() } else { format!("{filter},glommio=off").into() }
}

/// Says why the server ends: in the log if that lets errors through, and in any case somewhere.
pub(crate) fn last_words(problem: &str) {
    if tracing::enabled!(target: "iscsicored", tracing::Level::ERROR) {
        tracing::error!(target: "iscsicored", "{problem}");
    } else {
        crate::output::complain(&format!("iscsicored: {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glommio_is_silent_unless_it_is_named() {
        assert_eq!(without_glommio("info"), "info,glommio=off");
        assert_eq!(without_glommio("warn,glommio=debug"), "warn,glommio=debug");
    }
}
