"""Runs the cells: every target is started once for each store, and takes its turn in each cell of each round."""
import contextlib
import pathlib
import tempfile

from . import clients, contestants, echo, machine
from .figures import Sample
from .units import Unit, make_image


@contextlib.contextmanager
def places(options):
    """Folders for files in memory and on a real file system, and the image in the former."""
    with tempfile.TemporaryDirectory(prefix="iscsicore-bench-", dir="/dev/shm") as memory, \
            tempfile.TemporaryDirectory(prefix="iscsicore-bench-", dir=options.directory) as disk:
        found = contestants.Places(pathlib.Path(memory), pathlib.Path(disk))
        make_image(found.memory / "image", options.size)
        yield found


class Store:
    """All targets on one kind of store."""

    def __init__(self, options, abilities, where, store, stack):
        self.options, self.names, self.phase = options, [], 0
        self.targets, self.units = {}, {}
        for name in options.targets:
            if not contestants.takes_part(name, store, abilities):
                continue
            self.names.append(name)
            if name in contestants.SERVERS:
                target = contestants.target(name, store, options.size, where, abilities, options.shards)
                self.targets[name] = stack.enter_context(target)
                self.units[name] = Unit(name, target.url(), options.size, where.memory, where.memory / "image")

    def round(self, number, cells):
        """Every cell once; the targets the other way round in every second round. Yields samples."""
        names = self.names if number % 2 == 0 else self.names[::-1]
        for is_write in (False, True):
            chosen = [cell for cell in cells if cell.load.write == is_write]
            for cell in chosen:
                self.phase += 1
                for name in names:
                    yield self.sample(name, cell, number)
            if chosen and not is_write:
                for unit in self.units.values():
                    unit.compare()

    def sample(self, name, cell, number):
        """One timed phase."""
        if name in contestants.ECHOES:
            run, server_cpu = echo.run(contestants.ECHOES[name], cell, self.options.seconds)
        else:
            unit, target = self.units[name], self.targets[name]
            unit.prepare(cell)
            if unit.needs_image(cell):
                unit.fill()
            run, server_cpu = again_if_stuck(unit, target, cell, self.phase, self.options.seconds)
        return Sample(cell, name, number, run.ios, run.iops, server_cpu, run.client_cpu, run.latency, run.overlap)

    def verify(self, cells):
        """The verifying client once for each size, depth and number of connections that was measured."""
        kinds = {(cell.load, cell.depth, cell.connections): cell for cell in cells}
        return sum(unit.verify(cell, self.options.verify_seconds) for unit in self.units.values() for cell in kinds.values())


def again_if_stuck(unit, target, cell, number, seconds, attempts=3):
    """One timed phase and the server's CPU seconds; a phase whose client missed its end is said, and done again."""
    for attempt in range(attempts):
        meter = Meter(target)
        try:
            return unit.load(cell, number, seconds, meter), meter.seconds
        except clients.Stuck as error:
            if attempt == attempts - 1:
                raise
            print(f"{cell.title()}, {unit.name}: {error}; once more", flush=True)


class Meter:
    """CPU seconds of a server over one timed phase."""

    def __init__(self, target):
        self.target, self.seconds = target, 0.0

    def __enter__(self):
        self.before = sum(self.target.cpu_seconds())

    def __exit__(self, *_):
        self.seconds = sum(self.target.cpu_seconds()) - self.before


def measure(options, abilities, cells, tell):
    """All samples, and the number of reads that the verifying client checked."""
    samples, checked = [], 0
    with machine.awake(options.awake), places(options) as where:
        for store in dict.fromkeys(cell.store for cell in cells):
            chosen = [cell for cell in cells if cell.store == store]
            with contextlib.ExitStack() as stack:
                running = Store(options, abilities, where, store, stack)
                for number in range(options.rounds):
                    for sample in running.round(number, chosen):
                        samples.append(sample)
                        tell(sample)
                checked += running.verify(chosen)
    return samples, checked


def shards(options, abilities, runtime, cell, tell):
    """One shard against two, with two connections to one LUN. Samples whose targets are named after their shards."""
    samples = []
    with machine.awake(options.awake), places(options) as where, contextlib.ExitStack() as stack:
        entered = {}
        for count in (1, 2):
            target = contestants.target(f"iscsicored-{runtime}", "memory", options.size, where, abilities, count)
            stack.enter_context(target)
            entered[count] = target, Unit(f"{runtime}-{count}", target.url(), options.size, where.memory, where.memory / "image")
            entered[count][1].fill()
        for number in range(options.rounds):
            for count in (1, 2) if number % 2 == 0 else (2, 1):
                target, unit = entered[count]
                run, server_cpu = again_if_stuck(unit, target, cell, 0, options.seconds)
                name = f"{runtime}, {count} shard{'s' if count > 1 else ''}"
                samples.append(Sample(cell, name, number, run.ios, run.iops, server_cpu, run.client_cpu, run.latency, run.overlap))
                tell(samples[-1])
        for _, unit in entered.values():
            unit.compare()
    return samples
