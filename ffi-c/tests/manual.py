#!/usr/bin/env python3
"""Runs what docs/c.md and the section on C of README.md print: every command as it stands, every piece of code compiled.

    ffi-c/tests/manual.py [--quick]     --quick leaves out the commands, which build and install the library

The commands run in one shell with HOME in a temporary directory; port 3260 is replaced by one that the system chose. Code is compiled
with gcc and clang; what has a `main` is run, under valgrind where that is there.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MANUAL, README = ROOT / "docs" / "c.md", ROOT / "README.md"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PEERS = ["iscsi-ls", "qemu-img", "qemu-io"]


def blocks(page, language):
    """The pieces of code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def section(page, heading):
    """What stands under a heading that begins so, up to the next."""
    found = re.search(rf"^(?:## |\*\*){heading}.*?(?=^## |^\*\*\d|\Z)", page, re.M | re.S)
    if not found:
        sys.exit(f"there is no section that begins {heading!r}")
    return found[0]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_commands(name, script, home):
    """One shell for all commands of a block; each must succeed."""
    lines = [line for line in script.splitlines() if line.strip()]
    port = str(free_port())
    script = "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(lines).replace("3260", port) + "\n"
    environment = dict(os.environ, HOME=str(home))
    environment.setdefault("CARGO_HOME", str(pathlib.Path.home() / ".cargo"))
    environment.setdefault("RUSTUP_HOME", str(pathlib.Path.home() / ".rustup"))
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    if done.returncode:
        sys.exit(f"{name}: exit status {done.returncode}\n{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    print(f"ok: {name}: {len(lines)} commands")
    return done.stdout


def compile_all(page, folder):
    """Compiles every piece of C and C++; runs those with a `main`."""
    make = ["make", "-s", "--no-print-directory", "-C", str(ROOT / "ffi-c")]
    subprocess.run([*make, "all"], check=True)
    libraries = subprocess.check_output([*make, "print-build"], text=True).strip()
    include = ["-I", str(ROOT / "ffi-c" / "include")]
    for language, compilers, standard in [("c", ["gcc", "clang"], "-std=c11"), ("cpp", ["g++", "clang++"], "-std=c++17")]:
        for number, code in enumerate(blocks(page, language)):
            source = folder / f"{number}.{language}"
            source.write_text(code)
            for compiler in compilers:
                if not shutil.which(compiler):
                    sys.exit(f"{compiler} is missing")
                program = folder / f"{language}-{number}-{compiler}"
                runs = "main(" in code
                how = ["-o", str(program), str(source), f"-L{libraries}", "-liscsicore", f"-Wl,-rpath,{libraries}"] if runs else [
                    "-fsyntax-only", str(source)]
                # _GNU_SOURCE: the pieces use POSIX functions, which -std=c11 hides.
                subprocess.run([compiler, standard, "-D_GNU_SOURCE", *STRICT, *include, *how], check=True)
                if runs:
                    valgrind = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"] if shutil.which("valgrind") else []
                    subprocess.run([*valgrind, str(program)], check=True, timeout=60)
            print(f"ok: {language} {number + 1}")


def main():
    manual, readme = MANUAL.read_text(), README.read_text()
    ten = blocks(section(manual, "From nothing"), "sh")[0]
    if len(ten.strip().splitlines()) != 10:
        sys.exit("docs/c.md: not ten commands")
    with tempfile.TemporaryDirectory(prefix="iscsicore-manual-") as folder:
        folder = pathlib.Path(folder)
        if "--quick" not in sys.argv:
            missing = [program for program in PEERS if not shutil.which(program)]
            if missing:
                sys.exit(f"missing: {' '.join(missing)}")
            for name, script in [("ten commands", ten), ("README", blocks(section(readme, r"8\. C"), "sh")[0])]:
                home = folder / name.replace(" ", "-")
                home.mkdir()
                output = run_commands(name, script, home)
                if "iqn.2026-01.dev.iscsicore" not in output:
                    sys.exit(f"{name}: nothing was served:\n{output}")
        compile_all(manual, folder)


if __name__ == "__main__":
    main()
