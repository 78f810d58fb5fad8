#!/usr/bin/env python3
"""Kills the server with SIGKILL under write load, starts it again on the same file, and looks for what was lost.

    interop/kill9.py --rounds 20                     against iscsicored
    interop/kill9.py --target tgt --seed 7 --trace

Every 512-byte block that is written carries its address and a generation number. A block counts as flushed when its
WRITE with FUA, or a SYNCHRONIZE CACHE sent after its WRITE was answered, came back GOOD. After the restart every block
must hold a generation that was really sent and that is not older than the flushed one.

What this proves: the server does not answer before the kernel has the data, writes blocks whole and in the right
place, keeps no state that a restart needs, and starts on a file that was not closed. What it cannot prove: that data
reached the medium, because the page cache outlives the process. `--trace` closes that gap as far as a program can:
under strace each answer to a FUA write or a SYNCHRONIZE CACHE must come after an fdatasync, fsync, RWF_DSYNC or
O_DSYNC write on the disk's file that itself came after the data.
"""
import argparse
import os
import pathlib
import random
import struct
import sys
import tempfile
import threading
import time

import peers
import sync_trace
from initiator import Closed, Session, read10, ready, synchronize_cache, write10

BLOCK = 512
CHUNK = 8                 # blocks of one WRITE
CHUNKS = 512              # the area under test: 2 MiB
DEPTH = 8                 # commands in flight
STAMP = struct.Struct(">8sQQ")
MAGIC = b"kill-9\0\0"


class Chunk:
    """What is known about one chunk: the newest generation sent, answered, and flushed (0: never)."""

    __slots__ = ("sent", "answered", "flushed", "busy")

    def __init__(self):
        self.sent = self.answered = self.flushed = 0
        self.busy = False


class Load:
    """Writes and flushes at random until the connection breaks, and keeps the books."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.chunks = [Chunk() for _ in range(CHUNKS)]
        self.generation = 0
        self.writes = self.flushes = self.fua = 0

    def run(self, target):
        """Returns when the target is gone."""
        pending = {}
        try:
            with Session(target.port, peers.TARGET_NAME) as session:
                ready(session, target.lun())
                while True:
                    while len(session.tasks) < DEPTH:
                        task, action = self.submit(session, target.lun())
                        pending[task.tag] = action
                    if task := session.step():
                        if task.status:
                            raise AssertionError(f"status {task.status:#x}, sense {task.key()} under load")
                        pending.pop(task.tag)()
        except (Closed, OSError):
            pass
        for chunk in self.chunks:
            chunk.busy = False

    def submit(self, session, lun):
        """Sends a flush (one in sixteen) or a write (one in four with FUA); returns the task and what its answer means."""
        if self.random.randrange(16) == 0:
            covered = [(chunk, chunk.answered) for chunk in self.chunks]
            return session.submit(synchronize_cache(), lun), lambda: self.flushed(covered)
        number = self.random.choice([n for n, chunk in enumerate(self.chunks) if not chunk.busy])
        chunk, fua = self.chunks[number], self.random.randrange(4) == 0
        self.generation += 1
        generation = chunk.sent = self.generation
        chunk.busy = True
        task = session.submit(write10(number * CHUNK, CHUNK, fua), lun, content(number, generation))
        return task, lambda: self.written(chunk, generation, fua)

    def written(self, chunk, generation, fua):
        chunk.busy, chunk.answered = False, generation
        self.writes += 1
        if fua:
            chunk.flushed = generation
            self.fua += 1

    def flushed(self, covered):
        self.flushes += 1
        for chunk, generation in covered:
            chunk.flushed = max(chunk.flushed, generation)

    def verify(self, target):
        """Reads everything back; returns how many blocks had to be there."""
        promised = 0
        with Session(target.port, peers.TARGET_NAME) as session:
            ready(session, target.lun())
            for first in range(0, CHUNKS, 16):
                count = 16 * CHUNK
                task = session.command(read10(first * CHUNK, count), target.lun(), read=count * BLOCK)
                if task.status or len(task.data_in) != count * BLOCK:
                    raise AssertionError(f"READ after restart: status {task.status:#x}, {len(task.data_in)} bytes")
                for number in range(first, first + 16):
                    start = (number - first) * CHUNK * BLOCK
                    promised += self.verify_chunk(number, bytes(task.data_in[start: start + CHUNK * BLOCK]))
        return promised

    def verify_chunk(self, number, data):
        chunk, found = self.chunks[number], []
        for index in range(CHUNK):
            block = data[index * BLOCK: (index + 1) * BLOCK]
            address = number * CHUNK + index
            generation = stamped(block, address)
            if not chunk.flushed <= generation <= chunk.sent:
                raise AssertionError(f"block {address} has generation {generation}; flushed {chunk.flushed}, newest sent {chunk.sent}")
            found.append(generation)
        # A write that was cut short may have left two generations: a later flush promises only the older one.
        chunk.sent, chunk.answered = max(found), min(found)
        return CHUNK if chunk.flushed else 0


def content(number, generation):
    """The bytes of one chunk: each block stamped from end to end with its own address and generation."""
    blocks = (STAMP.pack(MAGIC, number * CHUNK + index, generation) for index in range(CHUNK))
    return b"".join((stamp * (BLOCK // STAMP.size + 1))[:BLOCK] for stamp in blocks)


def stamped(block, address):
    """The generation of a block; 0 when it was never written. Fails on a torn or misplaced block."""
    if not any(block):
        return 0
    magic, found, generation = STAMP.unpack_from(block)
    if magic != MAGIC or found != address or block != (block[: STAMP.size] * (BLOCK // STAMP.size + 1))[:BLOCK]:
        raise AssertionError(f"block {address} holds neither zeroes nor one whole stamp of its own: {block[:32].hex()}")
    return generation


def one_round(kind, disk, load, delay):
    """Load, SIGKILL after `delay` seconds, restart, verification."""
    with kind([disk]) as target:
        failure = []
        worker = threading.Thread(target=guarded, args=(load, target, failure))
        worker.start()
        time.sleep(delay)
        if died := target.crashed():
            raise peers.TargetFailed(f"{target.kind} ended by itself under load: {died}\n{target.log()}")
        target.kill()
        worker.join(15)
        if failure or worker.is_alive():
            raise failure[0] if failure else AssertionError("the load did not notice that the server is gone")
    with kind([disk]) as target:
        return load.verify(target)


def guarded(load, target, failure):
    try:
        load.run(target)
    except Exception as error:  # reported by the main thread
        failure.append(error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--longest", type=float, default=1.0, help="longest time under load before the kill, in seconds (default 1)")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the disk's file lies (default: the temporary directory)")
    parser.add_argument("--trace", action="store_true", help="check the order of sync and answer under strace as well")
    options = parser.parse_args()
    kind = peers.chosen(options)
    print(f"seed {options.seed}", flush=True)
    began, load, delays = time.monotonic(), Load(options.seed), random.Random(options.seed + 1)
    with tempfile.TemporaryDirectory(prefix="iscsicore-kill9-", dir=options.directory) as directory:
        disk = peers.Disk(8 << 20, path=str(pathlib.Path(directory, "disk")))
        for number in range(1, options.rounds + 1):
            promised = one_round(kind, disk, load, delays.uniform(0.05, options.longest))
            print(f"round {number}: {load.writes} writes ({load.fua} FUA) and {load.flushes} flushes answered so far, "
                  f"{promised} flushed blocks there", flush=True)
        if not (load.fua and load.flushes and promised):
            sys.exit("the load did nothing that this test could check")
    print(f"{options.rounds} kills survived in {time.monotonic() - began:.1f} s")
    if options.trace:
        sync_trace.check(kind, options.directory)


if __name__ == "__main__":
    main()
