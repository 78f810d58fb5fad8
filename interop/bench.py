#!/usr/bin/env python3
"""Measures iscsicored beside a tuned tgt with load generators that others wrote.

iscsicored serves its own memory, iscsicored-file and tgt a file on /dev/shm.

    interop/bench.py --rounds 5                      all three in turns, medians, ratios
    interop/bench.py --targets tgt --seconds 1       one target alone

Four loads: 4 KiB random read (iscsi-perf, 32 in flight), 4 KiB scattered write (qemu-img bench, 32 in flight, a stride
that visits every block once a pass), 256 KiB sequential read (iscsi-perf) and write (qemu-img bench), 16 in flight.
Data is verified in the same run: before the reads a known image is written, after them the whole unit is compared with
it; each write load covers the whole unit with a pattern of its own, then the whole unit is compared with that pattern.
CPU is user + system time of the server process over the timed phase, divided by the I/Os (resolution 10 ms in total).
Writes interop/out/bench.json. On a machine that is shared, trust the CPU per I/O and the ratios, not the rates.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import random
import re
import statistics
import sys
import tempfile
import time

import peers

HERE = pathlib.Path(__file__).resolve().parent
SMALL, LARGE = 4096, 262144
STRIDE = 5003  # in blocks; odd, so it visits each block of a power-of-two unit once a pass
TARGETS = ("iscsicored", "iscsicored-file", "tgt")
LOADS = ("random read 4K", "scattered write 4K", "sequential read 256K", "sequential write 256K")


@dataclasses.dataclass
class Sample:
    """One timed phase."""

    load: str
    target: str
    ios: int
    seconds: float
    block: int
    server_user: float
    server_system: float
    client_cpu: float

    def values(self):
        """What the table shows."""
        per_io = 1e6 / self.ios
        server = self.server_user + self.server_system
        return {"iops": self.ios / self.seconds, "mb_s": self.ios * self.block / self.seconds / 1e6,
                "server_us": server * per_io, "client_us": self.client_cpu * per_io}


class Bench:
    """One target with the files that its data is compared with."""

    def __init__(self, target, folder, size, seconds, name):
        self.target, self.folder, self.size, self.seconds, self.name = target, pathlib.Path(folder), size, seconds, name
        self.url = target.url()

    def read(self, load, block, depth, random_order):
        """iscsi-perf over a unit that holds a known image; the image must still be there afterwards."""
        image = self.folder / "image"
        peers.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, self.url)
        arguments = ["-b", block // 512, "-m", depth, "-t", max(1, round(self.seconds)), *(["-r"] if random_order else [])]
        sample = self.timed(load, block, lambda: perf_ios(peers.run("iscsi-perf", *arguments, self.url).stdout, arguments[5]))
        self.compare(image)
        return sample

    def write(self, load, block, depth, stride, pattern, rate):
        """qemu-img bench over the whole unit, whole passes only; then the whole unit must hold the pattern."""
        expected = self.folder / f"pattern{pattern}"
        if not expected.exists():
            expected.write_bytes(bytes([pattern]) * self.size)
        per_pass = self.size // block
        count = per_pass * max(1, round(rate * self.seconds / per_pass))
        command = ["qemu-img", "bench", "-f", "raw", "-t", "none", "-w", "-d", depth, "-s", block, "-S", block * stride, "-c", count,
                   f"--pattern={pattern}", self.url]
        sample = self.timed(load, block, lambda: (count, bench_seconds(peers.run(*command, limit=120).stdout)))
        self.compare(expected)
        return sample

    def timed(self, load, block, action):
        before, client = self.target.cpu_seconds(), client_cpu()
        ios, seconds = action()
        after = self.target.cpu_seconds()
        return Sample(load, self.name, ios, seconds, block, after[0] - before[0], after[1] - before[1], client_cpu() - client)

    def compare(self, expected):
        done = peers.run("qemu-img", "compare", "-f", "raw", "-F", "raw", expected, self.url, check=False)
        if done.returncode:
            sys.exit(f"{self.name}: THE DATA IS WRONG after the load: {done.stdout.strip()}")

    def sample(self, load, number, rates):
        """One timed phase of this load."""
        if load == LOADS[0]:
            return self.read(load, SMALL, 32, True)
        if load == LOADS[2]:
            return self.read(load, LARGE, 16, False)
        block, depth, stride = (SMALL, 32, STRIDE) if load == LOADS[1] else (LARGE, 16, 1)
        key = self.name, load
        if key not in rates:
            rates[key] = self.write(load, block, depth, stride, 200, 0).values()["iops"]
        return self.write(load, block, depth, stride, 1 + number % 150, rates[key])


def perf_ios(output, seconds):
    """I/Os and seconds of an iscsi-perf run: it prints an average rate over the time that it was given."""
    average = re.findall(r"iops average (\d+)", output)
    if not average or "finished" not in output:
        sys.exit(f"iscsi-perf failed:\n{output[-500:]}")
    return int(average[-1]) * seconds, float(seconds)


def bench_seconds(output):
    """The run time that qemu-img bench prints."""
    return max(float(re.search(r"Run completed in ([\d.]+) seconds", output)[1]), 0.001)


def client_cpu():
    """CPU time of this program's finished children: the load generators (and tgtadm, outside timed phases)."""
    times = os.times()
    return times.children_user + times.children_system


def measure(options):
    """All samples, the targets in turns within each load."""
    samples, rates = [], {}
    with tempfile.TemporaryDirectory(prefix="iscsicore-bench-", dir="/dev/shm") as folder:
        make_image(pathlib.Path(folder, "image"), options.size)
        for number in range(options.rounds):
            for load in options.loads:
                for name in options.targets if number % 2 == 0 else options.targets[::-1]:
                    with contestant(options, name, folder) as target:
                        samples.append(Bench(target, folder, options.size, options.seconds, name).sample(load, number, rates))
                    values = samples[-1].values()
                    print(f"round {number + 1}  {load:22}{name:16}{values['iops']:9.0f} IOPS {values['server_us']:7.1f} us", flush=True)
    return samples


def contestant(options, name, folder):
    """The server of that name over its store; `-file` puts iscsicored on the store that tgt has, a file in RAM."""
    options.target = name.removesuffix("-file")
    path = pathlib.Path(folder, "disk")
    if name.endswith("-file"):
        path.unlink(missing_ok=True)
        return peers.chosen(options)([peers.Disk(options.size, path=str(path))])
    return peers.chosen(options)([peers.Disk(options.size)])


def make_image(path, size):
    """Random bytes that never repeat within the image."""
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(random.randbytes(1 << 20))


def table(samples, targets):
    """Medians and ratios as rows of a Markdown table."""
    rows = ["| load | target | IOPS | MB/s | server CPU us/IO | client CPU us/IO |", "|---|---|---:|---:|---:|---:|"]
    result = []
    for load in dict.fromkeys(sample.load for sample in samples):
        medians = {}
        for name in targets:
            values = [sample.values() for sample in samples if (sample.load, sample.target) == (load, name)]
            medians[name] = {key: statistics.median(value[key] for value in values) for key in values[0]}
            middle = medians[name]
            rows.append(f"| {load} | {name} | {middle['iops']:.0f} | {middle['mb_s']:.0f} | {middle['server_us']:.1f} | {middle['client_us']:.1f} |")
            result.append({"load": load, "target": name, **middle})
        for name in targets[:-1]:
            ours, theirs = medians[name], medians[targets[-1]]
            ratio = {key: ours[key] / theirs[key] if theirs[key] else float("nan") for key in ours}
            rows.append(f"| {load} | **{name} / {targets[-1]}** | {ratio['iops']:.2f} | {ratio['mb_s']:.2f} | {ratio['server_us']:.2f} | {ratio['client_us']:.2f} |")
            result.append({"load": load, "ratio": f"{name}/{targets[-1]}", **ratio})
    return rows, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS), help=f"some of {', '.join(TARGETS)} (default all); the last is what the others are compared with")
    parser.add_argument("--binary", help="path of iscsicored (default: $ISCSICORED, or target/release/iscsicored)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="length of a timed phase (default 3; reads: whole seconds)")
    parser.add_argument("--size", type=peers.parse_size, default=128 << 20, help="bytes of the unit, a power of two (default 128M)")
    parser.add_argument("--loads", default=",".join(LOADS), help="loads by name, separated by commas")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out" / "bench.json")
    options = parser.parse_args()
    options.targets, options.loads = options.targets.split(","), options.loads.split(",")
    if not set(options.targets) <= set(TARGETS) or not set(options.loads) <= set(LOADS):
        parser.error(f"targets are {', '.join(TARGETS)}; loads are {', '.join(LOADS)}")
    if options.size & options.size - 1 or options.size < 1 << 24:
        parser.error("--size must be a power of two of at least 16M")
    began = time.monotonic()
    samples = measure(options)
    rows, medians = table(samples, options.targets)
    print("", *rows, "", f"{options.rounds} rounds, medians, {time.monotonic() - began:.0f} s; all data verified", sep="\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"cpus": os.cpu_count(), "load_average": os.getloadavg(), "kernel": os.uname().release, "size": options.size}
    options.out.write_text(json.dumps({"machine": facts, "medians": medians, "samples": list(map(dataclasses.asdict, samples))}, indent=1) + "\n")


if __name__ == "__main__":
    main()
