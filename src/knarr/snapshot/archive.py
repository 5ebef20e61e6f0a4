"""Unpacking an ordinary archive into a tree that exists: `ADD file.tar /`, `knarr cp - web:/`.

Nothing in it has a special name. What is there is merged: a directory keeps what it holds and gets
the entry's attributes, anything else of the same name is replaced. Links that were in the tree
before are followed, inside its root, where they are on the way to a directory; those the archive
brought are not.

Docker: an entry that is a directory replaces a link of its name, as with tar(1)
"""

from __future__ import annotations

import errno
import os

from knarr.linux import path as paths
from knarr.snapshot.snapshotter import Limits
from knarr.snapshot.unpack import DIRECTORY, Unpacker, refusal
from knarr.util import tar
from knarr.util.tarreader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.util.tarreader import Source


def unpack_archive_into(
    target_fd: int,
    path: str,
    source: Source,
    *,
    owner: tuple[int, int] | None = None,
) -> None:
    """Unpack the archive in `source`, uncompressed, to `path` below the root `target_fd`.

    `path` is made if need be; links in it are followed inside the root. With `owner` (user ID,
    group ID) everything is made theirs.

    Raises: Corrupt, InvalidArgument
    """
    limits = Limits()
    os.close(paths.make_directories(target_fd, path, owner=owner))
    reader = Reader(source, max_headers=limits.entries)
    ArchiveUnpacker(
        target_fd, paths.resolve_in_root(target_fd, path), reader, limits, owner
    ).unpack()


class ArchiveUnpacker(Unpacker):
    """Puts an archive into a directory of a tree."""

    def __init__(
        self,
        root_fd: int,
        base: str,
        reader: Reader,
        limits: Limits,
        owner: tuple[int, int] | None,
    ) -> None:
        """Prepare; `base` is where to unpack to: relative, and no link in it."""
        super().__init__(root_fd, reader, limits, fresh=False)
        self.depth = base.count("/") + 1 if base else 0
        self._base = os.fsencode(base)
        self._owner = owner
        self._links: set[bytes] = set()

    def place(self, path: bytes, entry: tar.Entry) -> None:
        """Put one entry at `path` below the base."""
        if self._owner:
            entry.uid, entry.gid = self._owner
        if not path and entry.kind != tar.DIRECTORY:
            raise refusal(entry.name, "would replace the directory to unpack to")
        super().place(path, entry)

    def parent(self, path: bytes, entry: tar.Entry) -> int:
        """Return the open directory `path`; the base is not the root here."""
        found = self.parents.find(path) if path else self.parents.find(b".")
        if found is None:
            found = self.open_parent(path, entry)
            self.parents.keep(path or b".", found)
        return found

    def open_parent(self, path: bytes, entry: tar.Entry) -> int:
        """Open a directory, following links that were there before, or make it."""
        self._refuse_own_links(path, entry)
        try:
            return self._open(path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            if not path:
                raise
        except NotADirectoryError as error:
            raise refusal(entry.name, "is in something that is no directory") from error
        parent, _, name = path.rpartition(b"/")
        directory_fd = self.parent(parent, entry)
        try:
            os.mkdir(name, 0o755, dir_fd=directory_fd)
        except FileExistsError as error:
            raise refusal(entry.name, f"goes through {tar.shown(path)}, a dead link") from error
        made = os.open(name, DIRECTORY, dir_fd=directory_fd)
        if self._owner:
            os.fchown(made, *self._owner)
        os.fchmod(made, 0o755)
        return made

    def _refuse_own_links(self, path: bytes, entry: tar.Entry) -> None:
        while path and self._links:
            if path in self._links:
                raise refusal(entry.name, f"goes through the link {tar.shown(path)} beside it")
            path = path.rpartition(b"/")[0]

    def symlink(self, path: bytes, directory_fd: int, name: bytes, entry: tar.Entry) -> None:
        """Make a symbolic link, and remember it."""
        super().symlink(path, directory_fd, name, entry)
        self._links.add(path)

    def clear(self, path: bytes, directory_fd: int, name: bytes) -> int:
        """Remove what is in the way."""
        self._links.discard(path)
        return super().clear(path, directory_fd, name)

    def open_directory(self, path: bytes) -> int:
        """Open a directory that an entry named; links on the way to it are followed."""
        return self._open(path, DIRECTORY)

    def _open(self, path: bytes, flags: int) -> int:
        whole = b"/".join(part for part in (self._base, path) if part)
        try:
            return paths.open_in_root(self.root_fd, whole, flags)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
            raise
