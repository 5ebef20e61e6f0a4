"""Putting selected files into a tree: where they go, and as what.

The rules are BuildKit's:

* what leads to the destination is made, with mode 0755 or that of `--chmod`;
* a directory's contents go into the destination; any other file goes into the destination if that
  is a directory, else it becomes the destination;
* a file takes the place of a file, never of a directory, and a directory never that of a file;
* links are followed on the way to a destination, and if it is one; a link that has the name of what
  goes into a directory is replaced.

Beyond them, so that the same sources give the same layer: directories that were made on the way, or
only had something added, have the time of the directory they are in, or had before.
"""

from __future__ import annotations

import os
import stat

from knarr.build.selection import chooser, select
from knarr.errors import Conflict, InvalidArgument
from knarr.linux import path as paths
from knarr.snapshot.copy import CopyOptions, copy_tree
from knarr.util.times import SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.build.graph import Copy
    from knarr.build.modes import Mode
    from knarr.build.selection import Taken, Tree
    from knarr.snapshot.contents import Contents

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Way:
    """The directories down to a place, made as needed; leaving the context sees to their times."""

    def __init__(
        self, root_fd: int, path: str, *, mode: int = 0o755, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """Make what is missing of `path`, following links inside the root. Raises: Conflict"""
        self.path = paths.resolve_in_root(root_fd, path)
        self._mode = mode
        self._owner = owner
        top = f"/proc/self/fd/{root_fd}"
        self._descriptors = [os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._times = [os.fstat(self._descriptors[0]).st_mtime_ns]
        try:
            for name in self.path.split("/") if self.path else ():
                self._step(name)
        except NotADirectoryError:
            self.close()
            message = f"cannot copy to /{path}: a file is where a directory should be"
            raise Conflict(message) from None
        except BaseException:
            self.close()
            raise

    @property
    def time_ns(self) -> int:
        """The time that the last of the directories will have."""
        return self._times[-1]

    def _step(self, name: str) -> None:
        current = self._descriptors[-1]
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
            os.fchown(below, *self._owner)
            os.fchmod(below, self._mode)

    def close(self) -> None:
        """Set the times of the directories and let go of them."""
        while self._descriptors:
            descriptor, time_ns = self._descriptors.pop(), self._times.pop()
            if os.fstat(descriptor).st_mtime_ns != time_ns:
                os.utime(descriptor, ns=(time_ns, time_ns))
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Hand out the way."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def make_directory(root_fd: int, path: str, mode: int, owner: tuple[int, int]) -> None:
    """Make a directory and what leads to it; one that exists stays as it is. Raises: Conflict"""
    Way(root_fd, path, mode=mode, owner=owner).close()


def place(
    tree: Tree,
    root_fd: int,
    copy: Copy,
    *,
    owner: tuple[int, int] | None,
    mode: Mode | None,
    contents: Contents | None = None,
) -> None:
    """Carry `copy` out: from `tree` into the tree `root_fd`; `contents` as of `CopyOptions`.

    Raises: NotFound, Conflict, InvalidArgument
    """
    if owner is None and not tree.owned:
        owner = (0, 0)
    for taken in select(tree, copy):
        lead, name = target_of(root_fd, copy, taken)
        with Way(root_fd, lead, mode=mode_of_way(mode), owner=owner or (0, 0)) as way:
            options = CopyOptions(
                owner=owner,
                mode=None if mode is None else mode.apply,
                select=chooser(tree, taken, copy),
                earliest_ns=None if copy.earliest is None else copy.earliest * SECOND_NS,
                resolved=True,
                contents=contents,
            )
            target = f"{way.path}/{name}".strip("/")
            copy_tree(tree.descriptor, taken.path, root_fd, target, options)


def mode_of_way(mode: Mode | None) -> int:
    """Return the mode of directories that lead to a destination."""
    return 0o755 if mode is None or mode.absolute is None else mode.absolute


def target_of(root_fd: int, copy: Copy, taken: Taken) -> tuple[str, str]:
    """Return the directory that takes what was selected, and the name it has there.

    The name is empty if the directory takes the contents of a directory.

    Raises: Conflict, InvalidArgument
    """
    destination = copy.destination
    below = paths.resolve_in_root(root_fd, destination)
    directory = _is_directory(root_fd, below)
    if directory is None:
        directory = destination.endswith(("/", "/."))
    elif taken.is_directory and not directory:
        message = f"cannot copy to non-directory: {destination}"
        raise Conflict(message)
    if copy.several and not directory:
        message = (
            "When using COPY with more than one source file, the destination must be a directory "
            "and end with a /"
        )
        raise InvalidArgument(message)
    if taken.is_directory:
        return below, ""
    if directory:
        return below, taken.base
    lead, _, name = below.rpartition("/")
    return lead, name


def _is_directory(root_fd: int, path: str) -> bool | None:
    try:
        descriptor = paths.open_plain(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
