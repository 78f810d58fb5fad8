#!/usr/bin/env python3
"""The examples in C: the initiator against tgt, iscsicored and the target in C; how that target begins, dies and ends.

    interop/test_c.py                                all
    interop/test_c.py -k tgt                         tests whose name contains "tgt"

The other suites run against the target in C with `--target c`. The programs are those that examples/c/Makefile builds, in
examples/c or where ISCSICORE_C_EXAMPLES says. A program before them, such as valgrind, is named by ISCSICORE_C_WRAPPER.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import cases
import peers
from cases import MIB
from initiator import ASYNC, COMMAND, Closed, Session, read10, ready, synchronize_cache, write10
from tap import Tap

USER, SECRET = "alice", "initiator-secret"
CHAP = peers.Chap(USER, SECRET)
PROGRAMS = ("target_epoll", "initiator_poll", "target_simple")


class Case(cases.Case):
    """A target of any kind, a file of random bytes behind it, and the initiator in C."""

    def begin(self, kind, *disks, **how):
        if kind is peers.Tgt and not shutil.which("tgtd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            if os.environ.get("ISCSICORE_REQUIRE_PEERS") == "1":
                self.fail("tgtd is not installed, and ISCSICORE_REQUIRE_PEERS=1")
            print("\n*** SKIPPED: tgtd is not installed ***", file=sys.stderr)
            self.skipTest("tgtd is not installed")
        return self.enterContext(kind(list(disks), **how))

    def random_file(self, size, seed=1, name="disk"):
        path = self.folder / name
        path.write_bytes(random.Random(seed).randbytes(size))
        return path

    def copy(self, target, *more, index=0, port=None, status=0, output="copy"):
        """Runs the initiator to its end. Returns what it read, and what it said."""
        command = self.copying(target, *more, index=index, port=port, output=output)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=cases.PATIENCE)
        self.assertEqual(done.returncode, status, done.stderr)
        return self.folder / output, done.stderr

    def copying(self, target, *more, index=0, port=None, output="copy"):
        return [*peers.c_wrapper(), peers.c_example("initiator_poll"), *more, f"127.0.0.1:{port or target.port}", peers.TARGET_NAME,
                str(target.lun(index)), str(self.folder / output)]

    def secret(self, text=SECRET):
        path = self.folder / "secret"
        path.write_text(text + "\n")
        return f"{USER}:{path}"


class Initiator(Case):
    """initiator_poll: what it reads is what is there."""

    def reads(self, kind, **how):
        for size, block in ((16 * MIB, 512), (5 * MIB + 7 * 512, 512), (4096, 4096), (9 * MIB + 4096, 4096)):
            with self.subTest(size=size, block=block):
                disk = self.random_file(size, seed=size, name=f"disk-{size}")
                with kind([peers.Disk(size, path=str(disk), block_size=block)], **how) as target:
                    copy, said = self.copy(target)
                self.assertIn(f"{size // block} blocks of {block} bytes", said)
                self.assert_same(disk, copy)

    def test_reads_from_tgt(self):
        self.begin(peers.Tgt, peers.Disk())
        self.reads(peers.Tgt)

    def test_reads_from_iscsicored(self):
        self.reads(peers.Iscsicored)

    def test_reads_from_the_target_in_c(self):
        self.reads(peers.CTarget)

    def test_several_reads_are_under_way_at_a_time(self):
        disk = self.random_file(4 * MIB)
        target = self.begin(peers.CTarget, peers.Disk(4 * MIB, path=str(disk)))
        with Tap(target.port) as tap:
            copy, _ = self.copy(target, port=tap.port)
            pieces = [data for one in tap.connections() for direction, data in one if direction == "request"]
        self.assert_same(disk, copy)
        # The first turn after READ CAPACITY puts eight commands into one write: headers, each with its digest.
        header = 48 + 4
        self.assertIn(8 * header, [len(piece) for piece in pieces])
        commands = next(piece for piece in pieces if len(piece) == 8 * header)
        self.assertTrue(all(commands[at] & 0x3F == COMMAND and commands[at + 32] in (0x28, 0x88) for at in range(0, 8 * header, header)))

    def test_the_standard_output_and_another_unit(self):
        disk = self.random_file(3 * MIB)
        target = self.begin(peers.CTarget, peers.Disk(MIB), peers.Disk(3 * MIB, path=str(disk)))
        command = self.copying(target, index=1)[:-1]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=cases.PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, disk.read_bytes()), done.stderr)

    def authenticates(self, kind):
        disk = self.random_file(MIB)
        target = self.begin(kind, peers.Disk(MIB, path=str(disk)), chap=CHAP)
        copy, _ = self.copy(target, "--account", self.secret())
        self.assert_same(disk, copy)
        _, said = self.copy(target, "--account", self.secret("another-secret"), status=1, output="none")
        self.assertRegex(said, r"(?i)authenticat|secret|0x0201")
        self.copy(target, status=1, output="none")

    def test_chap_with_tgt(self):
        self.authenticates(peers.Tgt)

    def test_chap_with_the_target_in_c(self):
        self.authenticates(peers.CTarget)

    def test_no_such_unit_and_no_such_target(self):
        target = self.begin(peers.CTarget, peers.Disk(MIB))
        command = self.copying(target)
        for wrong in ([*command[:-2], "7", command[-1]], [*command[:-3], "iqn.2026-01.dev.iscsicore:absent", *command[-2:]]):
            with self.subTest(wrong=wrong[-3:]):
                done = subprocess.run(wrong, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=cases.PATIENCE)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertTrue(done.stderr.strip())

    def test_nobody_listens(self):
        target = self.begin(peers.CTarget, peers.Disk(MIB))
        _, said = self.copy(target, port=peers.free_port(), status=1)
        self.assertIn("refused", said)

    def test_the_target_dies_in_the_middle_and_comes_back(self):
        """The initiator dials again, and repeats what had no answer: the copy is whole."""
        size = 96 * MIB
        disk = self.random_file(size)
        for kind in (peers.CTarget, peers.Iscsicored):
            with self.subTest(kind=kind.kind), kind([peers.Disk(size, path=str(disk))]) as target:
                output = self.folder / f"copy-{kind.kind}"
                os.mkfifo(output)
                with subprocess.Popen(self.copying(target, output=output.name), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as copy:
                    # The pipe holds the initiator back, so that the target dies while reads are under way.
                    with open(output, "rb") as pipe:
                        found = pipe.read(20 * MIB)
                        target.restart()
                        found += pipe.read(30 * MIB)
                        target.restart(pause=0.3)
                        found += pipe.read()
                    said = copy.stderr.read()
                self.assertEqual(copy.returncode, 0, said)
                self.assertEqual(said.count("logged in"), 3, said)
                self.assertTrue(found == disk.read_bytes(), "the copy is another")


class Target(Case):
    """target_epoll, and what no other suite asks of it."""

    def test_an_image_there_and_back_with_the_target_killed_in_between(self):
        disk = peers.Disk(32 * MIB, path=str(self.folder / "disk"))
        image = self.sparse_image("image", 32 * MIB, seed=5)
        target = self.begin(peers.CTarget, disk)
        self.put(image, target.url())
        target.restart()
        self.assert_same(image, self.get(target.url()))
        target.kill()
        self.assert_same(image, pathlib.Path(disk.path))
        target.launch()

    def test_an_image_survives_a_target_that_dies_while_it_is_written(self):
        """qemu logs in again and repeats its writes."""
        target = self.begin(peers.CTarget, peers.Disk(64 * MIB, path=str(self.folder / "disk")))
        image = self.random_file(64 * MIB, name="image")
        command = ["qemu-img", "convert", "-n", "-r", "48M", "-f", "raw", "-O", "raw", str(image), target.url()]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as convert:
            for _ in range(2):
                time.sleep(0.3)
                self.assertIsNone(convert.poll(), "the image was written before the target could die")
                target.restart()
            said = convert.communicate(timeout=cases.PATIENCE)[0]
        self.assertEqual(convert.returncode, 0, said)
        self.assert_same(image, self.get(target.url()))

    def test_sigterm_asks_initiators_to_log_out(self):
        """RFC 7143 section 11.9: AsyncEvent 1. The target ends as soon as they have, and does not wait for its limit."""
        target = self.begin(peers.CTarget, peers.Disk(MIB))
        session = ready(self.enterContext(Session(target.port, peers.TARGET_NAME)), target.lun())
        began = time.monotonic()
        target.process.send_signal(signal.SIGTERM)
        header, _ = session.receive_pdu()
        self.assertEqual((header[0] & 0x3F, header[36]), (ASYNC, 1))
        self.assertEqual(session.logout(), 0)
        session.close()
        self.ends(target)
        self.assertLess(time.monotonic() - began, 2.5)

    def test_sigterm_with_an_initiator_that_does_not_log_out(self):
        target = self.begin(peers.CTarget, peers.Disk(MIB))
        session = ready(self.enterContext(Session(target.port, peers.TARGET_NAME, timeout=10)), target.lun())
        began = time.monotonic()
        target.process.send_signal(signal.SIGTERM)
        with self.assertRaises(Closed):
            while True:
                session.receive_pdu()
        self.ends(target)
        self.assertTrue(2 < time.monotonic() - began < 8)

    def test_sigterm_without_initiators_and_sigint(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number.name):
                target = self.begin(peers.CTarget, peers.Disk(MIB))
                began = time.monotonic()
                target.process.send_signal(number)
                self.ends(target)
                self.assertLess(time.monotonic() - began, 2)

    def test_unmapped_space_is_given_back(self):
        """UNMAP and WRITE SAME with UNMAP punch holes into the file, GET LBA STATUS finds them."""
        path = self.random_file(16 * MIB)
        target = self.begin(peers.CTarget, peers.Disk(16 * MIB, path=str(path)))
        before = path.stat().st_blocks
        self.qemu_io(target.url(), "discard 0 8M", "write -z -u 8M 4M", "flush", "read -P 0 0 12M")
        self.assertLess(path.stat().st_blocks, before // 2)
        mapped = self.tool("qemu-img", "map", "-f", "raw", "--output=json", target.url())
        self.assertRegex(mapped, r'"start": 0, "length": 12582912, .*"zero": true')
        self.assertEqual(path.read_bytes()[:12 * MIB], bytes(12 * MIB))

    def test_ipv6(self):
        path = self.random_file(3 * MIB)
        command = [*peers.c_wrapper(), peers.c_example("target_epoll"), "--listen", "[::1]:0", "--disk", str(path)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as target:
            try:
                _, _, portal, name, lun = target.stdout.readline().split("/")
                self.assertTrue(portal.startswith("[::1]:"))
                copy = self.folder / "copy"
                subprocess.run([*peers.c_wrapper(), peers.c_example("initiator_poll"), portal, name, lun.strip(), str(copy)], check=True, capture_output=True)
                self.assert_same(path, copy)
            finally:
                target.terminate()

    def test_a_file_is_served_once(self):
        path = self.random_file(MIB)
        self.begin(peers.CTarget, peers.Disk(MIB, path=str(path)))
        self.refuses("lock", "--disk", str(path))

    def test_what_cannot_be_served_is_refused_with_the_reason(self):
        path = self.random_file(MIB)
        self.refuses(f"{MIB} bytes", "--disk", f"{path}:2M")
        self.refuses("No such file", "--disk", str(self.folder / "absent"))
        self.refuses("neither a file", "--disk", "/dev/null")
        self.refuses("multiple", "--block-size", "4096", "--disk", "memory:512")
        self.refuses("iqn.x y", "--target", "iqn.x y")
        self.refuses("what is that", "--absent")
        self.refuses("No such file", "--account", f"{USER}:{self.folder / 'absent'}")
        self.refuses("not a value", "--offer", "InitialR2T=Perhaps")
        self.refuses("ADDRESS:PORT", "--listen", "nowhere")

    def test_a_new_file_has_its_size_and_keeps_it(self):
        path = self.folder / "new"
        with peers.CTarget([peers.Disk(MIB)], arguments=["--disk", f"{path}:3M"]) as target:
            self.assertEqual(path.stat().st_size, 3 * MIB)
            self.qemu_io(target.url(1), "write -P 7 2M 1M", "flush")
        with peers.CTarget([peers.Disk(MIB)], arguments=["--disk", str(path)]) as target:
            self.qemu_io(target.url(1), "read -P 0 0 2M", "read -P 7 2M 1M")

    def failing(self, fault, folder=""):
        """A session with a target whose system calls on its disk fail as strace is told; the target is `self.target`."""
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed")
        path = str(self.random_file(MIB, name=folder + fault.partition(":")[0]))

        class Failing(peers.CTarget):
            def command(self):
                # Detached, so that the process that was started is the target itself.
                return ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-P", path, "-e", f"inject={fault}", *super().command()]

        self.target = target = self.begin(Failing, peers.Disk(MIB, path=path))
        return ready(self.enterContext(Session(target.port, peers.TARGET_NAME)), target.lun())

    def outcomes(self, session, *commands):
        tasks = [session.command(*command) for command in commands]
        return [task.key() if task.status else None for task in tasks]

    def test_a_full_file_system(self):
        """SPACE ALLOCATION FAILED WRITE PROTECT; what comes after is as before."""
        session = self.failing("pwritev:error=ENOSPC:when=1")
        write = (write10(0, 1), 0, bytes(512))
        self.assertEqual(self.outcomes(session, write, write), [(7, 0x2707), None])

    def test_a_medium_error(self):
        """UNRECOVERED READ ERROR and WRITE ERROR."""
        session = self.failing("pread64:error=EIO:when=1")
        self.assertEqual(self.outcomes(session, (read10(8, 1), 0, b"", 512), (read10(8, 1), 0, b"", 512)), [(3, 0x1100), None])
        session = self.failing("pwritev:error=EIO:when=1")
        self.assertEqual(self.outcomes(session, (write10(0, 1), 0, bytes(512))), [(3, 0x0C00)])

    def test_a_slow_flush_holds_nobody_up(self):
        """What blocks is done by threads."""
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="iscsicore-c-"))
        kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
        if kind == "tmpfs":
            self.skipTest(f"{folder} is in memory, where nothing blocks")
        session = self.failing("fdatasync:delay_enter=2000000", folder=folder + "/")
        other = ready(self.enterContext(Session(self.target.port, peers.TARGET_NAME)))
        began = time.monotonic()
        flush = session.submit(synchronize_cache())
        self.assertEqual(self.outcomes(other, (write10(0, 1), 0, bytes(512)), (read10(0, 8), 0, b"", 4096)), [None, None])
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(self.outcomes(session, (read10(8, 1), 0, b"", 512)), [None])
        self.assertLess(time.monotonic() - began, 1)
        while session.tasks:
            session.step()
        self.assertEqual(flush.status, 0)
        self.assertGreater(time.monotonic() - began, 1.9)

    def test_a_system_call_that_is_interrupted_is_repeated(self):
        session = self.failing("pread64,pwritev:error=EINTR:when=1+2")
        write, read = (write10(0, 1), 0, bytes(512)), (read10(8, 1), 0, b"", 512)
        self.assertEqual(self.outcomes(session, write, read, write, read), [None] * 4)

    def test_a_flush_that_failed_is_never_taken_back(self):
        """The kernel tells of lost data once: after that no flush and no FUA write can be believed."""
        session = self.failing("fdatasync:error=EIO:when=1")
        flush, write = (synchronize_cache(),), (write10(0, 1), 0, bytes(512))
        first, second, forced, plain, read = self.outcomes(
            session, flush, flush, (write10(0, 1, True), 0, bytes(512)), write, (read10(0, 1), 0, b"", 512))
        self.assertEqual((plain, read), (None, None))
        for outcome in (first, second, forced):
            self.assertIsNotNone(outcome)

    def ends(self, target):
        """The target ends with status 0, and without another signal."""
        target.process.wait(10)
        target.stop()

    def refuses(self, why, *arguments):
        command = [*peers.c_wrapper(), peers.c_example("target_epoll"), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=cases.PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(why, done.stderr)


class Simple(Case):
    """target_simple."""

    def setUp(self):
        super().setUp()
        self.port = peers.free_port()
        command = [*peers.c_wrapper(), peers.c_example("target_simple"), str(self.port)]
        self.target = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.url = self.target.stdout.readline().strip()

    def stop(self):
        """It lives until it is stopped."""
        alive = self.target.poll() is None
        self.target.terminate()
        self.target.wait()
        self.target.stdout.close()
        self.assertTrue(alive, "target_simple has ended by itself")

    def test_images_and_discovery(self):
        self.assertEqual(self.url, f"iscsi://127.0.0.1:{self.port}/iqn.2026-01.dev.iscsicore:simple/0")
        # It has a connection for discovery and one for the unit at the same time.
        self.assertRegex(self.tool("iscsi-ls", "-s", f"iscsi://127.0.0.1:{self.port}"), "(?s)iscsicore:simple.*Lun:0")
        image = self.sparse_image("image", 64 * MIB, seed=6)
        self.put(image, self.url)
        self.assert_same(image, self.get(self.url))
        self.qemu_io(self.url, "write -P 7 512 1500", "write -z 8M 3M", "flush", "read -P 7 512 1500", "read -P 0 8M 3M")

    def test_peers_that_know_no_iscsi_and_more_than_there_is_room_for(self):
        with Session(self.port, login=False) as session:
            session.send_raw(b"no login at all" * 10)
            with self.assertRaises((Closed, OSError)):
                session.receive_pdu()
        held = [self.enterContext(Session(self.port, login=False)) for _ in range(20)]
        for session in held:
            session.close()
        self.qemu_io(self.url, "write -P 1 0 1M", "read -P 1 0 1M")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", action="append", metavar="WORD", help="only tests whose name contains WORD (may be repeated)")
    parser.add_argument("-f", "--failfast", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that targets are stopped when this program is
    for program in (*PROGRAMS, peers.default_binary()):
        path = program if program not in PROGRAMS else peers.c_example(program)
        if not os.access(path, os.X_OK):
            sys.exit(f"{path} is missing: make -C examples/c, cargo build --release -p iscsicored")
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f"*{word}*" for word in options.k] if options.k else None
    suite = loader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=2, failfast=options.failfast).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()
