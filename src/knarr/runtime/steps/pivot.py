"""The change of the root, from where on the host's files have no names.

Man: pivot_root(2), chroot(2)
"""

from __future__ import annotations

import errno
import os

from knarr.linux import mount
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.steps.room import Room


class Pivot(Step):
    """The change of the root, after which the host's files have no names."""

    __slots__ = ("how",)

    WAYS = {  # noqa: RUF012 - never changed
        "pivot": "pivot into the root",
        "move": "move the root to / and chroot",
        "chroot": "chroot into the root",
    }

    def __init__(self, how: str) -> None:
        """Pivot, or move the mount and chroot where the kernel cannot (a ramfs as root).

        Just to chroot is for containers in the host's mount namespace, whose root must stay.
        """
        self.how = how

    def __str__(self) -> str:
        """Show how."""
        return self.WAYS[self.how]

    def run(self, room: Room) -> None:
        """Change the root.

        Both names are `.`: the old root is then mounted on top of the new one, out of which no
        path leads, and unmounted from there. It is made a slave before, so that the unmounting
        does not reach the host.
        """
        os.fchdir(room.root_fd)
        if self.how == "pivot":
            old_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mount.pivot_root(".", ".")
            os.fchdir(old_fd)
            os.close(old_fd)
            mount.mount(None, ".", None, mount.MS_SLAVE | mount.MS_REC, None)
            mount.umount2(".", mount.MNT_DETACH)
        else:
            if self.how == "move":
                _hide_kernel_views(room)
                mount.mount(room.root_path, "/", None, mount.MS_MOVE, None)
            os.chroot(".")
        os.chdir("/")
        room.root_path = "/"


def _hide_kernel_views(room: Room) -> None:
    """Take away what proc and sysfs of the host are left behind the root.

    While one that shows everything is in the mount namespace, the kernel lets any user namespace
    mount another, in which nothing is masked.
    """
    descriptor = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=room.proc_fd)
    with os.fdopen(descriptor, "rb") as file:
        lines = os.fsdecode(file.read()).splitlines()
    root = f"{room.root_path.rstrip('/')}/"
    for line in lines:
        place, fstype = line.split()[4], line.partition(" - ")[2].split()[0]
        if fstype not in ("proc", "sysfs") or f"{place}/".startswith(root):
            continue
        try:
            mount.mount(None, place, None, mount.MS_SLAVE | mount.MS_REC, None)
            mount.umount2(place, mount.MNT_DETACH)
        except PermissionError:  # locked, in a user namespace
            mount.mount("tmpfs", place, "tmpfs", 0, "mode=755")
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # gone with another already
                raise
