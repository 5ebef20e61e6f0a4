"""What comes last in a root since it forbids: read-only paths, masked paths.

A masked file is covered by the host's /dev/null, opened before the container's files could be
reached and compared by device number, not by whatever the rootfs calls /dev/null (CVE-2025-31133).
A masked directory is covered by an empty read-only tmpfs, one for all.

Spec: runtime-spec config.md "Root"; config-linux.md "Masked Paths", "Readonly Paths"
"""

from __future__ import annotations

import os
import stat

from knarr.errors import PermissionDenied
from knarr.linux import mount, path
from knarr.linux.mount import AT_EMPTY_PATH, AT_RECURSIVE, OPEN_TREE_CLONE
from knarr.runtime.steps.filesystems import make_file_system
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.steps.room import Cover, Room


class ReadonlyRoot(Step):
    """A root that cannot be written to."""

    __slots__ = ()

    def __str__(self) -> str:
        """Show it."""
        return "read-only root"

    def run(self, room: Room) -> None:
        """Forbid writing on the root mount alone; others have options of their own."""
        mount.mount_setattr(room.root_fd, "", AT_EMPTY_PATH, attr_set=mount.MOUNT_ATTR_RDONLY)


class ReadonlyPath(Step):
    """A file or directory that cannot be written to, with all that is mounted below it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        """Forbid writing at `path`."""
        self.path = path

    def __str__(self) -> str:
        """Show the path."""
        return f"read-only {self.path}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"making {self.path} read-only"

    def run(self, room: Room) -> None:
        """Mount it on itself, read-only; what is not there needs nothing."""
        target_fd = _find(room, self.path)
        if target_fd < 0:
            return
        mount_fd = mount.open_tree(target_fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE)
        flags = AT_EMPTY_PATH | AT_RECURSIVE
        mount.mount_setattr(mount_fd, "", flags, attr_set=mount.MOUNT_ATTR_RDONLY)
        mount.attach(mount_fd, target_fd)
        os.close(mount_fd)
        os.close(target_fd)


class Mask(Step):
    """A file or directory that nobody can look into."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        """Hide what is at `path`."""
        self.path = path

    def __str__(self) -> str:
        """Show the path."""
        return f"mask {self.path}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"masking {self.path}"

    def run(self, room: Room) -> None:
        """Cover it; what is not there needs no cover."""
        target_fd = _find(room, self.path)
        if target_fd < 0:
            return
        try:
            if stat.S_ISDIR(os.fstat(target_fd).st_mode):
                _empty_directory(room).put_over(target_fd)
            else:
                _null(room).put_over(target_fd)
        finally:
            os.close(target_fd)


def _find(room: Room, target: str) -> int:
    try:
        return path.open_in_root(room.root_fd, target)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _null(room: Room) -> Cover:
    if os.fstat(room.null.mount_fd).st_rdev != os.makedev(1, 3):
        message = "/dev/null of the host is not the null device"
        raise PermissionDenied(message)
    return room.null


def _empty_directory(room: Room) -> Cover:
    """Return the empty directory that covers others, made at first need."""
    if room.empty.mount_fd < 0:
        parameters: list[tuple[str, str | None]] = [
            ("mode", "755"),
            ("nr_inodes", "1"),
            ("ro", None),
        ]
        attributes = mount.MOUNT_ATTR_RDONLY
        room.empty.mount_fd = make_file_system("tmpfs", "tmpfs", parameters, attributes)
    return room.empty
