"""Whole archives, written to a stream.

    writer = Writer(stream)
    writer.add(entry, content)                  a small file, or anything without data
    writer.begin(entry)                         a large one:
    writer.write(piece)                         as often as needed
    writer.end()
    writer.close()

The order of the entries is the caller's; everything else is decided here and depends on nothing but
the entries. Small pieces are collected, so that the stream sees few and large writes.
"""

from __future__ import annotations

from knarr.util import tar, tarpax, tarsparse
from knarr.util.tar import BLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

WRITE_SIZE = 1 << 18

_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


class Sink(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


class Writer:
    """Writes an archive to `sink`, which stays the caller's to close."""

    def __init__(self, sink: Sink) -> None:
        """Begin."""
        self._sink = sink
        self._waiting: list[bytes] = []
        self._size = 0
        self._left = 0
        self._padding = b""

    def add(self, entry: tar.Entry, content: bytes = b"") -> None:
        """Write an entry with all its data."""
        header = render_header(entry)
        waiting = self._waiting
        waiting.append(header)
        self._size += len(header)
        if content:
            padding = _PADDING[len(content) % BLOCK]
            waiting.append(content)
            waiting.append(padding)
            self._size += len(content) + len(padding)
        if self._size >= WRITE_SIZE:
            self._flush()

    def begin(self, entry: tar.Entry) -> None:
        """Write the headers of an entry whose `stored` bytes of data follow."""
        if entry.segments is None:
            self._put(render_header(entry))
            self._left = entry.stored
        else:
            sparse_map = tarsparse.render_map(entry.segments, entry.size)
            self._left = entry.stored
            entry.stored += len(sparse_map)
            self._put(render_header(entry) + sparse_map)
            entry.stored = self._left
        self._padding = _PADDING[entry.stored % BLOCK]

    def write(self, piece: bytes) -> None:
        """Write some of the data announced by `begin`, never more."""
        self._left -= len(piece)
        if self._left < 0:
            message = "more data than the header says"
            raise ValueError(message)
        self._put(piece)

    def end(self) -> None:
        """Finish the entry."""
        if self._left:
            message = "less data than the header says"
            raise ValueError(message)
        self._put(self._padding)

    def close(self) -> None:
        """Write the end of the archive."""
        self._put(bytes(2 * BLOCK))
        self._flush()

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= WRITE_SIZE:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._waiting) if len(self._waiting) != 1 else self._waiting[0]
        self._waiting.clear()
        self._size = 0
        self._sink.write(data)


def render_header(entry: tar.Entry) -> bytes:
    """Return the headers of an entry: PAX records if need be, then one block."""
    records = tarpax.records_of(entry)
    if not records:
        return tar.render_block(entry)
    data = tarpax.render(records)
    name = b"PaxHeaders/" + tar.ascii_of(entry.name.rstrip(b"/"))[-80:]
    pax = tar.Entry(name, b"x", size=len(data))
    return tar.render_block(pax) + data + _PADDING[len(data) % BLOCK] + tar.render_block(entry)
