"""The unit of one target under load, and the proof that it holds what was written."""
import math
import pathlib
import random
import struct

import peers

from . import clients


class WrongData(Exception):
    """A unit does not hold what it should."""


def make_image(path, size):
    """Random bytes that never repeat within the image."""
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(random.randbytes(1 << 20))


def iscsictl_data(seed, length):
    """The bytes that `iscsictl bench` without --verify writes everywhere: splitmix64 of the seed, then xorshift64*."""
    mask = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15) & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    state = (z ^ z >> 31) | 1
    words = []
    for _ in range(length // 8):
        state ^= state >> 12
        state ^= state << 25 & mask
        state ^= state >> 27
        words.append(state * 0x2545F4914F6CDD1D & mask)
    return struct.pack(f"<{length // 8}Q", *words)


def written_blocks(before, after, block, new):
    """How many blocks hold `new`; every other one has to hold what it held before."""
    count = 0
    for offset in range(0, len(after), block):
        found = after[offset:offset + block]
        if found == new:
            count += 1
        elif found != before[offset:offset + block]:
            raise WrongData(f"the block at byte {offset} of the region holds neither its old nor its new data")
    return count


def least_written(ios, blocks, is_random):
    """The fewest blocks that so many writes must have reached, however chance fell (six standard deviations)."""
    if not is_random:
        return min(math.floor(ios), blocks)
    missed = blocks * math.exp(-ios / blocks)
    return max(1, math.floor(blocks - missed - 6 * math.sqrt(missed) - 6))


class Unit:
    """A unit, and a file of what it holds."""

    def __init__(self, name, url, size, folder, image):
        self.name, self.url, self.size, self.folder, self.image = name, url, size, pathlib.Path(folder), pathlib.Path(image)
        self.known = None
        self.rates = {}

    def fill(self):
        """Writes the image, unless it is there."""
        if self.known != self.image:
            peers.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", self.image, self.url, limit=clients.LIMIT)
            self.known = self.image

    def needs_image(self, cell):
        """qemu-img bench writes every block: nothing has to be known of what was there before."""
        return cell.client != "qemu-img"

    def compare(self):
        """Compares the whole unit with what it should hold."""
        done = peers.run("qemu-img", "compare", "-f", "raw", "-F", "raw", self.known, self.url, check=False, limit=clients.LIMIT)
        if done.returncode:
            raise WrongData(f"{self.name}: {done.stdout.strip()}")

    def load(self, cell, number, seconds, meter):
        """One timed phase, within `meter`; a unit that was written to is compared after it, one that was read when `compare` is called."""
        if cell.client == "iscsi-perf":
            with meter:
                return clients.perf(cell, self.url, seconds)
        if cell.client == "qemu-img":
            return self.qemu(cell, number, seconds, meter)
        seeds = [1 + number * 100 + at for at in range(cell.connections)]
        with meter:
            run = clients.iscsictl(cell, self.url, self.size, seconds, seeds)
        if cell.load.write:
            self.after_iscsictl(cell, run, seeds)
        return run

    def prepare(self, cell):
        """Before the first timed phase of qemu-img bench, which is given a count and no time: how fast is it?"""
        if cell.client == "qemu-img":
            key = cell.name, cell.depth, cell.connections
            if key not in self.rates:
                self.rates[key] = clients.qemu(cell, self.url, self.size, 255, 1).iops
                self.known = None

    def qemu(self, cell, number, seconds, meter):
        """Writes with a pattern of this phase alone; afterwards the whole unit has to hold it."""
        pattern = 1 + number % 250
        expected = self.folder / f"pattern{pattern}"
        if not expected.exists():
            expected.write_bytes(bytes([pattern]) * self.size)
        rate = self.rates[cell.name, cell.depth, cell.connections]
        with meter:
            run = clients.qemu(cell, self.url, self.size, pattern, clients.passes(rate, self.size, cell, seconds))
        self.known = expected
        try:
            self.compare()
        finally:
            expected.unlink()
        self.known = None
        return run

    def after_iscsictl(self, cell, run, seeds):
        """Each block of a region holds what this phase wrote or what it held before, and enough hold the former."""
        after = self.folder / f"after-{self.name}"
        peers.run("qemu-img", "convert", "-f", "raw", "-O", "raw", self.url, after, limit=clients.LIMIT)
        with open(after, "rb") as new, open(self.known, "rb") as old:
            for (offset, length), seed in zip(clients.regions(cell, self.size), seeds):
                new.seek(offset)
                old.seek(offset)
                count = written_blocks(old.read(length), new.read(length), cell.load.block, iscsictl_data(seed, cell.load.block))
                # The rates of the connections differ; half of the average is more than enough to find writes that vanish.
                least = least_written(run.ios / cell.connections / 2, length // cell.load.block, cell.load.random)
                if count < least:
                    raise WrongData(f"{self.name}: {count} blocks were written in the region at byte {offset}, at least {least} should be")
        after.unlink()
        self.known = None

    def verify(self, cell, seconds):
        """The verifying client, with the depth and the connections of the cell, untimed."""
        self.known = None
        try:
            return clients.verify(cell, self.url, self.size, seconds)
        except ValueError as error:
            raise WrongData(f"{self.name}: {error}") from error
