"""Compressed streams: gzip, zstd, bzip2 and xz, told apart by how they begin.

Reading never takes more memory than a window, whatever a stream expands to. A stream that ends too
early, or goes on after its end with anything but zeros, is refused: half a layer must not look like
a whole one.
"""

from __future__ import annotations

from knarr.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Reader(Protocol):
        """What bytes are read from."""

        def read(self, size: int = -1, /) -> bytes:
            """Return at most `size` bytes, none at the end."""

    class Writer(Protocol):
        """What bytes are written to."""

        def write(self, data: bytes, /) -> object:
            """Take all of `data`."""


GZIP = "gzip"
ZSTD = "zstd"
BZIP2 = "bzip2"
XZ = "xz"
NONE = ""

MAGIC_SIZE = 6
_MAGICS = (
    (b"\x1f\x8b", GZIP),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
)
_CHUNK = 1 << 18
_GZIP_WINDOW = 31  # zlib's way to ask for the header and trailer of gzip
# What the zstd program accepts without being told otherwise.
_ZSTD_WINDOW = 1 << 27
_XZ_MEMORY = 1 << 28


def kind_of(start: bytes) -> str:
    """Return how a stream that begins with `start` is compressed; NONE if it is not.

    Skippable zstd frames (0x184D2A50 to …5F) count as zstd.
    """
    for magic, kind in _MAGICS:
        if start.startswith(magic):
            return kind
    if len(start) >= 4 and start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50:
        return ZSTD
    return NONE


class Peeked:
    """A stream whose first bytes were looked at, and are read again."""

    def __init__(self, reader: Reader, size: int = MAGIC_SIZE) -> None:
        """Look at the first `size` bytes of `reader`."""
        start = b""
        while len(start) < size and (data := reader.read(size - len(start))):
            start += data
        self.start = start
        self._rest = start
        self._reader = reader

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if not self._rest:
            return self._reader.read(size)
        if size < 0:
            data, self._rest = self._rest, b""
            return data + self._reader.read(size)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def open_any(reader: Reader) -> tuple[Reader, str]:
    """Return `reader` uncompressed, and how it was compressed."""
    peeked = Peeked(reader)
    kind = kind_of(peeked.start)
    return (decompress(peeked, kind) if kind else peeked), kind


def decompress(reader: Reader, kind: str) -> Reader:
    """Return a reader of what `reader` has compressed as `kind`.

    Raises: Corrupt, when read
    """
    if kind == GZIP:
        return _Streams(reader, GZIP, _gzip, tail="unconsumed_tail")
    if kind == ZSTD:
        return _Zstd(reader)
    if kind == BZIP2:
        return _Streams(reader, BZIP2, _bzip2)
    if kind == XZ:
        return _Streams(reader, XZ, _xz)
    return reader


def _gzip() -> Any:
    module = fast_zlib()
    return module.decompressobj(_GZIP_WINDOW)


def fast_zlib() -> Any:
    """Return ISA-L in the place of `zlib`, if it is here: it inflates 2.4 times as fast.

    Machines for which there is none have `zlib`.
    """
    try:
        from isal import isal_zlib  # noqa: PLC0415 - only for compressed streams
    except ImportError:  # pragma: no cover - depends on the machine
        import zlib  # noqa: PLC0415 - as above

        return zlib
    return isal_zlib


def _bzip2() -> Any:
    import bz2  # noqa: PLC0415 - only for compressed streams

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma  # noqa: PLC0415 - only for compressed streams

    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


_LIBRARIES = frozenset(("zlib", "igzip_lib", "builtins", "_lzma", "lzma"))


class _Streams:
    """One or more compressed streams, one after the other, as gzip(1) and its kin read them."""

    def __init__(
        self, reader: Reader, kind: str, make: Callable[[], Any], *, tail: str = ""
    ) -> None:
        self._reader = reader
        self._kind = kind
        self._make = make
        # Where the decompressor of zlib leaves what it had no room for; the others keep it.
        self._tail = tail
        self._decompressor: Any = make()
        self._input = b""
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        while size and not self._ended:
            if self._decompressor.eof and not self._next_stream():
                break
            data = self._decompress(size)
            if data:
                return data
        return b""

    def _decompress(self, size: int) -> bytes:
        decompressor, exhausted = self._decompressor, False
        if not self._input and getattr(decompressor, "needs_input", True):
            self._input = self._reader.read(_CHUNK)
            exhausted = not self._input
        try:
            data: bytes = decompressor.decompress(self._input, size)
        except Exception as error:
            # zlib.error, OSError and lzma.LZMAError, whose modules may not be loaded.
            if type(error).__module__ not in _LIBRARIES:
                raise
            message = f"the {self._kind} stream is damaged: {error}"
            raise Corrupt(message) from error
        self._input = getattr(decompressor, self._tail) if self._tail else b""
        # A decompressor that reads ahead may have something to give without further input.
        if exhausted and not data and not decompressor.eof:
            message = f"the {self._kind} stream ends too early"
            raise Corrupt(message)
        return data

    def _next_stream(self) -> bool:
        """Begin the next stream, if anything but zeros follows."""
        rest = self._decompressor.unused_data or self._input
        while True:
            rest = rest.lstrip(b"\0")
            if rest:
                break
            rest = self._reader.read(_CHUNK)
            if not rest:
                self._ended = True
                return False
        if len(rest) < MAGIC_SIZE:
            rest += self._reader.read(MAGIC_SIZE)
        if kind_of(rest) != self._kind:
            message = f"something follows the {self._kind} stream"
            raise Corrupt(message)
        self._decompressor, self._input = self._make(), rest
        return True


class _Zstd:
    """A zstd stream of one or more frames."""

    def __init__(self, reader: Reader) -> None:
        import zstandard  # noqa: PLC0415 - 15 ms, only for such streams

        self._error = zstandard.ZstdError
        self._frames = frames = _Frames(reader)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        source: Any = frames  # which the stubs think is a file
        self._stream = decompressor.stream_reader(source, read_size=_CHUNK, read_across_frames=True)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        try:
            data: bytes = self._stream.read(size)
        except self._error as error:
            message = f"the zstd stream is damaged: {error}"
            raise Corrupt(message) from error
        if not data and size and not self._frames.whole:
            message = "the zstd stream ends too early"
            raise Corrupt(message)
        return data


class _Frames:
    """Follows the frames and blocks of a zstd stream as it is read, to know whether it is whole.

    The library itself does not tell the end of a stream from its breaking off.

    Spec: RFC 8878, 3.1.1
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._skip = 0  # bytes of the frame that say nothing of its structure
        self._head = b""  # a part of the next header
        self._next: Callable[[bytes], tuple[int, Any]] = self._frame
        self._wanted = 4
        self._checksum = 0

    @property
    def whole(self) -> bool:
        """Tell whether what was read ends with a frame."""
        return not self._skip and not self._head and self._next == self._frame

    def read(self, size: int = -1, /) -> bytes:
        data = self._reader.read(size)
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(self._wanted - len(self._head), len(data) - position)
                self._head += data[position : position + step]
                if len(self._head) == self._wanted:
                    self._wanted, self._next = self._next(self._head)
                    self._head = b""
            position += step
        return data

    def _frame(self, magic: bytes) -> tuple[int, Any]:
        return (4, self._skippable) if magic[1:] == b"\x2a\x4d\x18" else (1, self._descriptor)

    def _skippable(self, size: bytes) -> tuple[int, Any]:
        self._skip = int.from_bytes(size, "little")
        return 4, self._frame

    def _descriptor(self, head: bytes) -> tuple[int, Any]:
        flags = head[0]
        single = flags >> 5 & 1
        content = (single, 2, 4, 8)[flags >> 6]
        self._skip = (1 - single) + (0, 1, 2, 4)[flags & 3] + content
        self._checksum = 4 if flags & 4 else 0
        return 3, self._block

    def _block(self, head: bytes) -> tuple[int, Any]:
        value = int.from_bytes(head, "little")
        last, kind, size = value & 1, value >> 1 & 3, value >> 3
        self._skip = 1 if kind == 1 else size  # a repeated byte is stored once
        if last:
            self._skip += self._checksum
            return 4, self._frame
        return 3, self._block


class Compressor:
    """Writes to `writer` what is written to it, compressed; whole only after `close`."""

    def __init__(self, writer: Writer, kind: str, *, level: int | None = None) -> None:
        """Compress as `kind`, GZIP or ZSTD, or pass on with NONE."""
        self._writer = writer
        self._compressor = compressor(kind, level)

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""
        self._writer.write(self._compressor.compress(data) if self._compressor else data)
        return len(data)

    def close(self) -> None:
        """Write what is left; `writer` stays open."""
        if self._compressor:
            self._writer.write(self._compressor.flush())
            self._compressor = None


def compressor(kind: str, level: int | None) -> Any:
    """Return what compresses as `kind`, with `compress` and `flush`; None for NONE."""
    if kind == GZIP:
        import zlib  # noqa: PLC0415 - only for compressed streams

        # No name and no time in the header: equal input gives equal bytes.
        return zlib.compressobj(6 if level is None else level, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    if kind == ZSTD:
        import zstandard  # noqa: PLC0415 - 15 ms, only for such streams

        level = 3 if level is None else level
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return None
