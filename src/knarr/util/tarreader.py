"""Whole archives, read from a stream.

    reader = Reader(stream)
    for entry in reader:
        for piece in reader.pieces():
            ...

What is not read of an entry is skipped. Reading stops at the end of the archive, which is a block
of zeros, or at the end of the stream between two entries; `drain` reads what may come after, so
that who computes a digest of the stream sees all of it.

Errors name the entry, or the one before when a header cannot be read.
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.util import tar, tarpax, tarsparse
from knarr.util.tar import BLOCK, ZEROS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol
else:
    Protocol = object

READ_SIZE = 1 << 18  # bytes asked for at once: they stay in the processor's cache

_MAX_RECORDS = 1 << 20  # bytes of PAX records or of a long name for one entry, as Go has it
_LONG_NAME = b"L"
_LONG_LINK = b"K"
_PAX = (b"x", b"X")
_PAX_GLOBAL = b"g"
_VOLUME_LABEL = b"V"
_KNOWN = (tar.REGULAR, *tar.WITHOUT_DATA)


class Source(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Reader:
    """The entries of the archive in `source`. At most `max_headers` of any type are read."""

    def __init__(self, source: Source, *, max_headers: int = 1 << 62) -> None:
        """Begin at the current position of `source`."""
        self._source = source
        self._buffer = b""
        self._at = 0
        self._left = 0  # bytes of the current entry still to come
        self._padding = 0
        self._headers_left = max_headers
        self._last = b""

    def __iter__(self) -> Iterator[tar.Entry]:
        """Yield the entries.

        Raises: Corrupt
        """
        while True:
            try:
                entry = self._next()
            except Corrupt as error:
                where = f"after {tar.shown(self._last)}" if self._last else "at the beginning"
                message = f"not a readable archive: {error} ({where})"
                raise Corrupt(message, hint=error.hint) from error
            if entry is None:
                return
            self._last = entry.name
            yield entry

    def content(self) -> bytes:
        """Return all that is stored of the current entry, which should be small."""
        size = self._left
        self._left = 0
        return self._take(size) if size else b""

    def pieces(self) -> Iterator[bytes]:
        """Yield what is stored of the current entry, in pieces of any size.

        Raises: Corrupt
        """
        while self._left:
            if self._at == len(self._buffer) and not self._more():
                where = tar.shown(self._last)
                message = f"not a readable archive: it ends too early (within {where})"
                raise Corrupt(message)
            piece = self._buffer[self._at : self._at + self._left]
            self._at += len(piece)
            self._left -= len(piece)
            yield piece

    @property
    def unread(self) -> int:
        """How many bytes were taken from the stream and not used yet."""
        return len(self._buffer) - self._at

    def drain(self) -> None:
        """Read the stream to its end."""
        self._buffer = b""
        while self._source.read(READ_SIZE):
            pass

    def _next(self) -> tar.Entry | None:
        records: tarpax.Records = []
        name = link = b""
        announced = False
        while True:
            block = self._header()
            if block is None:
                if announced:
                    message = "it ends before the file that a header announces"
                    raise Corrupt(message)
                return None
            entry = tar.parse_header(block)
            kind = entry.kind
            if kind in _KNOWN or kind == tarsparse.GNU_SPARSE:
                break
            announced |= kind not in (_PAX_GLOBAL, _VOLUME_LABEL)
            if kind in _PAX:
                records = tarpax.parse(self._meta(entry))
            elif kind == _LONG_NAME:
                name = self._meta(entry).rstrip(b"\0")
            elif kind == _LONG_LINK:
                link = self._meta(entry).rstrip(b"\0")
            elif kind == _PAX_GLOBAL:
                tarpax.parse(self._meta(entry))
            elif kind != _VOLUME_LABEL:
                message = f"{tar.shown(entry.name)} is of the unknown type {kind!r}"
                raise Corrupt(message)
        if name:
            entry.name = name
        if link:
            entry.link = link
        return self._complete(entry, records, block)

    def _complete(self, entry: tar.Entry, records: tarpax.Records, block: bytes) -> tar.Entry:
        """Apply what came before and after the header, and find out where the data are."""
        sparse = entry.kind == tarsparse.GNU_SPARSE
        if records:
            tarpax.amend(entry, records)
        if sparse:
            numbers, more = tarsparse.header_segments(entry, block)
            while more:
                further, more = tarsparse.block_segments(self._take(BLOCK))
                numbers += further
                if len(numbers) > 2 * tarsparse.MAX_SEGMENTS:
                    message = "the map of a sparse file is too large"
                    raise Corrupt(message)
            entry.kind = tar.REGULAR
            tarsparse.set_segments(entry, numbers)
        elif entry.segments == [] and entry.stored:
            self._left = entry.stored
            numbers, used = tarsparse.read_map(self._block_of_data)
            entry.stored -= used
            tarsparse.set_segments(entry, numbers)
        if not entry.name or b"\0" in entry.name or b"\0" in entry.link:
            message = "an entry has no name, or one with a NUL in it"
            raise Corrupt(message)
        self._left = entry.stored
        self._padding = -entry.stored % BLOCK
        return entry

    def _header(self) -> bytes | None:
        """Return the next header, None at the end."""
        skip = self._left + self._padding
        if skip and not self._skip(skip):
            return None
        at = self._at
        block = self._buffer[at : at + BLOCK]
        if len(block) < BLOCK:
            if not block and not self._more():
                return None  # without the two blocks of zeros: as GNU tar, with a warning
            block = self._take(BLOCK)
        else:
            self._at = at + BLOCK
        if block == ZEROS:
            return None
        self._headers_left -= 1
        if self._headers_left < 0:
            message = "it has too many entries"
            raise Corrupt(message)
        return block

    def _meta(self, entry: tar.Entry) -> bytes:
        """Return the data of an entry that describes the next one."""
        if entry.size > _MAX_RECORDS:
            message = f"{entry.size} bytes of header for one file"
            raise Corrupt(message)
        data = self._take(entry.size)
        self._padding = -entry.size % BLOCK
        return data

    def _block_of_data(self) -> bytes:
        self._left -= BLOCK
        if self._left < 0:
            message = "the map of a sparse file is longer than its data"
            raise Corrupt(message)
        return self._take(BLOCK)

    def _take(self, size: int) -> bytes:
        """Return exactly `size` bytes."""
        end = self._at + size
        while end > len(self._buffer):
            self._fill()
            end = self._at + size
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def _skip(self, size: int) -> bool:
        """Pass over `size` bytes, and tell whether the archive goes on behind them.

        The padding of the last file may be missing. Docker: the context of `build -f` with a file
        from elsewhere ends so
        """
        padding = self._padding
        self._left = self._padding = 0
        while size > len(self._buffer) - self._at:
            size -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            if size > padding:
                self._fill()
            elif not self._more():
                return False
        self._at += size
        return True

    def _fill(self) -> None:
        """Read more.

        Raises: Corrupt
        """
        if not self._more():
            message = "it ends too early"
            raise Corrupt(message)

    def _more(self) -> bool:
        data = self._source.read(READ_SIZE)
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0
        return bool(data)
