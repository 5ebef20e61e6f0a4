"""What is to be copied, as an archive: any number of files and trees, each under a name of its own.

No link is followed but in the path to the source itself. Whoever gives the sources has opened the
directories they are in: names are all that is used here.
"""

from __future__ import annotations

import os
import stat

from knarr.linux.path import open_plain
from knarr.linux.tree import Walk
from knarr.snapshot.pack import Packer
from knarr.util.tar import BLOCK
from knarr.util.tarwriter import Writer
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from knarr.util.tar import Entry
    from knarr.util.tarwriter import Sink

    Owner = Callable[[int, int], tuple[int, int]]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Source(Value):
    """`name` in the open directory `directory_fd`, and what it is called in the archive.

    With an empty `name` the directory itself is meant.
    """

    directory_fd: int
    name: str
    title: str


class _Counter(Writer):
    """Counts what an archive takes without the records that keep nanoseconds and the like.

    Docker: these are not in its archives, and its message tells the size of one
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.size = 0

    def add(self, entry: Entry, content: bytes = b"") -> None:
        """Write an entry with all its data."""
        self.size += BLOCK + -(-len(content) // BLOCK) * BLOCK
        super().add(entry, content)

    def begin(self, entry: Entry) -> None:
        """Write the headers of an entry whose data follow."""
        self.size += BLOCK + -(-entry.stored // BLOCK) * BLOCK
        super().begin(entry)


class CopyPacker(Packer):
    """Writes sources to `sink`, with the owners that `owner` makes of those of the files."""

    def __init__(
        self, sink: Sink, *, owner: Owner | None = None, hidden: frozenset[int] = frozenset()
    ) -> None:
        """Prepare; what is on a device of `hidden`, below a source, is left out."""
        super().__init__(-1, sink)
        self.writer = self._counter = _Counter(sink)
        self._owner = owner
        self._hidden = hidden

    def pack_all(self, sources: Iterable[Source]) -> int:
        """Write everything and the end of the archive; return its size as Docker counts."""
        for source in sources:
            self._pack_one(source)
        self.writer.close()
        return self._counter.size + 2 * BLOCK

    def _pack_one(self, source: Source) -> None:
        title = os.fsencode(source.title)
        name = source.name or "."
        status = os.stat(name, dir_fd=source.directory_fd, follow_symlinks=False)
        self.place(title, source.directory_fd, name, status)
        if not stat.S_ISDIR(status.st_mode):
            return
        top_fd = open_plain(source.directory_fd, name, _DIRECTORY)
        try:
            walk = Walk(top_fd)
            for path, directory_fd, child, found in walk:
                if found.st_dev in self._hidden and found.st_dev != status.st_dev:
                    walk.prune()
                    continue
                try:
                    self.place(title + b"/" + os.fsencode(path), directory_fd, child, found)
                except FileNotFoundError:
                    continue  # the tree is in use, and this has gone since
        finally:
            os.close(top_fd)

    def place(self, path: bytes, directory_fd: int, name: str, status: os.stat_result) -> None:
        """Write one file, by the owner it is to have."""
        if self._owner is not None:
            uid, gid = self._owner(status.st_uid, status.st_gid)
            if (uid, gid) != (status.st_uid, status.st_gid):
                status = _owned(status, uid, gid)
        super().place(path, directory_fd, name, status)


def _owned(status: os.stat_result, uid: int, gid: int) -> os.stat_result:
    """Return `status` with another owner; times keep their nanoseconds."""
    made: tuple[Any, ...] = status.__reduce__()[1]  # type: ignore[assignment]
    fields, more = made
    return os.stat_result((*fields[:4], uid, gid, *fields[6:]), more)
