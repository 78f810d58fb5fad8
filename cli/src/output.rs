//! What goes to standard output and standard error, which whoever reads them may close at any time.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::failure::{Failure, Kind};

/// Something that a command tells: for programs by its fields, for people as text.
pub(crate) trait Report: Serialize {
    /// The text, without the end of its last line.
    fn human(&self) -> String;
}

/// Where reports go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether they are JSON, an object a line.
    pub(crate) json: bool,
}

impl Output {
    /// Tells something.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn report(self, report: &impl Report) -> Result<(), Failure> {
        let mut text = if self.json {
            serde_json::to_string(report).map_err(|error| Failure::operation(error.to_string()))?
        } else {
            report.human()
        };
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Kind::Closed, "standard output was closed"),
            _ => Failure::operation(format!("cannot write: {error}")).at("standard output"),
        })
    }

    /// Says something on the way that is no result, to people only.
    pub(crate) fn note(self, line: &str) {
        if !self.json {
            complain(&format!("iscsictl: {line}"));
        }
    }

    /// Tells why the command failed.
    pub(crate) fn failure(self, failure: &Failure) {
        complain(&if self.json { failure.json() } else { failure.line() });
    }
}

/// Rows of a name and a value, the values below one another.
pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> =
        rows.iter().map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A table with a head; the last column is as wide as it needs.
pub(crate) fn table(head: &[&str], lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let format = |cells: Vec<&str>| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = format(head.to_vec());
    let lines = lines.iter().map(|line| format(line.iter().map(String::as_str).collect()));
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Writes a line to standard error; there is nowhere to say that this fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_tables_are_aligned() {
        assert_eq!(rows([("a", "1".to_owned()), ("long", "2".to_owned())]), "a     1\nlong  2");
        let lines = [vec!["0".to_owned(), "disk".to_owned()], vec!["12".to_owned(), String::new()]];
        assert_eq!(table(&["LUN", "NAME"], &lines), "LUN  NAME\n0    disk\n12");
    }
}
