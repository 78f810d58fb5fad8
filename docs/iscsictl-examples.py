#!/usr/bin/env python3
"""Runs the examples of docs/iscsictl.md and README.md and writes their output into these pages.

usage: docs/iscsictl-examples.py [DIRECTORY-OF-PROGRAMS]

The programs iscsictl and iscsicored come from DIRECTORY-OF-PROGRAMS (default: target/release). Everything happens in a temporary
directory, on ports of 127.0.0.1 that the system chooses. Without istgt the examples of reservations stay as they are.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MANUAL, README = ROOT / "docs" / "iscsictl.md", ROOT / "README.md"
TARGET = "iqn.2026-01.com.example:disk0"
POOL = "iqn.2026-01.com.example:pool"

SERVER = f"""\
[[portal]]
address = "127.0.0.1:0"
[[target]]
name = "{TARGET}"
[[target.lun]]
number = 0
memory = true
size = "64M"
serial = "0123456789"
naa = "3000000000000001"
[[target.lun]]
number = 1
memory = true
size = "16M"
serial = "9876543210"
naa = "3000000000000002"
"""

ISTGT = """\
[Global]
  NodeBase "iqn.2026-01.com.example"
  PidFile {folder}/pid
  AuthFile {folder}/auth
  MediaDirectory {folder}
  LogFacility "local7"
  DiscoveryAuthMethod None
  DiscoveryAuthGroup AuthGroup1
[UnitControl]
  AuthMethod CHAP Mutual
  AuthGroup AuthGroup2
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:{port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName {target}
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  AuthGroup AuthGroup1
  UnitType Disk
  LUN0 Storage {folder}/pool.img 8MB
"""


def start_server(folder, page):
    """iscsicored, as the page says to start it, and the port that it listens on."""
    (folder / "server.toml").write_text(SERVER)
    arguments = ["--config", "server.toml"]
    if page == README:
        arguments = ["--disk", "memory:64M", "--disk", "memory:16M", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(["iscsicored", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in server.stdout:
        if found := re.match(r"listening on \S+:(\d+)", line):
            return server, int(found[1])
    sys.exit("iscsicored does not start")


def start_istgt(folder):
    """istgt, and the port that it listens on; nothing when it is not installed."""
    program = shutil.which("istgt", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        print("istgt is missing: the examples of reservations stay as they are", file=sys.stderr)
        return None, None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "istgt.conf").write_text(ISTGT.format(folder=folder, port=port, target=POOL))
    auth = folder / "auth"
    auth.write_text('[AuthGroup1]\n[AuthGroup2]\n  Auth "nobody" "nobody-uses-this"\n')
    auth.chmod(0o600)
    with open(folder / "pool.img", "wb") as file:
        file.truncate(8 << 20)
    istgt = subprocess.Popen([program, "-D", "-c", "istgt.conf"], cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return istgt, port
        except OSError:
            time.sleep(0.1)
    sys.exit("istgt does not start")


def run(line, folder, ports):
    """What a command line prints on both streams, with the ports of the page."""
    command = line
    if ports[3261]:
        command = command.replace("127.0.0.1:3261", f"127.0.0.1:{ports[3261]}")
    command = re.sub(r"127\.0\.0\.1(?!:)", f"127.0.0.1:{ports[3260]}", command)
    done = subprocess.run(["bash", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)
    text = done.stdout
    for shown, real in ports.items():
        text = text.replace(f"127.0.0.1:{real}", f"127.0.0.1:{shown}")
    return text


def fill(page):
    """Runs the examples of one page, with servers of their own, and writes what comes out."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with open(folder / "disk.img", "wb") as file:
            file.truncate(64 << 20)
            for place in (0, 20 << 20):
                file.seek(place)
                file.write(os.urandom(4 << 20))
        server, port = start_server(folder, page)
        istgt, other = start_istgt(folder)

        def block(found):
            lines = [line for line in found[1].splitlines() if line.startswith("$ ")]
            if not other and any(":3261" in line for line in lines):
                return found[0]
            out = [f"{line}\n{run(line[2:], folder, {3260: port, 3261: other})}" for line in lines]
            return "```console\n" + "".join(out) + "```"

        try:
            text = re.sub(r"```console\n(.*?)```", block, page.read_text(), flags=re.DOTALL)
        finally:
            for child in filter(None, (server, istgt)):
                child.kill()
                child.wait()
    page.write_text(text)


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "release").resolve()
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    os.environ["ISCSICORE_INITIATOR_NAME"] = "iqn.2026-01.com.example:host1"
    for page in (MANUAL, README):
        fill(page)


main()
