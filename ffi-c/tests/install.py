#!/usr/bin/env python3
"""Installs libiscsicore into a new directory and uses what is there as programs do: nothing else of this project.

    ffi-c/tests/install.py                 exits with 1 when a check failed
    ffi-c/tests/install.py --keep DIR      works in DIR, which must not exist, and leaves it there

Needs on Debian: gcc g++ clang cmake make pkg-config binutils. Checks whose program is missing are SKIPPED; with
ISCSICORE_REQUIRE_PEERS=1 that is a failure.
"""
import argparse
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

FFI = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = FFI / "tests" / "install"
PREFIX = "/opt/iscsicore"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
ABI = ("A name that is gone or altered breaks programs that were built before, and takes another SONAME; "
       "`make -C ffi-c header` writes the table anew.")


class Failed(Exception):
    """A check found something wrong."""


def run(*command, **keywords):
    """Runs a program to its end and returns what it printed; Failed when it did not succeed."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **keywords)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make(stage, target):
    """The targets of the Makefile, as a packager calls them."""
    return run("make", "-C", FFI, "--no-print-directory", target, f"DESTDIR={stage}", f"PREFIX={PREFIX}")


class Installed:
    """An installation, and a directory in which programs are built against it."""

    def __init__(self, stage, work):
        self.root = pathlib.Path(f"{stage}{PREFIX}")
        self.lib = self.root / "lib"
        self.include = self.root / "include"
        self.work = work
        self.environment = dict(os.environ, PKG_CONFIG_PATH=str(self.lib / "pkgconfig"))
        self.environment.pop("LD_LIBRARY_PATH", None)
        self.loading = dict(self.environment, LD_LIBRARY_PATH=str(self.lib))
        for program in PROGRAMS.iterdir():
            shutil.copy(program, work)

    def pkg_config(self, *arguments):
        return run("pkg-config", *arguments, "iscsicore", env=self.environment).split()

    def build(self, compiler, source, *arguments, libraries=("--libs",), extra=()):
        """Compiles a program with what pkg-config says, and runs it."""
        program = self.work / "program"
        program.unlink(missing_ok=True)
        run(compiler, *arguments, *self.pkg_config("--cflags"), source, *extra, *self.pkg_config(*libraries), "-o",
            program, cwd=self.work)
        return run(program, env=self.loading if "--variable=static" not in libraries else self.environment)


def symbols(installed):
    """Both libraries show the names of the committed table, and no others."""
    wanted = (FFI / "tests" / "symbols.txt").read_text().split()
    for options, library in (("-D", "libiscsicore.so"), ("-g", "libiscsicore.a")):
        output = run("nm", options, "--defined-only", "--format=posix", installed.lib / library)
        found = sorted(line.split()[0] for line in output.splitlines() if len(line.split()) > 1)
        if found != sorted(wanted):
            gone, new = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
            raise Failed(f"{library}: gone: {gone}; not in tests/symbols.txt: {new}. {ABI}")


def soname(installed):
    """Programs need the name with the version of the ABI, also when the linker drops what is not used."""
    installed.build("cc", "program.c", extra=["-Wl,--as-needed"])
    needed = run("readelf", "-d", installed.work / "program")
    if "[libiscsicore.so.0]" not in needed:
        raise Failed(f"the program does not need libiscsicore.so.0:\n{needed}")


def as_told(installed):
    """The command that the README prints, in a shell."""
    command = "cc $(pkg-config --cflags iscsicore) program.c $(pkg-config --libs iscsicore) && ./a.out"
    told = run("sh", "-c", command, cwd=installed.work, env=installed.loading)
    version = run("pkg-config", "--modversion", "iscsicore", env=installed.environment)
    if told != f"libiscsicore {version}":
        raise Failed(f"the program says {told!r}, pkg-config {version!r}")


def strict_c(installed, compiler, libraries):
    """Not -std=gnu11: the header must not ask for more than ISO C and POSIX have."""
    for standard in ("c11", "c17"):
        installed.build(compiler, "program.c", f"-std={standard}", *WARNINGS, libraries=libraries)


def strict_cpp(installed, compiler, libraries):
    """A program in C++, and the one in C, which is C++ too."""
    for standard in ("c++17", "c++20"):
        options = [f"-std={standard}", *WARNINGS]
        installed.build(compiler, "program.cpp", *options, libraries=libraries)
        installed.build(compiler, "program.c", *options, "-xc++", extra=["-xnone"], libraries=libraries)


def fully_static(installed, compiler):
    installed.build(compiler, "program.c", "-static", libraries=("--static", "--libs"))
    if "INTERP" in run("readelf", "-lW", installed.work / "program"):
        raise Failed("the program is linked dynamically")


def cmake(installed):
    build = installed.work / "build"
    shutil.rmtree(build, ignore_errors=True)
    run("cmake", "-S", installed.work, "-B", build, f"-DCMAKE_PREFIX_PATH={installed.root}", env=installed.environment)
    run("cmake", "--build", build)
    for name in ("shared_c", "shared_cpp", "static_c", "static_cpp"):
        run(build / name, env=installed.environment)
        needs = "libiscsicore.so.0" in run("readelf", "-d", build / name)
        if needs != name.startswith("shared"):
            raise Failed(f"{name}: linked with the wrong library")


def module(installed):
    """The header as a module of clang, as Swift imports it."""
    cache = f"-fmodules-cache-path={installed.work / 'modules'}"
    use = "int main(void) { return iscsicore_receiver_free(NULL) == ISCSICORE_STATUS_OK ? 0 : 1; }\n"
    for name, line in (("import.c", "#pragma clang module import iscsicore\n"), ("import.m", "@import iscsicore;\n")):
        (installed.work / name).write_text(line + use.replace("NULL", "(iscsicore_receiver *)0"))
        run("clang", "-fmodules", cache, "-fsyntax-only", "-I", installed.include / "iscsicore", name, cwd=installed.work)


def windows(installed):
    """The header names nothing that Windows does not have."""
    (installed.work / "windows.c").write_text("#include <iscsicore.h>\niscsicore_iovec slice = {0, 0};\n")
    run("clang", "--target=x86_64-pc-windows-msvc", "-ffreestanding", "-fsyntax-only", *WARNINGS, "-I",
        installed.include, "windows.c", cwd=installed.work)


def beside(installed, compiler):
    """Another static library of Rust's in the same program: names do not collide, and panics of one that is made in the
    same way are unwound. (The library itself has no panic that a test could ask for.)"""
    run("rustc", "--edition=2024", "--crate-type=staticlib", "-O", "beside.rs", cwd=installed.work)
    run(FFI / "pkg" / "prelink.sh", "libbeside.a", "beside_", "libprelinked.a", cwd=installed.work)
    for library in ("libprelinked.a", "libbeside.a"):
        installed.build(compiler, "beside.c", extra=[library], libraries=("--variable=static",))


def moved(installed):
    """The installation works where it is carried to."""
    there = installed.root.parent / "elsewhere"
    installed.root.rename(there)
    try:
        (other := Installed("", installed.work)).root = there
        other.lib, other.include = there / "lib", there / "include"
        other.environment["PKG_CONFIG_PATH"] = str(other.lib / "pkgconfig")
        other.loading["PKG_CONFIG_PATH"] = str(other.lib / "pkgconfig")
        other.loading["LD_LIBRARY_PATH"] = str(other.lib)
        as_told(other)
        if shutil.which("cmake"):
            cmake(other)
    finally:
        there.rename(installed.root)


def uninstalled(installed, stage):
    make(stage, "uninstall")
    left = [path for path in stage.rglob("*") if not path.is_dir()]
    own = [path for path in (installed.include / "iscsicore", installed.lib / "cmake" / "iscsicore") if path.exists()]
    if left or own:
        raise Failed(f"uninstall left {left + own}")


class Checks:
    """Runs checks, prints each, counts."""

    def __init__(self):
        self.failed = self.skipped = self.passed = 0

    def check(self, name, needs, function, *arguments):
        missing = [program for program in needs if not shutil.which(program)]
        began = time.monotonic()
        if missing:
            self.skipped += 1
            print(f"SKIPPED  {name}: {' '.join(missing)} missing", flush=True)
            return
        try:
            function(*arguments)
        except (Failed, OSError, subprocess.TimeoutExpired) as problem:
            self.failed += 1
            print(f"FAILED   {name}\n{problem}", flush=True)
        else:
            self.passed += 1
            print(f"ok       {name} ({time.monotonic() - began:.1f} s)", flush=True)


def everything(stage, work):
    checks = Checks()
    began = time.monotonic()
    make(stage, "install")
    print(f"installed in {time.monotonic() - began:.1f} s", flush=True)
    installed = Installed(stage, work)
    for name in ("libiscsicore.so", "libiscsicore.a"):
        print(f"         {name}: {(installed.lib / name).stat().st_size} bytes")
    checks.check("symbols", ["nm"], symbols, installed)
    checks.check("the command of the README", ["cc", "pkg-config"], as_told, installed)
    checks.check("soname, --as-needed", ["cc", "readelf"], soname, installed)
    for kind, libraries in (("shared", ("--libs",)), ("static", ("--variable=static",))):
        for compiler in ("gcc", "clang"):
            checks.check(f"C, {compiler}, {kind}", [compiler], strict_c, installed, compiler, libraries)
        for compiler in ("g++", "clang++"):
            checks.check(f"C++, {compiler}, {kind}", [compiler], strict_cpp, installed, compiler, libraries)
    for compiler in ("gcc", "clang"):
        checks.check(f"-static, {compiler}", [compiler, "readelf"], fully_static, installed, compiler)
        checks.check(f"beside another library of Rust's, {compiler}", [compiler, "rustc"], beside, installed, compiler)
    checks.check("CMake", ["cmake", "readelf"], cmake, installed)
    checks.check("module of clang", ["clang"], module, installed)
    checks.check("header for Windows", ["clang"], windows, installed)
    checks.check("moved to another directory", ["cc"], moved, installed)
    checks.check("uninstall", [], uninstalled, installed, stage)
    print(f"{checks.passed} passed, {checks.failed} failed, {checks.skipped} skipped")
    required = os.environ.get("ISCSICORE_REQUIRE_PEERS") == "1"
    return 1 if checks.failed or required and checks.skipped else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="DIR", help="work in this directory and leave it")
    keep = parser.parse_args().keep
    directory = pathlib.Path(keep or tempfile.mkdtemp(prefix="iscsicore-install-")).resolve()
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
