"""What mounting left in the changes of a RUN step: empty files and directories to mount on.

A container needs /proc, /dev, /etc/resolv.conf and the like to exist. Where the image has none the
runtime makes them, in the upper directory; they are not the command's doing, and do not belong into
the layer. What was not there before, is empty and still what it was made as is removed, and
directories above it that only came along.
"""

from __future__ import annotations

import os
import stat

from knarr.linux import whiteout, xattr
from knarr.linux.path import open_plain, resolve_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.build.graph import Stack
    from knarr.snapshot.overlay import Layers

    _Looks = tuple[int, int, int, dict[str, bytes]]


class Stubs:
    """The mount points that a stack lacks, found before anything is mounted on it."""

    def __init__(self, layers: Layers, stack: Stack, targets: Iterable[str]) -> None:
        """Look for `targets` in `stack`."""
        self._missing: set[str] = set()
        self._present: dict[str, _Looks] = {}
        root_fd = layers.mount(stack)
        try:
            for target in targets:
                self._look_up(root_fd, target)
        finally:
            os.close(root_fd)

    def _look_up(self, root_fd: int, target: str) -> None:
        path = ""
        for name in resolve_in_root(root_fd, target).split("/"):
            path = f"{path}/{name}" if path else name
            if path in self._missing or path in self._present:
                continue
            try:
                descriptor = open_plain(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
            except FileNotFoundError:
                self._missing.add(path)
                continue
            self._present[path] = _looks(descriptor)
            os.close(descriptor)

    def remove(self, upper_dir: str) -> None:
        """Take out of `upper_dir` what is nothing but a stub."""
        top_fd = os.open(upper_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            touched = set()
            for path in sorted(self._missing, key=lambda each: each.count("/"), reverse=True):
                if _remove_empty(top_fd, path):
                    touched.add(os.path.dirname(path))
            for path in sorted(touched, key=lambda each: each.count("/"), reverse=True):
                if path in self._present:
                    self._restore(top_fd, path)
        finally:
            os.close(top_fd)

    def _restore(self, top_fd: int, path: str) -> None:
        """Undo what adding and removing a stub did to the directory it was in."""
        try:
            descriptor = open_plain(top_fd, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return  # the command has put something else there
        try:
            opaque = xattr.read(descriptor, whiteout.OPAQUE) is not None
            unchanged = not opaque and _looks(descriptor) == self._present[path]
            if unchanged and not os.listdir(descriptor):
                _remove_empty(top_fd, path)
        finally:
            os.close(descriptor)


def _looks(descriptor: int) -> _Looks:
    """Return what of a file is not its contents nor its times."""
    status = os.fstat(descriptor)
    found = xattr.read_all(f"/proc/self/fd/{descriptor}/.") if _is_directory(status) else {}
    own = {name: value for name, value in found.items() if not name.startswith(whiteout.XATTRS)}
    return status.st_mode, status.st_uid, status.st_gid, own


def _is_directory(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _remove_empty(top_fd: int, path: str) -> bool:
    """Remove an empty file or directory; say whether there was one."""
    lead, _, name = path.rpartition("/")
    try:
        parent_fd = open_plain(top_fd, lead, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        status = os.lstat(name, dir_fd=parent_fd)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent_fd)
            return True
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(name, dir_fd=parent_fd)
            return True
    except OSError:
        return False  # gone, or no stub any more
    finally:
        os.close(parent_fd)
    return False
