#!/usr/bin/env python3
"""Tests of the interop scripts themselves: each check must notice what it is there to notice. Needs no target.

    interop/test_own.py
"""
import pathlib
import struct
import sys
import tempfile
import unittest

import kill9
import peers
import sync_trace
import test_cu
from initiator import Session, Task, digest

OUTPUT = """setup
    [OK] READCAPACITY10 returned SUCCESS
Suite: Read10
  Test: Simple ...{body}
{verdict}

Run Summary:    Type  Total    Ran Passed Failed Inactive
               tests      1      1      {passed}      {failed}        0
"""


class JudgeOfTestCu(unittest.TestCase):
    """The tool's output is told apart into outcomes."""

    def judged(self, body, failed=0, code=0):
        text = OUTPUT.format(body=body, verdict="FAILED" if failed else "passed", passed=1 - failed, failed=failed)
        return test_cu.judge("Read10.Simple", text, code)

    def test_pass(self):
        self.assertEqual(self.judged("\n    [OK] READ10 returned SUCCESS"), ("pass", ""))

    def test_a_skipped_test_is_no_pass_although_the_tool_says_so(self):
        self.assertEqual(self.judged("    [SKIPPED] READ10 is not implemented."), ("skip", "READ10 is not implemented."))

    def test_a_test_that_skipped_some_steps_is_partial(self):
        self.assertEqual(self.judged("\n    [OK] READ10\n    [SKIPPED] No DPO.\n    [SKIPPED] No DPO.")[0], "partial")

    def test_failures_name_the_first_failed_line(self):
        result = self.judged("\n    [FAILED] READ10 gave nothing\n    1. test_read10_simple.c:40  - CU_ASSERT_EQUAL(ret,0)", failed=1)
        self.assertEqual(result, ("fail", "[FAILED] READ10 gave nothing"))
        self.assertEqual(self.judged("\n    1. test_read10_simple.c:40  - CU_ASSERT_EQUAL(ret,0)", failed=1)[1][:2], "1.")

    def test_crash_and_missing_summary(self):
        self.assertEqual(self.judged("", code=-11), ("crash", "iscsi-test-cu ended by signal SIGSEGV"))
        self.assertEqual(test_cu.judge("Read10.Simple", "Failed to login\n", 10)[0], "fail")

    def test_differences_from_the_expectations(self):
        outcomes = [test_cu.Outcome("A.a", "pass", "", 0), test_cu.Outcome("A.b", "skip", "x", 0), test_cu.Outcome("A.c", "fail", "y", 0)]
        known = ["A.a", "A.b", "A.c"]
        fine = {"A.a": ("pass", ""), "A.b": ("skip", "a reason"), "A.c": ("fail", "known")}
        self.assertEqual(list(test_cu.differences(outcomes, fine, known)), [])
        for change in ({"A.a": ("fail", "r")}, {"A.b": ("skip", " ")}, {"A.b": ("pass", "")}, {"A.x": ("pass", "")}):
            self.assertEqual(len(list(test_cu.differences(outcomes, {**fine, **change}, known))), 1, change)
        self.assertEqual(len(list(test_cu.differences(outcomes, {}, known))), 3)

    def test_update_keeps_reasons_and_the_comment(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "expected.tsv")
            path.write_text("# top\nRead10.Simple\tskip\twritten by hand\n")
            real, test_cu.all_tests = test_cu.all_tests, lambda: ["Read10.Simple"]
            try:
                test_cu.write_expected(path, [test_cu.Outcome("Read10.Simple", "pass", "no", 0)], test_cu.read_expected(path))
            finally:
                test_cu.all_tests = real
            self.assertEqual(path.read_text(), "# top\nRead10.Simple\tpass\twritten by hand\n")


class BooksOfKill9(unittest.TestCase):
    """Lost, torn, misplaced and invented blocks are found."""

    def setUp(self):
        self.load = kill9.Load(1)
        chunk = self.load.chunks[3]
        chunk.sent, chunk.answered, chunk.flushed = 9, 7, 5

    def test_any_generation_from_the_flushed_to_the_newest_sent_is_right(self):
        for generation in (5, 7, 9):
            self.setUp()
            self.assertEqual(self.load.verify_chunk(3, kill9.content(3, generation)), kill9.CHUNK)

    def test_a_lost_flush_a_future_and_a_hole_are_found(self):
        for data in (kill9.content(3, 4), kill9.content(3, 10), bytes(4096), kill9.content(3, 7)[:3584] + kill9.content(3, 4)[3584:]):
            with self.assertRaises(AssertionError):
                self.load.verify_chunk(3, data)

    def test_a_torn_or_misplaced_block_is_found(self):
        good = kill9.content(3, 7)
        for data in (good[:100] + b"?" + good[101:], kill9.content(4, 7), good[512:] + good[:512]):
            with self.assertRaises(AssertionError):
                self.load.verify_chunk(3, data)

    def test_a_flush_covers_only_what_was_answered_when_it_was_sent(self):
        chunk = self.load.chunks[3]
        covered = [(chunk, chunk.answered)]
        self.load.written(chunk, 9, fua=False)
        self.load.flushed(covered)
        self.assertEqual((chunk.flushed, chunk.answered), (7, 9))


class OrderInTheTrace(unittest.TestCase):
    """An answer that leaves before its data was synchronised is found."""

    path = "/tmp/disk"
    opened = '10 openat(AT_FDCWD, "{}", O_RDWR) = 5'.format("".join(f"\\x{byte:02x}" for byte in b"/tmp/disk"))
    answer = '10 sendto(7, "{}", 48, 0, NULL, 0) = 48'.format("".join(f"\\x{byte:02x}" for byte in b"\x21\x80" + bytes(14) + struct.pack(">I", 77)))
    write = '11 pwrite64(5, "\\x00"..., 512, 4096) = 512'

    def verify(self, *lines):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder, "trace")
            trace.write_text("\n".join([self.opened, *lines]) + "\n")
            sync_trace.verify(sync_trace.events(trace, self.path), [(77, 4096)])

    def test_right_orders(self):
        self.verify(self.write, "12 fdatasync(5) = 0", self.answer)
        self.verify(self.write, "12 fsync(5 <unfinished ...>", "13 fsync(9) = 0", "12 <... fsync resumed>) = 0", self.answer)
        self.verify('11 pwritev2(5, [{iov_base="\\x00", iov_len=512}], 1, 4096, RWF_DSYNC) = 512', self.answer)
        self.verify('11 pwritev(5, [{iov_base="\\x00", iov_len=1024}], 1, 3584) = 1024', "12 fdatasync(5) = 0", self.answer)

    def test_wrong_orders(self):
        for lines in (
            [self.write, self.answer],
            [self.write, self.answer, "12 fdatasync(5) = 0"],
            ["12 fdatasync(5) = 0", self.write, self.answer],
            [self.write, "12 fdatasync(6) = 0", self.answer],
            [self.write, "12 fdatasync(5) = -1 EIO (Input/output error)", self.answer],
            ["12 fdatasync(5 <unfinished ...>", self.write, "12 <... fdatasync resumed>) = 0", self.answer],
            [self.write, "12 fdatasync(5 <unfinished ...>", self.answer, "12 <... fdatasync resumed>) = 0"],
            ['11 pwritev2(5, [{iov_base="\\x00", iov_len=512}], 1, 4096, 0) = 512', self.answer],
            ["12 fdatasync(5) = 0", self.answer],
            [self.write, "12 fdatasync(5) = 0"],
        ):
            with self.subTest(lines=lines), self.assertRaises(AssertionError):
                self.verify(*lines)


class SmallParts(unittest.TestCase):
    """Pieces that everything else relies on."""

    def test_crc32c_of_the_vectors_in_rfc_7143_appendix_a_4(self):
        self.assertEqual(digest(bytes(32)).hex(), "aa36918a")
        self.assertEqual(digest(b"\xff" * 32).hex(), "43aba862")
        self.assertEqual(digest(bytes(range(32))).hex(), "4e79dd46")
        self.assertEqual(digest(bytes(range(31, -1, -1))).hex(), "5cdb3f11")

    def test_sense_in_both_formats(self):
        task = Task(1, b"", 0)
        task.sense = bytes([0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0])
        self.assertEqual(task.key(), (5, 0x2100))
        task.sense = bytes([0x72, 7, 0x27, 0, 0, 0, 0, 0])
        self.assertEqual(task.key(), (7, 0x2700))

    def test_a_target_that_dies_is_noticed(self):
        class Dying(peers.Target):
            kind = "dying"

            def command(self):
                return ["sh", "-c", "echo last words; exit 3"]

        with self.assertRaisesRegex(peers.TargetFailed, "exit status 3(.|\n)*last words"), Dying():
            pass

    def test_a_panic_that_the_target_survives_is_noticed(self):
        class Panicking(peers.Target):
            kind = "panicking"

            def command(self):
                server = f"import socket, time; s = socket.create_server(('127.0.0.1', {self.port})); time.sleep(60)"
                return ["sh", "-c", f'echo "thread panicked at src/x.rs"; exec {sys.executable} -c "{server}"']

        with self.assertRaisesRegex(peers.TargetFailed, "a panic"), Panicking():
            pass

    def test_a_bad_exit_status_at_the_end_is_noticed(self):
        class Grumpy(peers.Target):
            kind = "grumpy"

            def command(self):
                server = f"import signal, socket, sys; s = socket.create_server(('127.0.0.1', {self.port}))"
                return [sys.executable, "-c", f"{server}; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); signal.pause()"]

        with self.assertRaisesRegex(peers.TargetFailed, "exit status 9"), Grumpy():
            pass

    def test_sizes(self):
        self.assertEqual([peers.parse_size(text) for text in ("512", "4k", "64M")], [512, 4096, 64 << 20])

    def test_the_command_window_is_serial_arithmetic(self):
        session = Session.__new__(Session)
        session.command_sn, session.max_command_sn, session.settings, session.tag, session.tasks = 5, 4, {"ImmediateData": "No"}, 1, {}
        session.expected_status_sn = 0
        steps = []
        session.step = lambda: (steps.append(1), setattr(session, "max_command_sn", 5))
        session.send = lambda header, data: None
        session.submit(bytes(6))
        session.command_sn, session.max_command_sn = 0xFFFFFFFF, 3
        session.submit(bytes(6))
        self.assertEqual((len(steps), session.command_sn), (1, 0))


if __name__ == "__main__":
    unittest.main()
