"""Samples, their medians, ratios, and the table."""
import dataclasses
import statistics

from . import cells

APART = 0.7  # connections that overlap less than this are told apart from those that ran at the same time
UNIT = "tgt"  # whose figures the others are compared with
HEAD = ("target", "IOPS", "min..max", "MB/s", "p50 us", "p99 us", "p99.9 us", "server CPU us/IO", "min..max", "client CPU us/IO",
        "IOPS / tgt", "CPU / tgt", "CPU / echo", "MB/s / echo")


@dataclasses.dataclass
class Sample:
    """One timed phase of one target."""

    cell: cells.Cell
    target: str
    round: int
    ios: float
    iops: float
    server_cpu: float  # seconds, user and system
    client_cpu: float
    latency: dict
    overlap: float = 1.0

    def values(self):
        """The figures of the table."""
        found = {"iops": self.iops, "mb_s": self.iops * self.cell.load.block / 1e6,
                 "server_us": self.server_cpu * 1e6 / self.ios, "client_us": self.client_cpu * 1e6 / self.ios, "overlap": self.overlap}
        return found | {f"{key}_us": value for key, value in self.latency.items()}


@dataclasses.dataclass
class Spread:
    """A median, and what it is the median of."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        return cls(statistics.median(values), min(values), max(values))


def echo_of(target):
    """The echo on the same runtime; None for servers that are not ours."""
    return target.replace("iscsicored", "echo") if target.startswith("iscsicored-") else None


def ratio(samples, cell, ours, theirs, key):
    """Spread of ours over theirs, each formed within one round, since neighbours in time share what disturbs them."""
    rounds = {name: {s.round: s.values()[key] for s in samples if s.cell == cell and s.target == name} for name in (ours, theirs)}
    both = [(value, rounds[theirs][number]) for number, value in rounds[ours].items() if rounds[theirs].get(number)]
    return Spread.of([mine / other for mine, other in both]) if both else None


def results(samples, targets):
    """For each cell and target the spread of each figure and the ratios, as plain objects."""
    found = []
    for cell in dict.fromkeys(sample.cell for sample in samples):
        for name in targets:
            values = [sample.values() for sample in samples if sample.cell == cell and sample.target == name]
            if not values:
                continue
            spreads = {key: dataclasses.asdict(Spread.of([value[key] for value in values])) for key in values[0]}
            against = {}
            if name != UNIT and not name.startswith("echo-"):
                against |= {f"{key} / {UNIT}": ratio(samples, cell, name, UNIT, key) for key in ("iops", "server_us")}
            if echo_of(name):
                against |= {f"{key} / echo": ratio(samples, cell, name, echo_of(name), key) for key in ("server_us", "mb_s")}
            against = {key: dataclasses.asdict(value) for key, value in against.items() if value}
            found.append({"cell": dataclasses.asdict(cell), "title": cell.title(), "target": name, "rounds": len(values), **spreads, "ratios": against})
    return found


def table(found):
    """The results as Markdown: a heading and a table for each cell."""
    rows, title = [], None
    for result in found:
        if result["title"] != title:
            title = result["title"]
            rows += ["", f"**{title}**", "", f"| {' | '.join(HEAD)} |", "|---|" + "---:|" * (len(HEAD) - 1)]
        rows.append(f"| {' | '.join(row(result))} |")
    return rows


def row(result):
    """One line of the table; a dash where there is no such figure."""
    ratios = result["ratios"]
    latencies = [number(result.get(f"{key}_us"), 0) for key in ("p50", "p99", "p99.9")]
    compared = [number(ratios.get(key), 2) for key in (f"iops / {UNIT}", f"server_us / {UNIT}", "server_us / echo", "mb_s / echo")]
    apart = result["overlap"]["median"]
    name = result["target"] + (f" (connections at work together for {apart:.2f} of the time)" if apart < APART else "")
    return [name, number(result["iops"], 0), span(result["iops"], 0), number(result["mb_s"], 0), *latencies,
            number(result["server_us"], 2), span(result["server_us"], 2), number(result["client_us"], 2), *compared]


def number(spread, digits):
    """The median."""
    return "-" if spread is None else f"{spread['median']:.{digits}f}"


def span(spread, digits):
    """The smallest and the largest."""
    return f"{spread['low']:.{digits}f}..{spread['high']:.{digits}f}"
