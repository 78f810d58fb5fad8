"""What the test_*.py scripts share: a fresh target for every test, a scratch directory, the tools, the command line."""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import peers

MIB = 1 << 20
PATIENCE = 60            # seconds that a tool may take
KIND = peers.Iscsicored  # what --target chose


class Case(unittest.TestCase):
    """What every test has: a fresh target, a scratch directory, the tools."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="iscsicore-tools-", dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, *disks, **how):
        return self.enterContext(KIND(list(disks) or [peers.Disk(16 * MIB)], **how))

    def tool(self, *command, fails=False, **how):
        """Runs a tool; its exit status must be zero, or with `fails` must not. Returns what it printed."""
        done = peers.run(*command, limit=PATIENCE, check=False, **how)
        if done.returncode < 0:
            self.fail(f"{command[0]} ended by {peers.describe_exit(done.returncode)}: {done.stdout[-800:]}")
        self.assertEqual(bool(done.returncode), fails, f"{' '.join(map(str, command))}\n{done.stdout[-1500:]}")
        return done.stdout

    def qemu_io(self, url, *commands, fails=False, options=("-f", "raw")):
        arguments = [part for command in commands for part in ("-c", command)]
        output = self.tool("qemu-io", *options, *arguments, url, fails=fails)
        if not fails:
            self.assertNotRegex(output, r"(?i)fail|error|pattern verification")
        return output

    def image_options(self, target, index=0, **more):
        """The --image-opts string of qemu's iscsi driver."""
        fields = {"driver": "iscsi", "transport": "tcp", "portal": target.portal(), "target": peers.TARGET_NAME, "lun": target.lun(index), **more}
        return ",".join(f"{key.replace('_', '-')}={value}" for key, value in fields.items())

    def sparse_image(self, name, size, seed, block=512):
        """A file of holes and random data in pieces of odd block counts."""
        source, path = random.Random(seed), self.folder / name
        with open(path, "wb") as file:
            file.truncate(size)
            for _ in range(40):
                start, count = source.randrange(size // block), source.randrange(1, 400)
                file.seek(start * block)
                file.write(source.randbytes(min(count * block, size - start * block)))
        return path

    def put(self, image, url):
        self.tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, url)

    def get(self, url, name="back"):
        path = self.folder / name
        self.tool("qemu-img", "convert", "-f", "raw", "-O", "raw", url, path)
        return path

    def assert_same(self, one, other):
        self.assertEqual(one.stat().st_size, other.stat().st_size)
        self.assertEqual(subprocess.run(["cmp", one, other], capture_output=True).stdout, b"")

    def only_ours(self, reason):
        if not KIND.ours:
            self.skipTest(f"{KIND.kind}: {reason}")

    def new_target(self, *disks, **how):
        """A target that the test itself starts and stops, as a context manager."""
        return KIND(list(disks), **how)


def main(module, text):
    """Runs the tests of a script according to its command line."""
    global KIND
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers.add_arguments(parser)
    parser.add_argument("-k", action="append", metavar="WORD", help="only tests whose name contains WORD (may be repeated)")
    parser.add_argument("-f", "--failfast", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    KIND = peers.chosen(options)
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f"*{word}*" for word in options.k] if options.k else None
    suite = loader.loadTestsFromModule(sys.modules[module])
    result = unittest.TextTestRunner(verbosity=2, failfast=options.failfast).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
