"""A name server for tests: says what it is told to, for datagrams and streams, and counts."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from knarr.network import dns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.netns import Netns


class NameServer:
    """Answers for `names`; what it does not know does not exist. `deaf` ones never answer."""

    def __init__(self, names: Mapping[str, tuple[str, ...]], *, deaf: bool = False) -> None:
        self.asked: list[str] = []
        self.deaf = deaf
        hosts = tuple(((name,), addresses) for name, addresses in names.items())
        self._book = dns.Book((dns.Hosts("world", hosts),))

    def answer(self, message: bytes, *, stream: bool) -> bytes:
        query = dns.parse_query(message)
        assert query is not None
        self.asked.append(query.name)
        found = self._book.find(query)
        if found is None:
            return dns.failure(message, dns.NAME_ERROR)
        return dns.answer(message, query, found, room=65535 if stream else query.room)


@contextlib.contextmanager
def serving(server: NameServer, place: Netns) -> Iterator[NameServer]:
    """Let `server` answer at port 53 of a network namespace."""
    datagrams, listener = place.udp(53), place.serve(53)

    def on_datagrams() -> None:
        with contextlib.suppress(OSError):
            while True:
                message, asker = datagrams.recvfrom(65535)
                if not message:  # it was shut down
                    return
                if not server.deaf:
                    datagrams.sendto(server.answer(message, stream=False), asker)

    def on_streams() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    message = receive(connection)
                    said = server.answer(message, stream=True)
                    connection.sendall(struct.pack("!H", len(said)) + said)

    datagrams.settimeout(None)
    threads = [threading.Thread(target=one, daemon=True) for one in (on_datagrams, on_streams)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one in (datagrams, listener):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def receive(connection: socket.socket) -> bytes:
    """Return one message of a stream."""
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
        more = connection.recv(65535)
        assert more
        data += more
    return data[2:]


def question(name: str, kind: int = dns.A, *, number: int = 7, room: int = 0) -> bytes:
    """Return a question, with `room` one that says what it can take."""
    flags = 0x0100
    head = dns.header.pack(number, flags, 1, 0, 0, 1 if room else 0)
    body = head + dns.encode_name(name) + dns.question.pack(kind, dns.IN)
    return body + (b"\0" + dns.option.pack(dns.OPT, room, 0, 0) if room else b"")


def addresses(message: bytes) -> list[str]:
    """Return the addresses in an answer."""
    query_end = message.index(b"\0", dns.header.size) + 1 + dns.question.size
    count = dns.header.unpack_from(message)[3]
    position = query_end
    found = []
    for _ in range(count):
        _, kind, _, _, length = dns.record.unpack_from(message, position)
        position += dns.record.size
        raw = message[position : position + length]
        position += length
        if kind in (dns.A, dns.AAAA):
            family = socket.AF_INET if kind == dns.A else socket.AF_INET6
            found.append(socket.inet_ntop(family, raw))
    return found


def code(message: bytes) -> int:
    """Return what kind of answer it is."""
    return int(dns.header.unpack_from(message)[1]) & 0xF


def truncated(message: bytes) -> bool:
    """Tell whether there is more than fitted."""
    return bool(dns.header.unpack_from(message)[1] & 0x0200)
