"""A stack looked at without mounting it: what overlay would show, found by lstat.

Overlay's rules for a name, from the top directory down: a whiteout ends the search with nothing,
anything that is not a directory is what is shown, a directory is shown and merged with the
directories of that name further down until one is opaque or something else is in the way.
"""

from __future__ import annotations

import os
import stat

from knarr.linux import whiteout, xattr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Directory:
    """A merged directory: `paths` of its parts, the top first. None of them is a link."""

    __slots__ = ("paths",)

    def __init__(self, paths: Sequence[str]) -> None:
        """Take the directories that are merged."""
        self.paths = paths

    @property
    def path(self) -> str:
        """Return the part whose owner, mode, times and attributes the merged directory has."""
        return self.paths[0]

    def find(self, name: str) -> Found | None:
        """Return what is shown as `name`, None if nothing is."""
        first: os.stat_result | None = None
        parts: list[str] = []
        for directory in self.paths:
            path = f"{directory}/{name}"
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(status.st_mode):
                if first is None and not whiteout.is_whiteout(status):
                    return Found(status, (path,))
                break
            first = first or status
            parts.append(path)
            if opaque(path):
                break
        return Found(first, parts) if first else None

    def find_path(self, path: str) -> Found | None:
        """Return what is shown at the relative `path`; a link on the way leads nowhere."""
        directory: Directory | None = self
        found = None
        for name in path.split("/"):
            found = directory.find(name) if directory else None
            if found is None:
                return None
            directory = found.directory
        return found

    def names(self) -> list[str]:
        """Return the names that are shown, sorted."""
        shown: dict[str, bool] = {}
        for directory in self.paths:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name not in shown:
                        status = entry.stat(follow_symlinks=False)
                        shown[entry.name] = not whiteout.is_whiteout(status)
        return sorted(name for name, visible in shown.items() if visible)


class Found:
    """What a name shows: its `status` and, by `paths`, where."""

    __slots__ = ("paths", "status")

    def __init__(self, status: os.stat_result, paths: Sequence[str]) -> None:
        """Keep what was found; the first of `paths` is what is shown."""
        self.status = status
        self.paths = paths

    @property
    def path(self) -> str:
        """Return the path of what is shown."""
        return self.paths[0]

    @property
    def directory(self) -> Directory | None:
        """Return the merged directory, None if this is not one."""
        return Directory(self.paths) if stat.S_ISDIR(self.status.st_mode) else None


def opaque(path: int | str) -> bool:
    """Tell whether a directory hides those of its name further down."""
    return xattr.read(path, whiteout.OPAQUE) == b"y"
