"""Traffic between two network namespaces, in plain sockets: who serves, and who measures.

    python -m benchmarks.traffic NETNS serve            until it is ended: ports 9001 and 9002
    python -m benchmarks.traffic NETNS flood ADDRESS PORT SECONDS    MB/s
    python -m benchmarks.traffic NETNS knock ADDRESS PORT SECONDS    connections a second
    python -m benchmarks.traffic NETNS ask NAME SECONDS              questions a second

NETNS is a file such as /proc/PID/ns/net. One process sends and one takes, as programs do; what is
compared is the way between them, for the same process is at both ends whoever made the way.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time

from knarr.linux import namespaces
from knarr.network import dns

TAKES, ANSWERS = 9001, 9002
_PIECE = 1 << 18
_REQUEST = b"x" * 100


def main(netns: str, what: str, *words: str) -> None:
    """Do what the command line says."""
    descriptor = os.open(netns, os.O_RDONLY)
    namespaces.setns(descriptor, namespaces.CLONE_NEWNET)
    if what == "serve":
        _serve()
    *where, seconds = words
    deed = {"flood": _flood, "knock": _knock, "ask": _ask}[what]
    print(f"{deed(*where, seconds=float(seconds)):.2f}")


def _serve() -> None:
    chooser = selectors.DefaultSelector()
    for port in (TAKES, ANSWERS):
        listener = socket.create_server(("", port), backlog=256)
        chooser.register(listener, selectors.EVENT_READ, port)
    print("ready", flush=True)
    buffer = bytearray(_PIECE)
    while True:
        for key, _ in chooser.select():
            if isinstance(key.data, int):
                connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                if key.data == TAKES:
                    chooser.register(connection, selectors.EVENT_READ)
                else:
                    with connection:
                        connection.sendall(connection.recv(len(_REQUEST)))
            elif not key.fileobj.recv_into(buffer):  # type: ignore[union-attr]
                chooser.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def _flood(address: str, port: str, *, seconds: float) -> float:
    """Return how many MB a second go through one connection."""
    piece = bytes(_PIECE)
    with socket.create_connection((address, int(port))) as connection:
        sent, begun = 0, time.monotonic()
        while (lasted := time.monotonic() - begun) < seconds:
            sent += connection.send(piece)
    return sent / lasted / 1e6


def _knock(address: str, port: str, *, seconds: float) -> float:
    """Return how many requests a second are answered, each in a connection of its own."""
    count, begun = 0, time.monotonic()
    while (lasted := time.monotonic() - begun) < seconds:
        with socket.create_connection((address, int(port))) as connection:
            connection.sendall(_REQUEST)
            if connection.recv(len(_REQUEST)) != _REQUEST:
                message = "something else came back"
                raise RuntimeError(message)
        count += 1
    return count / lasted


def _ask(name: str, *, seconds: float) -> float:
    """Return how many questions a second are answered, one after the other."""
    message = dns.header.pack(1, 0x0100, 1, 0, 0, 0) + dns.encode_name(name)
    message += dns.question.pack(dns.A, dns.IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(5)
        asker.connect(("127.0.0.11", 53))
        count, begun = 0, time.monotonic()
        while (lasted := time.monotonic() - begun) < seconds:
            asker.send(message)
            if not dns.parse_addresses(asker.recv(512))[1]:
                error = f"{name} has no address"
                raise RuntimeError(error)
            count += 1
    return count / lasted


if __name__ == "__main__":
    main(*sys.argv[1:])
