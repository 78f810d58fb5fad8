#!/usr/bin/env python3
"""A TCP relay on 127.0.0.1 that remembers the bytes of both directions, to see what two programs really agreed on.

    with Tap(target.port) as tap: ... connect to tap.port ...; b"HeaderDigest=CRC32C" in tap.answers()
    interop/tap.py --to PORT                         relays until Ctrl-C and prints the login text of both sides
"""
import argparse
import re
import socket
import threading
import time

KEEP = 4 << 20  # bytes remembered of each connection


class Tap:
    """Relays every connection to `port`; keeps the first bytes of each."""

    def __init__(self, port):
        self.to = port
        self.kept = []  # for each connection, (direction, bytes) in order
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        self.lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with self.lock:
            for each in self.sockets:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                each.close()

    def requests(self):
        """Bytes that initiators sent."""
        return b"".join(data for pieces in self.connections() for direction, data in pieces if direction == "request")

    def answers(self):
        """Bytes that the target sent."""
        return b"".join(data for pieces in self.connections() for direction, data in pieces if direction == "answer")

    def connections(self):
        """For each connection the list of (direction, bytes), in order."""
        with self.lock:
            return [list(pieces) for pieces in self.kept]

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            with self.lock:
                self.sockets += [near, far]
                pieces = []
                self.kept.append(pieces)
            threading.Thread(target=self.copy, args=(near, far, "request", pieces), daemon=True).start()
            threading.Thread(target=self.copy, args=(far, near, "answer", pieces), daemon=True).start()

    def copy(self, source, sink, direction, pieces):
        try:
            while data := source.recv(1 << 16):
                with self.lock:
                    if sum(len(piece) for _, piece in pieces) + len(data) <= KEEP:
                        pieces.append((direction, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=int, required=True, help="port of the target on 127.0.0.1")
    options = parser.parse_args()
    with Tap(options.to) as tap:
        print(f"relaying 127.0.0.1:{tap.port} to {options.to}", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            for name, data in (("initiator", tap.requests()), ("target", tap.answers())):
                print(name, *re.findall(rb"[A-Za-z]{4,}=[!-~]+", data), sep="\n  ")


if __name__ == "__main__":
    main()
