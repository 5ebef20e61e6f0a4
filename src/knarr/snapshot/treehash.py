"""Digests of what is in a tree, for the keys of a build cache.

Two trees that copying would make the same have the same digest: content, type, mode, link targets,
devices and extended attributes count, owners if asked for; times and names of one file (hard links)
do not.

Reading a build context again for every build costs seconds. A `StatCache` remembers the digest of a
file's content by what lstat(2) says about it: device, inode, size, mtime and ctime. ctime cannot be
set by anyone, so equal values mean the same content, but for one case: a file changed twice within
the resolution of the clock that stamps it. A file is therefore remembered only when its ctime is
older than that resolution at the moment it was read.

What is digested is a *listing*, one entry a file. Whoever keeps the listings of two trees can tell
in which files they differ: `read_listing`.
"""

from __future__ import annotations

import os
import stat
import struct
import time

from knarr.linux import path as paths
from knarr.linux import xattr
from knarr.linux.tree import Walk
from knarr.oci.digest import Digest, hasher
from knarr.snapshot.contents import SMALL, key_of
from knarr.snapshot.copy import SKIP, TAKE
from knarr.snapshot.pack import kept_xattrs, open_file
from knarr.util.threadedhash import digest_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from knarr.snapshot.contents import Contents, Key
    from knarr.snapshot.copy import Select

    Keep = Callable[[Digest, bytes], None]

_TICK = 20_000_000  # nanoseconds; twice the coarsest clock of a kernel (CONFIG_HZ=100)
_COARSE = 2_000_000_000  # for file systems that keep whole seconds (FAT: two of them)
_row = struct.Struct("=QQQqq32s")
_TOGETHER = 4096  # entries that are digested at once
LISTING_LIMIT = 8 << 20  # bytes of a listing that is handed on; about 100,000 files


class StatCache:
    """Digests of files by their stat. The caller keeps it between runs: `load` and `dump`."""

    def __init__(self) -> None:
        """Begin empty."""
        self._known: dict[Key, bytes] = {}
        self._used: dict[Key, bytes] = {}

    def load(self, data: bytes) -> None:
        """Take over what `dump` returned; anything else is ignored."""
        if len(data) % _row.size == 0:
            self._known = {row[:5]: row[5] for row in _row.iter_unpack(data)}

    def dump(self) -> bytes:
        """Return what was asked for or put since it was loaded."""
        return b"".join(_row.pack(*key, digest) for key, digest in self._used.items())

    def find(self, status: os.stat_result) -> bytes | None:
        """Return the digest of the file that has `status`."""
        key = key_of(status)
        found = self._known.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def put(self, status: os.stat_result, digest: bytes, read_ns: int) -> None:
        """Remember a file that was read at `read_ns`, unless it may change unseen yet."""
        coarse = not status.st_ctime_ns % 1_000_000_000
        if status.st_ctime_ns < read_ns - (_COARSE if coarse else _TICK):
            key = key_of(status)
            self._known[key] = self._used[key] = digest


def tree_digest(
    root_fd: int,
    source_paths: Sequence[str],
    *,
    owners: bool = False,
    select: Select | None = None,
    cache: StatCache | None = None,
    keep: Keep | None = None,
    contents: Contents | None = None,
) -> Digest:
    """Return the digest of what is at `source_paths` below `root_fd`, in their order.

    The paths themselves do not count, only what is found there. `select` as in `copy.CopyOptions`;
    a directory that is only searched counts if something below it does. `keep` gets the digest
    with its listing, unless that is longer than `LISTING_LIMIT`. `contents` gets what was read of
    small files.

    FileNotFoundError if something is missing.
    """
    hashing = _Hashing(owners=owners, select=select, cache=cache or StatCache(), contents=contents)
    for path in source_paths:
        descriptor = paths.open_in_root(root_fd, path, os.O_PATH)
        try:
            hashing.add(root_fd, path, descriptor)
        finally:
            os.close(descriptor)
    return hashing.finish(keep)


def read_listing(listing: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the path of each entry with its description; a tree of one file has an empty path.

    A description is mode (octal), owner and group as `100644 0 0 `, and the content, or begins with
    `link ` for a symbolic link, whose owners and target follow.
    """
    at = 0
    while at < len(listing):
        head = listing.index(b" ", at)
        body = listing.index(b" ", head + 1)
        name_end = body + 1 + int(listing[at:head])
        end = name_end + int(listing[head + 1 : body])
        if end > name_end:  # else another of the source paths begins
            yield os.fsdecode(listing[body + 1 : name_end]), listing[name_end:end]
        at = end + 1


class _Hashing:
    def __init__(
        self, *, owners: bool, select: Select | None, cache: StatCache, contents: Contents | None
    ) -> None:
        self._hash = hasher()
        self._entries: list[bytes] = []
        self._listing: list[bytes] | None = []
        self._length = 0
        self._owners = owners
        self._select = select
        self._cache = cache
        self._contents = contents
        self._searched: list[tuple[str, bytes]] = []  # directories that may yet count

    def finish(self, keep: Keep | None) -> Digest:
        """Return the digest, and let `keep` have what it is of."""
        self._flush()
        digest = Digest(f"sha256:{self._hash.hexdigest()}")
        if keep is not None and self._listing is not None:
            keep(digest, b"".join(self._listing))
        return digest

    def _flush(self) -> None:
        """Digest the entries so far; many at once cost less than each by itself."""
        data = b"".join(self._entries)
        self._entries.clear()
        self._hash.update(data)
        self._length += len(data)
        if self._length > LISTING_LIMIT:
            self._listing = None
        elif self._listing is not None:
            self._listing.append(data)

    def add(self, root_fd: int, path: str, descriptor: int) -> None:
        """Add a file or tree, open as `descriptor` (O_PATH)."""
        status = os.fstat(descriptor)
        self._record("", b"")
        if stat.S_ISDIR(status.st_mode):
            # Its own mode and owner are not copied.
            self._tree(descriptor)
            return
        path = paths.resolve_in_root(root_fd, path)
        with paths.Parent(root_fd, path) as (directory_fd, name):
            self._record("", self._describe(directory_fd, name, status))

    def _tree(self, top_fd: int) -> None:
        walk = Walk(top_fd)
        for path, directory_fd, name, status in walk:
            directory = stat.S_ISDIR(status.st_mode)
            choice = self._select(path, directory) if self._select else TAKE
            if choice == SKIP or stat.S_ISSOCK(status.st_mode):
                walk.prune()
            elif choice == TAKE:
                self._count_searched(path)
                self._record(path, self._describe(directory_fd, name, status))
            elif directory:
                self._searched.append((path, self._describe(directory_fd, name, status)))

    def _count_searched(self, path: str) -> None:
        """Add the directories above `path` that were only searched so far."""
        for above, description in self._searched:
            if path.startswith(f"{above}/"):
                self._record(above, description)
        self._searched.clear()

    def _record(self, path: str, description: bytes) -> None:
        name = os.fsencode(path)
        entry = b"%d %d %b%b\n" % (len(name), len(description), name, description)
        self._entries.append(entry)
        if len(self._entries) >= _TOGETHER:
            self._flush()

    def _describe(self, directory_fd: int, name: str, status: os.stat_result) -> bytes:
        """Return everything that counts about what is called `name`."""
        kind = stat.S_IFMT(status.st_mode)
        owner = (status.st_uid, status.st_gid) if self._owners else (0, 0)
        if kind == stat.S_IFLNK:  # whose mode means nothing
            link = os.fsencode(os.readlink(name, dir_fd=directory_fd))
            return b"link %d %d %b" % (*owner, link)
        if kind == stat.S_IFREG:
            content = self._content(directory_fd, name, status)
        else:
            xattrs = _xattrs(kept_xattrs(xattr.place(directory_fd, name)))
            content = b"%d %b" % (status.st_rdev if kind != stat.S_IFDIR else 0, xattrs)
        return b"%o %d %d %b" % (status.st_mode, *owner, content)

    def _content(self, directory_fd: int, name: str, status: os.stat_result) -> bytes:
        """Return the digest of a file's data and extended attributes."""
        found = self._cache.find(status)
        if found is not None:
            return found
        read_ns = time.time_ns()
        descriptor = open_file(directory_fd, name)
        try:
            content = os.read(descriptor, SMALL) if status.st_size < SMALL else None
            xattrs = kept_xattrs(descriptor)
            digest = hasher(content or b"")
            if content is None or len(content) != status.st_size:
                digest_file(digest, descriptor)
                content = None
            digest.update(b"\0" + _xattrs(xattrs))
            unchanged = key_of(os.fstat(descriptor)) == key_of(status)
        finally:
            os.close(descriptor)
        if unchanged:
            self._cache.put(status, digest.digest(), read_ns)
            if self._contents is not None and content is not None and not xattrs:
                self._contents.keep(key_of(status), content)
        return digest.digest()


def _xattrs(found: dict[bytes, bytes]) -> bytes:
    return b"".join(
        b"%d %b=%d %b" % (len(name), name, len(found[name]), found[name]) for name in sorted(found)
    )
