"""How to make a layer's tar again, bit for bit, from its tree.

Of one tree there are many tars: archivers differ in order, padding, dialect and whom they name. A
layer that came as an uncompressed tar has to be given on as the same bytes, since its diff ID is in
the image's config. Keeping the tar beside the tree would take twice the disk; but all that the tree
does not have are the headers. A *recipe* is the tar with the contents of files replaced by their
names: some 20 bytes an entry, compressed.

A recipe is a zstd stream of steps:

    00 size bytes           these bytes
    01 size length name     the contents of the file `name` of the tree, which has `size` bytes

where size and length are numbers in base 128, the low digits first, each byte but the last with its
high bit set.

`Recorder` makes one while a layer is unpacked, knowing no more of tar than it needs to find the
contents. It may be wrong about an entry (a name that occurs twice, say): so a recipe is tried once
before it is trusted.
"""

from __future__ import annotations

import os

from knarr.errors import Corrupt
from knarr.linux import path as paths
from knarr.oci.digest import Digest, hasher
from knarr.util import tar, tarpax
from knarr.util.compression import ZSTD, Compressor, decompress
from knarr.util.tar import BLOCK, ZEROS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.digest import Reader
    from knarr.util.compression import Writer

BYTES = 0
FILE = 1

_INLINE = 256  # the contents of smaller files are in the recipe: less than opening them costs
_FLUSH = 1 << 16
_CHUNK = 1 << 18
_MAX_META = 1 << 20
_LONG_NAME = b"L"
_GNU_SPARSE = b"S"
_CONTENTS = (b"0", b"\0", b"7")


class Recorder:
    """Hands on a tar as it is read, and writes its recipe."""

    def __init__(self, source: Reader) -> None:
        """Read from `source`."""
        self._source = source
        self.size = 0
        self._recipe = bytearray()
        self._compressor = Compressor(self, ZSTD)
        self._waiting: list[bytes] = []
        self._size = 0
        self._head = b""
        self._plain = 0  # bytes to come that the recipe holds
        self._dropped = 0  # bytes to come that the tree holds
        self._meta: list[bytes] | None = None  # what of the bytes to come describes the next entry
        self._kind = b""
        self._meta_size = 0
        self._name = b""
        self._records: dict[bytes, bytes] = {}
        self._sparse_size = -1  # of a sparse file whose map goes on
        self._over = False

    def write(self, data: bytes, /) -> None:
        """Take a piece of the compressed recipe."""
        self._recipe += data

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        data = self._source.read(size)
        at, end = 0, len(data)
        self.size += end
        while at < end:
            if self._over:
                self._keep(data[at:])
                break
            if self._dropped:
                step = min(self._dropped, end - at)
                self._dropped -= step
            elif self._plain:
                step = min(self._plain, end - at)
                self._plain -= step
                self._pass(data[at : at + step])
            else:
                step = min(BLOCK - len(self._head), end - at)
                self._head += data[at : at + step]
                if len(self._head) == BLOCK:
                    block, self._head = self._head, b""
                    self._block(block)
            at += step
        return data

    def finish(self) -> bytes:
        """Return the recipe of what was read."""
        self._keep(self._head)
        self._head = b""
        self._flush()
        self._compressor.close()
        return bytes(self._recipe)

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        if self._size > _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if self._size:
            step = (b"\0", _number(self._size), *self._waiting)
            self._compressor.write(b"".join(step))
            self._waiting.clear()
            self._size = 0

    def _pass(self, data: bytes) -> None:
        """Keep a part of the contents of an entry."""
        self._keep(data)
        if self._meta is not None:
            self._meta.append(data)
            if not self._plain:
                self._described(b"".join(self._meta))
                self._meta = None

    def _described(self, data: bytes) -> None:
        """Learn what an entry says about the next one."""
        data = data[: self._meta_size]
        try:
            if self._kind == _LONG_NAME:
                self._name = data.rstrip(b"\0")
            else:
                self._records = dict(tarpax.parse(data))
        except Corrupt:
            self._over = True

    def _block(self, block: bytes) -> None:
        self._keep(block)
        if self._sparse_size >= 0:
            # The map of a sparse file in GNU's dialect: the byte at 504 says whether it goes on.
            if not block[504]:
                self._expect(self._sparse_size)
                self._sparse_size = -1
        elif block == ZEROS:
            self._over = True
        else:
            try:
                self._header(block)
            except Corrupt:  # whoever unpacks this says so
                self._over = True

    def _header(self, block: bytes) -> None:
        """Learn from a header what comes: no more of it is looked at than that takes."""
        kind = block[156:157]
        size = tar.length(tar.number(block[124:136]))
        if kind in (b"x", b"X", _LONG_NAME):
            self._describing(kind, size)
            return
        if kind in (b"K", b"g", b"V"):
            self._expect(size)
            return
        records, self._records = self._records, {}
        name, self._name = self._name or records.get(b"path") or _name(block), b""
        if kind in tar.WITHOUT_DATA or (kind in _CONTENTS[1:] and name.endswith(b"/")):
            return
        if b"size" in records:
            size = tar.length(tarpax.integer(records[b"size"]))
        if kind == _GNU_SPARSE and block[482]:
            self._sparse_size = size
        elif kind in _CONTENTS and not any(key.startswith(b"GNU.sparse.") for key in records):
            self._contents(name, size)
        else:
            self._expect(size)

    def _describing(self, kind: bytes, size: int) -> None:
        """Expect what an entry says about the next one."""
        if size > _MAX_META:
            self._over = True
            return
        self._kind, self._meta_size = kind, size
        self._expect(size)
        if size:
            self._meta = []
        else:
            self._described(b"")

    def _expect(self, size: int) -> None:
        """Expect contents that the recipe holds."""
        self._plain = size + -size % BLOCK

    def _contents(self, name: bytes, size: int) -> None:
        """Expect the contents of a file of the tree."""
        name = os.path.normpath(name.lstrip(b"/"))
        if size < _INLINE or b".wh." in name:
            self._expect(size)
            return
        self._flush()
        self._compressor.write(b"\1" + _number(size) + _number(len(name)) + name)
        self._dropped = size
        self._plain = -size % BLOCK


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[257:265] == b"ustar\x0000" and block[345]:
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def replay(recipe: Reader, tree: str, out: Writer) -> Digest:
    """Write the tar that `recipe` describes, with files of the directory `tree`.

    Return its digest, by which the caller knows whether it is the right one.

    Raises: Corrupt
    """
    digest = hasher()
    root_fd = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        steps = _Steps(decompress(recipe, ZSTD))
        while (kind := steps.kind()) is not None:
            size = steps.number()
            pieces = steps.take(size) if kind == BYTES else _file(root_fd, steps, size)
            for piece in pieces:
                digest.update(piece)
                out.write(piece)
    finally:
        os.close(root_fd)
    return Digest(f"sha256:{digest.hexdigest()}")


def _file(root_fd: int, steps: _Steps, size: int) -> _Contents:
    name = b"".join(steps.take(steps.number()))
    return _Contents(root_fd, name, size)


class _Contents:
    """The contents of a file, in pieces."""

    def __init__(self, root_fd: int, name: bytes, size: int) -> None:
        self._name = name
        self._left = size
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            self._descriptor = paths.open_in_root(root_fd, name, flags)
        except OSError as error:
            message = f"the tree has no file {tar.shown(name)}"
            raise Corrupt(message) from error

    def __iter__(self) -> _Contents:
        return self

    def __next__(self) -> bytes:
        data = os.read(self._descriptor, min(self._left, _CHUNK)) if self._left else b""
        self._left -= len(data)
        if data:
            return data
        os.close(self._descriptor)
        if self._left:
            message = f"{tar.shown(self._name)} in the tree is shorter than it was"
            raise Corrupt(message)
        raise StopIteration


class _Steps:
    """Reads a recipe."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._buffer = b""
        self._at = 0

    def kind(self) -> int | None:
        """Return what the next step is, None at the end.

        Raises: Corrupt
        """
        if self._at == len(self._buffer) and not self._fill():
            return None
        kind = self._byte()
        if kind not in (BYTES, FILE):
            message = "the recipe of a layer is damaged"
            raise Corrupt(message)
        return kind

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def take(self, size: int) -> list[bytes]:
        """Return the next `size` bytes, in pieces.

        Raises: Corrupt
        """
        pieces = []
        while size:
            if self._at == len(self._buffer) and not self._fill():
                raise _broken_off()
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces

    def _byte(self) -> int:
        if self._at == len(self._buffer) and not self._fill():
            raise _broken_off()
        self._at += 1
        return self._buffer[self._at - 1]

    def _fill(self) -> bool:
        self._buffer = self._reader.read(_CHUNK)
        self._at = 0
        return bool(self._buffer)


def _broken_off() -> Corrupt:
    return Corrupt("the recipe of a layer ends too early")


def _number(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
