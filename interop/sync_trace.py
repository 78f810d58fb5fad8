#!/usr/bin/env python3
"""Proves with strace that data is synchronised before the target says so.

    interop/sync_trace.py [--target tgt]

One command at a time: WRITE with FUA; WRITE, then SYNCHRONIZE CACHE. In the trace of the server's system calls, the
SCSI Response of each FUA write and each SYNCHRONIZE CACHE must leave after a completed fdatasync or fsync of the
disk's file (or after a data write with RWF_DSYNC, or through a descriptor opened with O_DSYNC or O_SYNC) that began
after the data was written. Needs strace and the right to trace (root, or a child-only ptrace scope is enough: the
server is started by strace itself).
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import struct
import tempfile

import peers
from initiator import Session, ready, synchronize_cache, write10

CALLS = "openat,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync,mmap"
PAIRS = 20
BLOCK = 512
LINE = re.compile(r"^(\d+)\s+(?:<\.\.\. (\w+) resumed>)?(.*)$")


def traced(kind, trace):
    """The target's class with its command put under strace."""

    class Traced(kind):
        def command(self):
            return [peers.find("strace"), "-f", "-qq", "-xx", "-s", "64", "-o", trace, "-e", f"trace={CALLS}", *super().command()]

        def stop(self, limit=10.0):
            self.kill()

        def kill(self):
            # strace passes no SIGKILL on: end the server first, by its own id.
            if self.process is not None and self.process.poll() is None:
                for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
            super().kill()

    return Traced


def run_commands(target):
    """Sends the commands; returns (tag of the answer, byte offset of the data) in order."""
    wanted = []
    with Session(target.port, peers.TARGET_NAME, timeout=30) as session:
        ready(session, target.lun())
        for number in range(PAIRS):
            for fua in (True, False):
                block = number * 64 + (0 if fua else 32)
                data = struct.pack(">II", 0x5EED5EED, block) * (BLOCK // 8)
                task = session.command(write10(block, 1, fua), target.lun(), data)
                if not fua:
                    assert task.status == 0, f"WRITE: status {task.status}"
                    task = session.command(synchronize_cache(), target.lun())
                assert task.status == 0, f"status {task.status}, sense {task.key()}"
                wanted.append((task.tag, block * BLOCK))
    return wanted


def events(trace, path):
    """The trace as a list of ("data", range of bytes), ("sync begins", thread), ("sync ends", thread), ("answer", tag)."""
    files, durable, found, begun = set(), set(), [], {}
    for line in trace.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        thread, resumed, rest = match.groups()
        if resumed:
            text, begins = begun.pop(thread, "") + rest, False
        else:
            text, begins = rest, True
        ends = "<unfinished" not in rest
        call = text.split("(")[0].strip()
        if not ends:
            begun[thread] = text.replace("<unfinished ...>", "").rstrip()
        descriptor = re.match(r"\w+\((\d+)", text)
        number = descriptor and int(descriptor[1])
        if call == "openat" and ends and unescape(text) == path:
            opened = int(text.rpartition("= ")[2].split()[0])
            files.add(opened)
            if re.search(r"O_D?SYNC", text):
                durable.add(opened)
        elif call in ("fdatasync", "fsync") and number in files:
            found += [("sync begins", thread)] * begins + [("sync ends", thread)] * (ends and "= 0" in text)
        elif call.startswith("pwrite") and number in files and ends:
            end = re.search(r", (\d+)(, [\w|]+)?\)\s+= (\d+)$" if call == "pwritev2" else r", (\d+)()\)\s+= (\d+)$", text)
            if not end:
                continue  # it failed
            found.append(("data", range(int(end[1]), int(end[1]) + int(end[3]))))
            if "SYNC" in (end[2] or "") or number in durable:
                found += [("sync begins", thread), ("sync ends", thread)]
        elif call in ("sendto", "sendmsg", "write", "writev") and begins:
            found += [("answer", tag) for tag in answers(text)]
        elif call == "mmap" and number is None and any(f", {file}, " in text for file in files):
            raise AssertionError("the disk's file is mapped: writes to it do not show in a trace")
    return found


def unescape(text):
    """The first string of a traced call as text."""
    first = re.search(r'"((?:\\x[0-9a-f]{2})*)"', text)
    return bytes.fromhex(first[1].replace("\\x", "")).decode(errors="replace") if first else ""


def answers(text):
    """Task tags of the SCSI Responses that stand at the start of a traced call's buffers."""
    for buffer in re.findall(r'"((?:\\x[0-9a-f]{2}){20,})"', text):
        header = bytes.fromhex(buffer.replace("\\x", ""))
        if header[0] == 0x21:
            yield struct.unpack_from(">I", header, 16)[0]


def verify(found, wanted):
    """Fails unless data, begin of a sync, its end and the answer come in this order for each command."""
    for tag, offset in wanted:
        data = position(found, "data", lambda written: offset in written, f"no write at {offset} in the trace")
        answer = position(found, "answer", lambda answered: answered == tag, f"no answer to task {tag:#x} in the trace")
        begun = set()
        for kind, value in found[data:answer]:
            if kind == "sync begins":
                begun.add(value)
            elif kind == "sync ends" and value in begun:
                break
        else:
            raise AssertionError(f"task {tag:#x} (data at {offset}) was answered before its data was synchronised")


def position(found, wanted, is_it, message):
    """The index of the first event of this kind that `is_it` accepts."""
    for index, (kind, value) in enumerate(found):
        if kind == wanted and is_it(value):
            return index
    raise AssertionError(message)


def check(kind, directory=None):
    """Runs the whole check; raises AssertionError when the order is wrong."""
    if not shutil.which("strace"):
        raise peers.TargetFailed("strace is not installed")
    with tempfile.TemporaryDirectory(prefix="iscsicore-trace-", dir=directory) as folder:
        trace, path = pathlib.Path(folder, "trace"), str(pathlib.Path(folder, "disk"))
        with traced(kind, str(trace))([peers.Disk(8 << 20, path=path)]) as target:
            wanted = run_commands(target)
        verify(events(trace, path), wanted)
    print(f"{len(wanted)} answers to FUA writes and SYNCHRONIZE CACHE each came after the data was synchronised (strace)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers.add_arguments(parser)
    check(peers.chosen(parser.parse_args()))


if __name__ == "__main__":
    main()
