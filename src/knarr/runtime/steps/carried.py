"""Mounts that bring a file system of their own: volumes with a device, images, overlays.

The runtime-spec has such mounts made by the container's init. What a container's init may not do,
in a user namespace or for lack of a view of the host, its parent can: it mounts the file system
where nobody sees it, and from there on it is a bind mount, with parts (`subpath`), mapped owners
and attributes as others have them. A mount of the spec says so by an object of ours:

    {"destination": "/data", "type": "bind", "source": "/var/lib/…/_data", "options": ["rprivate"],
     "fileSystem": {"type": "ext4", "source": "/dev/sdb1", "options": ["noatime", "discard"],
                    "shared": "/run/…/volumes/data"}}

With `shared`, a file, the container shows the file system that other containers show which named
the same file, as long as one of them runs; else a new one. So a tmpfs is shared though nothing of
it is mounted on the host. The file names the processes that have it, and the device by which the
kernel tells it from others: it is looked for in their mount namespaces, and what a container put in
its place is not it. One lock beside the files is held from the look until the new container has the
mount.

Man: fsopen(2), open_tree(2)
"""

from __future__ import annotations

import fcntl
import os

from knarr.errors import KnarrError
from knarr.linux import mount, process
from knarr.runtime.steps.filesystems import make_file_system
from knarr.runtime.steps.mounts import Bind
from knarr.runtime.steps.options import parse_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.runtime.document import Node
    from knarr.runtime.errands import Users
    from knarr.runtime.steps.options import MountOptions

OVERLAY = "overlay"
_LOCK = ".lock"


class Carried(Bind):
    """A file system that is mounted for the container, by its parent and before all else."""

    __slots__ = ("_holders", "fstype", "shared", "words")

    def __init__(
        self, node: Node, target: str, options: MountOptions, users: Users | None = None
    ) -> None:
        """Mount what `node`, the object `fileSystem`, says; `users` map the owners in it."""
        super().__init__(node.text("source") or "none", target, options, users)
        self.fstype = node.required("type")
        self.words = node.texts("options")
        self.shared = node.text("shared")
        self.early, self.late = True, False
        self._holders: Holders | None = None

    def subject(self) -> str:
        """Return the type and the source."""
        return f"{self.fstype} {self.source}"

    def open(self) -> int:
        """Return a detached mount of it, or of the part that is wanted."""
        mount_fd = self._open_whole()
        if not self.options.subpath:
            return mount_fd
        from knarr.runtime import errands  # noqa: PLC0415 - in the parent, for few containers

        try:
            return errands.part_of(mount_fd, self.options.subpath, self.subject())
        finally:
            os.close(mount_fd)

    def _open_whole(self) -> int:
        if self.shared:
            self._holders = Holders(self.shared)
            found = self._holders.borrow()
            if found >= 0:
                return found
        mount_fd = mount_file_system(self.fstype, self.source, self.words, self.users)
        if self._holders is not None:
            self._holders.device = os.fstat(mount_fd).st_dev
        return mount_fd

    def map(self, mount_fd: int) -> None:
        """Map the owners; those in an overlay are mapped from the beginning."""
        if self.fstype != OVERLAY:
            super().map(mount_fd)

    def settle(self, pid: int) -> None:
        """Let others share what the container has now, if anything came of it."""
        if self._holders is not None:
            if pid:
                self._holders.add(pid)
            self._holders.close()
            self._holders = None


class Holders:
    """Who has a file system mounted that is shared, as a file says; locked from here on."""

    __slots__ = ("_lock_fd", "_path", "device")

    def __init__(self, path: str) -> None:
        """Wait until nobody else looks."""
        self._path = path
        self.device = 0
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        # One lock for all: who wants two of them cannot wait for who wants the same two.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock_fd = os.open(f"{os.path.dirname(path)}/{_LOCK}", flags, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)

    def borrow(self) -> int:
        """Return a detached copy of the mount of who has it, -1 if nobody has."""
        from knarr.runtime import errands  # noqa: PLC0415 - in the parent, for few containers

        for pid, device in self._living():
            try:
                place = _place_of(pid, device)
                if not place:
                    continue
                mount_fd = errands.borrow(pid, place)
            except (OSError, KnarrError):  # it ends at this moment, and what it had with it
                continue
            if os.fstat(mount_fd).st_dev == device:
                self.device = device
                return mount_fd
            os.close(mount_fd)
        return -1

    def _living(self) -> Iterator[tuple[int, int]]:
        """Yield process and device of each line whose process is the one that wrote it."""
        for line in self._lines():
            pid, started, device = (int(word) for word in line.split())
            try:
                if process.start_time(pid) == started:
                    yield pid, device
            except FileNotFoundError:
                continue

    def _lines(self) -> list[str]:
        try:
            with open(self._path, encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def add(self, pid: int) -> None:
        """Add a process to those that have it."""
        living = [*self._living(), (pid, self.device)]
        text = "".join(f"{one} {process.start_time(one)} {device}\n" for one, device in living)
        with open(self._path, "w", encoding="ascii") as file:
            file.write(text)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._lock_fd)


def borrow_shared(path: str) -> int:
    """Return a detached copy of a mount that is shared, -1 if nobody has it now."""
    holders = Holders(path)
    try:
        return holders.borrow()
    finally:
        holders.close()


def _place_of(pid: int, device: int) -> str:
    """Return where a process has the root of a file system mounted, empty if nowhere.

    Man: proc_pid_mountinfo(5)
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            if fields[2] == number and fields[3] == "/":
                return fields[4].encode().decode("unicode_escape").encode("latin-1").decode()
    return ""


def mount_file_system(
    fstype: str, source: str, words: Iterable[str], users: Users | None = None
) -> int:
    """Return a detached mount; only an overlay maps its owners, by `users`, in being mounted."""
    options = parse_options(words)
    if fstype == OVERLAY:
        pairs = [(key, value or "") for key, value in options.parameters]
        if users is not None:
            from knarr.runtime.errands import mount_mapped  # noqa: PLC0415 - for few containers

            return mount_mapped(pairs, users)
        from knarr.linux import overlay  # noqa: PLC0415 - in the parent, for few containers

        return overlay.open_mount(pairs, attributes=options.set)
    parameters = list(options.parameters)
    if options.set & mount.MOUNT_ATTR_RDONLY:
        parameters.append(("ro", None))
    return make_file_system(fstype, source, parameters, options.set)
