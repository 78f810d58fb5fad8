#!/usr/bin/env python3
"""Runs libiscsi's iscsi-test-cu test by test and compares each outcome with a committed expectation.

    interop/test_cu.py --required                        the suites that this project promises, against iscsicored
    interop/test_cu.py --required --target c             the same, against the target in C
    interop/test_cu.py --target tgt --suites Read10,Unmap
    interop/test_cu.py --url iscsi://host/iqn.x/0        against a target that already runs (it loses its data!)

One process and one time limit per test, one fresh target per suite. Outcomes: pass; partial (some steps were
`[SKIPPED]`); skip (no step was carried out: the tool itself counts that as passed); fail; crash (of the tool or of
the target); timeout. After each test the target must still accept a connection and list its units.
Writes interop/out/test-cu.md and .json. Every outcome but `pass` needs a reason, written by hand, in the expectations
file (test <TAB> outcome <TAB> reason); `--update` rewrites outcomes there and leaves reasons alone.
"""
import argparse
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import peers

HERE = pathlib.Path(__file__).resolve().parent
REQUIRED = """Read6 Read10 Read12 Read16 Write10 Write12 Write16 Verify10 Verify12 Verify16 WriteVerify10 WriteVerify12
    WriteVerify16 WriteSame10 WriteSame16 Unmap TestUnitReady Inquiry ReadCapacity10 ReadCapacity16 ModeSense6 PreventAllow
    StartStopUnit ReadOnly Mandatory ReportSupportedOpcodes iSCSIResiduals iSCSITMF iSCSIcmdsn iSCSIdatasn""".split()
# The tool reports the commands that it wants to fail as [FAILED], and checks that they did; its assertions decide.
WANTS_FAILURES = {"iSCSIdatasn.iSCSIDataSnInvalid"}
# Fails as the first test of a process whatever the target answers (all its answers can be seen to be right on the wire,
# and other targets fare the same); so its whole suite is run.
NEEDS_ITS_SUITE = {"iSCSITMF.LUNResetSimpleAsync"}
NORMAL, READ_ONLY = 0, 1  # indexes into the target's disks


@dataclasses.dataclass
class Outcome:
    """What one test did."""

    test: str
    result: str
    reason: str
    seconds: float


def all_tests():
    """Every suite.test that the installed tool knows, in its order."""
    names = [line.strip() for line in peers.run("iscsi-test-cu", "-l").stdout.splitlines()]
    return [name.split(".", 1)[1] for name in names if name.startswith("ALL.") and name.count(".") == 2]


def run_test(test, urls, limit):
    """Runs one test; returns its Outcome."""
    wanted = test.split(".")[0] if test in NEEDS_ITS_SUITE else test
    command = [peers.find("iscsi-test-cu"), "-d", "-V", "-t", f"ALL.{wanted}", *urls]
    began = time.monotonic()
    tool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output = tool.communicate(timeout=limit)[0]
        result, reason = judge(test, output.decode(errors="replace"), tool.returncode)
    except subprocess.TimeoutExpired:
        tool.send_signal(signal.SIGKILL)
        output = tool.communicate()[0].decode(errors="replace")
        steps = [line.strip() for line in output.splitlines() if line.strip()]
        result, reason = "timeout", f"after {limit} s at: {steps[-1] if steps else '(no output)'}"
    return Outcome(test, result, reason, time.monotonic() - began)


def judge(test, output, code):
    """The result and its reason, read from the tool's verbose output."""
    if code < 0:
        return "crash", f"iscsi-test-cu ended by {peers.describe_exit(code)}"
    summary = re.search(r"^\s*tests\s+\d+\s+(\d+)\s+(\d+)\s+(\d+)", output, re.M)
    if not summary:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return "fail", f"no summary, {peers.describe_exit(code)}: {lines[-1] if lines else '(no output)'}"
    ran, _, failed = map(int, summary.groups())
    name = re.escape(test.split(".", 1)[1])
    body = re.split(rf"^\s*Test: {name} \.\.\.", output, maxsplit=1, flags=re.M)[-1].split("Run Summary:")[0]
    if failed or ("[FAILED]" in body and test not in WANTS_FAILURES):
        lines = re.findall(r"^\s*(\[FAILED\].*|\d+\. \S+\.c:\d+.*)$", body, re.M)
        return "fail", lines[0].strip() if lines else "no [FAILED] line"
    if ran != 1 and test not in NEEDS_ITS_SUITE:
        return "fail", f"{ran} tests ran, expected 1"
    # What follows the verdict is the tool tidying up: it looks for persistent reservations to clear.
    during = re.split(r"^\s*passed", body, maxsplit=1, flags=re.M)[0]
    skipped = list(dict.fromkeys(line.strip() for line in re.findall(r"\[SKIPPED\](.*)", during)))
    if not skipped:
        return "pass", ""
    return "partial" if re.search(r"\[(OK|SUCCESS)\]", during) else "skip", "; ".join(skipped)


class Started:
    """The target that this script starts: one normal disk, one that is read-only."""

    def __init__(self, kind, options):
        self.kind, self.options, self.target = kind, options, None

    def begin(self):
        self.end()
        size, block = self.options.size, self.options.block_size
        self.target = self.kind([peers.Disk(size, block_size=block), peers.Disk(size, block_size=block, read_only=True)])
        self.target.start()

    def urls(self, suite):
        url = self.target.url(READ_ONLY if suite == "ReadOnly" else NORMAL)
        return [url, url] if suite == "MultipathIO" else [url]

    def trouble(self):
        """Why the target is not well, or None."""
        died = self.target.crashed()
        return f"the target ended: {died}" if died else answers(f"iscsi://{self.target.portal()}")

    def end(self):
        if self.target:
            if self.target.crashed():
                print(f"last lines of the target's log:\n{self.target.log()[-3000:]}", file=sys.stderr)
                self.target.kill()
            else:
                self.target.stop()
            self.target.remove()
            self.target = None


class Given:
    """A target that runs already, under --url (and --read-only-url)."""

    def __init__(self, options):
        self.options = options

    def begin(self):
        pass

    def urls(self, suite):
        url = self.options.read_only_url if suite == "ReadOnly" and self.options.read_only_url else self.options.url
        return [url, url] if suite == "MultipathIO" else [url]

    def trouble(self):
        return answers(re.match(r"iscsi://[^/]+", self.options.url)[0])

    def end(self):
        pass


def answers(portal):
    """None when the portal lists its targets and units, else what went wrong."""
    try:
        done = peers.run("iscsi-ls", "-s", portal, limit=15, check=False)
    except subprocess.TimeoutExpired:
        return "iscsi-ls gets no answer within 15 s"
    listed = done.returncode == 0 and "Target:" in done.stdout and "Lun:" in done.stdout
    return None if listed else f"iscsi-ls afterwards: {done.stdout.strip()[:200]}"


def run_all(tests, where, limit):
    """Runs the tests in order; a target that died is started again."""
    outcomes, suite = [], None
    try:
        for test in tests:
            if test.split(".")[0] != suite:
                suite = test.split(".")[0]
                where.begin()
            outcome = run_test(test, where.urls(suite), limit)
            if trouble := where.trouble():
                outcome.result, outcome.reason = "crash", f"{trouble} (the test itself: {outcome.result} {outcome.reason})"
                where.begin()
            outcomes.append(outcome)
            print(f"{outcome.result:8}{outcome.seconds:6.1f} s  {test}  {outcome.reason}", flush=True)
    finally:
        where.end()
    return outcomes


def read_expected(path):
    """{test: (outcome, reason)} of an expectations file."""
    expected = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if line and not line.startswith("#"):
            test, result, reason = (line.split("\t") + ["", ""])[:3]
            expected[test] = result, reason
    return expected


def write_expected(path, outcomes, expected):
    """Puts the outcomes into the file; keeps reasons, other tests and the comment at its top."""
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")] if path.exists() else []
    merged = {**expected, **{each.test: (each.result, expected.get(each.test, ("", ""))[1]) for each in outcomes}}
    order = {test: number for number, test in enumerate(all_tests())}
    lines = ["\t".join((test, *merged[test])) for test in sorted(merged, key=lambda test: order.get(test, len(order)))]
    path.write_text("\n".join([*comments, *lines]) + "\n")


def differences(outcomes, expected, tests_of_suites):
    """Sentences about everything that is not as the expectations say."""
    for outcome in outcomes:
        want, reason = expected.get(outcome.test, (None, ""))
        if want != outcome.result:
            yield f"{outcome.test}: {outcome.result}, expected {want or '(not in the file)'}: {outcome.reason}"
        elif want != "pass" and not reason.strip():
            yield f"{outcome.test}: {want} without a written reason: {outcome.reason}"
    for test in expected:
        if test not in tests_of_suites:
            yield f"{test}: in the expectations, but this iscsi-test-cu does not know it"


def write_report(outcomes, expected, directory, title):
    """test-cu.md and test-cu.json."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [f"# iscsi-test-cu against {title}", "", "| suite | test | result | reason |", "|---|---|---|---|"]
    for each in outcomes:
        suite, name = each.test.split(".", 1)
        why = " / ".join(filter(None, (each.reason, expected.get(each.test, ("", ""))[1]))).replace("|", "\\|")
        rows.append(f"| {suite} | {name} | {each.result} | {why} |")
    (directory / "test-cu.md").write_text("\n".join(rows) + "\n")
    (directory / "test-cu.json").write_text(json.dumps([dataclasses.asdict(each) for each in outcomes], indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers.add_arguments(parser)
    parser.add_argument("--url", help="a running target's LUN instead of --target; ITS DATA WILL BE LOST")
    parser.add_argument("--read-only-url", help="with --url: a write-protected LUN for the ReadOnly suite")
    parser.add_argument("--suites", help="suites or suite.test names, separated by commas (default: all)")
    parser.add_argument("--required", action="store_true", help="the suites that the project promises")
    parser.add_argument("--limit", type=float, default=60, help="seconds per test (default 60)")
    parser.add_argument("--size", type=peers.parse_size, default=128 << 20, help="bytes of each disk (default 128M)")
    parser.add_argument("--block-size", type=int, default=512, help="bytes of a logical block (default 512)")
    parser.add_argument("--expected", type=pathlib.Path, help="expectations (default test-cu-expected.tsv, for iscsicored and the example in C)")
    parser.add_argument("--update", action="store_true", help="write the outcomes into the expectations file")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out", help="directory of the reports")
    options = parser.parse_args()

    known = all_tests()
    wanted = {name for name in (options.suites or "").split(",") if name} | set(REQUIRED if options.required else ())
    unknown = wanted - set(known) - {test.split(".")[0] for test in known}
    if unknown:
        sys.exit(f"this iscsi-test-cu has no {', '.join(sorted(unknown))}")
    tests = [test for test in known if not wanted or test in wanted or test.split(".")[0] in wanted]
    title = options.url or options.target
    path = options.expected or (HERE / "test-cu-expected.tsv" if title in ("iscsicored", "c") else None)
    expected = read_expected(path) if path else {}

    outcomes = run_all(tests, Given(options) if options.url else Started(peers.chosen(options), options), options.limit)
    if path and options.update:
        write_expected(path, outcomes, expected)
        expected = read_expected(path)
    write_report(outcomes, expected, options.out, title)
    counts = {result: sum(each.result == result for each in outcomes) for result in ("pass", "partial", "skip", "fail", "crash", "timeout")}
    print(f"{len(outcomes)} tests: " + ", ".join(f"{count} {result}" for result, count in counts.items() if count))
    wrong = list(differences(outcomes, expected, known)) if path else []
    for each in wrong:
        print("DIFFERS", each)
    if path:
        sys.exit(1 if wrong else 0)
    sys.exit(1 if counts["crash"] or counts["timeout"] or counts["fail"] else 0)


if __name__ == "__main__":
    main()
