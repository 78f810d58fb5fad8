#!/usr/bin/env python3
"""End-to-end checks of a target through software that others wrote: libiscsi's tools, qemu-img and qemu-io.

    interop/test_tools.py                            all, against iscsicored
    interop/test_tools.py --target tgt -k image      tests whose name contains "image", against tgt
"""
import random
import re
import struct
import subprocess

import cases
import peers
from cases import MIB
from initiator import LoginRefused, Session, read10, ready, write10


class Discovery(cases.Case):
    """What a target says about itself."""

    def test_iscsi_ls_shows_the_target_its_portal_and_its_units(self):
        target = self.start(peers.Disk(16 * MIB), peers.Disk(48 * MIB))
        output = self.tool("iscsi-ls", "-s", f"iscsi://{target.portal()}")
        self.assertRegex(output, rf"Target:{re.escape(peers.TARGET_NAME)} Portal:{target.portal()},\d+")
        for index in (0, 1):
            self.assertRegex(output, rf"Lun:{target.lun(index)}\s+Type:DIRECT_ACCESS")

    def test_discovery_session_in_raw_bytes(self):
        target = self.start()
        with Session(target.port) as session:
            found = session.send_targets()
            self.assertEqual(session.logout(), 0)
        self.assertEqual(found[0], ("TargetName", peers.TARGET_NAME))
        self.assertRegex(dict(found)["TargetAddress"], rf"^{target.portal()}(,\d+)?$")

    def test_iscsi_inq_standard_data_and_vpd_pages(self):
        target = self.start()
        self.assertIn("Peripheral Device Type:DIRECT_ACCESS", self.tool("iscsi-inq", target.url()))
        pages = self.tool("iscsi-inq", "-e", "1", "-c", "0", target.url())
        for page in (0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2):
            self.assertRegex(pages, rf"(?i)Page:0x{page:02x}")
            self.tool("iscsi-inq", "-e", "1", "-c", str(page), target.url())
        names = self.tool("iscsi-inq", "-e", "1", "-c", str(0x83), target.url())
        self.assertIn(f"{peers.TARGET_NAME},t,0x0001", names)

    def test_readcapacity16_size(self):
        target = self.start(peers.Disk(17 * MIB))
        self.assertEqual(int(self.tool("iscsi-readcapacity16", "-s", target.url())), 17 * MIB)

    def test_an_unknown_target_name_is_refused(self):
        target = self.start()
        self.assertIn("Login Failed", self.tool("iscsi-inq", f"iscsi://{target.portal()}/iqn.2026-01.dev.iscsicore:absent/0", fails=True))
        with self.assertRaises(LoginRefused) as caught:
            Session(target.port, "iqn.2026-01.dev.iscsicore:absent")
        self.assertEqual(caught.exception.status, 0x0203)

    def test_a_unit_that_is_not_there_is_no_disk(self):
        target = self.start()
        self.qemu_io(target.url(7), "read 0 512", fails=True)


class QemuImages(cases.Case):
    """Whole images through qemu-img."""

    def test_a_sparse_image_comes_back_byte_for_byte(self):
        target = self.start(peers.Disk(64 * MIB))
        image = self.sparse_image("image", 64 * MIB, seed=1)
        self.put(image, target.url())
        self.assert_same(image, self.get(target.url()))
        self.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", image, target.url())

    def test_an_image_of_odd_block_count(self):
        size = 5 * MIB + 7 * 512
        target = self.start(peers.Disk(size))
        image = self.sparse_image("image", size, seed=2)
        self.put(image, target.url())
        self.assert_same(image, self.get(target.url()))

    def test_a_qcow2_image_inside_the_unit(self):
        target = self.start(peers.Disk(64 * MIB))
        image = self.sparse_image("image", 16 * MIB, seed=3)
        self.tool("qemu-img", "create", "-f", "qcow2", target.url(), "16M")
        self.tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", image, target.url())
        self.tool("qemu-img", "check", "-f", "qcow2", target.url())
        self.tool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", image, target.url())

    def test_the_disk_file_holds_what_the_initiator_wrote_and_survives_a_restart(self):
        disk = peers.Disk(16 * MIB, path=str(self.folder / "disk"))
        image = self.sparse_image("image", 16 * MIB, seed=4)
        with self.new_target(disk) as target:
            self.put(image, target.url())
        self.assert_same(image, self.folder / "disk")
        with self.new_target(disk) as target:
            self.assert_same(image, self.get(target.url()))


class QemuIo(cases.Case):
    """Reads and writes of all sizes through qemu-io."""

    def test_random_writes_at_odd_offsets_against_a_model(self):
        size, source = 8 * MIB, random.Random(5)
        target, model, commands = self.start(peers.Disk(size)), bytearray(8 * MIB), []
        for _ in range(150):
            length = source.choice([source.randrange(1, 2000), 512 * source.randrange(1, 64), source.randrange(1, 2 * MIB)])
            start, pattern = source.randrange(size - length), source.randrange(1, 256)
            commands += [f"write -P {pattern} {start} {length}", f"read -P {pattern} {start} {length}"]
            model[start: start + length] = bytes([pattern]) * length
        self.qemu_io(target.url(), *commands)
        expected = self.folder / "model"
        expected.write_bytes(model)
        self.assert_same(expected, self.get(target.url()))

    def test_discard_leaves_its_neighbours_alone(self):
        target = self.start()
        self.qemu_io(target.url(), "write -P 9 0 4M", "discard 1M 2M", "read -P 9 0 1M", "read -P 9 3M 1M", "read -P 0 4M 1M")

    def test_discarded_blocks_read_as_zeroes(self):
        target = self.start()
        self.qemu_io(target.url(), "write -P 9 0 4M", "discard 1M 2M", "read -P 0 1M 2M")

    def test_write_zeroes_with_and_without_unmap(self):
        target = self.start()
        self.qemu_io(target.url(), "write -P 9 0 4M", "write -z 512 1M", "write -z -u 2M 64k", "read -P 9 0 512", "read -P 0 512 1M",
                     f"read -P 9 {MIB + 512} 512", "read -P 0 2M 64k", f"read -P 9 {2 * MIB + 65536} 1M")

    def test_flush_and_forced_unit_access(self):
        target = self.start()
        self.qemu_io(target.url(), "write -P 3 0 64k", "flush", "write -f -P 4 64k 64k", "aio_write -P 5 128k 1M", "aio_flush", "flush",
                     "read -P 3 0 64k", "read -P 4 64k 64k", "read -P 5 128k 1M")

    def test_the_last_block_and_beyond(self):
        target = self.start()
        self.qemu_io(target.url(), f"write -P 6 {16 * MIB - 512} 512", f"read -P 6 {16 * MIB - 512} 512")
        with ready(Session(target.port, peers.TARGET_NAME), target.lun()) as session:
            for cdb, data in ((read10(32767, 2), b""), (write10(32768, 1), bytes(512))):
                task = session.command(cdb, target.lun(), data, 0 if data else 1024)
                self.assertEqual((task.status, task.key()), (2, (5, 0x2100)))


class Units(cases.Case):
    """Several units, write protection, large blocks."""

    def test_several_units_are_apart(self):
        sizes = (8 * MIB, 16 * MIB, 24 * MIB)
        target = self.start(*map(peers.Disk, sizes))
        images = [self.sparse_image(f"image{index}", size, seed=10 + index) for index, size in enumerate(sizes)]
        for index, image in enumerate(images):
            self.assertEqual(int(self.tool("iscsi-readcapacity16", "-s", target.url(index))), sizes[index])
            self.put(image, target.url(index))
        for index, image in enumerate(images):
            self.assert_same(image, self.get(target.url(index), f"back{index}"))

    def test_units_have_different_identities(self):
        target = self.start(peers.Disk(), peers.Disk())
        pages = [self.tool("iscsi-inq", "-e", "1", "-c", "131", target.url(index)) for index in (0, 1)]
        self.assertNotEqual(*pages)

    def test_a_read_only_unit_refuses_writes_and_serves_reads(self):
        path = self.sparse_image("image", 8 * MIB, seed=20)
        target = self.start(peers.Disk(8 * MIB), peers.Disk(8 * MIB, path=str(path), read_only=True))
        before = path.read_bytes()
        self.qemu_io(target.url(1), "write -P 1 0 4k", fails=True)
        self.assertEqual(self.get(target.url(1)).read_bytes(), before)
        with ready(Session(target.port, peers.TARGET_NAME), target.lun(1)) as session:
            task = session.command(write10(0, 1), target.lun(1), bytes(512))
            self.assertEqual((task.status, task.key()), (2, (7, 0x2700)))
        self.assertEqual(path.read_bytes(), before)
        self.qemu_io(target.url(0), "write -P 1 0 4k")

    def test_a_unit_with_4096_byte_blocks(self):
        target = self.start(peers.Disk(16 * MIB, block_size=4096))
        self.assertRegex(self.tool("iscsi-readcapacity16", target.url()), r"(?i)block (length|size).*4096")
        image = self.sparse_image("image", 16 * MIB, seed=21, block=4096)
        self.put(image, target.url())
        self.assert_same(image, self.get(target.url()))
        self.qemu_io(target.url(), "write -P 2 100 5000", "read -P 2 100 5000")
        with ready(Session(target.port, peers.TARGET_NAME), target.lun()) as session:
            self.assertEqual(len(session.command(read10(1, 1), target.lun(), read=4096).data_in), 4096)


class Together(cases.Case):
    """Several programs at the same time."""

    def test_three_qemu_io_at_a_time_verify_what_they_wrote(self):
        target, source = self.start(peers.Disk(24 * MIB)), random.Random(30)
        workers = []
        for number in range(3):
            commands = []
            for _ in range(120):
                start, length, pattern = number * 8 * MIB + source.randrange(7 * MIB), source.randrange(1, MIB), source.randrange(256)
                commands += ["-c", f"write -P {pattern} {start} {length}", "-c", f"read -P {pattern} {start} {length}"]
            workers.append(["qemu-io", "-f", "raw", *commands, target.url()])
        for output in self.all_at_once(workers):
            self.assertNotRegex(output, r"(?i)fail|error|pattern verification")

    def test_three_images_at_a_time(self):
        target = self.start(*(peers.Disk(32 * MIB) for _ in range(3)))
        images = [self.sparse_image(f"image{index}", 32 * MIB, seed=40 + index) for index in range(3)]
        convert = ["qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "raw"]
        self.all_at_once([[*convert, str(image), target.url(index)] for index, image in enumerate(images)])
        for index, image in enumerate(images):
            self.assert_same(image, self.get(target.url(index), f"back{index}"))

    def test_three_benches_and_a_reader_on_one_unit(self):
        target = self.start(peers.Disk(16 * MIB))
        bench = ["qemu-img", "bench", "-f", "raw", "-t", "none", "-w", "-d", "32", "-s", "4096", "-c", "4096", "--pattern=90", target.url()]
        self.all_at_once([bench, bench, bench, ["iscsi-perf", "-r", "-b", "8", "-m", "32", "-t", "2", target.url()]])
        self.qemu_io(target.url(), "read -P 90 0 16M")

    def all_at_once(self, commands):
        running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands]
        try:
            outputs = [process.communicate(timeout=cases.PATIENCE)[0] for process in running]
        finally:
            for process in running:
                process.kill() if process.poll() is None else None
        for command, process, output in zip(commands, running, outputs):
            self.assertEqual(process.returncode, 0, f"{command[:4]}: {output[-800:]}")
        return outputs


if __name__ == "__main__":
    cases.main(__name__, __doc__)
