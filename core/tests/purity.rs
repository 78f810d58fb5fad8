//! The core does no I/O, reads no clock and takes no lock: `clippy.toml` bans the means by name, this looks for any
//! other way to them. Tests of the core are held to the same, but for reading their own sources here.

#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

/// Modules of the standard library, and crates, that a state machine has no use for.
const BANNED: [&str; 14] = [
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::io",
    "std::os",
    "std::sync",
    "std::time",
    "async fn",
    "getrandom",
    "tokio",
    "extern \"C\"",
    "unsafe {",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// What is banned in a line of code; comments may speak of anything.
fn banned_in(line: &str) -> Option<&'static str> {
    let code = line.split("//").next().unwrap_or("");
    // `IoSlice` is a value that bytes::Buf fills in.
    let code = code.replace("std::io::IoSlice", "");
    BANNED.into_iter().find(|banned| code.contains(banned))
}

#[test]
fn the_core_reaches_for_nothing_outside() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 50, "the sources are here");
    let mut guilty = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            if let Some(banned) = banned_in(line) {
                guilty.push(format!("{}:{}: {banned}", file.display(), number + 1));
            }
        }
    }
    assert!(guilty.is_empty(), "{}", guilty.join("\n"));
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert_eq!(banned_in("    let t = std::time::SystemTime::now();"), Some("std::time"));
    assert_eq!(banned_in("use std::sync::atomic::AtomicU64;"), Some("std::sync"));
    assert_eq!(banned_in("/// Unlike `std::time::Instant`."), None);
    assert_eq!(banned_in("use std::collections::VecDeque;"), None);
}
