"""Unpacking a copy into a directory: as `ADD` unpacks archives, but for what Docker has otherwise.

* A directory never takes the place of a file, nor a file that of a directory.
* The directory that takes the copy stays as it is, whatever the archive says about it.
* Links may say what they like: nobody follows them here, and a copy of a tree that has such a link
  is no attack.
"""

from __future__ import annotations

import os
import stat

from knarr.errors import Conflict
from knarr.snapshot.archive import ArchiveUnpacker
from knarr.snapshot.snapshotter import Limits
from knarr.util import tar
from knarr.util.tarreader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.util.tarreader import Source

    Owner = Callable[[int, int], tuple[int, int]]

_DEEP = 1 << 20  # as if unpacked so deep that no link can climb out
_NO_LIMITS = Limits(size=1 << 62, entries=1 << 62)


def unpack_copy(
    root_fd: int, base: str, source: Source, *, owner: Owner | None = None, merging: bool = True
) -> None:
    """Unpack the archive in `source` to the directory `base`, a path without links.

    `owner` makes the owner of what is written of that in the archive. Without `merging`, a file and
    a directory of one name replace each other.

    Raises: Corrupt, InvalidArgument, Conflict
    """
    CopyUnpacker(root_fd, base, Reader(source), owner, merging=merging).unpack()


class CopyUnpacker(ArchiveUnpacker):
    """Puts a copy into a directory."""

    def __init__(
        self, root_fd: int, base: str, reader: Reader, owner: Owner | None, *, merging: bool
    ) -> None:
        super().__init__(root_fd, base, reader, _NO_LIMITS, None)
        self.depth = _DEEP
        self._owner_of = owner
        self._merging = merging

    def place(self, path: bytes, entry: tar.Entry) -> None:
        """Put one entry at `path` below the base."""
        if not path and entry.kind == tar.DIRECTORY:
            return
        if self._owner_of is not None:
            entry.uid, entry.gid = self._owner_of(entry.uid, entry.gid)
        if self._merging and path:
            self._refuse_replacing(path, entry)
        super().place(path, entry)

    def _refuse_replacing(self, path: bytes, entry: tar.Entry) -> None:
        parent, _, name = path.rpartition(b"/")
        try:
            there = os.lstat(name, dir_fd=self.parent(parent, entry)).st_mode
        except FileNotFoundError:
            return
        shown = tar.shown(path)
        if entry.kind == tar.DIRECTORY and not stat.S_ISDIR(there):
            message = f'cannot overwrite non-directory "{shown}" with directory "{shown}"'
            raise Conflict(message)
        if entry.kind != tar.DIRECTORY and stat.S_ISDIR(there):
            message = f'cannot overwrite directory "{shown}" with non-directory "{shown}"'
            raise Conflict(message)
