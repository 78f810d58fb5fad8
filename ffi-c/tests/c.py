#!/usr/bin/env python3
"""Tests libiscsicore from C: builds the library and the programs in ffi-c/tests/c, and runs them plainly, under valgrind, and
with AddressSanitizer, LeakSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, C and Rust alike.

    ffi-c/tests/c.py                          everything
    ffi-c/tests/c.py --runs gcc,valgrind      some of it
    ffi-c/tests/c.py --library libiscsicore.a --runs gcc    with a library that is there already

Programs with mistakes (wrong.c) must fail under each tool: a tool that does not look fails the run. Every function of the header
must be misused in misuse*.c, with NULL in the place of each pointer. What is not installed says SKIPPED; with
ISCSICORE_REQUIRE_PEERS=1 that is a failure.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "c"
HEADER = HERE.parent / "include" / "iscsicore.h"
RUNS = ("gcc", "clang", "valgrind", "address", "thread")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-fno-omit-frame-pointer"]
NATIVE = ["-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]
SHARED = ["check.c", "disk.c", "pair.c"]
SECONDS = 120  # after which a program hangs

# Each program, its sources, and with which arguments it is run: the exit status that is right.
PROGRAMS = {
    "misuse": (sorted(path.name for path in SOURCES.glob("misuse*.c")), {"": 0}),
    "roundtrip": (["roundtrip.c"], {"": 0}),
    "roundtrip_lost": (["roundtrip_lost.c"], {"": 0}),
    "roundtrip_simple": (["roundtrip_simple.c"], {"": 0}),
    "roundtrip_target": (["roundtrip_target.c"], {"": 0}),
    "threads": (["threads.c"], {"": 0}),
    "allocator": (["allocator.c"], {"": 0, "move": 0, "late": 0, "none": 0, "end": -6}),
    "wrong": (["wrong.c"], {}),
}
# The mistakes that a tool finds, and its words for them.
ACCESS = ("use-after-finish", "use-after-free", "give-back-early")
MISTAKES = {
    "valgrind": {**dict.fromkeys(ACCESS, "Invalid read"), "leak": "definitely lost"},
    "address": {**dict.fromkeys(ACCESS, "heap-use-after-free"), "leak": "LeakSanitizer: detected memory leaks",
                "undefined": "signed integer overflow"},
    "thread": {"race": "ThreadSanitizer: data race"},
}
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--show-leak-kinds=definite,possible,indirect", "--errors-for-leak-kinds=definite,possible,indirect"]
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=99:halt_on_error=1",
}


class Failure(Exception):
    pass


class Skipped(Exception):
    pass


def run(command, **options):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)


# --- the header, and what is misused -------------------------------------------------------------------------------------


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def functions(header):
    """The functions of a header, and for each of them the positions of its pointers."""
    found = {}
    declarations = re.finditer(r"\b(iscsicore_\w+)\s*\(([^()]*)\)\s*;", without_comments(header))
    for name, parameters in (match.groups() for match in declarations):
        found[name] = [at for at, parameter in enumerate(parameters.split(",")) if "*" in parameter]
    return found


def arguments(text, start):
    """The arguments of a call whose parenthesis opens before `start`."""
    depth, parts, part, quoted = 0, [], "", False
    for at in range(start, len(text)):
        char = text[at]
        if quoted or char == '"':
            quoted = char != '"' or text[at - 1] == "\\" if quoted else True
        elif char in "([{":
            depth += 1
        elif char in ")]}" and depth > 0:
            depth -= 1
        elif char == ")":
            return [*parts, part.strip()]
        elif char == "," and depth == 0:
            parts.append(part.strip())
            part = ""
            continue
        part += char
    raise Failure("a call that does not end")


def not_misused(header, source):
    """What of the header is not misused in the source: functions that do not occur, and pointers that are never NULL."""
    source = without_comments(source)
    nulls, called = {}, set()
    for match in re.finditer(r"\b(iscsicore_\w+)\(", source):
        called.add(match[1])
        for at, argument in enumerate(arguments(source, match.end())):
            if argument == "NULL":
                nulls.setdefault(match[1], set()).add(at)
    missing = []
    for name, pointers in functions(header).items():
        if name not in called:
            missing.append(f"{name} is not called")
        missing += [f"{name}: argument {at + 1} is never NULL" for at in pointers if at not in nulls.get(name, ())]
    return missing


def check_misuse():
    header = HEADER.read_text()
    source = "".join(path.read_text() for path in sorted(SOURCES.glob("misuse*.c")))
    if len(functions(header)) < 100:
        raise Failure(f"only {len(functions(header))} functions were found in {HEADER}")
    if missing := not_misused(header, source):
        raise Failure("not misused in ffi-c/tests/c/misuse*.c:\n  " + "\n  ".join(missing))
    # The check itself notices a new function, and a test that is gone.
    grown = header + "\niscsicore_status iscsicore_new_function(iscsicore_host *host, uint64_t now);\n"
    assert not_misused(grown, source) == ["iscsicore_new_function is not called",
                                          "iscsicore_new_function: argument 1 is never NULL"]
    gone = source.replace("iscsicore_host_timeout(host, NULL)", "")
    assert gone != source and not_misused(header, gone) == ["iscsicore_host_timeout: argument 2 is never NULL"]
    return f"{len(functions(header))} functions, {sum(map(len, functions(header).values()))} pointers"


# --- building ------------------------------------------------------------------------------------------------------------


def target_dir():
    if named := os.environ.get("CARGO_TARGET_DIR"):
        return Path(named).resolve()
    return HERE.parent.parent / "target"


def host_triple():
    return re.search(r"^host: (.*)$", run(["rustc", "-vV"]).stdout, re.M)[1]


def cargo(directory, extra, **environment):
    command = ["cargo", "rustc", "--locked", "-p", "iscsicore-ffi", "--lib", "--crate-type", "staticlib", *extra]
    done = run(command, cwd=HERE.parent.parent, env={**os.environ, "CARGO_TARGET_DIR": str(directory), **environment})
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{done.stdout}")


def plain_library():
    cargo(target_dir(), [])
    return target_dir() / "debug" / "libiscsicore_ffi.a"


def sanitized_library(sanitizer):
    """The library with a sanitizer, in a directory of its own, so that nothing else is built again for it."""
    directory, triple = target_dir() / f"c-{sanitizer}", host_triple()
    flags = f"{os.environ.get('RUSTFLAGS', '')} -Zsanitizer={sanitizer} -Cforce-frame-pointers=yes".strip()
    environment = {"RUSTC_BOOTSTRAP": "1", "CARGO_PROFILE_DEV_OPT_LEVEL": "1"}
    allow = "-Cunsafe-allow-abi-mismatch=sanitizer"
    try:
        cargo(directory, ["--target", triple], RUSTFLAGS=flags, **environment)
    except Failure as failure:
        if allow not in str(failure):
            raise
        # The standard library is not built with this sanitizer: what it does is atomic, or generic and so built here.
        # Compilers that care want to be told so; older ones do not know the option.
        cargo(directory, ["--target", triple], RUSTFLAGS=f"{flags} {allow}", **environment)
    return directory / triple / "debug" / "libiscsicore_ffi.a"


def compile_all(compiler, flags, library, where, link=None):
    """Compiles and links every program into `where`; `link` are the flags to link with, if they are others."""
    where.mkdir()
    sources = sorted({*SHARED, *(name for names, _ in PROGRAMS.values() for name in names)})

    def compile_one(name):
        command = [compiler, *STRICT, *flags, f"-I{HEADER.parent}", "-c", SOURCES / name, "-o", where / f"{name}.o"]
        return command, run(command)

    def link_one(program):
        objects = [where / f"{name}.o" for name in (*PROGRAMS[program][0], *SHARED)]
        command = [compiler, *objects, library, *(flags if link is None else link), *NATIVE, "-o", where / program]
        return command, run(command)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for steps in (pool.map(compile_one, sources), pool.map(link_one, PROGRAMS)):
            for command, done in steps:
                if done.returncode != 0:
                    raise Failure(f"{' '.join(map(str, command))}\n{done.stdout}")


# --- running -------------------------------------------------------------------------------------------------------------


def check_program(command, wanted, words=""):
    """Runs a program; returns what is wrong with how it ended, or nothing. `wanted` None is any failure."""
    try:
        done = run(command, env={**os.environ, **SANITIZER_OPTIONS}, timeout=SECONDS)
    except subprocess.TimeoutExpired as hung:
        return f"{' '.join(map(str, command))} hangs\n{hung.stdout or ''}"
    right = done.returncode not in (0, 1, 2) if wanted is None else done.returncode == wanted
    if right and words in done.stdout:
        return ""
    expected = f"a failure with {words!r}" if wanted is None else f"exit status {wanted}"
    return f"{' '.join(map(str, command))}: exit status {done.returncode}, not {expected}\n{done.stdout}"


def check_programs(where, tool, prefix=(), only=None, skip_abort=False):
    """Runs all programs, and those with mistakes that the tool is to find."""
    todo = []
    for program, (_, cases) in PROGRAMS.items():
        for argument, wanted in cases.items():
            if (only is None or program in only) and not (skip_abort and wanted < 0):
                todo.append(([*prefix, where / program, *argument.split()], wanted))
    count = len(todo)
    for mistake, words in MISTAKES.get(tool, {}).items():
        todo.append(([*prefix, where / "wrong", mistake], None, words))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [why for why in pool.map(lambda one: check_program(*one), todo) if why]
    if wrong:
        raise Failure("\n".join(wrong))
    return f"{count} runs" + (f", {len(todo) - count} mistakes found" if len(todo) > count else "")


def need(program):
    if shutil.which(program) is None:
        raise Skipped(f"{program} is missing: apt-get install {program}")


class Suite:
    def __init__(self, temporary, library):
        self.temporary, self.given, self.built = temporary, library, None

    def library(self):
        self.built = self.built or self.given or plain_library()
        return self.built

    def with_compiler(self, compiler):
        need(compiler)
        compile_all(compiler, [], self.library(), self.temporary / compiler)
        return check_programs(self.temporary / compiler, compiler)

    def gcc(self):
        return self.with_compiler("gcc")

    def clang(self):
        return self.with_compiler("clang")

    def valgrind(self):
        need("valgrind")
        need("gcc")
        if not (self.temporary / "gcc").is_dir():
            compile_all("gcc", [], self.library(), self.temporary / "gcc")
        # valgrind itself ends a process that aborts, with errors of its own.
        return check_programs(self.temporary / "gcc", "valgrind", VALGRIND, skip_abort=True)

    def address(self):
        """With the first compiler whose sanitizer runtime is installed; code of rustc does with that of GCC or clang."""
        library, why = sanitized_library("address"), []
        for compiler in filter(shutil.which, ("gcc", "clang")):
            where = self.temporary / f"address-{compiler}"
            flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
            try:
                compile_all(compiler, flags, library, where)
            except Failure as failure:
                why.append(str(failure))
                continue
            return f"{check_programs(where, 'address')} ({compiler})"
        if any("error:" in each and "ld:" not in each for each in why):
            raise Failure("\n".join(why))
        raise Skipped("no compiler has the runtime of AddressSanitizer: apt-get install gcc libasan8\n" + "\n".join(why))

    def thread(self):
        """With the runtime of rustc: that of an older compiler lacks what newer LLVMs call."""
        need("gcc")
        sysroot = run(["rustc", "--print", "sysroot"]).stdout.strip()
        runtimes = list(Path(sysroot, "lib", "rustlib", host_triple(), "lib").glob("librustc-*_rt.tsan.a"))
        if not runtimes:
            raise Skipped("this Rust has no runtime of ThreadSanitizer")
        library, where = sanitized_library("thread"), self.temporary / "thread"
        link = ["-Wl,--whole-archive", runtimes[0], "-Wl,--no-whole-archive"]
        compile_all("gcc", ["-fsanitize=thread"], library, where, link)
        # The runtime has a fixed map of addresses, which much randomness does not fit.
        prefix = ["setarch", "-R"] if shutil.which("setarch") else []
        return check_programs(where, "thread", prefix, only=("threads", "roundtrip_simple"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default=",".join(RUNS), help=f"some of {','.join(RUNS)}")
    parser.add_argument("--library", type=Path, help="static library for gcc, clang and valgrind, in place of one built here")
    options = parser.parse_args()
    runs = options.runs.split(",")
    if unknown := set(runs) - set(RUNS):
        parser.error(f"no such runs: {', '.join(unknown)}")
    failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="iscsicore-c-") as temporary:
        suite = Suite(Path(temporary), options.library and options.library.resolve())
        for name, step in [("misuse of every function", check_misuse), *((name, getattr(suite, name)) for name in runs)]:
            began = time.monotonic()
            try:
                outcome = f"ok: {step()}"
            except Failure as failure:
                failed += 1
                outcome = f"FAILED\n{failure}"
            except Skipped as why:
                skipped += 1
                outcome = f"SKIPPED: {why}"
            print(f"{name}: {outcome} ({time.monotonic() - began:.0f} s)", flush=True)
    if skipped and os.environ.get("ISCSICORE_REQUIRE_PEERS") == "1":
        print("ISCSICORE_REQUIRE_PEERS=1: a skipped run is a failure", file=sys.stderr)
        failed += skipped
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
