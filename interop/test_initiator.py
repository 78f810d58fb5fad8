#!/usr/bin/env python3
"""Our initiator against targets that others wrote: tgt and istgt, and iscsicored and the example in C beside them.

    interop/test_initiator.py                        all
    interop/test_initiator.py -k tgt -k chap         tests whose name contains one of the words

Everything goes through `exercise` (interop/src/bin/exercise), which verifies each byte that it moves. It is
target/release/exercise, or what --exercise or the environment variable ISCSICORE_EXERCISE names.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import cases
import istgt
import pcap
import peers
from cases import MIB
from tap import Tap

USER, SECRET = "alice", "initiator-secret"
MUTUAL_USER, MUTUAL_SECRET = "bob", "targets-own-secret"
MUTUAL = peers.Chap(USER, SECRET, MUTUAL_USER, MUTUAL_SECRET)
NO_SESSION, WRONG = 2, 1  # exit statuses of exercise
DIGESTS = [(header, data) for header in ("none", "crc32c") for data in ("none", "crc32c")]
EXERCISE = None


class Case(unittest.TestCase):
    """What every test has: targets of one kind, and exercise."""

    kind = None

    def setUp(self):
        if self.kind is peers.Iscsicored:
            return
        places = os.environ["PATH"] + ":/usr/sbin:/sbin:" + os.path.dirname(peers.c_example(self.kind.binary))
        if not shutil.which(self.kind.binary, path=places):
            if os.environ.get("ISCSICORE_REQUIRE_PEERS") == "1":
                self.fail(f"{self.kind.binary} is not installed, and ISCSICORE_REQUIRE_PEERS=1")
            print(f"\n*** SKIPPED: {self.kind.binary} is not installed ***", file=sys.stderr)
            self.skipTest(f"{self.kind.binary} is not installed")

    def start(self, *disks, **how):
        return self.enterContext(self.kind(list(disks) or [peers.Disk(8 * MIB)], **how))

    def exercise(self, *arguments, status=0, limit=cases.PATIENCE, environment=None):
        """Runs exercise; it must end with this exit status. Returns its report, or what it said of its failure."""
        known = {key: value for key, value in os.environ.items() if not key.startswith(("ISCSICORE_", "LIBISCSI_"))}
        done = subprocess.run(
            [EXERCISE, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
            env={**known, **(environment or {})})
        self.assertEqual(done.returncode, status, f"{' '.join(map(str, arguments))}\n{done.stdout[-500:]}\n{done.stderr[-1500:]}")
        return done.stderr if status else json.loads(done.stdout.splitlines()[-1])

    def run_on(self, target, *arguments, index=0, login="", query="", **how):
        return self.exercise("run", target.url(index, login) + query, *arguments, **how)


def scratch():
    """A directory that does not last."""
    return tempfile.TemporaryDirectory(prefix="iscsicore-initiator-", dir="/dev/shm")


class Common:
    """The same for each kind of target."""

    refused = set()         # commands that the target does not carry out
    parameters = [{}]       # what it is told to offer, in turn
    always_r2t = False      # whether it insists on InitialR2T=Yes
    segments = (65536, 8192, 1024)  # of answers, in bytes
    bursts = ((512, 512, 512, 1), (4096, 65536, 8192, 1), (65536, 65536, 1024, 4), (16384, 262144, 262144, 16))
    at_once = {}            # what makes it let sessions be resumed at once
    reservations = ()       # options of the reservations' check; None: it has none

    # ---- discovery

    def test_discovery(self):
        target = self.start(others=3)
        found = self.exercise("discover", target.portal())
        self.assertEqual(set(found), target.names())
        self.assertIn(f"{target.portal()},1", found[peers.TARGET_NAME])

    def test_discovery_of_many_targets(self):
        """The list is longer than a PDU may be."""
        target = self.start(others=60)
        for segment in self.segments:
            with self.subTest(segment=segment):
                self.assertEqual(set(self.exercise("discover", target.portal(), "--max-segment", segment)), target.names())

    # ---- login and negotiation

    def test_digests_in_all_combinations(self):
        target = self.start(digests=True)
        for header, data in DIGESTS:
            with self.subTest(header=header, data=data):
                wanted = ("--header-digest", header, "--data-digest", data)
                keys = self.run_on(target, "patterns", "load", "--depth", 16, "--most", MIB, *wanted)["keys"]
                self.assertEqual((keys["HeaderDigest"].lower(), keys["DataDigest"].lower()), (header, data))

    def test_what_either_end_may_say_of_unsolicited_data(self):
        for how in self.parameters:
            target = self.start(keys=how)
            for r2t in ("yes", "no"):
                for immediate in ("yes", "no"):
                    with self.subTest(**how, r2t=r2t, immediate=immediate):
                        wanted = ("--initial-r2t", r2t, "--immediate-data", immediate)
                        keys = self.run_on(target, "patterns", "load", "--depth", 8, "--most", 2 * MIB, *wanted)["keys"]
                        r2t_wanted = r2t == "yes" or self.always_r2t or how.get("InitialR2T") == "Yes"
                        self.assertEqual(keys["InitialR2T"], "Yes" if r2t_wanted else "No")
                        self.assertEqual(keys["ImmediateData"], "Yes" if immediate == "yes" and how.get("ImmediateData") != "No" else "No")

    def test_bursts_and_segments(self):
        target = self.start(digests=True)
        for first, most, segment, r2ts in self.bursts:
            with self.subTest(first=first, most=most, segment=segment, r2ts=r2ts):
                wanted = ("--first-burst", first, "--max-burst", most, "--max-segment", segment, "--max-outstanding-r2t", r2ts)
                keys = self.run_on(target, "patterns", "load", "--depth", 8, "--most", MIB, *wanted)["keys"]
                self.assertEqual((keys["FirstBurstLength"], keys["MaxBurstLength"], keys["MaxRecvDataSegmentLength"]), (first, most, segment))

    # ---- data

    def test_every_size_from_a_block_to_16_mib(self):
        target = self.start(peers.Disk(20 * MIB))
        self.assertGreater(self.run_on(target, "patterns")["patterns"]["bytes"], 64 * MIB)

    def test_load_at_depths_1_8_and_64(self):
        target = self.start(peers.Disk(16 * MIB))
        self.assertGreater(self.run_on(target, "load", "--generations", 2)["load"]["bytes"], 80 * MIB)

    def test_many_units_on_one_session(self):
        sizes = [(4 + index) * MIB for index in range(8)]
        target = self.start(*map(peers.Disk, sizes))
        luns = ",".join(str(target.lun(index)) for index in range(1, 8))
        report = self.run_on(target, "patterns", "load", "--luns", luns, "--depth", 4, "--most", MIB)
        self.assertEqual(report["blocks"], [size // 512 for size in sizes])

    def test_every_command_is_carried_out_or_refused(self):
        report = self.run_on(self.start(), "commands")["commands"]
        self.assertEqual({name for name, outcome in report.items() if outcome != "done"}, self.refused)

    def test_reservations(self):
        report = self.run_on(self.start(), "reservations", *(self.reservations or ()))
        if self.reservations is None:
            self.assertIn("INVALID COMMAND OPERATION CODE", report["reservations"])
        else:
            self.assertEqual(report["reservations"], "done")

    # ---- CHAP

    def test_chap_one_way(self):
        target = self.start(chap=peers.Chap(USER, SECRET))
        self.run_on(target, "load", "--depth", 4, login=f"{USER}%{SECRET}")
        for login in (f"{USER}%not-the-secret-at-all", f"mallory%{SECRET}", ""):
            with self.subTest(login=login):
                said = self.run_on(target, login=login, status=NO_SESSION)
                self.assertRegex(said, "(?i)CHAP name and secret" if not login else "(?i)0x0201.*secret")

    def test_chap_in_discovery(self):
        target = self.start(chap=peers.Chap(USER, SECRET))
        self.assertIn(peers.TARGET_NAME, self.exercise("discover", f"iscsi://{USER}%{SECRET}@{target.portal()}"))

    def test_chap_mutual(self):
        target = self.start(chap=MUTUAL)
        login, query = f"{USER}%{SECRET}", f"?target_user={MUTUAL_USER}&target_password="
        self.run_on(target, "load", "--depth", 4, login=login, query=query + MUTUAL_SECRET)
        self.run_on(target, login=login)
        self.assertRegex(self.run_on(target, login=login, query=query + "somebody-elses-secret", status=NO_SESSION), "(?i)target|mutual")

    def test_chap_secret_from_the_environment(self):
        target = self.start(chap=peers.Chap(USER, SECRET))
        self.run_on(target, environment={"ISCSICORE_USER": USER, "ISCSICORE_PASSWORD": SECRET})

    # ---- errors

    def test_an_unknown_target_and_an_absent_unit(self):
        target = self.start()
        self.assertRegex(self.exercise("run", f"iscsi://{target.portal()}/iqn.2026-01.none:such/0", status=NO_SESSION), "0x0203.*(?i:target)")
        self.assertRegex(self.exercise("run", f"iscsi://{target.portal()}/{peers.TARGET_NAME}/77", status=NO_SESSION), "no LUN 77")

    def test_nobody_listens(self):
        url = f"iscsi://127.0.0.1:{peers.free_port()}/{peers.TARGET_NAME}/0"
        self.assertRegex(self.exercise("run", url, status=NO_SESSION), "cannot connect to 127.0.0.1:.*refused")

    # ---- a target that dies

    def test_a_target_that_is_killed_under_load_and_comes_back(self):
        """SIGKILL several times; all that was written is there in the end, without an error seen by anybody."""
        folder = pathlib.Path(self.enterContext(scratch()))
        target = self.start(peers.Disk(8 * MIB, path=str(folder / "disk")), keys=self.at_once)
        command = [EXERCISE, "run", target.url(), "load", "--depth", "16", "--until-reconnects", "3", "--timeout", "20"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        watchdog = threading.Timer(cases.PATIENCE, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.assertEqual(json.loads(process.stdout.readline() or "{}"), {"loading": True})
        for pause in (0.0, 0.3, 0.1):
            time.sleep(0.4)  # for work to be under way, at any moment of which it may end
            target.restart(pause)
            said = next((line for line in process.stderr if "connected again" in line or "exercise:" in line), "it has ended")
            self.assertIn("connected again", said)
        output, said = process.communicate()
        self.assertEqual(process.returncode, 0, said[-1500:])
        report = json.loads(output.splitlines()[-1])
        self.assertGreaterEqual(report["reconnects"], 3)
        self.assertLess(report["load"]["longest_seconds"], 20)

    # ---- iscsictl

    def test_iscsictl_looks_and_copies_both_ways(self):
        target = self.start(peers.Disk(24 * MIB), peers.Disk(8 * MIB))
        self.assertIn(peers.TARGET_NAME, self.iscsictl("discover", target.portal()))
        luns = self.iscsictl("luns", target.url())
        self.assertRegex(luns, rf"\b{target.lun(0)}\b[\s\S]*\b{target.lun(1)}\b")
        self.iscsictl("info", target.url())
        folder = pathlib.Path(self.enterContext(scratch()))
        data = random.Random(9).randbytes(5 * MIB) + bytes(9 * MIB) + random.Random(10).randbytes(10 * MIB)
        (folder / "image").write_bytes(data)
        self.iscsictl("copy", folder / "image", target.url(), "--verify")
        self.iscsictl("copy", target.url(), folder / "back", "--verify")
        self.assertEqual((folder / "back").read_bytes(), data)
        said = self.iscsictl("info", target.url().rpartition("/")[0] + "/77", fails=True)
        self.assertIn("no LUN 77", said)

    def iscsictl(self, *arguments, fails=False):
        program = pathlib.Path(EXERCISE).with_name("iscsictl")
        if not os.access(program, os.X_OK):
            self.fail(f"{program} is missing: cargo build --release -p iscsictl")
        done = subprocess.run(
            [program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=cases.PATIENCE)
        self.assertEqual(bool(done.returncode), fails, f"{arguments}: {done.stdout[-1500:]}")
        return done.stdout

    # ---- the wire

    def test_tshark_finds_no_fault(self):
        target = self.start(peers.Disk(1 * MIB), digests=True)  # a Tap keeps 4 MiB of a connection
        for digest in ("none", "crc32c"):
            with self.subTest(digest=digest), Tap(target.port) as tap:
                url = f"iscsi://127.0.0.1:{tap.port}/{peers.TARGET_NAME}/{target.lun()}"
                digests = ("--header-digest", digest, "--data-digest", digest)
                self.exercise("discover", f"127.0.0.1:{tap.port}")
                self.exercise("run", url, *digests, "--first-burst", 4096, "--max-burst", 16384, "--max-segment", 4096)
                self.exercise("run", url, "commands", *digests)
                path = pathlib.Path(self.enterContext(scratch())) / "session.pcap"
                pcap.write(path, tap.connections())
                opcodes = pcap.decode(path)
                self.assertLessEqual({0x00, 0x01, 0x02, 0x03, 0x04, 0x06, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26}, opcodes)


class Tgt(Common, Case):
    """Against tgt."""

    kind = peers.Tgt
    refused = {"compare_and_write"}
    parameters = [{}, {"ImmediateData": "No"}, {"InitialR2T": "Yes", "MaxRecvDataSegmentLength": 8192}]
    at_once = {"DefaultTime2Wait": 0}


class Istgt(Common, Case):
    """Against istgt."""

    kind = istgt.Istgt
    refused = {"get_lba_status", "unmap", "vpd_b2"}
    parameters = [{}, {"ImmediateData": "No", "MaxRecvDataSegmentLength": 65536}]
    # It never answers a command whose allocation length is larger than a segment, and 65535 is usual.
    bursts = ((512, 512, 65536, 1), (4096, 65536, 65536, 1), (65536, 65536, 131072, 4), (16384, 262144, 262144, 16))
    always_r2t = True
    segments = (65536, 8192)  # it sends a longer answer in one PDU all the same, beyond what was declared
    reservations = ("--no-preempt",)


class Iscsicored(Common, Case):
    """Against our own server."""

    kind = peers.Iscsicored
    refused = {"compare_and_write"}
    parameters = [{}, {"ImmediateData": "No"}, {"InitialR2T": "Yes", "MaxRecvDataSegmentLength": 8192}]
    reservations = None

    def test_each_chap_algorithm(self):
        for algorithm in ("md5", "sha1", "sha256", "sha3-256"):
            with self.subTest(algorithm=algorithm), self.kind(chap=peers.Chap(USER, SECRET, algorithms=(algorithm,))) as target:
                self.run_on(target, login=f"{USER}%{SECRET}")
                self.assertIn("0x0201", self.run_on(target, login=f"{USER}%not-the-secret-at-all", status=NO_SESSION))


class ExampleInC(Iscsicored):
    """Against the example in C, of which no less is expected."""

    kind = peers.CTarget


def main():
    global EXERCISE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="path of iscsicored (default: $ISCSICORED, or target/release/iscsicored)")
    parser.add_argument("--exercise", help="path of exercise")
    parser.add_argument("-k", action="append", metavar="WORD", help="only tests whose name contains WORD (may be repeated)")
    parser.add_argument("-f", "--failfast", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that targets are stopped when this program is
    peers.Iscsicored.path = options.binary
    EXERCISE = options.exercise or os.environ.get("ISCSICORE_EXERCISE") or str(pathlib.Path(peers.default_binary()).with_name("exercise"))
    for program, package in ((peers.Iscsicored.path or peers.default_binary(), "iscsicored"), (EXERCISE, "iscsicore-interop")):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is missing: cargo build --release -p {package}")
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f"*{word}*" for word in options.k] if options.k else None
    suite = loader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=2, failfast=options.failfast).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()
