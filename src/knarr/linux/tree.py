"""Whole directory trees made by others: walked and removed without leaving them.

A tree may be deeper than there are descriptors or bytes in a path, may change under our hands, and
may hold links to anywhere. So: descriptors instead of paths, no link is followed, and no mount is
entered (EXDEV): what is mounted inside a tree is not part of it.
"""

from __future__ import annotations

import os
import stat

from knarr.linux.path import RESOLVE_NO_XDEV, open_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OPEN = 64  # levels that are open at once; deeper directories are moved up first
_SHORT = 1000  # characters, of at most four bytes each: below PATH_MAX
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(directory_fd: int, name: str) -> None:
    """Remove `name` in `directory_fd`, and all below it if it is a directory.

    Nothing there is fine, and so is another process that removes the same at the same time. OSError
    EXDEV if something is mounted in the tree: it is left, with everything above it.
    """
    try:
        if _unlink(directory_fd, name):
            return
        top_fd = _open(directory_fd, name)
        try:
            _empty(top_fd)
        finally:
            os.close(top_fd)
        os.rmdir(name, dir_fd=directory_fd)
    except FileNotFoundError:
        pass  # the other one was quicker


def remove_path(path: str) -> None:
    """Remove what is at `path`, as `remove_tree` does."""
    parent, _, name = path.rpartition("/")
    directory_fd = os.open(parent or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(directory_fd, name)
    finally:
        os.close(directory_fd)


def _empty(top_fd: int) -> None:
    """Remove everything in the directory `top_fd`, with at most MAX_OPEN descriptors."""
    levels = [(top_fd, "", os.listdir(top_fd))]
    moved = 0
    try:
        while levels:
            descriptor, own_name, names = levels[-1]
            if not names:
                levels.pop()
                if levels:
                    os.close(descriptor)
                    _rmdir(own_name, levels[-1][0])
                continue
            name = names.pop()
            if _unlink(descriptor, name):
                continue
            if len(levels) < MAX_OPEN:
                _descend(levels, name)
            else:
                moved += 1
                higher = _free_name(top_fd, moved)
                os.rename(name, higher, src_dir_fd=descriptor, dst_dir_fd=top_fd)
                levels[0][2].append(higher)
    finally:
        for descriptor, _, _ in levels[1:]:
            os.close(descriptor)


def _descend(levels: list[tuple[int, str, list[str]]], name: str) -> None:
    """Go on with the directory `name` of the last level, if it is still there."""
    try:
        below = _open(levels[-1][0], name)
    except FileNotFoundError:
        return
    try:
        names = os.listdir(below)
    except FileNotFoundError:  # removed since it was opened
        names = []
    levels.append((below, name, names))


def _rmdir(name: str, directory_fd: int) -> None:
    try:
        os.rmdir(name, dir_fd=directory_fd)
    except FileNotFoundError:
        pass


def _unlink(directory_fd: int, name: str) -> bool:
    """Remove what is not a directory, and directories that are empty; say whether it is gone."""
    try:
        os.unlink(name, dir_fd=directory_fd)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


def _open(directory_fd: int, name: str) -> int:
    return open_plain(directory_fd, name, _OPEN, resolve=RESOLVE_NO_XDEV)


def _free_name(directory_fd: int, number: int) -> str:
    while True:
        name = f".removed-{number}-{os.urandom(6).hex()}"
        try:
            os.lstat(name, dir_fd=directory_fd)
        except FileNotFoundError:
            return name


class Walk:
    """Everything below a directory: parents before children, names in the order of their bytes.

        for path, directory_fd, name, status in Walk(root_fd):

    `path` is relative to the root; `name` in `directory_fd` is the same place, and valid until the
    next step. `status` is of a link itself. `prune`, called when a directory was just returned,
    leaves out what is below it. What vanishes during the walk is left out: the tree may be in use.

    A level costs a descriptor up to MAX_OPEN; the higher ones are then opened again when needed.
    """

    def __init__(self, root_fd: int) -> None:
        """Prepare to walk; `root_fd` stays the caller's."""
        self._root_fd = root_fd
        self._levels: list[_Level] = []
        self._pruned = False

    def prune(self) -> None:
        """Do not go into the directory that was just returned."""
        self._pruned = True

    def __iter__(self) -> Iterator[tuple[str, int, str, os.stat_result]]:
        """Walk."""
        try:
            yield from self._walk()
        finally:
            for level in self._levels:
                level.close()

    def _walk(self) -> Iterator[tuple[str, int, str, os.stat_result]]:
        levels = self._levels
        self._enter("", "")
        while levels:
            level = levels[-1]
            if not level.entries:
                levels.pop().close()
                continue
            name, status = level.entries.pop()
            path = level.prefix + name
            if level.descriptor < 0:
                level.descriptor = open_deep(self._root_fd, level.prefix)
            self._pruned = False
            yield path, level.descriptor, name, status
            if stat.S_ISDIR(status.st_mode) and not self._pruned:
                self._enter(path + "/", name)

    def _enter(self, prefix: str, name: str) -> None:
        levels = self._levels
        try:
            if levels:
                descriptor = open_plain(levels[-1].descriptor, name, _OPEN)
            else:
                descriptor = open_plain(self._root_fd, ".", _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            return
        levels.append(_Level(prefix, descriptor))
        if len(levels) > MAX_OPEN:
            levels[-1 - MAX_OPEN].close()


class _Level:
    """A directory on the way: its open descriptor, or -1, and the entries still to come."""

    __slots__ = ("descriptor", "entries", "prefix")

    def __init__(self, prefix: str, descriptor: int) -> None:
        self.prefix = prefix
        self.descriptor = descriptor
        self.entries = entries_of(descriptor)
        self.entries.reverse()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def entries_of(directory_fd: int) -> list[tuple[str, os.stat_result]]:
    """Return name and lstat of what is in a directory, in the order of the names' bytes."""
    found = []
    plain = True
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            name = entry.name
            plain = plain and name.isascii()
            try:
                found.append((name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    # UTF-8 sorts as its code points do; names that are not UTF-8 sort as what they are.
    found.sort(key=_name if plain else _bytes_of_name)
    return found


def _name(entry: tuple[str, os.stat_result]) -> str:
    return entry[0]


def _bytes_of_name(entry: tuple[str, os.stat_result]) -> bytes:
    return os.fsencode(entry[0])


def open_deep(root_fd: int, path: str) -> int:
    """Open a directory by a path of any length, without following links."""
    current = -1
    while len(path) > _SHORT:
        cut = path.rindex("/", 0, _SHORT)
        below = open_plain(root_fd if current < 0 else current, path[:cut], _OPEN)
        if current >= 0:
            os.close(current)
        current, path = below, path[cut + 1 :]
    try:
        return open_plain(root_fd if current < 0 else current, path, _OPEN)
    finally:
        if current >= 0:
            os.close(current)
