#!/usr/bin/env python3
"""Builds the fuzz target of libiscsicore with AddressSanitizer, replays the corpus, and looks for more for a time.

    ffi-c/fuzz/run.py                       replays the corpus and fuzzes for 30 seconds
    ffi-c/fuzz/run.py --seconds 0           replays alone
    ffi-c/fuzz/run.py --seconds 3600 --keep /tmp/found     keeps what it finds; used again as a corpus by the next run
    ffi-c/fuzz/run.py --input crash-1234    one input, with all that is told about it
    ffi-c/fuzz/run.py --minimize /tmp/found replaces the corpus by a small one that reaches as much

It needs Rust (a stable one will do: the flags for the sanitizer are allowed by RUSTC_BOOTSTRAP), a C++ compiler and Python. The
number of inputs and the time depend on the machine; --seed makes a run come out the same on the same build. A failure is an
input in ffi-c/fuzz/artifacts, and an exit status other than 0.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
ARTIFACTS = HERE / "artifacts"
# What cargo-fuzz sets: AddressSanitizer, and the counters by which libFuzzer sees where an input has been.
FLAGS = ["--cfg", "fuzzing", "-Zsanitizer=address", "-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4",
         "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters", "-Cllvm-args=-sanitizer-coverage-pc-table",
         "-Cllvm-args=-sanitizer-coverage-trace-compares", "-Cllvm-args=-simplifycfg-branch-fold-threshold=0"]
# A program of this many bytes does all that one can do in its 400 operations; a slow input takes seconds under the sanitizer.
LIMITS = ["-max_len=1024", "-len_control=0", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]
# The committed corpus is for replaying: it stays small.
MOST_FILES, MOST_BYTES = 200, 300 << 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="how long to fuzz after the corpus was replayed (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--keep", type=pathlib.Path, help="a directory for inputs that reach something new")
    parser.add_argument("--input", type=pathlib.Path, help="runs one input")
    parser.add_argument("--minimize", type=pathlib.Path, nargs="+", metavar="DIRECTORY", help="makes the corpus anew of itself and of these")
    return parser.parse_args()


def check_that_nothing_is_missing():
    """Every function that C can call is named by the target."""
    functions = {found[1] for path in (HERE.parent / "src").rglob("*.rs")
                 for found in re.finditer(r'no_mangle\)\]\s*pub (?:unsafe )?extern "C" fn (\w+)', path.read_text())}
    words = {word for path in (HERE / "src").rglob("*.rs") for word in re.findall(r"\w+", path.read_text())}
    if not functions:
        sys.exit("no functions were found in ffi-c/src")
    if functions - words:
        sys.exit(f"ffi-c/fuzz/src does not call {', '.join(sorted(functions - words))}")
    return len(functions)


def build():
    """The path of the fuzz target."""
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout)[1]
    environment = os.environ | {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": " ".join(FLAGS)}
    # A target of its own spares build scripts and macros the sanitizer.
    command = ["cargo", "build", "--release", "--locked", "--target", host, "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    for line in done.stdout.splitlines():
        if executable := json.loads(line).get("executable"):
            return executable
    sys.exit("cargo built no program")


def run(program, *words):
    """Runs the target in this terminal; its exit status."""
    ARTIFACTS.mkdir(exist_ok=True)
    environment = {"ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=0", "RUST_BACKTRACE": "1"} | os.environ
    status = subprocess.run([program, f"-artifact_prefix={ARTIFACTS}/", *map(str, words)], env=environment).returncode
    if not any(ARTIFACTS.iterdir()):
        ARTIFACTS.rmdir()
    return status


def inputs():
    return sorted(path for path in CORPUS.iterdir() if path.is_file())


def minimize(program, directories):
    """Of all inputs few that together reach as much; as many as are allowed, those that do most first."""
    with tempfile.TemporaryDirectory(prefix="iscsicore-fuzz-") as folder:
        chosen = pathlib.Path(folder)
        # Edges alone count here, not how often each was passed: that keeps a tenth of the inputs, which reach the same code.
        status = run(program, *LIMITS, "-merge=1", "-use_counters=0", chosen, CORPUS, *directories)
        if status:
            return status
        # A long program reaches much.
        found = sorted(chosen.iterdir(), key=lambda path: -path.stat().st_size)
        kept, size = [], 0
        for path in found:
            if len(kept) < MOST_FILES and size + path.stat().st_size <= MOST_BYTES:
                kept.append(path)
                size += path.stat().st_size
        for path in inputs():
            path.unlink()
        for path in kept:
            shutil.copy(path, CORPUS / path.name[:16])
    print(f"{len(found)} inputs reach everything; {len(kept)} of them are the corpus, {size} bytes")
    return 0


def main():
    options = arguments()
    count = check_that_nothing_is_missing()
    program = build()
    print(f"all {count} functions are called", flush=True)
    if options.input:
        return run(program, options.input)
    if options.minimize:
        return minimize(program, options.minimize)
    status = run(program, *LIMITS, "-runs=0", *([CORPUS] if inputs() else []))
    if status or options.seconds == 0:
        return status
    with tempfile.TemporaryDirectory(prefix="iscsicore-fuzz-") as folder:
        keep = options.keep or pathlib.Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        return run(program, *LIMITS, f"-max_total_time={options.seconds}", f"-seed={options.seed}", keep, CORPUS)


if __name__ == "__main__":
    sys.exit(main())
