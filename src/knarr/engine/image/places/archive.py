"""Archives of images as files by name: a tar, of which every file can be read at any time.

What can be read again (a file that is not compressed) is read where it lies. Everything else (a
pipe, a compressed file) is written to a file without a name in the store, which is gone with the
process.

No file of an archive is ever written under its name, so names can do no harm; those that could in
another program are refused all the same.
"""

from __future__ import annotations

import os
import stat

from knarr.engine.image.places.growth import USUAL, open_any
from knarr.errors import Corrupt, InvalidArgument
from knarr.util import compression, tar
from knarr.util.files import write_all
from knarr.util.tarreader import Reader as TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.engine.image.places.growth import Growth
    from knarr.util.compression import Reader

_MAX_ENTRIES = 200_000
_MAX_LINKS = 16


class Archive:
    """The files in a tar. Used as a context, which keeps its file open."""

    def __init__(self, descriptor: int) -> None:
        """Take over `descriptor`, from which everything is read."""
        self._descriptor = descriptor
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return self._find(name) is not None

    def size(self, name: str) -> int:
        """Return the size of a file.

        Raises: Corrupt
        """
        return self._get(name)[1]

    def open(self, name: str) -> Slice:
        """Return a file, opened for reading.

        Raises: Corrupt
        """
        offset, size = self._get(name)
        return Slice(self._descriptor, offset, size)

    def read(self, name: str, limit: int) -> bytes:
        """Return the contents of a small file.

        Raises: Corrupt
        """
        if self.size(name) > limit:
            message = f"{name} has {self.size(name)} bytes, more than {limit}"
            raise Corrupt(message)
        return self.open(name).read()

    def _get(self, name: str) -> tuple[int, int]:
        found = self._find(name)
        if found is None:
            message = f"the archive has no {name}"
            raise Corrupt(message)
        return found

    def _find(self, name: str) -> tuple[int, int] | None:
        name = os.path.normpath(name)
        for _ in range(_MAX_LINKS):
            if name not in self._links:
                return self._files.get(name)
            name = self._links[name]
        return None

    def add(self, entry: tar.Entry, offset: int) -> None:
        """Note what lies at `offset`.

        Raises: InvalidArgument
        """
        name = _checked(entry, os.fsdecode(entry.name))
        if entry.kind == tar.DIRECTORY:
            return
        if name in self._files or name in self._links:
            raise _refusal(entry, "occurs twice")
        if entry.kind == tar.REGULAR and entry.segments is None:
            self._files[name] = offset, entry.size
        elif entry.kind == tar.SYMLINK:
            target = os.path.join(os.path.dirname(name), os.fsdecode(entry.link))
            self._links[name] = _checked(entry, target)
        elif entry.kind == tar.HARD_LINK:
            self._links[name] = _checked(entry, os.fsdecode(entry.link))
        else:
            raise _refusal(entry, "is neither a file nor a directory nor a link")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Return the archive."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


class Slice:
    """A part of a file, read from its own position, so that several can be read at once."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        """Begin at `offset`; the descriptor stays the caller's."""
        self._descriptor = descriptor
        self._offset = offset
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        size = self._left if size < 0 else min(size, self._left)
        if not size:
            return b""
        data = os.pread(self._descriptor, size, self._offset)
        if not data:
            message = "the archive became shorter while it was read"
            raise Corrupt(message)
        if len(data) < size and size == self._left:
            self._offset += len(data)
            self._left -= len(data)
            return data + self.read()
        self._offset += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Do nothing: the file is the archive's."""


def open_archive(stream: Reader, spool_dir: str, *, growth: Growth = USUAL) -> Archive:
    """Return the archive in `stream`, whatever it is compressed with.

    Raises: InvalidArgument, Corrupt
    """
    peeked = compression.Peeked(stream)
    if not peeked.start:
        message = "the archive is empty"
        raise InvalidArgument(message)
    kind = compression.kind_of(peeked.start)
    descriptor = -1 if kind else reopened(stream, len(peeked.start))
    if descriptor >= 0:
        return _index(descriptor, _Rest(descriptor), kept=True)
    descriptor = spool_file(spool_dir)
    source, _ = open_any(peeked, growth, "the archive")
    return _index(descriptor, _Spooling(source, descriptor), kept=False)


def spool_file(directory: str) -> int:
    """Return a descriptor of a new file in `directory` that has no name."""
    os.makedirs(directory, 0o700, exist_ok=True)
    return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


class _Rest:
    """What a file has from its current position on, without moving that."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.start = self.position = os.lseek(descriptor, 0, os.SEEK_CUR)

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._descriptor, size, self.position)
        self.position += len(data)
        return data


class _Spooling:
    """Writes to a file what is read."""

    def __init__(self, source: Reader, descriptor: int) -> None:
        self._source = source
        self._descriptor = descriptor
        self.start = self.position = 0

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        write_all(self._descriptor, data)
        self.position += len(data)
        return data


def reopened(stream: Reader, used: int) -> int:
    """Return a descriptor of the file that `stream` reads, -1 if it cannot be read at will.

    `used` bytes were read from it already, by way of a buffer or not.
    """
    fileno = getattr(stream, "fileno", None)
    tell = getattr(stream, "tell", None)
    if fileno is None or tell is None:
        return -1
    try:
        if not stat.S_ISREG(os.fstat(fileno()).st_mode):
            return -1
        position = tell() - used
        descriptor = os.open(f"/proc/self/fd/{fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a stream that only pretends to be a file
        return -1
    os.lseek(descriptor, position, os.SEEK_SET)
    return descriptor


def _index(descriptor: int, source: _Rest | _Spooling, *, kept: bool) -> Archive:
    archive = Archive(descriptor)
    try:
        reader = TarReader(source, max_headers=_MAX_ENTRIES)
        for entry in reader:
            archive.add(entry, source.position - reader.unread)
        if not kept:
            reader.drain()
    except BaseException:
        archive.close()
        raise
    return archive


def _checked(entry: tar.Entry, path: str) -> str:
    """Return `path` in its simplest form, if it stays within the archive."""
    name = os.path.normpath(path)
    if path.startswith("/") or name == ".." or name.startswith("../"):
        raise _refusal(entry, "points outside of the archive")
    return name


def _refusal(entry: tar.Entry, reason: str) -> InvalidArgument:
    message = f"unsafe archive: {tar.shown(entry.name)} {reason}"
    return InvalidArgument(message)
