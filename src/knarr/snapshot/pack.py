"""Making an archive of a tree: equal trees, equal bytes.

Names come in the order of their bytes, directories before what is in them, owners as numbers,
times to the nanosecond. Nothing enters that is not part of the tree's content: no inode numbers, no
access times, no order of the file system's. Files with several names are stored under the first,
the others are hard links to it.

A file is stored in full, zeros for its holes, as image-spec asks; only one whose holes are so large
that nobody could want them stored (`/var/log/lastlog` of a user with the ID 4,000,000,000 claims
over a terabyte) is stored as sparse. Where its holes are is then found in units of the same size on
every file system, by looking at the content.

Sockets are left out, as everywhere: they mean something only to the process that made them.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.errors import Corrupt
from knarr.linux import xattr
from knarr.linux.tree import Walk
from knarr.snapshot import holes
from knarr.util import tar
from knarr.util.tarwriter import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.util.tarwriter import Sink

HUGE_HOLES = 1 << 24  # bytes not occupied, from which a file is stored as sparse
_SMALL = 1 << 16
_PIECE = 1 << 18
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME | os.O_NONBLOCK

_KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER_DEVICE,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}


class Packer:
    """Writes the tree below `root_fd` to `sink`. A subclass says what has a special meaning."""

    def __init__(self, root_fd: int, sink: Sink, *, latest_ns: int | None = None) -> None:
        """Prepare; `root_fd` stays the caller's. No time is written that is after `latest_ns`."""
        self._latest_ns = latest_ns
        self.root_fd = root_fd
        self.writer = Writer(sink)
        self.walk = Walk(root_fd)
        self._names: dict[tuple[int, int], bytes] = {}

    def pack(self) -> None:
        """Write everything and the end of the archive."""
        self.pack_tree()
        self.writer.close()

    def pack_tree(self) -> None:
        """Write everything; more may follow."""
        for path, directory_fd, name, status in self.walk:
            try:
                self.place(os.fsencode(path), directory_fd, name, status)
            except FileNotFoundError:
                continue  # the tree is in use, and this has gone since

    def place(self, path: bytes, directory_fd: int, name: str, status: os.stat_result) -> None:
        """Write what is called `name` in the open directory as `path`."""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        entry = self.entry(path, kind, status)
        if kind == tar.DIRECTORY:
            self.directory(entry, directory_fd, name)
            return
        key = (status.st_dev, status.st_ino)
        if self.is_further_name(status):
            entry.kind, entry.link = tar.HARD_LINK, self._names[key]
            self.writer.add(entry)
            return
        self._content(entry, directory_fd, name, status)
        if status.st_nlink > 1:
            self._names[key] = path

    def is_further_name(self, status: os.stat_result) -> bool:
        """Tell whether the file with `status` was written under another name."""
        return status.st_nlink > 1 and (status.st_dev, status.st_ino) in self._names

    def xattrs(self, target: int | str) -> dict[bytes, bytes]:
        """Return the extended attributes that are written."""
        return kept_xattrs(target)

    def entry(self, path: bytes, kind: bytes, status: os.stat_result) -> tar.Entry:
        """Return the entry for what has `status`, its time held down."""
        entry = entry_of(path, kind, status)
        if self._latest_ns is not None:
            entry.mtime_ns = min(entry.mtime_ns, self._latest_ns)
        return entry

    def _content(
        self, entry: tar.Entry, directory_fd: int, name: str, status: os.stat_result
    ) -> None:
        """Write what is neither a directory nor a further name of something."""
        kind = entry.kind
        if kind == tar.REGULAR:
            self.regular(entry, directory_fd, name, status)
            return
        if kind == tar.SYMLINK:
            entry.link = os.fsencode(os.readlink(name, dir_fd=directory_fd))
        entry.xattrs = self.xattrs(xattr.place(directory_fd, name))
        self.writer.add(entry)

    def directory(self, entry: tar.Entry, directory_fd: int, name: str) -> None:
        """Write a directory."""
        entry.name += b"/"
        entry.xattrs = self.xattrs(xattr.place(directory_fd, name))
        self.writer.add(entry)

    def regular(
        self, entry: tar.Entry, directory_fd: int, name: str, status: os.stat_result
    ) -> None:
        """Write a file with its content; `status` is what it was a moment ago."""
        descriptor = open_file(directory_fd, name)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return  # replaced since
            entry.xattrs = self.xattrs(descriptor)
            if status.st_size <= _SMALL:
                content = os.read(descriptor, _SMALL)
                entry.size = entry.stored = len(content)
                self.writer.add(entry, content)
            else:
                entry.size = entry.stored = status.st_size
                self._large(entry, descriptor, status)
        finally:
            os.close(descriptor)

    def _large(self, entry: tar.Entry, descriptor: int, status: os.stat_result) -> None:
        segments = [(0, entry.size)]
        if status.st_size - status.st_blocks * 512 >= HUGE_HOLES:
            segments = entry.segments = list(_content_segments(descriptor, status.st_size))
            entry.stored = sum(length for _, length in segments)
        self.writer.begin(entry)
        for offset, length in segments:
            for piece in read_exactly(descriptor, offset, length):
                self.writer.write(piece)
        self.writer.end()


def entry_of(path: bytes, kind: bytes, status: os.stat_result) -> tar.Entry:
    """Return the entry for what has `status`, without what is read elsewhere."""
    entry = tar.Entry(
        path,
        kind,
        status.st_mode & 0o7777,
        status.st_uid,
        status.st_gid,
        mtime_ns=status.st_mtime_ns,
    )
    if kind in (tar.CHARACTER_DEVICE, tar.BLOCK_DEVICE):
        entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return entry


def kept_xattrs(target: int | str) -> dict[bytes, bytes]:
    """Return the extended attributes that belong to the content.

    Overlay's are about this host's layers, and of the kernel's own (`security`) only capabilities
    mean something on another host.
    """
    if not xattr.names(target):
        return {}
    found = {os.fsencode(name): value for name, value in xattr.read_all(target).items()}
    for name in list(found):
        if name.startswith((b"trusted.overlay.", b"user.overlay.")) or (
            name.startswith(b"security.") and name != b"security.capability"
        ):
            del found[name]
    return found


def open_file(directory_fd: int, name: str) -> int:
    """Open a regular file for reading, without a trace in its access time if that is allowed."""
    try:
        return os.open(name, _READ, dir_fd=directory_fd)
    except PermissionError:
        return os.open(name, _READ & ~os.O_NOATIME, dir_fd=directory_fd)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ELOOP):  # a FIFO or a link by now
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error
        raise


def read_exactly(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes from `offset`, zeros for what was cut off since."""
    while length:
        piece = os.pread(descriptor, min(length, _PIECE), offset)
        if not piece:
            piece = bytes(min(length, _PIECE))
        offset += len(piece)
        length -= len(piece)
        yield piece


def _content_segments(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of what is not zero, in units that do not depend on the disk's."""
    unit = holes.WORTHWHILE
    zeros = bytes(unit)
    start = end = 0
    for offset, length in holes.find(descriptor, size):
        first = max(offset // unit * unit, end)
        for at in range(first, offset + length, unit):
            piece = os.pread(descriptor, unit, at)
            if piece == zeros[: len(piece)]:
                continue
            if at > end:
                if end > start:
                    yield start, end - start
                start = at
            end = min(at + unit, size)
    if end > start:
        yield start, end - start


def refuse_reserved(path: bytes) -> None:
    """Refuse names that a layer cannot hold.

    Raises: Corrupt
    """
    message = f"/{tar.shown(path)} cannot be in a layer: names that begin with .wh. are reserved"
    raise Corrupt(message, hint="Rename or remove the file before the layer is made.")
