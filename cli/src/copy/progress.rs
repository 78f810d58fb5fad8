//! How far something has come: a bar for people at a terminal, lines for programs, or nothing.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::output::{Output, Report};

/// When progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum Show {
    /// When standard error is a terminal, and without --json.
    #[default]
    Auto,
    /// As a bar, or with --json as an object each second.
    Always,
    /// Not at all.
    Never,
}

/// The progress of one phase.
pub(crate) struct Progress {
    phase: &'static str,
    total: u64,
    output: Output,
    shown: Shown,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { begun: Instant, last: Mutex<Instant> },
}

/// A line of progress.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "type")]
    kind: &'static str,
    phase: &'static str,
    bytes: u64,
    total_bytes: u64,
    seconds: f64,
}

impl Report for Line {
    fn human(&self) -> String {
        format!("{} {} of {} bytes", self.phase, self.bytes, self.total_bytes)
    }
}

/// A line on a session that is lost or up again.
#[derive(Serialize)]
struct Link<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "where")]
    place: &'a str,
    why: Option<&'a str>,
}

impl Report for Link<'_> {
    fn human(&self) -> String {
        match self.why {
            Some(why) => format!("{}: disconnected: {why}; dialing again", self.place),
            None => format!("{}: connected again", self.place),
        }
    }
}

const LINE_EVERY: Duration = Duration::from_secs(1);

impl Progress {
    /// `phase` begins: `total` bytes, of which `done` are done already.
    pub(crate) fn begin(phase: &'static str, done: u64, total: u64, show: Show, output: Output) -> Self {
        let shown = match show {
            Show::Never => Shown::Nothing,
            Show::Auto if output.json || !std::io::stderr().is_terminal() => Shown::Nothing,
            Show::Always if output.json => {
                Shown::Lines { begun: Instant::now(), last: Mutex::new(Instant::now()) }
            }
            Show::Auto | Show::Always => Shown::Bar(bar(phase, done, total)),
        };
        Progress { phase, total, output, shown }
    }

    /// So many bytes are done.
    pub(crate) fn at(&self, bytes: u64) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.set_position(bytes),
            Shown::Lines { begun, last } => {
                let Ok(mut last) = last.lock() else { return };
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let seconds = begun.elapsed().as_secs_f64();
                    let line =
                        Line { kind: "progress", phase: self.phase, bytes, total_bytes: self.total, seconds };
                    // The result tells whether standard output works.
                    let _ = self.output.report(&line);
                }
            }
        }
    }

    /// A session was lost some time ago, and is not up again yet.
    pub(crate) fn disconnected(&self, place: &str, why: &str) {
        self.link(&Link { kind: "disconnected", place, why: Some(why) }, "disconnected");
    }

    /// It is up again.
    pub(crate) fn connected(&self, place: &str) {
        self.link(&Link { kind: "connected", place, why: None }, self.phase);
    }

    fn link(&self, link: &Link<'_>, message: &'static str) {
        match &self.shown {
            // As with the progress itself.
            Shown::Lines { .. } => drop(self.output.report(link)),
            Shown::Bar(bar) => {
                bar.set_message(message);
                self.note(&link.human());
            }
            Shown::Nothing => self.note(&link.human()),
        }
    }

    /// Says something to people without disturbing the bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.shown {
            Shown::Bar(bar) if !bar.is_hidden() => bar.println(format!("iscsictl: {line}")),
            _ => self.output.note(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(phase: &'static str, done: u64, total: u64) -> ProgressBar {
    // Bars are drawn to standard error, a few times a second, and not at all when that is no terminal.
    let bar = ProgressBar::new(total);
    let template =
        "{msg:9} [{wide_bar:.cyan/blue}] {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(phase);
    // What was done before is no measure of the rate.
    bar.set_position(done);
    bar.reset_eta();
    bar
}
