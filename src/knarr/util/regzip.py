"""Gzip streams made again, bit for bit, from what they hold.

A deflate stream depends on the program that made it, and on its level. Of those that are at hand
here (zlib, as Python, Java and C programs use it, and ISA-L as knarr does) the one that made a
stream is found by trying: what it makes of the first `HEAD` bytes begins as the stream does, or it
is another one. Streams of gzip(1) and of programs in Go are by others, for which there is nothing
to be tried; see `docs/images.md` for how many that are.

A `Maker` is written down as the name of the deflater and the header: `zlib-9:1f8b08…`. Whether it
makes the very stream is known when it has made all of it: by its digest.
"""

from __future__ import annotations

from knarr.errors import Unsupported
from knarr.util.compression import fast_zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PIECE = 1 << 18  # ISA-L's output depends on the pieces it is given: all have this size
HEAD = 16 * PIECE  # of what compresses well it tells nothing before a buffer of its own is full

OWN = ("isal-3",)  # what we make ourselves, where there is ISA-L
EVERY = (*OWN, *(f"zlib-{level}" for level in (6, 9, 1, 5, 4, 3, 2, 7, 8)))

_MAGIC = b"\x1f\x8b\x08"
_FIXED = 10
_HEADER_CHECK, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_RAW = -15  # a window of 32 KiB, without header and trailer
_ENOUGH = 1 << 10  # bytes of output that two deflaters never have in common


def recognize(stream: bytes, contents: bytes, deflaters: tuple[str, ...] = EVERY) -> str:
    """Return the maker of a stream that begins with `stream` and holds `contents`, or "".

    `contents` are the first `HEAD` bytes, or all if there are fewer.
    """
    header = _header(stream)
    if header:
        for name in deflaters:
            deflater = _deflater(name)
            if deflater is not None and _begins(stream[len(header) :], deflater, contents):
                return f"{name}:{header.hex()}"
    return ""


def _begins(body: bytes, deflater: Any, contents: bytes) -> bool:
    """Tell whether a deflate stream begins with what `deflater` makes of `contents`."""
    made = b""
    for at in range(0, len(contents), PIECE):
        made += deflater.compress(contents[at : at + PIECE])
        if not body.startswith(made[: len(body)]):
            return False
    if len(contents) < HEAD:
        made += deflater.flush()
    elif len(made) < _ENOUGH:
        return False
    return body.startswith(made[: len(body)])


class Maker:
    """Makes a gzip stream as the maker did that `text` names. Used once."""

    def __init__(self, text: str) -> None:
        """Prepare. Raises: Unsupported, if that deflater is not at hand here"""
        name, _, header = text.partition(":")
        self._deflater = _deflater(name)
        if self._deflater is None:
            message = f"there is no {name} here to compress with"
            raise Unsupported(message)
        self._header = bytes.fromhex(header)
        self._checksum = 0
        self._size = 0

    def compress(self, data: bytes) -> bytes:
        """Take a piece, `PIECE` bytes long unless it is the last; return what is made by then."""
        header, self._header = self._header, b""
        self._checksum = fast_zlib().crc32(data, self._checksum)
        self._size += len(data)
        made: bytes = header + self._deflater.compress(data)
        return made

    def flush(self) -> bytes:
        """Return the end of the stream."""
        numbers = (self._checksum, self._size & 0xFFFFFFFF)
        trailer = b"".join([number.to_bytes(4, "little") for number in numbers])
        made: bytes = self._header + self._deflater.flush() + trailer
        return made


class Pieces:
    """Hands on what is written to it in pieces of `PIECE` bytes, the last one at `close`."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        """Give each piece to `take`."""
        self._take = take
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Take any number of bytes: many of those in a tar are small."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size < PIECE:
            return
        data = b"".join(self._waiting)
        whole = self._size - self._size % PIECE
        for at in range(0, whole, PIECE):
            self._take(data[at : at + PIECE])
        self._waiting = [data[whole:]]
        self._size -= whole

    def close(self) -> None:
        """Hand on what is left."""
        self._take(b"".join(self._waiting))
        self._waiting = []
        self._size = 0


def _deflater(name: str) -> Any:
    """Return what deflates as `name` says, None if it is not at hand here."""
    kind, _, level = name.partition("-")
    module = fast_zlib()
    if kind == "zlib":
        import zlib as module  # noqa: PLC0415 - only for who makes a stream again
    elif module.__name__ == "zlib":
        return None
    return module.compressobj(int(level), module.DEFLATED, _RAW)


def _header(stream: bytes) -> bytes:
    """Return the header that a stream begins with, nothing if it is no gzip stream.

    Spec: RFC 1952, 2.3
    """
    if len(stream) < _FIXED or not stream.startswith(_MAGIC):
        return b""
    flags, end = stream[3], _FIXED
    if flags & _EXTRA:
        end += 2 + int.from_bytes(stream[end : end + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = stream.find(b"\0", end) + 1
            if not end:
                return b""
    if flags & _HEADER_CHECK:
        end += 2
    return stream[:end]
