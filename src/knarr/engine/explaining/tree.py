"""The files of a container as its program sees them, whether it runs or not.

Of one that runs, the root is that of its process. Of another it is mounted once more, read-only and
detached, and the mounts of the user are not in it: a path that leads into one goes on in its source
on the host. Paths are walked here, name by name, and each name is opened with openat2(2), which
follows no link: so links lead where they lead inside the container, across those mounts too, and
never to the host.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.linux.path import MAX_LINKS, components, open_plain, resolve_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

_LARGEST = 1 << 20


class Tree:
    """A root directory with what is mounted in it. Paths begin at its root.

    Everything raises OSError for what is not there.
    """

    def __init__(self, root_fd: int, mounts: Mapping[str, str | None] | None = None) -> None:
        """Take over `root_fd`; `mounts` are sources on the host by target, None for empty ones."""
        self._root_fd = root_fd
        self._mounts = {
            resolve_in_root(root_fd, target): source for target, source in (mounts or {}).items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root_fd)

    def open(self, path: str) -> int:
        """Return an O_PATH descriptor of what is at `path`, all links followed."""
        waiting = components(path)[::-1]
        done: list[str] = []
        followed = 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                del done[-1:]
                continue
            done.append(name)
            descriptor = self._open(done)
            try:
                if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                    target = os.readlink("", dir_fd=descriptor)
                    followed += 1
                    if followed > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    done = [] if target.startswith("/") else done[:-1]
                    waiting += components(target)[::-1]
            finally:
                os.close(descriptor)
        return self._open(done)

    def _open(self, names: list[str]) -> int:
        """Open a path without links: below the deepest mount on it, or below the root."""
        for depth in range(len(names), 0, -1):
            if "/".join(names[:depth]) in self._mounts:
                source = self._mounts["/".join(names[:depth])]
                if source is None:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                return self._open_source(source, "/".join(names[depth:]))
        return open_plain(self._root_fd, "/".join(names), os.O_PATH | os.O_NOFOLLOW)

    def _open_source(self, source: str, rest: str) -> int:
        source_fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
        if not rest:
            return source_fd
        try:
            return open_plain(source_fd, rest, os.O_PATH | os.O_NOFOLLOW)
        finally:
            os.close(source_fd)

    def stat(self, path: str) -> os.stat_result:
        """Return what is at `path`."""
        descriptor = self.open(path)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: str) -> bool:
        """Tell whether anything is at `path`."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def noexec(self, path: str) -> bool:
        """Tell whether nothing at `path` can be executed, for the mount that it is on."""
        descriptor = self.open(path)
        try:
            return bool(os.fstatvfs(descriptor).f_flag & os.ST_NOEXEC)
        finally:
            os.close(descriptor)

    def read(self, path: str, size: int, offset: int = 0) -> bytes:
        """Return a part of the plain file at `path`; nothing of what is none, which may block."""
        descriptor = self.open(path)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            file_fd = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(file_fd, min(size, _LARGEST), offset)
            finally:
                os.close(file_fd)
        finally:
            os.close(descriptor)

    def names(self, path: str) -> list[str]:
        """Return the names in the directory at `path`; none if it cannot be read."""
        try:
            descriptor = self.open(path)
        except OSError:
            return []
        try:
            return os.listdir(f"/proc/self/fd/{descriptor}")
        except OSError:
            return []
        finally:
            os.close(descriptor)
