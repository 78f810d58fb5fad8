"""Writes what a Tap saw as a pcap file, one TCP connection after another, in order; has tshark decode it."""
import struct
import subprocess

import peers

PORT = 3260  # where tshark expects iSCSI
INQUIRY = "0x12"
CHUNK = 16384  # payload of one packet; its length field has 16 bits


def write(path, connections, port=PORT):
    """`connections`: for each, the list of (direction, bytes) in order; `port`: the server's, as decoders know it."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, pieces in enumerate(connections):
            ends = {"request": [40000 + number, 1], "answer": [port, 1]}
            packet(file, ends["request"], ends["answer"], b"", 0x02, syn=True)
            packet(file, ends["answer"], ends["request"], b"", 0x12, syn=True)
            for direction, data in pieces:
                near = ends[direction]
                far = ends["answer" if direction == "request" else "request"]
                for start in range(0, len(data), CHUNK):
                    piece = data[start:start + CHUNK]
                    packet(file, near, far, piece, 0x18)
                    near[1] += len(piece)


def decode(path, limit=60.0):
    """The opcodes in a capture; fails when tshark finds a malformed packet or a protocol error in it."""
    names = ("iscsi.opcode", "scsi_sbc.opcode", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message")
    fields = ["-T", "fields", *(part for name in names for part in ("-e", name))]
    command = [peers.find("tshark"), "-n", "-r", path, "-o", "tcp.check_checksum:FALSE", "-Y", "iscsi", *fields]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise AssertionError(f"tshark: {done.stderr[-800:]}")
    opcodes = set()
    for line in done.stdout.splitlines():
        codes, commands, malformed, severity, message = (line.split("\t") + [""] * 5)[:5]
        if malformed.startswith("[Malformed Packet: SCSI]") and commands == INQUIRY:
            continue  # it cannot read INQUIRY data that the allocation length cut short
        if malformed or any(each and int(each) >= 0x800000 for each in severity.split(",")):
            raise AssertionError(f"{codes}: {malformed} {message}: {line}")
        opcodes |= {int(code, 0) for code in codes.split(",") if code}
    return opcodes


def packet(file, near, far, payload, flags, syn=False):
    """One Ethernet frame with IPv4 and TCP; checksums are left to the imagination, as on a loopback device."""
    sequence, acknowledged = (0, 0) if syn else (near[1] & 0xFFFFFFFF, far[1] & 0xFFFFFFFF)
    tcp = struct.pack(">HHIIBBHHH", near[0], far[0], sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    address = b"\x7f\0\0\1"
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0x4000, 64, 6, 0, address, address)
    frame = bytes(12) + b"\x08\0" + ip + tcp + payload
    file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
