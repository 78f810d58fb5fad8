//! What is wrong in a configuration, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use iscsicore::login::Account;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    severity: Severity,
    /// The file, or what there is in place of one.
    source: String,
    /// Line and column; none when it is about no place in particular.
    at: Option<(usize, usize)>,
    key: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

/// Collects findings about one source.
#[derive(Debug)]
pub(crate) struct Diagnostics {
    file: String,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    text: String,
    found: Vec<Diagnostic>,
    accounts: Vec<PlacedAccount>,
}

/// A CHAP account, and where its secret stands.
#[derive(Debug)]
struct PlacedAccount {
    account: Account,
    /// Whether it is one of a target.
    own: bool,
    span: Range<usize>,
    key: String,
}

impl Diagnostics {
    /// For findings in `text`, which was read from `file`.
    pub(crate) fn new(file: impl Into<String>, text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Diagnostics {
            file: file.into(),
            lines,
            text: text.to_owned(),
            found: Vec::new(),
            accounts: Vec::new(),
        }
    }

    /// Notes a mistake.
    pub(crate) fn error(&mut self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.push(Severity::Error, Some(span), key, message.into());
    }

    /// Notes what is allowed but unwise.
    pub(crate) fn warn(&mut self, span: Option<&Range<usize>>, key: &str, message: impl Into<String>) {
        self.push(Severity::Warning, span, key, message.into());
    }

    /// Notes a mistake that has no place.
    pub(crate) fn error_anywhere(&mut self, key: &str, message: impl Into<String>) {
        self.push(Severity::Error, None, key, message.into());
    }

    /// Remembers where the secret of an account stands; `own` says that it is one of a target.
    pub(crate) fn place_account(&mut self, account: &Account, own: bool, span: &Range<usize>, key: &str) {
        let account = account.clone();
        self.accounts.push(PlacedAccount { account, own, span: span.clone(), key: key.to_owned() });
    }

    /// Notes that the account `theirs` of initiators has the secret of the target's own account `own`.
    pub(crate) fn shared_secret(&mut self, theirs: &str, own: &str, message: &str) {
        let is = |placed: &PlacedAccount, own, name| placed.own == own && placed.account.name == name;
        let place = self.accounts.iter().find(|placed| {
            let shares = |other: &PlacedAccount| other.account.secret == placed.account.secret;
            is(placed, true, own)
                && self.accounts.iter().any(|other| is(other, false, theirs) && shares(other))
        });
        let message = format!("{message}; write a different secret here");
        match place.map(|placed| (placed.span.clone(), placed.key.clone())) {
            Some((span, key)) => self.error(&span, &key, message),
            None => self.error_anywhere("", message),
        }
    }

    /// The mistakes and the warnings, each in the order of the file.
    pub(crate) fn into_parts(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        self.found.sort_by_key(|d| d.at);
        self.found.into_iter().partition(|d| d.severity == Severity::Error)
    }

    /// Whether there is a mistake.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    fn push(&mut self, severity: Severity, span: Option<&Range<usize>>, key: &str, message: String) {
        let at = span.map(|span| self.position(span.start));
        self.found.push(Diagnostic { severity, source: self.file.clone(), at, key: key.to_owned(), message });
    }

    /// Line and column, both from 1; columns count characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

impl Diagnostic {
    /// Its text without the word for its severity, for where that is said in another way.
    pub(crate) fn unmarked(&self) -> String {
        self.marked("")
    }

    fn marked(&self, mark: &str) -> String {
        let at = self.at.map_or_else(String::new, |(line, column)| format!("{line}:{column}:"));
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        format!("{}:{at} {mark}{key}{}", self.source, self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.marked(if self.severity == Severity::Warning { "warning: " } else { "" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let mut found = Diagnostics::new("f", "a\n\u{e4}b\n");
        for offset in [0, 1, 2, 4, 6, 99] {
            found.error(&(offset..offset), "k", "m");
        }
        let places: Vec<_> = found.into_parts().0.iter().map(ToString::to_string).collect();
        let want = ["f:1:1", "f:1:2", "f:2:1", "f:2:2", "f:3:1", "f:3:1"].map(|at| format!("{at}: k: m"));
        assert_eq!(places, want);
    }
}
