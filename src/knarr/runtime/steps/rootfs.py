"""The root of a container: mounted, filled, entered.

The steps run in init, in the container's own mount namespace, where nothing they do is seen
outside and from which everything vanishes with the last process. In this order:

1. The propagation of the copied mounts is cut (`Propagation`): no mount of ours reaches the host.
2. The root is mounted: an overlay of the engine's layers (`OverlayRoot`) or a plain directory,
   bound to itself because pivot_root(2) wants a mount (`BindRoot`). From here on everything goes
   by `room.root_fd`.
3. The mounts of the spec, in its order (`mounts`), then device nodes and links in /dev.
4. The root becomes `/`, the host's tree is detached, and no name leads there any more (`pivot`).
5. What must come last since it forbids: read-only root, masked and read-only paths (`covers`).

Spec: runtime-spec config.md "Root"; config-linux.md "Devices"
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.linux import mount, path
from knarr.linux.mount import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, OPEN_TREE_CLONE
from knarr.runtime.steps.filesystems import make_file_system
from knarr.runtime.steps.mounts import make_file
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.runtime.errands import Users
    from knarr.runtime.steps.room import Room

_PROPAGATION_NAMES = {
    mount.MS_PRIVATE: "private",
    mount.MS_SLAVE: "slave",
    mount.MS_SHARED: "shared",
    mount.MS_UNBINDABLE: "unbindable",
}


class Propagation(Step):
    """How mount events travel between the mounts of the host and their copies here."""

    __slots__ = ("kind", "recursive")

    def __init__(self, kind: int, *, recursive: bool) -> None:
        """Change all of `/` to `kind`, an MS_… flag."""
        self.kind = kind
        self.recursive = recursive

    def __str__(self) -> str:
        """Show the kind."""
        return f"propagation {'r' if self.recursive else ''}{_PROPAGATION_NAMES[self.kind]} at /"

    def run(self, room: Room) -> None:
        """Change it; note if what is mounted from here on could be seen by the host."""
        mount.mount(None, "/", None, self.kind | (mount.MS_REC if self.recursive else 0), None)
        room.exposed = not (self.recursive and self.kind in _CONFINED)


KCORE = "/proc/kcore"  # an option of the kernel's build
_CONFINED = (mount.MS_PRIVATE, mount.MS_SLAVE)


def _make_private(directory: str) -> None:
    """Make the mount private on which a directory is."""
    place = directory
    while True:
        try:
            mount.mount(None, place, None, mount.MS_PRIVATE, None)
        except OSError as error:
            if error.errno != errno.EINVAL or place == "/":  # EINVAL: no mount point
                raise
            place = os.path.dirname(place)
        else:
            return


def joins_layers(release: str) -> bool:
    """Tell whether a kernel wants all layers in one option, for which init has no means.

    Linux 6.8 was the first to take them one by one.
    """
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor) if minor.isdigit() else 0) < (6, 8)


class OverlayRoot(Step):
    """The root as an overlay of layers."""

    __slots__ = ("_mount_fd", "early", "options", "place", "users")

    def __init__(
        self, options: Sequence[tuple[str, str]], place: str, users: Users | None = None
    ) -> None:
        """Mount with `options`, in order, on the empty directory `place`; no value is a flag.

        With `users` the owners in all layers are mapped by them.
        """
        self.options = options
        self.place = place
        self.users = users
        self.early = joins_layers(os.uname().release)
        self._mount_fd = -1

    def __str__(self) -> str:
        """Show the options."""
        words = (f"{key}={value}" if value else key for key, value in self.options)
        mapped = " with mapped users" if self.users else ""
        return f"root overlay ({','.join(words)}){mapped}"

    def doing(self) -> str:
        """Say what is being done."""
        return "mounting the overlay of the root"

    def prepare(self) -> int:
        """Mount it, detached."""
        if self.users:
            from knarr.runtime import errands  # noqa: PLC0415 - in the parent, for few containers

            self._mount_fd = errands.mount_mapped(self.options, self.users)
            return self._mount_fd
        if self.early:
            from knarr.linux import overlay  # noqa: PLC0415 - in the parent, on older kernels

            self._mount_fd = overlay.open_mount(self.options)
            return self._mount_fd
        parameters = [(key, value or None) for key, value in self.options]
        self._mount_fd = make_file_system("overlay", "overlay", parameters, 0)
        return self._mount_fd

    def run(self, room: Room) -> None:
        """Mount it, seen only here."""
        _enter(room, self._mount_fd if self._mount_fd >= 0 else self.prepare())


class BindRoot(Step):
    """The root as a directory that is there already, with the mounts below it."""

    __slots__ = ("_mount_fd", "place")

    def __init__(self, place: str) -> None:
        """Make the directory `place` the root."""
        self.place = place
        self._mount_fd = -1

    def __str__(self) -> str:
        """Show the directory."""
        return f"root {self.place}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"mounting the root {self.place}"

    def prepare(self) -> int:
        """Open the directory."""
        self._mount_fd = mount.open_tree(AT_FDCWD, self.place, OPEN_TREE_CLONE | AT_RECURSIVE)
        return self._mount_fd

    def run(self, room: Room) -> None:
        """Bind it to itself.

        What was opened before `/` became a slave, in another namespace, still is its peer.
        """
        if self._mount_fd >= 0 and not room.exposed:
            flags = AT_EMPTY_PATH | AT_RECURSIVE
            mount.mount_setattr(self._mount_fd, "", flags, propagation=mount.MS_SLAVE)
        _enter(room, self._mount_fd if self._mount_fd >= 0 else self.prepare())


def _enter(room: Room, mount_fd: int) -> None:
    """Hang the detached root at its place in the tree, and go there."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        place_fd = os.open(room.root_path, flags)
    except PermissionError:  # root of a user namespace cannot go everywhere; "/" does as well
        place_fd = os.open("/", flags)
    room.root_path = room.path_of(place_fd)
    if room.exposed:  # pivot_root(2) wants neither the place nor the root to be shared
        _make_private(room.root_path)
        mount.mount_setattr(mount_fd, "", AT_EMPTY_PATH, propagation=mount.MS_PRIVATE)
    mount.attach(mount_fd, place_fd)
    os.close(place_fd)
    os.fchdir(mount_fd)
    room.root_fd = mount_fd


class Device(Step):
    """A device node."""

    __slots__ = ("bind", "gid", "kind", "major", "minor", "mode", "path", "uid")

    def __init__(
        self, path: str, kind: str, device: tuple[int, int], mode: int, owner: tuple[int, int]
    ) -> None:
        """Make `path` a device of `kind` (c, b, u or p)."""
        self.path = path
        self.kind = kind
        self.major, self.minor = device
        self.mode = mode
        self.uid, self.gid = owner
        self.bind = False

    def __str__(self) -> str:
        """Show the node as ls(1) would."""
        how = "bind" if self.bind else "device"
        number = "" if self.kind == "p" else f" {self.major}:{self.minor}"
        return f"{how} {self.path} {self.kind}{number} {self.mode:04o} {self.uid}:{self.gid}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"making the device {self.path}"

    def run(self, room: Room) -> None:
        """Make it, or show the host's where a user namespace may make none."""
        if self.bind:
            self._show(room)
            return
        parent, _, name = self.path.rpartition("/")
        parent_fd = path.make_directories(room.root_fd, parent)
        kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
        try:
            device = os.makedev(self.major, self.minor)
            try:
                os.mknod(name, kind[self.kind] | self.mode, device, dir_fd=parent_fd)
            except FileExistsError:
                self._check(parent_fd, name, kind[self.kind], device)
                return
            if self.uid or self.gid:
                os.chown(name, self.uid, self.gid, dir_fd=parent_fd, follow_symlinks=False)
        finally:
            os.close(parent_fd)

    def _show(self, room: Room) -> None:
        mount_fd = mount.open_tree(AT_FDCWD, self.path, OPEN_TREE_CLONE)
        target_fd = make_file(room.root_fd, self.path, follow=False)
        try:
            mount.attach(mount_fd, target_fd)
        finally:
            os.close(mount_fd)
            os.close(target_fd)

    def _check(self, parent_fd: int, name: str, kind: int, device: int) -> None:
        """Accept what is there only if it is the same device."""
        there = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if stat.S_IFMT(there.st_mode) != kind or (self.kind != "p" and there.st_rdev != device):
            raise FileExistsError(errno.EEXIST, "something else is there", self.path)


class Link(Step):
    """A symbolic link, where nothing is yet."""

    __slots__ = ("path", "target")

    def __init__(self, target: str, path: str) -> None:
        """Make `path` lead to `target`."""
        self.target = target
        self.path = path

    def __str__(self) -> str:
        """Show the link."""
        return f"link {self.path} -> {self.target}"

    def run(self, room: Room) -> None:
        """Make it; that to the kernel's memory where the kernel shows it at all."""
        if self.target == KCORE and not os.path.exists(KCORE):
            return
        try:
            path.symlink_in_root(self.target, room.root_fd, self.path)
        except FileExistsError:
            pass


class WorkingDirectory(Step):
    """The directory that the program starts in, made if the rootfs lacks it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        """Make `path`."""
        self.path = path

    def __str__(self) -> str:
        """Show the path."""
        return f"directory {self.path}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"making the working directory {self.path}"

    def run(self, room: Room) -> None:
        """Make it and its parents."""
        try:
            os.close(path.open_in_root(room.root_fd, self.path))
        except FileNotFoundError:
            os.close(path.make_directories(room.root_fd, self.path))


def show_console(room: Room, terminal_fd: int) -> None:
    """Show the container's terminal as /dev/console.

    By descriptor: what is at that name in the rootfs is covered, never followed (CVE-2025-52565).
    """
    target_fd = make_file(room.root_fd, "/dev/console", follow=False)
    mount_fd = mount.open_tree(terminal_fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH)
    mount.attach(mount_fd, target_fd)
    os.close(mount_fd)
    os.close(target_fd)
