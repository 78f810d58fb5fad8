//! include/iscsicore.h and tests/symbols.txt are what the source says: generated again, they are the same, byte for byte.

use std::path::{Path, PathBuf};

#[path = "header/layout.rs"]
mod layout;
#[path = "header/source.rs"]
mod source;

use source::Source;

const UPDATE: &str = "ISCSICORE_UPDATE_HEADER";
const HEADER: &str = "include/iscsicore.h";
const SYMBOLS: &str = "tests/symbols.txt";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The header that the source stands for.
fn generate() -> String {
    let source = Source::read(&file("src"));
    let mut config = cbindgen::Config::from_file(file("cbindgen.toml")).expect("cbindgen.toml is valid");
    config.export.include.extend(source.names().cloned());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builder = cbindgen::Builder::new().with_crate(directory).with_config(config);
    let mut written = Vec::new();
    builder.generate().expect("cbindgen understands the source").write(&mut written);
    let written = String::from_utf8(written).expect("a header is UTF-8");
    let template = std::fs::read_to_string(file("pkg/iscsicore.h.in")).expect("the template is there");
    let template = template
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"));
    layout::arrange(&template, &written, &source)
}

/// The names of the functions that a header declares, sorted.
fn symbols(header: &str) -> String {
    let (_, items) = items(header);
    let mut names: Vec<String> =
        items.into_iter().filter(|item| layout::is_function(item)).map(layout::name).collect();
    names.sort();
    names.join("\n") + "\n"
}

/// What stands before the generated items of a header, and those.
fn items(header: &str) -> (&str, Vec<&str>) {
    let (head, rest) =
        header.split_once("extern \"C\" {\n#endif\n").expect("the items stand in extern \"C\"");
    let items = rest.split("\n\n").map(str::trim);
    (head, items.filter(|item| item.contains("iscsicore_") && !item.starts_with('#')).collect())
}

/// Compares a file with what it is to be; with ISCSICORE_UPDATE_HEADER=1 it becomes that.
fn check(name: &str, wanted: &str, advice: &str) {
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(file(name), wanted).expect("the file can be written");
        return;
    }
    let found = std::fs::read_to_string(file(name)).unwrap_or_default();
    if let Some((number, was, is)) = first_difference(&found, wanted) {
        panic!(
            "ffi-c/{name} is not what the source says, from line {number}:\n  file:   {was}\n  source: {is}\n\
             Update it with\n  {UPDATE}=1 cargo test -p iscsicore-ffi --test header up_to_date\n{advice}"
        );
    }
}

fn first_difference<'a>(left: &'a str, right: &'a str) -> Option<(usize, &'a str, &'a str)> {
    const END: &str = "(the end)";
    let (left, right): (Vec<&str>, Vec<&str>) = (left.split('\n').collect(), right.split('\n').collect());
    let at = |lines: &[&'a str], number: usize| lines.get(number).copied().unwrap_or(END);
    let number = (0..left.len().max(right.len())).find(|&line| left.get(line) != right.get(line))?;
    Some((number + 1, at(&left, number), at(&right, number)))
}

#[test]
fn the_header_is_up_to_date() {
    let advice = "and read the difference: programs that are built already know what was there before.";
    check(HEADER, &generate(), advice);
}

/// The committed table of symbols has the functions of the header. That the libraries have them, and no others, is
/// checked by tests/install.py.
#[test]
fn the_table_of_symbols_is_up_to_date() {
    let advice = "A name that is gone or altered breaks the programs that use it: that takes another SONAME.";
    check(SYMBOLS, &symbols(&generate()), advice);
}

/// Every item of the header says what it is for: a C programmer has nothing else to read.
#[test]
fn every_item_is_documented() {
    let header = generate();
    let (_, items) = items(&header);
    assert!(items.len() > 20, "only {} items were found", items.len());
    let undocumented: Vec<&str> = items.into_iter().filter(|item| !item.starts_with("/*")).collect();
    assert!(undocumented.is_empty(), "without documentation:\n{}", undocumented.join("\n\n"));
}

/// Comments of the header are for C programmers: no link of rustdoc, no path and no type of Rust.
#[test]
fn comments_are_plain_text() {
    for line in generate().lines().filter(|line| line.trim_start().starts_with(['*', '/'])) {
        for rust in ["[`", "`]", "](", "# Errors", "# Safety", "Option<", "Vec<"] {
            assert!(!line.contains(rust), "{rust:?} means nothing in C: {line}");
        }
        // An address of IPv6 has digits before its colons.
        let mut paths = line.match_indices("::").filter(|(at, _)| line[..*at].ends_with(char::is_alphabetic));
        assert_eq!(paths.next(), None, "a path of Rust means nothing in C: {line}");
    }
}

/// A comment that names a function or a constant names one that is there.
#[test]
fn comments_name_what_exists() {
    let header = generate();
    let (head, _) = items(&header);
    let code: String = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect();
    let known: std::collections::BTreeSet<&str> = code.split(|c| !is_word(c)).collect();
    let comments = header.lines().filter(|line| line.trim_start().starts_with(['*', '/']));
    let unknown: std::collections::BTreeSet<&str> = comments
        .flat_map(|line| line.split(|c| !is_word(c)))
        .filter(|word| word.to_ascii_lowercase().starts_with("iscsicore_"))
        .filter(|word| !word.ends_with('_') && !known.contains(word) && !head.contains(&format!("{word} ")))
        .collect();
    assert!(unknown.is_empty(), "comments name what the header does not have: {unknown:?}");
}

/// The version in the header, which programs are compiled with, is that of the crate, which iscsicore_version tells.
#[test]
fn the_version_macros_are_the_version_of_the_crate() {
    let header = std::fs::read_to_string(file(HEADER)).expect("the header is there");
    let part = |name: &str| {
        let define = format!("#define ISCSICORE_VERSION_{name} ");
        header.lines().find_map(|line| line.strip_prefix(&define)).expect("every part is defined").to_owned()
    };
    let version = [part("MAJOR"), part("MINOR"), part("PATCH")].join(".");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}
