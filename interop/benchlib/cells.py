"""What is measured: a store, a load, how much of it at a time, and by which client."""
import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Load:
    """What is asked of a unit."""

    title: str
    block: int
    write: bool
    random: bool
    depths: tuple


LOADS = {
    "randread": Load("random read 4K", 4096, False, True, (1, 8, 32, 128)),
    "randwrite": Load("random write 4K", 4096, True, True, (1, 8, 32, 128)),
    "seqread": Load("sequential read 256K", 262144, False, False, (16,)),
    "seqwrite": Load("sequential write 256K", 262144, True, False, (16,)),
}
STORES = ("memory", "file", "direct")
DEPTHS = (1, 8, 32, 128)
CONNECTIONS = (1, 2, 8)
CLIENTS = ("iscsi-perf", "qemu-img", "iscsictl")


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One combination; each target gives it one sample a round."""

    store: str
    name: str
    depth: int
    connections: int
    client: str

    @property
    def load(self):
        return LOADS[self.name]

    @property
    def batching(self):
        """How the client sends requests, in the words of `floor load --batching`."""
        return "gathered" if self.client == "iscsictl" else "each"

    def title(self):
        """The cell in words."""
        many = "" if self.connections == 1 else f", {self.connections} connections"
        return f"{self.load.title}, {self.depth} in flight{many}, {self.store}, {self.client}"


def can(name, client):
    """iscsi-perf only reads; qemu-img bench reads in no random order, so it only writes here."""
    return client == "iscsictl" or (client == "qemu-img") == LOADS[name].write


def default():
    """The cells without any selection: all goals, and a look at depth and connections."""
    other = {"randread": "iscsi-perf", "seqread": "iscsi-perf", "randwrite": "qemu-img", "seqwrite": "qemu-img"}
    depth = {name: 32 if load.random else 16 for name, load in LOADS.items()}
    cells = [Cell("memory", name, depth[name], 1, client) for name in LOADS for client in (other[name], "iscsictl")]
    cells += [Cell("memory", "randread", depth, 1, "iscsictl") for depth in (1, 128)]
    cells += [Cell("memory", "randread", 32, connections, "iscsi-perf") for connections in (2, 8)]
    for store in ("file", "direct"):
        cells += [Cell(store, name, 32, 1, other[name]) for name in ("randread", "randwrite")]
        cells += [Cell(store, name, 16, 1, "iscsictl") for name in ("seqread", "seqwrite")]
    return in_order(cells)


def smoke():
    """A few cells that pass through every kind of code."""
    return in_order([
        Cell("memory", "randread", 32, 1, "iscsi-perf"), Cell("memory", "randwrite", 32, 1, "qemu-img"),
        Cell("memory", "randwrite", 32, 2, "iscsictl"), Cell("file", "seqread", 16, 1, "iscsictl"),
        Cell("direct", "seqwrite", 16, 1, "qemu-img"),
    ])


def product(stores, loads, depths, connections, clients):
    """Every combination that makes sense; a sequential load has one depth and one connection."""
    cells = []
    for store, name, client in itertools.product(stores, loads, clients):
        if can(name, client):
            load = LOADS[name]
            cells += [Cell(store, name, depth, count, client)
                      for depth in (depths if load.random else load.depths) for count in (connections if load.random else (1,))]
    return in_order(cells)


def in_order(cells):
    """By store; reads before the writes that destroy what they read."""
    return sorted(set(cells), key=lambda cell: (STORES.index(cell.store), cell.load.write, list(LOADS).index(cell.name), cell))
