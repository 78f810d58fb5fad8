//! Instructions that the core spends on a command, counted by callgrind: the same on every machine and on every run, up
//! to the compiler. Two runs, one of twice as many commands: the difference is what the commands cost.
//!
//! ```text
//! cargo bench -p iscsicore --bench instructions              the table
//! cargo bench -p iscsicore --bench instructions -- --check   fails when a figure differs from the recorded one, or misses its goal
//! cargo bench -p iscsicore --bench instructions -- --record  renews the recorded figures
//! ```
//!
//! *Path* is from the request in the receiver's buffer to the answer in the transmitter's slices: framing, the session, the
//! commands, the disk. *Turn* is all that an adapter asks of the core in one turn of its loop: buffers, accounts of bytes read
//! and written, timers, and looking for more when there is none. Neither counts making requests, copying bytes to and from the
//! socket, the storage, or looking at answers.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "it runs valgrind")]

#[path = "../tests/path_support/mod.rs"]
mod path_support;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path as File;
use std::process::{Command, ExitCode};

use path_support::{Load, Path, Storage};

/// A kind of command, and what it is to cost at most.
struct Case {
    name: &'static str,
    load: Load,
    depth: usize,
    digests: bool,
    goal: Option<u64>,
}

const fn case(name: &'static str, load: Load, depth: usize, digests: bool, goal: Option<u64>) -> Case {
    Case { name, load, depth, digests, goal }
}

#[rustfmt::skip]
const CASES: [Case; 9] = [
    case("read 4k, depth 32",             Load::Read,           32, false, Some(2500)),
    case("read 4k, depth 1",              Load::Read,            1, false, None),
    case("read 4k, depth 32, digests",    Load::Read,           32, true,  None),
    case("write 4k, depth 32",            Load::WriteImmediate, 32, false, Some(4000)),
    case("write 4k, depth 1",             Load::WriteImmediate,  1, false, None),
    case("write 4k, depth 32, digests",   Load::WriteImmediate, 32, true,  None),
    case("R2T write, depth 32",           Load::WriteSolicited, 32, false, None),
    case("R2T write, depth 1",            Load::WriteSolicited,  1, false, None),
    case("R2T write, depth 32, digests",  Load::WriteSolicited, 32, true,  None),
];

/// Commands of the shorter run; the longer one has twice as many.
const COMMANDS: usize = 2048;

/// How much a figure may differ from the recorded one, in percent.
const TOLERANCE: u64 = 3;

/// Functions whose instructions count; the names are those of `path_support`. A function called by one of these whose name
/// matches, too, does not count.
const PATH: &str = "*measured_path*";
const TURN: &str = "*measured_*";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|a| a == name);
    if let [first, case, commands] = &arguments[..]
        && first == "--run"
    {
        let case = &CASES[case.parse::<usize>().expect("the number of a case")];
        run(case, commands.parse().expect("a number of commands"));
        return ExitCode::SUCCESS;
    }
    if !has("--bench") {
        println!("built; `cargo bench` runs it");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed, and nothing was counted");
        let required = std::env::var_os("ISCSICORE_REQUIRE_PEERS").is_some_and(|v| v == "1");
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    report(has("--check"), has("--record"))
}

fn run(case: &Case, commands: usize) {
    let mut path = Path::new(case.load, Storage::Now, case.depth, case.digests);
    while path.completed < commands {
        path.round();
    }
}

/// Counts and prints everything; checks it against the recorded figures and the goals, or records it.
fn report(check: bool, record: bool) -> ExitCode {
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.tsv");
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    let mut renewed = String::from("# Instructions for a command: path, turn. See instructions.rs.\n");
    let mut failures = Vec::new();
    println!("{:<32} {:>8} {:>8} {:>8}   recorded", "instructions for a command", "path", "turn", "goal");
    for (index, case) in CASES.iter().enumerate() {
        let (path, turn) = (count(index, PATH), count(index, TURN));
        let line = recorded.lines().find_map(|line| line.strip_prefix(case.name)?.strip_prefix('\t'));
        let before: Vec<u64> = line.unwrap_or("").split('\t').filter_map(|n| n.parse().ok()).collect();
        let goal = case.goal.map_or_else(String::new, |goal| goal.to_string());
        println!("{:<32} {path:>8} {turn:>8} {goal:>8}   {before:?}", case.name);
        renewed += &format!("{}\t{path}\t{turn}\n", case.name);
        if case.goal.is_some_and(|goal| path > goal) {
            failures.push(format!("{}: {path} instructions, and the goal is {goal}", case.name));
        }
        for (name, now, before) in [("path", path, before.first()), ("turn", turn, before.get(1))] {
            match before {
                Some(before) if now.abs_diff(*before) * 100 <= before * TOLERANCE => {}
                Some(before) => {
                    failures.push(format!("{}, {name}: {now} instructions, {before} before", case.name))
                }
                None => failures.push(format!("{}, {name}: {now} instructions, nothing recorded", case.name)),
            }
        }
    }
    if record {
        std::fs::write(&file, renewed).expect("the recorded figures can be written");
        println!("recorded in {}", file.display());
        return ExitCode::SUCCESS;
    }
    if !check || failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    println!(
        "More than {TOLERANCE} % is a change, for the better too. One that is meant (another compiler is a reason) is recorded by"
    );
    println!("  cargo bench -p iscsicore --bench instructions -- --record");
    ExitCode::FAILURE
}

/// Instructions for one command, in functions that match `counted`.
fn count(case: usize, counted: &str) -> u64 {
    let [once, twice] = [COMMANDS, 2 * COMMANDS].map(|commands| collect(case, counted, commands));
    (twice - once + COMMANDS as u64 / 2) / COMMANDS as u64
}

fn collect(case: usize, counted: &str, commands: usize) -> u64 {
    let out =
        File::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{}.{commands}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={counted}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("the name of this program"))
        .args(["--run", &case.to_string(), &commands.to_string()])
        .output()
        .expect("valgrind runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&out).expect("what callgrind has written");
    let _ = std::fs::remove_file(&out);
    let total =
        text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).expect("a total")
}
