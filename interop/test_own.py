#!/usr/bin/env python3
"""Tests of the interop scripts themselves: each check must notice what it is there to notice. Needs no target.

    interop/test_own.py
"""
import dataclasses
import json
import pathlib
import struct
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import kill9
import peers
import sync_trace
import test_cu
from benchlib import cells, chart, clients, contestants, figures, units
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


CELL = cells.Cell("memory", "randread", 32, 1, "iscsictl")


def sample(target, number, iops, server_us, latency=None):
    """One second of a target in a round."""
    return figures.Sample(CELL, target, number, iops, iops, server_us * iops / 1e6, 2 * iops / 1e6, latency or {})


class FiguresOfTheBenchmark(unittest.TestCase):
    """Medians, ratios, table, JSON and chart say what was measured and nothing else."""

    targets = ("iscsicored-tokio", "tgt", "echo-tokio")
    samples = [
        sample("iscsicored-tokio", 0, 300000, 2.0, {"p50": 90, "p99": 200, "p99.9": 500}),
        sample("iscsicored-tokio", 1, 100000, 6.0, {"p50": 70, "p99": 100, "p99.9": 900}),
        sample("iscsicored-tokio", 2, 200000, 4.0, {"p50": 80, "p99": 300, "p99.9": 700}),
        sample("tgt", 0, 50000, 20.0), sample("tgt", 1, 20000, 30.0), sample("tgt", 2, 50000, 10.0),
        sample("echo-tokio", 0, 600000, 1.0), sample("echo-tokio", 1, 250000, 4.0), sample("echo-tokio", 2, 800000, 1.6),
    ]

    def found(self):
        return {result["target"]: result for result in figures.results(self.samples, self.targets)}

    def test_medians_with_the_smallest_and_the_largest(self):
        ours = self.found()["iscsicored-tokio"]
        self.assertEqual(ours["iops"], {"median": 200000, "low": 100000, "high": 300000})
        self.assertAlmostEqual(ours["server_us"]["median"], 4.0)
        self.assertAlmostEqual(ours["mb_s"]["high"], 300000 * 4096 / 1e6)
        self.assertEqual((ours["p50_us"]["median"], ours["p99.9_us"]["median"]), (80, 700))

    def test_ratios_are_formed_within_a_round(self):
        ratios = self.found()["iscsicored-tokio"]["ratios"]
        expected = {"server_us / tgt": (0.2, 0.1, 0.4), "iops / tgt": (5, 4, 6), "server_us / echo": (2.0, 1.5, 2.5), "mb_s / echo": (0.4, 0.25, 0.5)}
        for key, wanted in expected.items():
            for part, value in zip(("median", "low", "high"), wanted):
                self.assertAlmostEqual(ratios[key][part], value, msg=f"{key} {part}")

    def test_what_was_not_measured_is_not_there(self):
        found = self.found()
        self.assertNotIn("p50_us", found["tgt"])
        self.assertEqual((found["tgt"]["ratios"], found["echo-tokio"]["ratios"]), ({}, {}))
        alone = figures.results(self.samples[:1], self.targets)
        self.assertEqual([result["target"] for result in alone], ["iscsicored-tokio"])
        self.assertEqual(alone[0]["ratios"], {})
        self.assertEqual(figures.row(alone[0])[-4:], ["-"] * 4)

    def test_the_table_has_a_row_for_each_target_and_all_columns(self):
        rows = figures.table(figures.results(self.samples, self.targets))
        lines = [row for row in rows if row.startswith("|")]
        self.assertEqual({line.count("|") for line in lines}, {len(figures.HEAD) + 1})
        ours = "iscsicored-tokio | 200000 | 100000..300000 | 819 | 80 | 200 | 700 | 4.00 | 2.00..6.00 | 2.00 | 5.00 | 0.20 | 2.00 | 0.40"
        self.assertEqual(lines[2], f"| {ours} |")

    def test_results_and_samples_are_json(self):
        text = json.dumps([figures.results(self.samples, self.targets), [dataclasses.asdict(each) for each in self.samples]])
        self.assertEqual(json.loads(text)[1][0]["cell"]["client"], "iscsictl")

    def test_the_chart_is_xml_with_a_bar_for_each_target(self):
        root = xml.etree.ElementTree.fromstring(chart.chart(figures.results(self.samples, self.targets), "a < b & c"))
        name = "{http://www.w3.org/2000/svg}"
        widths = [float(each.get("width")) for each in root.findall(f"{name}rect")[1:]]
        self.assertEqual(len(widths), 3)
        self.assertAlmostEqual(widths[1] / widths[0], 20 / 4, places=2)
        words = [each.text for each in root.findall(f"{name}text")]
        self.assertIn("4.00 (0.20x tgt, 2.00x echo)", words)

    def test_what_the_clients_print(self):
        self.assertEqual(clients.perf_ios("iops average 5\niops average 236173 (922 MB/s)\nfinished.", 2), (472346, 2.0))
        self.assertEqual(clients.qemu_seconds("Run completed in 1.250 seconds."), 1.25)
        for call in (lambda: clients.perf_ios("iops average 5\nfailed", 1), lambda: clients.qemu_seconds("nothing")):
            with self.assertRaises(SystemExit):
                call()
        latency = {"p50": 1.0, "p99": 2.0, "p99.9": 3.0}
        line = json.dumps({"total": {"operations": 7, "iops": 3.5, "latency_us": {**latency, "max": 9.0}}})
        self.assertEqual(clients.iscsictl_figures("noise\n" + line), (7, 2.0, latency))

    def test_several_connections_are_added_up_and_the_worst_latency_is_told(self):
        commands = [[sys.executable, "-c", f"print({number})"] for number in (3, 5)]
        run = clients.timed(commands, lambda output: (int(output), 100.0, {"p99": 8 - int(output)}))
        self.assertEqual((run.ios, run.latency), (8, {"p99": 5}))
        self.assertTrue(0.07 < run.iops <= 0.08 and 0.9 < run.overlap < 1, run)
        self.assertGreater(run.client_cpu, 0)

    def test_rates_of_connections_that_did_not_meet_are_not_added_up(self):
        commands = [[sys.executable, "-c", f"import time; time.sleep({number}); print(10)"] for number in (0, 0.5)]
        run = clients.timed(commands, lambda output: (int(output), 0.1, {}))
        self.assertEqual(run.overlap, 0)
        self.assertLess(run.iops, 20 / 0.5)

    def test_a_client_that_misses_its_end_is_ended(self):
        with self.assertRaisesRegex(clients.Stuck, "did not end within 0.2 s"):
            clients.together([[sys.executable, "-c", "import time; time.sleep(60)"]], limit=0.2)

    def test_connections_apart_are_told(self):
        apart = figures.Sample(dataclasses.replace(CELL, connections=2), "istgt", 0, 10, 10, 1, 1, {}, overlap=0.25)
        self.assertIn("together for 0.25", figures.row(figures.results([apart], ["istgt"])[0])[0])


class CellsOfTheBenchmark(unittest.TestCase):
    """What is selected is what is measured."""

    def test_reads_come_before_the_writes_that_destroy_what_they_read(self):
        for chosen in (cells.default(), cells.smoke(), cells.product(cells.STORES, cells.LOADS, cells.DEPTHS, cells.CONNECTIONS, cells.CLIENTS)):
            keys = [(cells.STORES.index(cell.store), cell.load.write) for cell in chosen]
            self.assertEqual(keys, sorted(keys))
            self.assertEqual(len(set(chosen)), len(chosen))

    def test_everything_is_every_depth_connection_and_client_that_can(self):
        chosen = cells.product(("memory",), cells.LOADS, cells.DEPTHS, cells.CONNECTIONS, cells.CLIENTS)
        self.assertEqual(len(chosen), 2 * (4 * 3 * 2) + 2 * 2)
        self.assertFalse([cell for cell in chosen if cell.client == "iscsi-perf" and cell.load.write or cell.client == "qemu-img" and not cell.load.write])

    def test_a_runtime_that_the_server_does_not_know_is_left_out(self):
        old, new = (contestants.Abilities.__new__(contestants.Abilities) for _ in range(2))
        old.text, new.text = "--disk <PATH[:SIZE]>", "--runtime <RUNTIME> tokio glommio --shards <N> --disk <PATH[:SIZE]> direct:PATH"
        self.assertEqual((old.runtimes(), old.arguments("tokio", 2), old.direct()), (("tokio",), [], False))
        self.assertEqual((new.runtimes(), new.direct()), (("tokio", "glommio"), True))
        self.assertEqual(new.arguments("glommio", 2), ["--runtime", "glommio", "--shards", "2"])
        self.assertFalse(contestants.takes_part("iscsicored-tokio", "direct", old))
        self.assertTrue(contestants.takes_part("iscsicored-glommio", "direct", new))
        self.assertFalse(contestants.takes_part("iscsicored-tokio", "direct", new))
        self.assertFalse(contestants.takes_part("istgt", "direct", new))


class DataOfTheBenchmark(unittest.TestCase):
    """Lost, torn and misplaced writes of the benchmark are found."""

    old = b"".join(bytes([number]) * 8 for number in range(16))
    new = units.iscsictl_data(1, 8)

    def test_old_and_new_blocks_are_told_apart(self):
        after = self.new + self.old[8:64] + self.new + self.old[72:]
        self.assertEqual(units.written_blocks(self.old, after, 8, self.new), 2)

    def test_anything_else_is_found(self):
        for bad in (self.new[:4] + self.old[4:8], self.old[8:16], bytes([255]) * 8, units.iscsictl_data(2, 8)):
            with self.assertRaises(units.WrongData):
                units.written_blocks(self.old, bad + self.old[8:], 8, self.new)

    def test_data_of_each_seed_differs_and_does_not_repeat(self):
        data = units.iscsictl_data(7, 4096)
        self.assertEqual(len({data[at:at + 8] for at in range(0, 4096, 8)}), 512)
        self.assertNotEqual(data, units.iscsictl_data(8, 4096))

    def test_writes_that_vanish_are_too_few(self):
        self.assertEqual(units.least_written(100, 512, False), 100)
        self.assertEqual(units.least_written(1000, 512, False), 512)
        self.assertGreater(units.least_written(16384, 16384, True), 9500)  # 1 - 1/e of them
        self.assertGreater(units.least_written(200000, 16384, True), 16300)


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
