"""What a container sees below /sys/fs/cgroup.

With cgroup v2 it is the one file system. With v1 and hybrid it is a small tmpfs with a directory
for each v1 hierarchy and links for controllers mounted together, as systemd sets up hosts and as
the reference runtimes show it. In a cgroup namespace of its own the container sees its own cgroups
as roots; without one its directories of the host are bound.

A process becomes the root of its cgroup namespace where it is when it makes it, and so must have
been moved before: `Room.enter_cgroups`.

Spec: runtime-spec config-linux.md, "Default Filesystems"
"""

from __future__ import annotations

import errno
import os

from knarr.linux import mount, namespaces, path
from knarr.linux.mount import AT_EMPTY_PATH, AT_FDCWD, OPEN_TREE_CLONE
from knarr.runtime.steps.filesystems import make_file_system
from knarr.runtime.steps.mounts import MountStep
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.linux.cgroup import Hierarchy
    from knarr.runtime.steps.options import MountOptions
    from knarr.runtime.steps.room import Room


class CgroupNamespace(Step):
    """A view of the cgroups that begins at the container's own."""

    __slots__ = ()

    def __str__(self) -> str:
        """Show it."""
        return "cgroup namespace: new, once the cgroups are joined"

    def doing(self) -> str:
        """Say what is being done."""
        return "making the cgroup namespace"

    def run(self, room: Room) -> None:
        """Make it, when this process is in its cgroups."""
        room.enter_cgroups()
        namespaces.unshare(namespaces.CLONE_NEWCGROUP)


class UnifiedView(MountStep):
    """The cgroup v2 file system."""

    __slots__ = ("directory",)

    def __init__(self, target: str, options: MountOptions, directory: str) -> None:
        """Show the hierarchy; `directory` is the container's in it, if it must be bound."""
        super().__init__(target, options)
        self.directory = directory

    def subject(self) -> str:
        """Return the type."""
        return "cgroup2"

    def run(self, room: Room) -> None:
        """Mount it, or bind where a user namespace may not mount."""
        room.enter_cgroups()
        target_fd = self.place(room, directory=True)
        try:
            mount_fd = make_file_system("cgroup2", "cgroup", [], self.options.set)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EBUSY):
                raise
            mount_fd = mount.open_tree(AT_FDCWD, self.directory, OPEN_TREE_CLONE)
            mount.mount_setattr(mount_fd, "", AT_EMPTY_PATH, attr_set=self.options.set)
        self.attach(mount_fd, target_fd)


class SeparateViews(MountStep):
    """A directory for each cgroup v1 hierarchy."""

    __slots__ = ("own_namespace", "views")

    def __init__(
        self,
        target: str,
        options: MountOptions,
        views: Sequence[tuple[Hierarchy, str]],
        *,
        own_namespace: bool,
    ) -> None:
        """Show hierarchies, each with the container's directory of the host in it."""
        super().__init__(target, options)
        self.views = views
        self.own_namespace = own_namespace

    def subject(self) -> str:
        """Return the type and the names."""
        names = " ".join(",".join(hierarchy.controllers) for hierarchy, _ in self.views)
        return f"cgroup {names}"

    def doing(self) -> str:
        """Say what is being mounted where."""
        return f"mounting the cgroups at {self.target}"

    def run(self, room: Room) -> None:
        """Build the tmpfs while it hangs nowhere, then put it in its place and fill it."""
        room.enter_cgroups()
        attributes = self.options.set & ~mount.MOUNT_ATTR_RDONLY
        mount_fd = make_file_system("tmpfs", "tmpfs", [("mode", "755")], attributes)
        target_fd = self.place(room, directory=True)
        tmpfs_fd = os.dup(mount_fd)
        try:
            self.attach(mount_fd, target_fd)
            for hierarchy, directory in self.views:
                self._show(tmpfs_fd, hierarchy, directory)
            if self.options.set & mount.MOUNT_ATTR_RDONLY:
                attribute = mount.MOUNT_ATTR_RDONLY
                mount.mount_setattr(tmpfs_fd, "", AT_EMPTY_PATH, attr_set=attribute)
        finally:
            os.close(tmpfs_fd)

    def _show(self, tmpfs_fd: int, hierarchy: Hierarchy, directory: str) -> None:
        name = os.path.basename(hierarchy.mount_point)
        os.mkdir(name, 0o755, dir_fd=tmpfs_fd)
        place_fd = path.open_plain(tmpfs_fd, name)
        try:
            if self.own_namespace:
                mount_fd = self._mount(hierarchy)
            else:
                mount_fd = mount.open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE)
                mount.mount_setattr(mount_fd, "", AT_EMPTY_PATH, attr_set=self.options.set)
            mount.attach(mount_fd, place_fd)
            os.close(mount_fd)
        finally:
            os.close(place_fd)
        for controller in hierarchy.controllers:
            if controller != name and "=" not in controller:
                os.symlink(name, controller, dir_fd=tmpfs_fd)

    def _mount(self, hierarchy: Hierarchy) -> int:
        parameters: list[tuple[str, str | None]] = []
        for controller in hierarchy.controllers:
            if "=" in controller:
                parameters += [("none", None), ("name", controller.partition("=")[2])]
            else:
                parameters.append((controller, None))
        return make_file_system("cgroup", "cgroup", parameters, self.options.set)
