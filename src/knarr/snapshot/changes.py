"""What an upper directory changes, as `docker diff` lists it.

Docker compares two mounted trees; here an upper directory is compared with what the layers below
it show. The rules are Docker's: a directory comes before what is in it, and is changed (C) if
something in it is; what was added is listed with all it contains, what was deleted is one line; a
file that overlay copied up but nobody changed is not listed.

Docker: "docker diff" (statDifferent: mode, owner, device, and but for directories size and mtime)
"""

from __future__ import annotations

import os
import stat

from knarr.linux import whiteout, xattr
from knarr.linux.tree import Walk
from knarr.snapshot.lowers import opaque
from knarr.snapshot.snapshotter import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.snapshot.lowers import Directory, Found

_SECOND = 1_000_000_000


class _Level:
    """A directory of the upper tree: what is below it, and whether it was listed already."""

    __slots__ = ("hides", "listed", "lower", "path", "seen")

    def __init__(self, path: str, lower: Directory | None, *, listed: bool, hides: bool) -> None:
        self.path = path
        self.lower = lower
        self.listed = listed
        self.hides = hides
        self.seen: set[str] = set()


def between(upper_dir: str, lower: Directory) -> Iterator[Change]:
    """Yield how `upper_dir` changes `lower`; it may be in use."""
    root_fd = os.open(upper_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _Comparison(root_fd, lower).changes()
    finally:
        os.close(root_fd)


class _Comparison:
    def __init__(self, root_fd: int, lower: Directory) -> None:
        self._walk = Walk(root_fd)
        self._levels = [_Level("", lower, listed=True, hides=False)]

    def changes(self) -> Iterator[Change]:
        for path, directory_fd, name, status in self._walk:
            parent = path.rpartition("/")[0]
            while self._levels[-1].path != parent:
                yield from self._leave()
            level = self._levels[-1]
            level.seen.add(name)
            found = level.lower.find(name) if level.lower else None
            kind = _kind(xattr.place(directory_fd, name), status, found)
            if kind:
                yield from self._list_parents()
                yield Change(kind, f"/{path}")
            if stat.S_ISDIR(status.st_mode):
                below = found.directory if found else None
                hides = below is not None and opaque(xattr.place(directory_fd, name))
                self._levels.append(_Level(path, below, listed=bool(kind), hides=hides))
        while self._levels:
            yield from self._leave()

    def _leave(self) -> Iterator[Change]:
        """Go up a level; what an opaque directory hides was deleted."""
        level = self._levels[-1]
        if level.hides and level.lower:
            for name in level.lower.names():
                if name not in level.seen:
                    yield from self._list_parents()
                    yield Change("D", f"/{level.path}/{name}")
        self._levels.pop()

    def _list_parents(self) -> Iterator[Change]:
        """List the directories in which something is about to be listed."""
        for level in self._levels:
            if not level.listed:
                level.listed = True
                yield Change("C", f"/{level.path}")


def _kind(target: str, status: os.stat_result, found: Found | None) -> str:
    if whiteout.is_whiteout(status):
        return "D" if found else ""
    if found is None:
        return "A"
    return "C" if _differs(target, status, found) else ""


def _differs(target: str, new: os.stat_result, found: Found) -> bool:
    old = found.status
    if (
        (old.st_mode, old.st_uid, old.st_gid, old.st_rdev)
        != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev)
    ):  # fmt: skip
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    if old.st_size != new.st_size or not _same_time(old.st_mtime_ns, new.st_mtime_ns):
        return True
    return xattr.read(target, xattr.CAPABILITY) != xattr.read(found.path, xattr.CAPABILITY)


def _same_time(one: int, other: int) -> bool:
    """Tell whether two times are equal, or would be if one of them was cut to seconds."""
    if one == other:
        return True
    cut = not one % _SECOND or not other % _SECOND
    return cut and one // _SECOND == other // _SECOND
