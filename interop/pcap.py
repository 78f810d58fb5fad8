"""Writes what a Tap saw as a pcap file, for decoders that others wrote: one TCP connection after another, in order."""
import struct

CHUNK = 16384  # payload of one packet; its length field has 16 bits


def write(path, connections, port):
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


def packet(file, near, far, payload, flags, syn=False):
    """One Ethernet frame with IPv4 and TCP; checksums are left to the imagination, as on a loopback device."""
    sequence, acknowledged = (0, 0) if syn else (near[1] & 0xFFFFFFFF, far[1] & 0xFFFFFFFF)
    tcp = struct.pack(">HHIIBBHHH", near[0], far[0], sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    address = b"\x7f\0\0\1"
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0x4000, 64, 6, 0, address, address)
    frame = bytes(12) + b"\x08\0" + ip + tcp + payload
    file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
