#!/usr/bin/env python3
"""Installs libiscsicore into a new directory, and compiles and runs what is written in C++ with it: the tests of
iscsicore.hpp in tests/cpp, and the example in examples/cpp.

    ffi-c/tests/cpp.py                 exits with 1 when a check failed
    ffi-c/tests/cpp.py --keep DIR      works in DIR, which must not exist, and leaves it there

Needs on Debian: g++ clang cmake make pkg-config binutils valgrind. Checks whose program is missing are SKIPPED; with
ISCSICORE_REQUIRE_PEERS=1 that is a failure.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from install import FFI, WARNINGS, Checks, Failed, Installed, make, run

SOURCES = FFI / "tests" / "cpp"
EXAMPLE = FFI.parent / "examples" / "cpp"
TESTS = ["values", "lending", "commands", "server", "session", "simple", "allocator"]
COMPILERS = ["g++", "clang++"]
STANDARDS = ["c++17", "c++20"]
# What programs that include the wrapper may have turned on.
STRICT = [*WARNINGS, "-Wshadow", "-Wconversion", "-Wsign-conversion", "-Wold-style-cast", "-Wnon-virtual-dtor"]
# Older valgrinds do not read the debug information that newer compilers write unasked.
VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9"]
TARGET = "iqn.2001-04.com.example:disk"
BLOCKS = 9001


def functions(installed):
    """The functions of the C interface."""
    return set(re.findall(r"\b(iscsicore_\w+)\(", (installed.include / "iscsicore.h").read_text()))


def compile_(installed, compiler, sources, program, *options):
    """A program against what was installed, in the work directory."""
    run(compiler, *options, *STRICT, *installed.pkg_config("--cflags"), *sources, *installed.pkg_config("--libs"), "-o",
        program, cwd=installed.work)
    return installed.work / program


def tests(installed, compiler, standard, *options):
    """All tests, with one choice of compiler and options."""
    for name in TESTS:
        program = compile_(installed, compiler, [SOURCES / f"{name}.cpp"], name, f"-std={standard}", *options)
        run(program, env=installed.loading)


def under_valgrind(installed, compiler, standard, *options):
    for name in TESTS:
        program = compile_(installed, compiler, [SOURCES / f"{name}.cpp"], name, f"-std={standard}", *options,
                           "-g", "-gdwarf-4")
        run(*VALGRIND, program, env=installed.loading)


def sanitized(installed, compiler, standard):
    """The wrapper and the tests under the sanitizers, which give the library its memory, too."""
    for name in TESTS:
        if name == "allocator":
            # The sanitizer is the allocator.
            continue
        program = compile_(installed, compiler, [SOURCES / f"{name}.cpp"], name, f"-std={standard}", "-g",
                           "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
        run(program, env=installed.loading)


def covered(installed):
    """Every function of C is in the wrapper, and every one of the wrapper is called by a test: members of a class that nobody
    calls are not even compiled."""
    wanted = functions(installed)
    text = "".join(path.read_text() for path in (installed.include / "iscsicore").glob("*.hpp"))
    named = set(re.findall(r"\biscsicore_\w+\b", text))
    if wanted - named:
        raise Failed(f"not in the wrapper: {sorted(wanted - named)}")
    called = set()
    for name in [*TESTS, "serve"]:
        program = compile_(installed, "g++", [SOURCES / f"{name}.cpp"], name, "-std=c++17")
        called |= set(re.findall(r"\biscsicore_\w+", run("nm", "-D", "--undefined-only", program)))
    if wanted - called:
        raise Failed(f"called by no test: {sorted(wanted - called)}")
    print(f"         {len(wanted)} functions")


def alone(installed, compiler):
    """Each header can be included by itself."""
    for path in sorted((installed.include / "iscsicore").glob("*.hpp")):
        (installed.work / "alone.cpp").write_text(f"#include <iscsicore/{path.name}>\n")
        for standard in STANDARDS:
            run(compiler, f"-std={standard}", "-fsyntax-only", *STRICT, *installed.pkg_config("--cflags"), "alone.cpp",
                cwd=installed.work)


def aborts(installed, compiler):
    """Without exceptions value() says why, and aborts."""
    for options in (["-fno-exceptions"], ["-DISCSICORE_NO_EXCEPTIONS"]):
        program = compile_(installed, compiler, [SOURCES / "aborts.cpp"], "aborts", "-std=c++17", *options)
        done = subprocess.run([program], env=installed.loading, capture_output=True, text=True, timeout=60)
        if done.returncode != -signal.SIGABRT or "iscsicore_receiver is NULL" not in done.stderr:
            raise Failed(f"{options}: exit {done.returncode}: {done.stderr}")


def mixed(installed, compiler):
    """Files with other choices in one program: whichever is linked first, each does what it was compiled for."""
    flags = installed.pkg_config("--cflags")
    run(compiler, "-std=c++20", *STRICT, *flags, "-c", SOURCES / "mixed_main.cpp", cwd=installed.work)
    run(compiler, "-std=c++17", "-fno-exceptions", *STRICT, *flags, "-c", SOURCES / "mixed_other.cpp",
        cwd=installed.work)
    objects = ["mixed_main.o", "mixed_other.o"]
    for order in (objects, objects[::-1]):
        run(compiler, *order, *installed.pkg_config("--libs"), "-o", "mixed", cwd=installed.work)
        run(installed.work / "mixed", env=installed.loading)


class Server:
    """The server of the tests, on a port that the system chose."""

    def __init__(self, installed, *account):
        self.program = [installed.work / "serve", str(BLOCKS), *account]
        self.environment = installed.loading

    def __enter__(self):
        self.process = subprocess.Popen(self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=self.environment)
        self.address = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        ended = self.process.wait(timeout=30)
        self.process.stdout.close()
        if ended != 0:
            raise Failed(f"the server: exit {ended}")


class Cut:
    """A way to a server on which the first connection is cut in the middle of its payload, and later ones are not."""

    def __init__(self, address, after):
        host, port = address.rsplit(":", 1)
        self.server, self.after = (host, int(port)), after
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self.server)
            most = self.after if self.connections == 1 else None
            for ends in ((client, server, None), (server, client, most)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    @staticmethod
    def carry(source, to, most):
        total = 0
        try:
            while data := source.recv(65536):
                total += len(data)
                if most is not None and total > most:
                    break
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def interrupted(installed, program):
    """What a lost connection interrupts is read again on the next one."""
    copy = installed.work / "copied.img"
    with Server(installed) as server:
        cut = Cut(server.address, 1500000)
        done = subprocess.run([program, "copy", cut.address, TARGET, "0", copy], env=installed.loading,
                              capture_output=True, text=True, timeout=60)
        cut.listener.close()
        if done.returncode != 0 or "connection lost" not in done.stderr or cut.connections != 2:
            raise Failed(f"exit {done.returncode}, {cut.connections} connections: {done.stdout}{done.stderr}")
        run(program, "verify", server.address, TARGET, "0", copy, env=installed.loading)


def refused(installed, *command, words, **environment):
    """A command that fails, and says why."""
    done = subprocess.run([str(word) for word in command], env={**installed.loading, **environment},
                          capture_output=True, text=True, timeout=60)
    if done.returncode != 1 or words not in done.stderr:
        raise Failed(f"{command}: exit {done.returncode}, not 1 and {words!r}: {done.stdout}{done.stderr}")


def example(installed, program, *wrapper):
    """Lists, copies and verifies a disk; says so when it differs, or cannot be had."""
    image = bytes((i * 7 + i // 512) & 0xFF for i in range(BLOCKS * 512))
    copy, wrong = installed.work / "copy.img", installed.work / "wrong.img"
    wrong.write_bytes(image[:3000000] + bytes([image[3000000] ^ 1]) + image[3000001:])
    with Server(installed) as server:
        def call(what, *more):
            return run(*wrapper, program, what, server.address, *more, env=installed.loading)

        listed = call("list")
        if listed != f"{TARGET}\n  {server.address},1\n":
            raise Failed(f"listed: {listed}")
        call("copy", TARGET, "0", copy)
        if copy.read_bytes() != image:
            raise Failed("the copy differs")
        call("verify", TARGET, "0", copy)
        disk = [program, "verify", server.address, TARGET, "0"]
        refused(installed, *disk, wrong, words="first at byte 3000000")
        wrong.write_bytes(image + b"more")
        refused(installed, *disk, wrong, words="in size")
        refused(installed, *disk[:-1], "7", copy, words="LOGICAL UNIT NOT SUPPORTED")
        refused(installed, *disk[:3], TARGET + "s", "0", copy, words="no target of this name")
    refused(installed, *disk, copy, words="refused")
    with Server(installed, "user", "a secret of length") as server:
        disk[2] = server.address
        good = {"ISCSI_USER": "user", "ISCSI_SECRET": "a secret of length"}
        run(*disk, copy, env={**installed.loading, **good})
        refused(installed, *disk, copy, words="0x0201", **{**good, "ISCSI_SECRET": "another secret here"})


def make_example(installed, compiler):
    """As its Makefile builds it, and with all warnings."""
    build = installed.work / f"example-{compiler}"
    run("make", "-C", EXAMPLE, f"CXX={compiler}", f"OUT={build}", f"CXXFLAGS=-O2 -g -gdwarf-4 {' '.join(STRICT)}",
        env=installed.environment)
    example(installed, build / "initiator")
    interrupted(installed, build / "initiator")
    if shutil.which("valgrind"):
        example(installed, build / "initiator", *VALGRIND)


def cmake_example(installed):
    """As CMake builds it, with find_package."""
    build = installed.work / "example-cmake"
    run("cmake", "-S", EXAMPLE, "-B", build, f"-DCMAKE_PREFIX_PATH={installed.root}", env=installed.environment)
    run("cmake", "--build", build)
    example(installed, build / "initiator")


def everything(stage, work):
    checks = Checks()
    make(stage, "install")
    installed = Installed(stage, work)
    checks.check("every function", ["g++", "nm"], covered, installed)
    for compiler in COMPILERS:
        checks.check(f"headers by themselves, {compiler}", [compiler], alone, installed, compiler)
        for standard in STANDARDS:
            for options in ([], ["-fno-exceptions"]):
                name = " ".join([compiler, standard, *options])
                checks.check(f"tests, {name}", [compiler], tests, installed, compiler, standard, *options)
        checks.check(f"aborts without exceptions, {compiler}", [compiler], aborts, installed, compiler)
        checks.check(f"mixed choices, {compiler}", [compiler], mixed, installed, compiler)
    for compiler, *options in (("g++", "c++17"), ("clang++", "c++20", "-fno-exceptions")):
        name = " ".join([compiler, *options])
        checks.check(f"valgrind, {name}", [compiler, "valgrind"], under_valgrind, installed, compiler, *options)
    checks.check("sanitizers, g++ c++20", ["g++"], sanitized, installed, "g++", "c++20")
    for compiler in COMPILERS:
        checks.check(f"the example, {compiler}", [compiler, "make"], make_example, installed, compiler)
    checks.check("the example, CMake", ["cmake"], cmake_example, installed)
    print(f"{checks.passed} passed, {checks.failed} failed, {checks.skipped} skipped")
    required = os.environ.get("ISCSICORE_REQUIRE_PEERS") == "1"
    return 1 if checks.failed or required and checks.skipped else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="DIR", help="work in this directory and leave it")
    keep = parser.parse_args().keep
    directory = pathlib.Path(keep or tempfile.mkdtemp(prefix="iscsicore-cpp-")).resolve()
    stage, work = directory / "stage", directory / "work"
    try:
        work.mkdir(parents=True)
        return everything(stage, work)
    except Failed as problem:
        print(f"FAILED   {problem}")
        return 1
    finally:
        if not keep:
            shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
