//! Standard output and standard error, which whoever reads them may close at any time.

use std::io::{self, Write as _};

/// Writes to standard output. That nobody reads on is no failure.
///
/// # Errors
///
/// What the system said otherwise.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line to standard error; there is nowhere to say that this fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
