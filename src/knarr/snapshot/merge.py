"""Several layers as one: the difference between a stack and a stack at its bottom.

Both are looked at without mounting (`lowers`): what the two show from the same place is the same.
The rest is copied from the mounted stack, with hard links and holes as they are; what the layers
hid of the bottom is hidden by whiteouts of the one.
"""

from __future__ import annotations

import os
import stat

from knarr.linux import whiteout
from knarr.snapshot.copy import SKIP, TAKE, CopyOptions, copy_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.snapshot.lowers import Directory

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def merge(root_fd: int, target_dir: str, *, stack: Directory, bottom: Directory) -> None:
    """Make `target_dir`, which is empty, such a layer on `bottom` that both show what `stack` does.

    `root_fd` is where `stack` is mounted.
    """
    taken: set[str] = set()
    gone: list[str] = []
    _compare("", stack, bottom, taken, gone)
    target_fd = os.open(target_dir, _DIRECTORY)
    try:
        options = CopyOptions(select=lambda path, _: TAKE if path in taken else SKIP)
        copy_tree(root_fd, ".", target_fd, ".", options)
        for path in gone:
            _hide(target_fd, path)
    finally:
        os.close(target_fd)


def _compare(
    path: str, new: Directory, old: Directory | None, taken: set[str], gone: list[str]
) -> None:
    """Find what is to be taken from `new`, and what of `old` is gone.

    A directory in which anything is different is in one of the upper layers itself: overlay, and
    whoever packs a layer, puts it there.
    """
    for name in sorted({*new.names(), *(old.names() if old else ())}):
        below = f"{path}/{name}" if path else name
        found, before = new.find(name), old.find(name) if old else None
        if found is None:
            gone.append(below)
            continue
        if before is None or found.path != before.path:
            taken.add(below)
        if found.directory and (before is None or list(found.paths) != list(before.paths)):
            _compare(below, found.directory, before.directory if before else None, taken, gone)


def _hide(target_fd: int, path: str) -> None:
    """Put a whiteout at `path`, and leave the directory its times."""
    parent, _, name = path.rpartition("/")
    parent_fd = os.open(parent or ".", _DIRECTORY, dir_fd=target_fd)
    try:
        times = os.fstat(parent_fd)
        os.mknod(name, stat.S_IFCHR, whiteout.DEVICE, dir_fd=parent_fd)
        os.utime(parent_fd, ns=(times.st_atime_ns, times.st_mtime_ns))
    finally:
        os.close(parent_fd)
