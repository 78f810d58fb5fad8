"""The bare echo (`src/bin/floor`) under the client batching of a cell: what moving the bytes alone costs."""
import json
import os
import pathlib
import subprocess
import sys

import peers

from . import clients

CHECK = 16  # at 256 KiB one answer of so many is compared as a whole: comparing all would measure the comparison


def program():
    """$ISCSICORE_FLOOR, or the release build."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", peers.ROOT / "target"))
    path = os.environ.get("ISCSICORE_FLOOR") or str(peers.ROOT / target / "release" / "floor")
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is missing: cargo build --release -p iscsicore-interop")
    return path


def run(runtime, cell, seconds):
    """One timed phase: what the client saw, and the server's CPU seconds."""
    check = CHECK if cell.load.block > 65536 or cell.load.write else 1
    same = ["--connections", cell.connections, "--size", cell.load.block, "--check", check]
    server = subprocess.Popen([program(), "serve", "--runtime", runtime, *map(str, same)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        address = json.loads(server.stdout.readline())["address"]
        command = [program(), "load", address, *same, "--depth", cell.depth, "--batching", cell.batching, "--seconds", seconds]
        loaded = json.loads(clients.together([command + (["--write"] if cell.load.write else [])])[0][0])
        served = json.loads(server.communicate(timeout=10)[0])
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    if server.returncode or served["operations"] != loaded["operations"]:
        sys.exit(f"the echo on {runtime} failed: exit status {server.returncode}, {served} for {loaded}")
    return clients.Run(loaded["operations"], loaded["iops"], loaded["cpu_seconds"], {}), served["cpu_seconds"]
