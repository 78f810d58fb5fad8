#!/usr/bin/env python3
"""A small iSCSI initiator that knows every byte it sends: for the tests that no ready-made tool can do.

One connection, one session, several commands in flight, header and data digests, CRC32C written out here on purpose
(so that a mistake in the Rust code cannot agree with itself). `send_raw` sends anything at all. RFC 7143 throughout.
Run as a program it logs in, writes, flushes, reads back and compares:

    interop/initiator.py --port 3260 --name iqn.2026-01.dev.iscsicore:disk0 --lun 0 --digests
"""
import argparse
import random
import socket
import struct
import sys

INITIATOR_NAME = "iqn.2026-01.dev.iscsicore:interop"
NO_TAG = 0xFFFFFFFF
NOP_OUT, COMMAND, TASK, LOGIN, TEXT, DATA_OUT, LOGOUT = 0, 1, 2, 3, 4, 5, 6
NOP_IN, RESPONSE, TASK_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN, LOGOUT_RESPONSE, R2T, ASYNC, REJECT = (
    0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x32, 0x3F)
WRITE_BIT, READ_BIT, FINAL = 0x20, 0x40, 0x80


class Closed(Exception):
    """The target closed the connection."""


class ProtocolError(Exception):
    """The target sent something that this initiator can show to be wrong."""


class LoginRefused(Exception):
    """The target answered the login with a status other than success; `status` is class << 8 | detail."""

    def __init__(self, status):
        super().__init__(f"login status {status:#06x}")
        self.status = status


class Task:
    """A command in flight, and its outcome once `done`."""

    def __init__(self, tag, data, read):
        self.tag, self.data_out, self.read = tag, data, read
        self.data_in = bytearray()
        self.status = None
        self.sense = b""

    @property
    def done(self):
        return self.status is not None

    def key(self):
        """Sense key and additional sense code, such as (5, 0x2400), or None without sense data."""
        if len(self.sense) < 4:
            return None
        if self.sense[0] & 0x7F in (0x72, 0x73):
            return self.sense[1] & 15, self.sense[2] << 8 | self.sense[3]
        return self.sense[2] & 15, self.sense[12] << 8 | self.sense[13]


class Session:
    """A logged-in (or, with `login=False`, only connected) session of one connection."""

    def __init__(self, port, target=None, digests=False, name=INITIATOR_NAME, login=True, keys=None, timeout=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.header_digest = self.data_digest = False
        self.tasks = {}
        self.tag = random.randrange(1, 1 << 30)
        self.command_sn = random.randrange(1 << 32)
        self.expected_status_sn = 0
        self.max_command_sn = self.command_sn
        self.unanswered = []
        self.settings = {"MaxRecvDataSegmentLength": "8192", "FirstBurstLength": "65536", "ImmediateData": "Yes", "InitialR2T": "Yes"}
        if login:
            self.login(name, target, digests, keys or {})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- login and logout

    def login(self, name, target, digests, keys):
        """Straight to the operational stage, then full feature phase. Raises LoginRefused."""
        digest = "CRC32C" if digests else "None"
        offered = {
            "InitiatorName": name, **({"TargetName": target, "SessionType": "Normal"} if target else {"SessionType": "Discovery"}),
            "HeaderDigest": digest, "DataDigest": digest, "MaxRecvDataSegmentLength": "262144", "InitialR2T": "No",
            "ImmediateData": "Yes", "FirstBurstLength": "262144", "MaxBurstLength": "1048576", "MaxOutstandingR2T": "4",
            "MaxConnections": "1", "ErrorRecoveryLevel": "0", "DefaultTime2Wait": "2", "DefaultTime2Retain": "0",
            "DataPDUInOrder": "Yes", "DataSequenceInOrder": "Yes", **keys,
        }
        if not target:
            offered = {key: offered[key] for key in ("InitiatorName", "SessionType", "HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength")}
        text = b"".join(f"{key}={value}".encode() + b"\0" for key, value in offered.items())
        isid = b"\x80" + random.randbytes(5)
        self.tag += 1
        for _ in range(8):
            header = self.login_header(isid)
            self.send(header, text)
            answer, data = self.receive_pdu()
            if answer[0] & 0x3F != LOGIN_RESPONSE:
                raise ProtocolError(f"opcode {answer[0] & 0x3F:#x} in answer to a login")
            status = struct.unpack_from(">H", answer, 36)[0]
            if status:
                raise LoginRefused(status)
            self.expected_status_sn = struct.unpack_from(">I", answer, 24)[0] + 1 & NO_TAG
            self.max_command_sn = struct.unpack_from(">I", answer, 32)[0]
            self.settings.update(pair.decode().split("=", 1) for pair in bytes(data).split(b"\0") if b"=" in pair)
            text = b""
            if answer[1] & 0x83 == 0x83:
                break
        else:
            raise ProtocolError("the login does not end")
        self.header_digest = self.settings.get("HeaderDigest") == "CRC32C"
        self.data_digest = self.settings.get("DataDigest") == "CRC32C"

    def login_header(self, isid):
        """A Login Request from the operational stage to the full feature phase."""
        header = bytearray(48)
        header[0], header[1] = 0x40 | LOGIN, 0x87
        header[8:14] = isid
        struct.pack_into(">IHHII", header, 16, self.tag, 0, 0, self.command_sn, self.expected_status_sn)
        return header

    def send_targets(self):
        """Every TargetName and TargetAddress of a discovery session, as pairs."""
        header = self.header(TEXT | 0x40, FINAL)
        struct.pack_into(">I", header, 20, NO_TAG)
        self.send(header, b"SendTargets=All\0")
        answer, data = self.receive_pdu()
        if answer[0] & 0x3F != TEXT_RESPONSE:
            raise ProtocolError(f"opcode {answer[0] & 0x3F:#x} in answer to SendTargets")
        return [tuple(pair.decode().split("=", 1)) for pair in bytes(data).split(b"\0") if pair]

    def logout(self):
        """Closes the session in order; returns the response code (0: closed)."""
        self.send(self.header(LOGOUT | 0x40, FINAL))
        while True:
            answer, _ = self.receive_pdu()
            if answer[0] & 0x3F == LOGOUT_RESPONSE:
                return answer[2]
            self.handle(answer, _)

    # ---- commands

    def command(self, cdb, lun=0, data=b"", read=0):
        """Runs one command to its end and returns its Task."""
        task = self.submit(cdb, lun, data, read)
        while not task.done:
            self.step()
        return task

    def submit(self, cdb, lun=0, data=b"", read=0):
        """Sends a command and what may be sent unasked; `step` moves it on. Waits while the command window is shut."""
        while (self.max_command_sn - self.command_sn) & NO_TAG >= 1 << 31:
            self.step()
        immediate = b""
        if data and self.settings["ImmediateData"] == "Yes":
            immediate = data[: min(int(self.settings["FirstBurstLength"]), int(self.settings["MaxRecvDataSegmentLength"]))]
        flags = FINAL | (WRITE_BIT if data else 0) | (READ_BIT if read else 0)
        header = self.header(COMMAND, flags, lun)
        task = Task(struct.unpack_from(">I", header, 16)[0], data, read)
        struct.pack_into(">I", header, 20, len(data) or read)
        header[32:48] = bytes(cdb).ljust(16, b"\0")
        self.tasks[task.tag] = task
        self.command_sn = self.command_sn + 1 & NO_TAG
        self.send(header, immediate)
        return task

    def header(self, opcode, flags, lun=0):
        """A header with fresh task tag and the current CmdSN and ExpStatSN."""
        self.tag = (self.tag + 1) % NO_TAG
        header = bytearray(48)
        header[0], header[1] = opcode, flags
        struct.pack_into(">H", header, 8, lun)
        struct.pack_into(">III", header, 16, self.tag, 0, 0)
        struct.pack_into(">II", header, 24, self.command_sn, self.expected_status_sn)
        return header

    def step(self):
        """Receives one PDU and acts on it; returns the task that it finished, if any."""
        return self.handle(*self.receive_pdu())

    def handle(self, header, data):
        opcode = header[0] & 0x3F
        tag, = struct.unpack_from(">I", header, 16)
        if opcode in (RESPONSE, DATA_IN, NOP_IN, TASK_RESPONSE, R2T, ASYNC, REJECT, LOGOUT_RESPONSE):
            self.max_command_sn = struct.unpack_from(">I", header, 32)[0]
        if opcode == REJECT:
            raise ProtocolError(f"Reject, reason {header[2]:#x}")
        if opcode == NOP_IN:
            return self.answer_ping(header, data)
        if opcode == ASYNC:
            self.count_status(header)
            return None
        task = self.tasks.get(tag)
        if task is None:
            raise ProtocolError(f"PDU {opcode:#x} for an unknown task {tag:#x}")
        if opcode == R2T:
            self.send_data(task, header)
        elif opcode == DATA_IN:
            offset, = struct.unpack_from(">I", header, 40)
            if offset != len(task.data_in):
                raise ProtocolError(f"Data-In at {offset}, expected {len(task.data_in)}")
            task.data_in += data
            if header[1] & 1:
                return self.finish(task, header)
        elif opcode == RESPONSE:
            if header[2]:
                raise ProtocolError(f"iSCSI response {header[2]:#x}")
            if len(data) >= 2:
                task.sense = bytes(data[2: 2 + struct.unpack_from(">H", data)[0]])
            return self.finish(task, header)
        else:
            raise ProtocolError(f"unexpected opcode {opcode:#x}")
        return None

    def finish(self, task, header):
        self.count_status(header)
        task.status = header[3]
        del self.tasks[task.tag]
        return task

    def count_status(self, header):
        status_sn, = struct.unpack_from(">I", header, 24)
        if status_sn != self.expected_status_sn:
            raise ProtocolError(f"StatSN {status_sn}, expected {self.expected_status_sn}")
        self.expected_status_sn = status_sn + 1 & NO_TAG

    def answer_ping(self, header, data):
        """Answers a NOP-In that asks for it."""
        if struct.unpack_from(">I", header, 16)[0] != NO_TAG:
            self.count_status(header)
        if header[20:24] != b"\xff" * 4:
            answer = self.header(NOP_OUT | 0x40, FINAL)
            answer[8:16] = header[8:16]
            answer[16:24] = b"\xff" * 4 + header[20:24]
            self.send(answer, bytes(data))

    def send_data(self, task, r2t):
        """Data-Out PDUs for one R2T."""
        target_tag = r2t[20:24]
        offset, length = struct.unpack_from(">II", r2t, 40)
        end = offset + length
        if not length or end > len(task.data_out):
            raise ProtocolError(f"R2T for {offset}..{end} of {len(task.data_out)} bytes")
        number = 0
        while offset < end:
            piece = task.data_out[offset: min(end, offset + int(self.settings["MaxRecvDataSegmentLength"]))]
            header = bytearray(48)
            header[0], header[1] = DATA_OUT, FINAL if offset + len(piece) == end else 0
            header[8:16] = r2t[8:16]
            struct.pack_into(">I4sII", header, 16, task.tag, target_tag, 0, self.expected_status_sn)
            struct.pack_into(">II", header, 36, number, offset)
            self.send(header, piece)
            offset, number = offset + len(piece), number + 1

    # ---- bytes

    def send(self, header, data=b"", spoil=None):
        """Sends a PDU with its digests; `spoil` ("header" or "data") makes that digest wrong."""
        header = bytearray(header)
        header[5:8] = len(data).to_bytes(3, "big")
        parts = [bytes(header)]
        if self.header_digest:
            parts.append(digest(header, spoil == "header"))
        if data:
            padded = bytes(data) + bytes(-len(data) % 4)
            parts.append(padded)
            if self.data_digest:
                parts.append(digest(padded, spoil == "data"))
        self.socket.sendall(b"".join(parts))

    def send_raw(self, data):
        """Sends these bytes and nothing else."""
        self.socket.sendall(data)

    def receive_pdu(self):
        """The next PDU as (header, data), its digests checked."""
        header = self.exactly(48)
        ahs = self.exactly(header[4] * 4)
        if self.header_digest and self.exactly(4) != digest(header + ahs):
            raise ProtocolError("wrong header digest")
        length = int.from_bytes(header[5:8], "big")
        data = self.exactly(length + -length % 4)
        if length and self.data_digest and self.exactly(4) != digest(data):
            raise ProtocolError("wrong data digest")
        return header, data[:length]

    def exactly(self, count):
        while len(self.buffer) < count:
            try:
                piece = self.socket.recv(1 << 18)
            except ConnectionError as error:
                raise Closed(str(error)) from None
            if not piece:
                raise Closed("end of stream")
            self.buffer += piece
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data


def crc_table():
    """CRC32C (Castagnoli, reflected) of every byte."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def digest(data, spoil=False):
    """The CRC32C of `data` as it stands on the wire; wrong on purpose with `spoil`."""
    crc = NO_TAG
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return struct.pack("<I", crc ^ NO_TAG ^ int(spoil))


def write10(block, count, fua=False):
    """The CDB of WRITE(10)."""
    return struct.pack(">BBIBHB", 0x2A, 8 if fua else 0, block, 0, count, 0)


def read10(block, count):
    """The CDB of READ(10)."""
    return struct.pack(">BBIBHB", 0x28, 0, block, 0, count, 0)


def synchronize_cache():
    """The CDB of SYNCHRONIZE CACHE(10) for the whole unit."""
    return struct.pack(">BBIBHB", 0x35, 0, 0, 0, 0, 0)


TEST_UNIT_READY = bytes(6)


def ready(session, lun=0):
    """Fetches pending unit attentions until the unit says GOOD; returns the session."""
    for _ in range(8):
        if session.command(TEST_UNIT_READY, lun).status == 0:
            return session
    raise ProtocolError("the unit does not become ready")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True, help="name of the target")
    parser.add_argument("--lun", type=int, default=0)
    parser.add_argument("--digests", action="store_true", help="header and data digests")
    options = parser.parse_args()
    with Session(options.port, options.name, options.digests) as session:
        ready(session, options.lun)
        data = random.randbytes(300 * 512)
        outcomes = [session.command(write10(8, 300), options.lun, data).status, session.command(synchronize_cache(), options.lun).status]
        same = bytes(session.command(read10(8, 300), options.lun, read=len(data)).data_in) == data
        print(f"digests {session.header_digest} {session.data_digest}; write, flush: {outcomes}; read back {'equal' if same else 'DIFFERENT'}")
        session.logout()
        agreed = session.header_digest and session.data_digest or not options.digests
        sys.exit(0 if same and agreed and not any(outcomes) else 1)


if __name__ == "__main__":
    main()
