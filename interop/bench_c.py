#!/usr/bin/env python3
"""What C costs: the target in C (examples/c/target_epoll) beside the same loop in Rust (interop/src/bin/epoll_target).

    make -C ffi-c install PREFIX=$HOME/iscsicore
    PKG_CONFIG_PATH=$HOME/iscsicore/lib/pkgconfig make -C examples/c
    cargo build --release -p iscsicore-interop --bin epoll_target
    interop/bench_c.py                               4 KiB reads at depth 32, 256 KiB reads, 4 KiB writes: a minute
    interop/bench_c.py --rounds 15 --seconds 3       the same with more rounds
    interop/bench_c.py --limit 1.2                   fails when 4 KiB reads cost more than 1.2 times as much in C

Both run at the same time, each with a disk in memory, and take turns in each round. Server CPU is the user and system time of
the process over the timed phase, divided by the I/Os. The ratio is formed within each round; told are the median, the
smallest and the largest. What is read is compared with what was written, and what was written with what was asked for. On a
machine that does other things, too, trust the ratio alone.
"""
import argparse
import contextlib
import os
import pathlib
import sys
import types

import peers
from benchlib import cells, figures, machine, measure
from benchlib.units import Unit

CELLS = [cells.Cell("memory", "randread", 32, 1, "iscsi-perf"), cells.Cell("memory", "seqread", 16, 1, "iscsi-perf"),
         cells.Cell("memory", "randwrite", 32, 1, "qemu-img")]


class Loop(peers.Target):
    """One of the two programs; they take the same arguments."""

    def __init__(self, program, size):
        super().__init__([peers.Disk(size)])
        self.kind, self.program = pathlib.Path(program).name, program

    def command(self):
        return [self.program, "--listen", self.portal(), "--target", peers.TARGET_NAME, "--disk", f"memory:{self.disks[0].size}"]


def default_rust():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return str(peers.ROOT / target / "release" / "epoll_target")


def default_c():
    return str(pathlib.Path(os.environ.get("ISCSICORE_C_EXAMPLES", peers.ROOT / "examples" / "c")) / "target_epoll")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--c", default=default_c(), help="the target in C (default: $ISCSICORE_C_EXAMPLES/target_epoll, or examples/c/target_epoll)")
    parser.add_argument("--rust", default=default_rust(), help="the same in Rust (default: target/release/epoll_target)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a timed phase (whole seconds)")
    parser.add_argument("--size", type=peers.parse_size, default=128 << 20, help="bytes of the disks, a power of two (default 128M)")
    parser.add_argument("--limit", type=float, help="the greatest ratio for 4 KiB reads that is no failure")
    options = parser.parse_args()
    for program in (options.c, options.rust):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is missing: see --help")
    options.directory, options.awake, options.targets = pathlib.Path("/dev/shm"), False, ()
    return options


def run(options):
    """All samples."""
    samples = []
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(measure.places(options))
        contestants = {}
        for name, program in (("c", options.c), ("rust", options.rust)):
            target = stack.enter_context(Loop(program, options.size))
            contestants[name] = types.SimpleNamespace(
                target=target, unit=Unit(name, target.url(), options.size, where.memory, where.memory / "image"))
        for cell in CELLS:
            for number in range(options.rounds):
                for name in ("c", "rust") if number % 2 == 0 else ("rust", "c"):
                    samples.append(sample(contestants[name], cell, name, number, options.seconds))
            for one in contestants.values():
                if not cell.load.write:
                    one.unit.compare()
    return samples


def sample(contestant, cell, name, number, seconds):
    """One timed phase of one of the two."""
    contestant.unit.prepare(cell)
    if contestant.unit.needs_image(cell):
        contestant.unit.fill()
    done, cpu = measure.again_if_stuck(contestant.unit, contestant.target, cell, number, seconds)
    found = figures.Sample(cell, name, number, done.ios, done.iops, cpu, done.client_cpu, done.latency)
    print(f"round {number + 1}  {cell.title():55}{name:6}{found.values()['server_us']:8.2f} us", file=sys.stderr, flush=True)
    return found


def main():
    options = arguments()
    samples = run(options)
    print(f"load average {machine.facts()['load_average']}, {options.rounds} rounds of {options.seconds:g} s")
    worst = None
    for cell in CELLS:
        cost = {name: figures.Spread.of([one.values()["server_us"] for one in samples if (one.cell, one.target) == (cell, name)])
                for name in ("c", "rust")}
        ratio = figures.ratio(samples, cell, "c", "rust", "server_us")
        told = "  ".join(f"{name} {spread.median:.2f} us ({spread.low:.2f}..{spread.high:.2f})" for name, spread in cost.items())
        print(f"{cell.title():56}{told}  C / Rust {ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f})")
        worst = worst or ratio.median
    if options.limit and worst > options.limit:
        sys.exit(f"4 KiB reads cost {worst:.2f} times as much in C")


if __name__ == "__main__":
    main()
