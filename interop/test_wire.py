#!/usr/bin/env python3
"""Sessions of real initiators, decoded by tshark: not one malformed packet, not one protocol error."""
import os
import subprocess

import cases
import pcap
import peers
from tap import Tap


class Decoded(cases.Case):
    """What passes between initiators and the server is iSCSI in the eyes of a decoder that neither side wrote."""

    def decode(self, tap):
        path = self.folder / "session.pcap"
        pcap.write(path, tap.connections())
        return pcap.decode(path, cases.PATIENCE)

    def test_discovery_and_a_busy_session(self):
        target = self.start(peers.Disk(16 * cases.MIB))
        with Tap(target.port) as tap:
            self.tool("iscsi-ls", "-s", f"iscsi://127.0.0.1:{tap.port}")
            self.qemu_io(target.url(port=tap.port), "write -P 1 0 64k", "read -P 1 0 64k", "write -P 2 100k 600k", "read -P 2 100k 600k",
                         "discard 0 32k", "write -z 64k 64k", "flush", "read -P 0 64k 32k", "info")
            opcodes = self.decode(tap)
        # NOPs come only with time; everything else that these tools cause is there.
        self.assertLessEqual({0x01, 0x03, 0x04, 0x05, 0x06, 0x21, 0x23, 0x24, 0x25, 0x26}, opcodes)

    def test_a_session_with_header_digests(self):
        target = self.start(peers.Disk(16 * cases.MIB))
        with Tap(target.port) as tap:
            options = self.image_options(target, portal=f"127.0.0.1:{tap.port}", header_digest="crc32c")
            self.qemu_io(options, "write -P 3 0 300k", "read -P 3 0 300k", options=("--image-opts",))
            self.assertIn(b"HeaderDigest=CRC32C", tap.answers())
            opcodes = self.decode(tap)
        self.assertIn(0x25, opcodes)

    def test_task_management(self):
        target = self.start(peers.Disk(16 * cases.MIB))
        with Tap(target.port) as tap:
            tool = [peers.find("iscsi-test-cu"), "-d", "-t", "ALL.iSCSITMF", target.url(port=tap.port)]
            subprocess.run(tool, capture_output=True, timeout=cases.PATIENCE, env={**os.environ})
            opcodes = self.decode(tap)
        self.assertLessEqual({0x02, 0x22}, opcodes)


if __name__ == "__main__":
    cases.main(__name__, __doc__)
