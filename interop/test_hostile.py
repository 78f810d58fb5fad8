#!/usr/bin/env python3
"""Bytes that no honest initiator sends: the target must go on serving everybody else, and hold on to its memory.

    interop/test_hostile.py                          all, against iscsicored
    interop/test_hostile.py --target tgt             against tgt: what it is known not to take is skipped, with the reason
"""
import pathlib
import random
import re
import struct
import time

import cases
import peers
from cases import MIB
from initiator import (
    COMMAND, DATA_OUT, FINAL, LOGIN, LOGIN_RESPONSE, NO_TAG, WRITE_BIT, Closed, LoginRefused, ProtocolError, Session, read10, ready,
    synchronize_cache, write10)

GONE = (Closed, ProtocolError, LoginRefused, OSError)  # how a refused conversation may end (OSError: reset, timeout)


class Hostile(cases.Case):
    """Bytes that no honest initiator sends. Afterwards the target must serve everybody else as before."""

    def survives(self, target):
        self.assertIsNone(target.crashed(), target.log()[-2000:])
        self.qemu_io(target.url(), "write -P 1 0 64k", "read -P 1 0 64k")

    def resident(self, target):
        """Resident memory of the server in bytes."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{target.process.pid}/status").read_text())[1]) * 1024

    def test_garbage_instead_of_a_login(self):
        target, source = self.start(), random.Random(50)
        for _ in range(60):
            with Session(target.port, login=False) as session:
                session.send_raw(source.randbytes(source.choice([1, 47, 48, 49, 512, 9000])))
        self.survives(target)

    def test_random_headers_after_login(self):
        self.only_ours("garbage in full feature phase is its own affair")
        target, source = self.start(), random.Random(51)
        for _ in range(60):
            with Session(target.port, peers.TARGET_NAME, timeout=2) as session:
                header = bytearray(source.randbytes(48))
                header[0] = source.randrange(64)
                header[4] = source.choice([0, 0, 0, 1, 255])
                header[5:8] = source.choice([0, 8, 512, 0xFFFFFF]).to_bytes(3, "big")
                try:
                    session.send_raw(bytes(header) + source.randbytes(600))
                except OSError:
                    pass
        self.survives(target)

    def test_a_login_cut_at_every_byte_of_its_header(self):
        target = self.start()
        for length in range(48):
            with Session(target.port, login=False) as session:
                session.send_raw(bytes(session.login_header(b"\x80\0\0\0\0\1"))[:length])
        self.survives(target)

    def test_announced_but_never_sent_megabytes_cost_no_memory(self):
        self.only_ours("its memory is its own affair")
        target = self.start()
        self.survives(target)
        before, held = self.resident(target), []
        for _ in range(50):
            session = self.enterContext(Session(target.port, login=False))
            header = session.login_header(b"\x80\0\0\0\0\2")
            header[5:8] = b"\xff\xff\xff"
            try:
                session.send_raw(bytes(header))
            except OSError:
                pass
            held.append(session)
        time.sleep(0.5)
        self.assertLess(self.resident(target) - before, 32 * MIB)
        self.survives(target)

    def test_half_open_connections_do_not_keep_others_out(self):
        target = self.start()
        for number in range(60):
            session = self.enterContext(Session(target.port, login=False))
            if number % 2:
                session.send_raw(bytes([0x40 | LOGIN]))
        self.survives(target)

    def test_a_connection_that_vanishes_in_the_middle_of_a_write(self):
        target = self.start()
        for sent in (0, 1, 100, 511):
            session = ready(Session(target.port, peers.TARGET_NAME), target.lun())
            header = session.header(COMMAND, FINAL | WRITE_BIT, target.lun())
            struct.pack_into(">I", header, 20, 512)
            header[5:8] = (512).to_bytes(3, "big")
            header[32:48] = write10(9, 1).ljust(16, b"\0")
            session.send_raw(bytes(header) + b"?" * sent)
            session.close()
        self.survives(target)
        self.qemu_io(target.url(), "read -P 0 128k 64k")

    def test_many_commands_in_flight_within_the_window(self):
        target = self.start()
        with ready(Session(target.port, peers.TARGET_NAME), target.lun()) as session:
            tasks = [session.submit(write10(block, 1), target.lun(), struct.pack(">I", block) * 128) for block in range(1000)]
            while session.tasks:
                session.step()
            self.assertEqual({task.status for task in tasks}, {0})
            self.assertEqual(session.command(synchronize_cache(), target.lun()).status, 0)
            data = bytes(session.command(read10(0, 1000), target.lun(), read=512000).data_in)
        self.assertEqual(data, b"".join(struct.pack(">I", block) * 128 for block in range(1000)))

    def test_text_that_is_no_text_in_a_login(self):
        target = self.start()
        for text in (b"=\0", b"A" * 4096, b"A" * 200 + b"=x\0", b"InitiatorName\0", b"\0" * 8000, b"\xff\xfe=\xff\0", b"InitiatorName=" + b"x" * 7000,
                     b"InitiatorName=iqn.2026-01.x:y\0" * 200, b"".join(b"X-key%d=1\0" % number for number in range(700))):
            with self.subTest(text=text[:40]), Session(target.port, login=False, timeout=5) as session:
                session.send(session.login_header(b"\x80\0\0\0\0\3"), text)
                try:
                    header, data = session.receive_pdu()
                    self.assertEqual(header[0] & 0x3F, LOGIN_RESPONSE)
                    self.assertLessEqual(len(data), 8192)
                except GONE:
                    pass
        self.survives(target)

    def test_a_transfer_length_of_terabytes_costs_no_memory(self):
        self.only_ours("its memory is its own affair")
        target = self.start()
        self.survives(target)
        before = self.resident(target)
        for opcode in (0x88, 0x8A, 0x8F, 0x93):
            with self.subTest(opcode=opcode), ready(Session(target.port, peers.TARGET_NAME), target.lun()) as session:
                cdb = struct.pack(">BBQIBB", opcode, 2 if opcode == 0x8F else 0, 0, 0xFFFFFFFF, 0, 0)
                task = session.command(cdb, target.lun(), *((b"", 512) if opcode == 0x88 else (b"z" * 512, 0)))
                self.assertEqual(task.status, 2)
        self.assertLess(self.resident(target) - before, 32 * MIB)
        self.survives(target)
        self.assert_zero_at_1_mib(target)

    def test_data_for_no_task_and_data_beyond_the_transfer(self):
        self.only_ours("wrong Data-Out is its own affair")
        target = self.start()
        for fields in ((0x11223344, NO_TAG, 0, 0), (0x11223344, 5, 0, 0), (None, NO_TAG, 0, 512), (None, NO_TAG, 7, 0), (None, 99, 0, 0xFFFFFE00)):
            with self.subTest(fields=fields), ready(Session(target.port, peers.TARGET_NAME, timeout=2), target.lun()) as session:
                tag, target_tag, number, offset = fields
                command = session.header(COMMAND, WRITE_BIT, target.lun())
                struct.pack_into(">I", command, 20, 512)
                command[32:48] = write10(2048, 1).ljust(16, b"\0")
                session.send(command)
                data = bytearray(48)
                data[0], data[1] = DATA_OUT, FINAL
                struct.pack_into(">H", data, 8, target.lun())
                struct.pack_into(">II", data, 16, struct.unpack_from(">I", command, 16)[0] if tag is None else tag, target_tag)
                struct.pack_into(">I", data, 28, session.expected_status_sn)
                struct.pack_into(">II", data, 36, number, offset)
                session.send(data, b"#" * 512)
                try:
                    header, _ = session.receive_pdu()
                    self.assertFalse(header[0] & 0x3F == 0x21 and header[3] == 0, "wrong data was taken as the write's data")
                except GONE:
                    pass
        self.survives(target)
        self.assert_zero_at_1_mib(target)

    def test_more_immediate_data_than_the_command_transfers(self):
        self.only_ours("too much immediate data is its own affair")
        target = self.start()
        with ready(Session(target.port, peers.TARGET_NAME, timeout=2), target.lun()) as session:
            header = session.header(COMMAND, FINAL | WRITE_BIT, target.lun())
            struct.pack_into(">I", header, 20, 512)
            header[32:48] = write10(2048, 1).ljust(16, b"\0")
            session.send(header, b"#" * 4096)
            try:
                answer, _ = session.receive_pdu()
                self.assertFalse(answer[0] & 0x3F == 0x21 and answer[3] == 0, "the write was carried out")
            except GONE:
                pass
        self.survives(target)
        self.assert_zero_at_1_mib(target)

    def test_a_peer_that_reads_nothing_costs_bounded_memory(self):
        self.only_ours("its memory is its own affair")
        target = self.start()
        self.survives(target)
        before = self.resident(target)
        sessions = [ready(self.enterContext(Session(target.port, peers.TARGET_NAME, timeout=2)), target.lun()) for _ in range(8)]
        for session in sessions:
            for _ in range(session.max_command_sn - session.command_sn + 1 & NO_TAG):
                session.submit(read10(0, 2048), target.lun(), read=MIB)
        time.sleep(1)
        grown = self.resident(target) - before
        self.assertLess(grown, 256 * MIB, "memory of eight sessions that read nothing")
        self.survives(target)

    def assert_zero_at_1_mib(self, target):
        """The block that the wrong data was meant for was not written."""
        self.qemu_io(target.url(), "read -P 0 1M 64k")


if __name__ == "__main__":
    cases.main(__name__, __doc__)
