#!/usr/bin/env python3
"""Measures iscsicored on its runtimes beside a tuned tgt, istgt, and the bare echo of the same message sizes.

    interop/bench.py                                        about ten minutes: the goals, and a look at depth and connections
    interop/bench.py --awake --rounds 5 --seconds 2         the same with more rounds, the cores kept from halting
    interop/bench.py --loads randread --depths 1,32 --connections 1,8 --stores memory,direct --targets iscsicored-tokio,tgt
    interop/bench.py --all                                  every combination: hours
    interop/bench.py --smoke                                a few cells, for CI
    interop/bench.py --scenario shards                      one shard against two, two connections to one LUN

All targets of a store run at the same time, and take turns in each cell: A B C, in the next round C B A. A *cell* is a store,
a load, a depth, a number of connections and a client (iscsi-perf reads, qemu-img bench writes, iscsictl bench does both).
The client's batching decides much, so an echo is driven with the batching of the cell's client.

Data is verified in the same run. Reads: a known image is there before and must be there after. Writes of qemu-img bench cover
the whole unit with a pattern, which is compared. Writes of iscsictl bench: each block holds what it wrote or what was there
before, and no fewer hold the former than chance allows. At last iscsictl bench --verify runs with each size, depth and
number of connections that was measured, every connection in a region of its own, and checks every block.

Server CPU is user + system time of the process over the timed phase, divided by the I/Os (the kernel tells it in steps of
10 ms). Ratios are formed within each round; figures are medians, with the smallest and the largest. Latencies are told by
iscsictl alone; of several connections the worst. Writes interop/out/bench.json and bench.svg. On a machine that is shared,
trust the CPU per I/O and the ratios, not the rates.
"""
import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import peers
from benchlib import cells, chart, clients, contestants, echo, figures, machine, measure, units

HERE = pathlib.Path(__file__).resolve().parent
CHOICES = {"stores": cells.STORES, "loads": tuple(cells.LOADS), "depths": cells.DEPTHS, "connections": cells.CONNECTIONS, "clients": cells.CLIENTS}
SHARDS = cells.Cell("memory", "randread", 32, 2, "iscsi-perf")


def several(known):
    """A parser of names or numbers, separated by commas, of those that are known."""
    kind = type(known[0])

    def parse(text):
        values = tuple(kind(word) for word in text.split(","))
        if not set(values) <= set(known):
            raise argparse.ArgumentTypeError(f"some of {','.join(map(str, known))}")
        return values
    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_argument_group(
        "what is measured", "Any of these makes every combination; what is not given is: memory, every load, depth 32, one connection, every client.")
    for name, known in CHOICES.items():
        choice.add_argument(f"--{name}", type=several(known), help=f"some of {','.join(map(str, known))}")
    everyone = (*contestants.SERVERS, *contestants.ECHOES)
    parser.add_argument("--targets", type=several(everyone), help=f"some of {','.join(everyone)}")
    parser.add_argument("--all", action="store_true", help="every combination")
    parser.add_argument("--smoke", action="store_true", help="a few cells, one round of a second, 64M: under 40 seconds")
    parser.add_argument("--scenario", choices=("cells", "shards", "both"), help="default: both when iscsicored knows --shards; cells when cells are chosen")
    parser.add_argument("--binary", help="path of iscsicored (default: $ISCSICORED, or target/release/iscsicored)")
    parser.add_argument("--shards", type=int, help="shards of iscsicored (default: its own)")
    parser.add_argument("--awake", action="store_true", help="keep the cores from halting, by processes of the idle class")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--seconds", type=float, help="length of a timed phase (default 1; iscsi-perf: whole seconds)")
    parser.add_argument("--size", type=peers.parse_size, help="bytes of the unit, a power of two (default 128M)")
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("/var/tmp"), help="on a real file system, for files (default /var/tmp)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out" / "bench.json", help="the chart gets the same name with .svg")
    options = parser.parse_args()
    defaults = {"rounds": 1, "seconds": 1.0, "size": 64 << 20} if options.smoke else {"rounds": 3, "seconds": 1.0, "size": 128 << 20}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.size & options.size - 1 or options.size < 1 << 24:
        parser.error("--size must be a power of two of at least 16M")
    if options.rounds < 1 or options.seconds < 0.1:
        parser.error("at least one round of 0.1 seconds")
    options.verify_seconds = min(0.3, options.seconds)
    return options


def selection(options):
    """The cells that the arguments ask for."""
    if options.smoke:
        return cells.smoke()
    if options.all:
        return cells.product(options.stores or cells.STORES, options.loads or cells.LOADS, options.depths or cells.DEPTHS,
                             options.connections or cells.CONNECTIONS, options.clients or cells.CLIENTS)
    if any((options.stores, options.loads, options.depths, options.connections, options.clients)):
        return cells.product(options.stores or ("memory",), options.loads or cells.LOADS, options.depths or (32,),
                             options.connections or (1,), options.clients or cells.CLIENTS)
    return cells.default()


def scenarios(options, abilities, chosen):
    """Which of the two scenarios run."""
    asked = options.scenario or ("cells" if options.smoke or chosen != cells.default() or not abilities.shards() else "both")
    if asked != "cells" and not abilities.shards():
        sys.exit("this iscsicored knows no --shards")
    return asked


def tell(sample):
    """One line while it goes on."""
    values = sample.values()
    print(f"round {sample.round + 1}  {sample.cell.title():72}{sample.target:20}{values['iops']:9.0f} IOPS {values['server_us']:8.2f} us", flush=True)


def shard_ratios(options, abilities):
    """The scenario `shards` on each runtime: samples, and its lines of the report."""
    samples, found = [], []
    for runtime in abilities.runtimes():
        if options.targets and f"iscsicored-{runtime}" not in options.targets:
            continue
        mine = measure.shards(options, abilities, runtime, SHARDS, tell)
        samples += mine
        one, two = dict.fromkeys(s.target for s in sorted(mine, key=lambda s: s.target))
        ratios = {key: figures.ratio(mine, SHARDS, two, one, key) for key in ("iops", "server_us", "client_us")}
        found.append({"runtime": runtime, **{key: dataclasses.asdict(ratio) for key, ratio in ratios.items()}})
    return samples, found


def shard_table(found):
    rows = ["", f"**Two shards over one, two connections to one LUN: {SHARDS.title()}**", ""]
    rows += ["| runtime | IOPS | min..max | server CPU us/IO | min..max | client CPU us/IO |", "|---|---:|---:|---:|---:|---:|"]
    return rows + [f"| {each['runtime']} | {figures.number(each['iops'], 2)} | {figures.span(each['iops'], 2)} | {figures.number(each['server_us'], 2)} | "
                   f"{figures.span(each['server_us'], 2)} | {figures.number(each['client_us'], 2)} |" for each in found]


def check_programs(options, chosen):
    """Ends the program at once when something that it needs is missing."""
    options.target = "iscsicored"
    peers.chosen(options)
    for program, wanted in (("tgtd", "tgt"), ("istgt", "istgt")):
        if wanted in options.targets:
            peers.find(program)
    for program in {cell.client for cell in chosen} - {"iscsictl"} | {"qemu-img"}:
        peers.find(program)
    if not pathlib.Path(clients.iscsictl_program()).exists():
        sys.exit(f"{clients.iscsictl_program()} is missing: cargo build --release -p iscsictl")
    if set(options.targets) & set(contestants.ECHOES):
        echo.program()
    if any(cell.store != "memory" for cell in chosen) and not contestants.is_real(options.directory):
        sys.exit(f"{options.directory} is in memory: choose another with --directory")


def times(rounds):
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def save(options, report, found, facts):
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    if found:
        cores = f"{facts['cpus']} cores{', virtual' if facts['virtual'] else ''}, {facts['cpu']}"
        how = f"{cores}, Linux {facts['kernel']}, {facts['date'][:10]}, {times(options.rounds)}, medians"
        options.out.with_suffix(".svg").write_text(chart.chart(found, how))


def main():
    options = arguments()
    began, facts, chosen = time.monotonic(), machine.facts(), selection(options)
    asked, options.targets = bool(options.targets), options.targets or (contestants.SMOKE if options.smoke else contestants.DEFAULT)
    check_programs(options, chosen)
    abilities = contestants.Abilities(peers.Iscsicored.path or peers.default_binary())
    options.targets = contestants.present(options.targets, abilities, asked)
    if not abilities.direct() and any(cell.store == "direct" for cell in chosen):
        print("left out: iscsicored with O_DIRECT: this one knows no --disk direct:PATH", flush=True)
    scenario = scenarios(options, abilities, chosen)
    samples, checked, found, shard_samples, shard_found = [], 0, [], [], []
    if scenario != "shards":
        samples, checked = measure.measure(options, abilities, chosen, tell)
        found = figures.results(samples, options.targets)
        print(*figures.table(found), sep="\n")
    if scenario != "cells":
        shard_samples, shard_found = shard_ratios(options, abilities)
        print(*shard_table(shard_found), sep="\n")
    seconds = round(time.monotonic() - began)
    print(f"\n{times(options.rounds)} of {options.seconds:g} s, medians; {seconds} s in all; all data verified ({checked} reads checked block by block)")
    how = {"rounds": options.rounds, "seconds": options.seconds, "size": options.size, "awake": options.awake, "shards": options.shards}
    save(options, {"machine": facts, "options": how, "took_seconds": seconds, "results": found, "shards": shard_found,
                   "samples": [dataclasses.asdict(sample) for sample in samples + shard_samples]}, found, facts)


if __name__ == "__main__":
    try:
        main()
    except (units.WrongData, peers.TargetFailed) as error:
        sys.exit(f"THE DATA IS WRONG: {error}" if isinstance(error, units.WrongData) else str(error))
    except (subprocess.SubprocessError, clients.Stuck) as error:
        sys.exit(f"a program failed: {error}")
