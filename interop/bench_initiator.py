#!/usr/bin/env python3
"""Measures the initiator beside libiscsi's iscsi-perf, against the same targets.

    interop/bench_initiator.py --rounds 5              both clients in turns against tgt and iscsicored, medians, ratios
    interop/bench_initiator.py --targets iscsicored    one target alone

Two loads: 4 KiB random read with 32 in flight, 256 KiB sequential read with 16 in flight. Both clients read the same
unit, which holds a known image; it is written before, and after the timed phases `iscsictl copy` reads it back with the
same code that was timed and the result is compared byte for byte. `iscsictl bench` is also run with --verify once a
target and load, untimed, where every block carries its own address. CPU is user + system time of the client process over
its whole run, divided by its I/Os. With --awake a process of the idle scheduling class keeps each core from halting: in a
virtual machine waking a halted core costs more than an I/O, and what is measured otherwise is the host. Writes
interop/out/bench-initiator.json. On a machine that is shared, trust the CPU per
I/O and the ratios, not the rates.
"""
import argparse
import filecmp
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peers
from benchlib import clients, machine, units

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = ("tgt", "iscsicored")
LOADS = {"random read 4K": (4096, 32, True), "sequential read 256K": (262144, 16, False)}
CLIENTS = ("iscsictl", "iscsi-perf")


def iscsictl(options, url, block, depth, random_order, *extra):
    """One run of our own client: the object that `iscsictl bench --json` prints."""
    command = [options.iscsictl, "--json", "bench", url, "--size", block, "--depth", depth, "--time", f"{options.seconds}s",
               "--random" if random_order else "--sequential", *extra]
    done = peers.run(*command, limit=120)
    return json.loads(done.stdout.splitlines()[-1])


def cpu_of(action):
    """What `action` returns, and the CPU seconds of the processes that it ran."""
    before = machine.children_cpu()
    result = action()
    return result, machine.children_cpu() - before


def timed(options, client, url, load):
    """I/Os, seconds and CPU seconds of one timed phase."""
    block, depth, random_order = LOADS[load]
    if client == "iscsi-perf":
        arguments = ["-b", block // 512, "-m", depth, "-t", options.seconds, *(["-r"] if random_order else [])]
        output, cpu = cpu_of(lambda: peers.run("iscsi-perf", *arguments, url).stdout)
        ios, seconds = clients.perf_ios(output, options.seconds)
    else:
        result, cpu = cpu_of(lambda: iscsictl(options, url, block, depth, random_order))
        ios, seconds = result["total"]["operations"], result["seconds"]
    return {"load": load, "client": client, "iops": ios / seconds, "mb_s": ios * block / seconds / 1e6, "cpu_us": cpu * 1e6 / ios}


def measure(options, name, folder):
    """All samples against one target, the clients in turns."""
    samples, image = [], pathlib.Path(folder, "image")
    options.target = name
    with peers.chosen(options)([peers.Disk(options.size)]) as target:
        url = target.url()
        peers.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, url)
        for number in range(options.rounds):
            for load in LOADS:
                for client in CLIENTS if number % 2 == 0 else CLIENTS[::-1]:
                    samples.append({"target": name, **timed(options, client, url, load)})
                    row = samples[-1]
                    print(f"round {number + 1}  {name:12}{load:22}{client:12}{row['iops']:9.0f} IOPS {row['cpu_us']:7.2f} us", flush=True)
        back = pathlib.Path(folder, "back")
        peers.run(options.iscsictl, "copy", "--overwrite", url, back, limit=120)
        if not filecmp.cmp(image, back, shallow=False):
            sys.exit(f"{name}: THE DATA IS WRONG: what iscsictl read is not what was written")
        for load, (block, depth, random_order) in LOADS.items():
            result = iscsictl(options, url, block, depth, random_order, "--write", "--rw", 50, "--verify")
            if not result["verify"]["reads_checked"] or result["verify"]["blocks_wrong"]:
                sys.exit(f"{name}: {load}: verification failed: {result}")
    return samples


def table(samples):
    """Medians and ratios as rows of a Markdown table."""
    rows = ["| target | load | client | IOPS | MB/s | client CPU us/IO |", "|---|---|---|---:|---:|---:|"]
    result = []
    for name, load in dict.fromkeys((s["target"], s["load"]) for s in samples):
        medians = {}
        for client in CLIENTS:
            chosen = [s for s in samples if (s["target"], s["load"], s["client"]) == (name, load, client)]
            medians[client] = {key: statistics.median(s[key] for s in chosen) for key in ("iops", "mb_s", "cpu_us")}
            row = medians[client]
            rows.append(f"| {name} | {load} | {client} | {row['iops']:.0f} | {row['mb_s']:.0f} | {row['cpu_us']:.2f} |")
            result.append({"target": name, "load": load, "client": client, **row})
        ratio = {key: medians[CLIENTS[0]][key] / medians[CLIENTS[1]][key] for key in ("iops", "mb_s", "cpu_us")}
        rows.append(f"| {name} | {load} | **{' / '.join(CLIENTS)}** | {ratio['iops']:.2f} | {ratio['mb_s']:.2f} | {ratio['cpu_us']:.2f} |")
        result.append({"target": name, "load": load, "ratio": "/".join(CLIENTS), **ratio})
    return rows, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS), help=f"some of {', '.join(TARGETS)} (default all)")
    parser.add_argument("--binary", help="path of iscsicored (default: $ISCSICORED, or target/release/iscsicored)")
    parser.add_argument("--iscsictl", default=clients.iscsictl_program(), help="default: $ISCSICTL, or target/release/iscsictl")
    parser.add_argument("--awake", action="store_true", help="keep the cores from halting")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of a timed phase in whole seconds (default 3)")
    parser.add_argument("--size", type=peers.parse_size, default=128 << 20, help="bytes of the unit (default 128M)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out" / "bench-initiator.json")
    options = parser.parse_args()
    targets = options.targets.split(",")
    if not set(targets) <= set(TARGETS):
        parser.error(f"targets are {', '.join(TARGETS)}")
    began, samples = time.monotonic(), []
    with machine.awake(options.awake), tempfile.TemporaryDirectory(prefix="iscsicore-bench-", dir="/dev/shm") as folder:
        units.make_image(pathlib.Path(folder, "image"), options.size)
        for name in targets:
            samples += measure(options, name, folder)
    rows, medians = table(samples)
    print("", *rows, "", f"{options.rounds} rounds, medians, {time.monotonic() - began:.0f} s; all data verified", sep="\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine.facts(), "size": options.size, "medians": medians, "samples": samples}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as error:
        sys.exit(f"a program failed: {error}")
