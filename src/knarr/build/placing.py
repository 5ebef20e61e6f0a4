"""Putting selected files into a tree: where they go, and as what.

The rules are BuildKit's:

* what leads to the destination is made, with mode 0755 or that of `--chmod`;
* a directory's contents go into the destination, which is made like what leads to it, and stays as
  it is if it was there; directories below are merged and take the mode, owner and times of those
  that are copied;
* any other file goes into the destination if that is a directory, else it becomes the destination;
* a file takes the place of a file, never of a directory, and a directory never that of a file;
* files of one selection that are hard links stay hard links.

Beyond them, so that the same sources give the same layer: directories that were made on the way, or
only had something added, have the time of the directory they are in, or had before.
"""

from __future__ import annotations

import os
import stat

from knarr.build.fingerprint import attributes
from knarr.errors import Conflict, InvalidArgument
from knarr.linux import path as paths
from knarr.linux import xattr
from knarr.snapshot.copyfile import copy_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.build.graph import Copy
    from knarr.build.modes import Mode
    from knarr.build.selection import Entry, Root, Tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Way:
    """The directories down to a place, made as needed; `close` sees to their times."""

    def __init__(
        self, root_fd: int, path: str, *, mode: int = 0o755, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """Make what is missing of `path`, following links inside the root."""
        self.path = paths.resolve_in_root(root_fd, path)
        current = os.open(f"/proc/self/fd/{root_fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors = [current]
        self._times = [os.fstat(current).st_mtime_ns]
        try:
            for name in self.path.split("/") if self.path else ():
                current = self._step(current, name, mode, owner)
        except BaseException:
            self.close()
            raise
        self.descriptor = current

    def _step(self, current: int, name: str, mode: int, owner: tuple[int, int]) -> int:
        made = False
        try:
            below = os.open(name, _DIRECTORY, dir_fd=current)
        except FileNotFoundError:
            os.mkdir(name, 0o700, dir_fd=current)
            below = os.open(name, _DIRECTORY, dir_fd=current)
            made = True
        self._descriptors.append(below)
        self._times.append(self._times[-1] if made else os.fstat(below).st_mtime_ns)
        if made:
            os.fchown(below, *owner)
            os.fchmod(below, mode)
        return below

    def close(self) -> None:
        """Set the times of the directories and let go of them."""
        while self._descriptors:
            descriptor, time_ns = self._descriptors.pop(), self._times.pop()
            if os.fstat(descriptor).st_mtime_ns != time_ns:
                os.utime(descriptor, ns=(time_ns, time_ns))
            os.close(descriptor)


def make_directory(root_fd: int, path: str, mode: int, owner: tuple[int, int]) -> None:
    """Make a directory and what leads to it; one that exists stays as it is."""
    try:
        Way(root_fd, path, mode=mode, owner=owner).close()
    except NotADirectoryError:
        message = f"cannot make the directory {path}: a file is in the way"
        raise Conflict(message) from None


def place(
    tree: Tree,
    roots: Sequence[Root],
    root_fd: int,
    copy: Copy,
    *,
    owner: tuple[int, int] | None,
    mode: Mode | None,
) -> None:
    """Copy `roots` into the tree `root_fd`. Raises: Conflict, InvalidArgument"""
    for root in roots:
        _Placer(tree, root_fd, copy, owner, mode).place(root)


class _Placer:
    def __init__(
        self,
        tree: Tree,
        root_fd: int,
        copy: Copy,
        owner: tuple[int, int] | None,
        mode: Mode | None,
    ) -> None:
        self.tree = tree
        self.root_fd = root_fd
        self.copy = copy
        self.owner = owner
        self.mode = mode
        self.links: dict[tuple[int, int], str] = {}
        self.directories = paths.Directories(root_fd)
        self.finished: list[tuple[str, os.stat_result]] = []

    def place(self, root: Root) -> None:
        way, name = self._find(root)
        try:
            self._place(root, way, name)
        finally:
            self.directories.close()
            way.close()

    def _find(self, root: Root) -> tuple[Way, str]:
        """Return the way to the directory that takes the files, and the name in it if it is one."""
        destination = self.copy.destination
        inside = destination.endswith(("/", "/."))
        below = paths.resolve_in_root(self.root_fd, destination)
        try:
            status = os.lstat(f"/proc/self/fd/{self.root_fd}/{below}")
            directory = stat.S_ISDIR(status.st_mode)
            if root.is_directory and not directory:
                message = f"cannot copy to non-directory: {destination}"
                raise Conflict(message)
        except FileNotFoundError:
            directory = inside
        except NotADirectoryError:
            message = f"cannot copy to {destination}: a file is where a directory should be"
            raise Conflict(message) from None
        if self.copy.several and not directory:
            message = (
                "When using COPY with more than one source file, the destination must be a "
                "directory and end with a /"
            )
            raise InvalidArgument(message)
        if root.is_directory or directory:
            return self._way(below), "" if root.is_directory else root.base
        lead, _, name = below.rpartition("/")
        return self._way(lead), name

    def _way(self, path: str) -> Way:
        mode = 0o755 if self.mode is None or self.mode.absolute is None else self.mode.absolute
        try:
            return Way(self.root_fd, path, mode=mode, owner=self.owner or (0, 0))
        except NotADirectoryError:
            message = f"cannot copy to {self.copy.destination}: /{path} leads through a file"
            raise Conflict(message) from None

    def _place(self, root: Root, way: Way, name: str) -> None:
        start = f"{way.path}/{name}".strip("/") if name else way.path
        for entry in root.entries:
            target = f"{start}/{entry.name}".lstrip("/") if entry.name else start
            if stat.S_ISDIR(entry.status.st_mode):
                self._directory(entry, target)
            else:
                self._file(entry, target)
        for target, status in reversed(self.finished):
            descriptor = self._open(target)
            os.utime(descriptor, ns=(status.st_mtime_ns, status.st_mtime_ns))
        self.finished.clear()

    def _open(self, path: str) -> int:
        """Return the open directory `path`, which must not be a link; not to be closed."""
        key = os.fsencode(path)
        found = self.directories.find(key)
        if found is None:
            found = paths.open_plain(self.root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
            self.directories.keep(key, found)
        return found

    def _parent(self, target: str) -> tuple[int, str]:
        lead, _, name = target.rpartition("/")
        return self._open(lead), name

    def _directory(self, entry: Entry, target: str) -> None:
        if not entry.name:
            return  # the destination itself: `_find` saw to it
        parent, name = self._parent(target)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                message = f"cannot copy to non-directory: /{target}"
                raise Conflict(message) from None
        descriptor = self._open(target)
        self._dress(entry, descriptor)
        self.finished.append((target, entry.status))

    def _file(self, entry: Entry, target: str) -> None:
        parent, name = self._parent(target)
        self._make_room(parent, name, target)
        status = entry.status
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self.links:
            paths.link_in_root(self.root_fd, self.links[key], target)
            return
        if stat.S_ISREG(status.st_mode):
            self._regular(entry, parent, name)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(self.tree.where(entry.path)), name, dir_fd=parent)
            os.chown(name, *self._ids(status), dir_fd=parent, follow_symlinks=False)
        else:
            os.mknod(name, status.st_mode & ~0o7777 | 0o600, status.st_rdev, dir_fd=parent)
            self._dress_special(entry, parent, name)
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)
        if status.st_nlink > 1:
            self.links[key] = target

    def _make_room(self, parent: int, name: str, target: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            message = f"cannot replace to directory /{target} with file"
            raise Conflict(message) from None

    def _regular(self, entry: Entry, parent: int, name: str) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        source = os.open(self.tree.where(entry.path), flags)
        try:
            target = os.open(name, _CREATE, 0o600, dir_fd=parent)
            try:
                copy_content(source, target, os.fstat(source))
                self._dress(entry, target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _dress(self, entry: Entry, descriptor: int) -> None:
        """Give an open file owner, mode and attributes; attributes last, they go with an owner."""
        os.fchown(descriptor, *self._ids(entry.status))
        os.fchmod(descriptor, self._mode(entry.status))
        if self.tree.owned:
            for key, value in attributes(self.tree, entry):
                xattr.write(descriptor, key, value)

    def _dress_special(self, entry: Entry, parent: int, name: str) -> None:
        os.chown(name, *self._ids(entry.status), dir_fd=parent, follow_symlinks=False)
        os.chmod(name, self._mode(entry.status), dir_fd=parent)

    def _ids(self, status: os.stat_result) -> tuple[int, int]:
        if self.owner is not None:
            return self.owner
        return (status.st_uid, status.st_gid) if self.tree.owned else (0, 0)

    def _mode(self, status: os.stat_result) -> int:
        mode = stat.S_IMODE(status.st_mode)
        if self.mode is None:
            return mode
        return self.mode.apply(mode, directory=stat.S_ISDIR(status.st_mode))
