"""The load generators: starts one or several, waits for them, and reads what they printed."""
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import peers

from . import machine

STRIDE = 5003  # in blocks; odd, so that qemu-img visits each block of a power-of-two unit once a pass
LIMIT = 300.0  # seconds
PATIENCE = 20.0  # for what comes before and after the time that iscsi-perf was given


class Stuck(Exception):
    """A client did not end when its time was over."""


@dataclasses.dataclass
class Run:
    """What one timed phase came to."""

    ios: float
    iops: float
    client_cpu: float
    latency: dict  # p50, p99, p99.9 in microseconds; empty where the client tells none
    overlap: float = 1.0  # how much of the time all connections were at work


def together(commands, limit=LIMIT):
    """Runs the programs at the same time, for `limit` seconds at most; what each of them printed, and when it ended."""
    running = []
    try:
        for command in commands:
            words = [peers.find(command[0]), *map(str, command[1:])]
            running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"))
        with concurrent.futures.ThreadPoolExecutor(len(running)) as pool:
            ended = list(pool.map(lambda process: wait(process, limit), running))
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, command, (output, _) in zip(running, commands, ended):
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, " ".join(map(str, command)) + "\n" + output[-2000:])
    return ended


def wait(process, limit):
    """What the process printed, and when it ended."""
    try:
        return process.communicate(timeout=limit)[0], time.monotonic()
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise Stuck(f"{process.args[0]} did not end within {limit:g} s") from error


def timed(commands, parse, limit=LIMIT):
    """One timed phase; `parse` makes (I/Os, seconds, latencies) of an output."""
    before = machine.children_cpu()
    ended = together(commands, limit)
    cpu = machine.children_cpu() - before
    parts = [parse(output) for output, _ in ended]
    ios, span, overlap = sum(part[0] for part in parts), parts[0][1], 1.0
    if len(parts) > 1:
        # Each connection was at work for its seconds before its end. Rates of connections that did not meet cannot be added up.
        begins, ends = [end - part[1] for (_, end), part in zip(ended, parts)], [end for _, end in ended]
        span = max(ends) - min(begins)
        overlap = max(0.0, min(ends) - max(begins)) / span
    # Percentiles cannot be added up either: of several connections that of the worst is told.
    latency = {key: max(part[2][key] for part in parts) for key in parts[0][2]}
    return Run(ios, ios / span, cpu, latency, overlap)


def perf(cell, url, seconds):
    """iscsi-perf over the whole unit, a process for each connection. On a busy machine it has been seen to miss its end."""
    seconds = max(1, round(seconds))
    order = ["-r"] if cell.load.random else []
    command = ["iscsi-perf", "-b", cell.load.block // 512, "-m", cell.depth, "-t", seconds, *order, url]
    return timed([command] * cell.connections, lambda output: (*perf_ios(output, seconds), {}), seconds + PATIENCE)


def perf_ios(output, seconds):
    """I/Os and seconds of an iscsi-perf run: it prints an average rate over the time that it was given."""
    average = re.findall(r"iops average (\d+)", output)
    if not average or "finished" not in output:
        sys.exit(f"iscsi-perf failed:\n{output[-500:]}")
    return int(average[-1]) * seconds, float(seconds)


def qemu(cell, url, size, pattern, passes):
    """qemu-img bench, which writes every block at least once: each connection begins with a share of its own."""
    block, blocks = cell.load.block, size // cell.load.block
    share = blocks // cell.connections
    stride = STRIDE if cell.load.random else 1
    commands = []
    for number in range(cell.connections):
        offset = number * share * stride % blocks * block
        commands.append(["qemu-img", "bench", "-f", "raw", "-t", "none", "-w", "-d", cell.depth, "-s", block, "-S", block * stride,
                         "-o", offset, "-c", share * passes, f"--pattern={pattern}", url])
    return timed(commands, lambda output: (share * passes, qemu_seconds(output), {}))


def qemu_seconds(output):
    """The run time that qemu-img bench prints."""
    found = re.search(r"Run completed in ([\d.]+) seconds", output)
    if not found:
        sys.exit(f"qemu-img bench failed:\n{output[-500:]}")
    return max(float(found[1]), 0.001)


def iscsictl_program():
    """Our own client: $ISCSICTL, or the release build."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", peers.ROOT / "target"))
    return os.environ.get("ISCSICTL") or str(peers.ROOT / target / "release" / "iscsictl")


def regions(cell, size):
    """A part of the unit for each connection, in bytes: offset and length."""
    length = size // cell.connections
    return [(number * length, length) for number in range(cell.connections)]


def iscsictl_commands(cell, url, size, seconds, seeds, *extra):
    """A process for each connection, each with a region and a seed of its own."""
    order = "--random" if cell.load.random else "--sequential"
    return [[iscsictl_program(), "--json", "bench", url, "--size", cell.load.block, "--depth", cell.depth, "--time", f"{round(seconds * 1000)}ms",
             order, "--range", f"{offset}:{length}", "--seed", seed, *extra] for (offset, length), seed in zip(regions(cell, size), seeds)]


def iscsictl(cell, url, size, seconds, seeds):
    """`iscsictl bench`; the only client that tells latencies."""
    extra = ["--rw", 0, "--write"] if cell.load.write else []
    return timed(iscsictl_commands(cell, url, size, seconds, seeds, *extra), iscsictl_figures)


def iscsictl_figures(output):
    """I/Os, seconds and latencies of the object that iscsictl prints last; its `seconds` are rounded, its rate is not."""
    total = json.loads(output.splitlines()[-1])["total"]
    return total["operations"], total["operations"] / total["iops"], {key: total["latency_us"][key] for key in ("p50", "p99", "p99.9")}


def verify(cell, url, size, seconds):
    """Reads and writes, each connection in its region, every block checked when read and once more at the end."""
    seeds = range(1, cell.connections + 1)
    checked = 0
    for output, _ in together(iscsictl_commands(cell, url, size, seconds, seeds, "--rw", 50, "--write", "--verify")):
        result = json.loads(output.splitlines()[-1])["verify"]
        if not result["reads_checked"] or result["blocks_wrong"]:
            raise ValueError(f"{cell.title()}: {result}")
        checked += result["reads_checked"]
    return checked


def passes(rate, size, cell, seconds):
    """Whole shares of qemu-img bench that take about this long at this rate."""
    return max(1, round(rate * seconds / (size // cell.load.block)))
