"""What the steps of a plan work on: a container in the making, seen from its own init.

A plan is a list of steps; each says what it does (`__str__`: what `--debug` prints and the golden
tests compare), what to call it when it fails (`doing`), and does it (`run`). Steps reach files of
the container through `Room.root_fd` alone, never by a path of the host: a name inside may be a
link to anywhere.
"""

from __future__ import annotations

import os

from knarr.linux import mount, process
from knarr.runtime import cgroups
from knarr.runtime.channel import MAP_MOUNT, MOUNT_MAPPED, MOUNT_OPENED, NOTE, OPEN_MOUNT, PLACED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.channel import Channel
    from knarr.runtime.errands import Users


class Step:
    """One deed of a plan."""

    __slots__ = ()
    early = False
    late = False
    users: Users | None = None  # whom it maps the owners of files by

    def run(self, _: Room) -> None:
        """Do it."""
        raise NotImplementedError

    def prepare(self) -> int:
        """Open, in the parent, what init may not be allowed to; return the descriptor or -1.

        Called for containers with a user namespace, whose root is nobody to the host's files, and
        for steps that are `early` in any case: init cannot do what they begin with. Never for
        those that are `late`: what they need is not there yet.
        """
        return -1

    def settle(self, pid: int) -> None:
        """Do, in the parent, what follows when the container `pid` is ready, or 0 has failed."""

    def doing(self) -> str:
        """Say what is being done, for the beginning of an error."""
        return str(self)


class Cover:
    """A mount that is put over several places.

    A kernel before 6.15 copies no mount that hangs nowhere. So the mount itself covers the first
    place, and the copies that cover the others are made of it there.
    """

    __slots__ = ("_attached", "mount_fd")

    def __init__(self, mount_fd: int) -> None:
        """Take over the detached mount `mount_fd`, or -1 until there is one."""
        self.mount_fd = mount_fd
        self._attached = False

    def put_over(self, target_fd: int) -> None:
        """Cover the place that is open as `target_fd`."""
        if not self._attached:
            mount.attach(self.mount_fd, target_fd)
            self._attached = True
            return
        flags = mount.OPEN_TREE_CLONE | mount.AT_EMPTY_PATH
        copy_fd = mount.open_tree(self.mount_fd, "", flags)
        try:
            mount.attach(copy_fd, target_fd)
        finally:
            os.close(copy_fd)


class Room:
    """The descriptors and facts that steps share. Lives only in init."""

    __slots__ = (
        "_group",
        "channel",
        "debug",
        "devpts_fd",
        "empty",
        "exposed",
        "null",
        "proc_fd",
        "root_fd",
        "root_path",
        "terminal_fd",
    )

    def __init__(self, channel: Channel, root_path: str, group: Cgroup | None = None) -> None:
        """Open what is needed of the host while its files can still be reached by name."""
        self.channel = channel
        self.debug = False
        self._group = group
        self.root_path = root_path
        self.root_fd = -1
        self.proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.null = Cover(mount.open_tree(mount.AT_FDCWD, "/dev/null", mount.OPEN_TREE_CLONE))
        self.empty = Cover(-1)
        self.devpts_fd = -1
        self.exposed = False  # whether mounts reach the host
        self.terminal_fd = -1

    def note(self, text: str) -> None:
        """Let the parent note what is done, with debug."""
        if self.debug:
            self.channel.send((NOTE, "debug", text))

    def ask_for_mount(self, number: int) -> int:
        """Let the parent open the mount of the step with this number in the plan, and return it."""
        self.enter_cgroups()  # which reads what the parent said before
        self.channel.send((OPEN_MOUNT, str(number)))
        message, mount_fd = self.channel.receive()
        if message != MOUNT_OPENED:
            os._exit(1)  # the parent is gone, or has failed and says so itself
        return mount_fd

    def map_mount(self, number: int, mount_fd: int) -> None:
        """Let the parent map the detached mount of the step with this number in the plan."""
        self.enter_cgroups()  # which reads what the parent said before
        self.channel.send((MAP_MOUNT, str(number)), mount_fd)
        self.channel.wait_for(MOUNT_MAPPED)

    def path_of(self, descriptor: int) -> str:
        """Return the path of an open file as the kernel shows it to this process."""
        return os.readlink(f"self/fd/{descriptor}", dir_fd=self.proc_fd)

    def own_pid(self) -> int:
        """Return the ID of this process as the parent knows it."""
        return int(os.readlink("self", dir_fd=self.proc_fd))

    def enter_cgroups(self) -> None:
        """Be in the container's cgroups, which the parent makes meanwhile, from here on."""
        if self._group is not None:
            self.channel.wait_for(PLACED)
            cgroups.enter(self._group)
            self._group = None

    @staticmethod
    def close_all(first: int, keep: Iterable[int]) -> None:
        """Close every descriptor from `first` on but those in `keep`."""
        for descriptor in sorted(keep):
            if descriptor > first:
                process.close_range(first, descriptor - 1)
            first = descriptor + 1
        process.close_range(first)
