"""The files of a container as its programs see them, with everything that is mounted in it.

A running container has that view already: /proc/<pid>/root, opened, leads into its mount namespace,
and what is resolved from that descriptor crosses the container's mounts and never leaves its root.

For one that does not run, which is locked meanwhile, the view is made anew, in a mount namespace
that nobody is in: a thread enters it, mounts the files of the container over its root, on these its
volumes and binds, and ends; the descriptors that it leaves keep it all alive. They are closed with
the process at the latest, so that a process that is killed leaves no mount. A tmpfs of a container
that does not run has no content: the directory below it is seen.

With users of its own, a running container's files have the owners that the host gives them;
`inside` and `outside` translate. In a view of our own the owners are those stored, which are the
container's.

Man: mount_namespaces(7), openat2(2), move_mount(2)
"""

from __future__ import annotations

import os
import stat

from knarr.engine.container import tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.mounts import FILES, plan_mounts, source_finder
from knarr.errors import Failed, InvalidArgument, Unavailable
from knarr.linux import mount, namespaces
from knarr.linux import path as paths
from knarr.linux.capabilities import FileUser
from knarr.store.layers import LayerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from knarr.engine.containers import Container
    from knarr.engine.options.values import IdRange
    from knarr.oci.runtime import Mount
    from knarr.snapshot.snapshotter import Stack

READONLY_ROOT = "container rootfs is marked read-only"
READONLY_VOLUME = "mounted volume is marked read-only"

# What the kernel shows in files that are none; left out where a copy meets it on its way.
_KERNEL = frozenset((
    "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "securityfs", "debugfs", "tracefs",
    "bpf",
))  # fmt: skip
_UNMAPPED = 65534  # whom the kernel shows for owners that have no number


class View:
    """A container's files within the context: `root_fd` is their root directory."""

    def __init__(self, container: Container, *, writing: bool = False) -> None:
        """Prepare; a container that does not run is not started meanwhile."""
        self._container = container
        self._writing = writing
        self._descriptors: list[int] = []
        self._lock: ContainerLock | None = None
        self._uids: tuple[IdRange, ...] = ()
        self._gids: tuple[IdRange, ...] = ()
        self._shared = False
        self.root_fd = -1
        self.hidden: frozenset[int] = frozenset()  # devices that hold no files of the container

    def __enter__(self) -> Self:
        """Open the view.

        Raises: NotFound, Corrupt, Unavailable
        """
        try:
            if not self._enter_running():
                self._take_lock()
                if not self._enter_running():
                    self._mount()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self._close()

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def _take_lock(self) -> None:
        lock = ContainerLock(self._container.engine.paths, self._container.id)
        lock.__enter__()
        self._lock = lock

    def _enter_running(self) -> bool:
        """Open the root of the container's first process, if there is one."""
        state = self._container.state
        if state.status not in (tasks.RUNNING, tasks.PAUSED) or not state.pid:
            return False
        try:
            root_fd = os.open(f"/proc/{state.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._descriptors.append(root_fd)
            with open(f"/proc/{state.pid}/mountinfo", encoding="utf-8", errors="replace") as file:
                self.hidden = hidden_devices(file)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        if self._container.state.pid != state.pid:  # what was opened may be somebody else's
            return False
        spaces = self._container.options.namespaces
        self._uids, self._gids = spaces.uid_map, spaces.gid_map
        self.root_fd = root_fd
        return True

    def _mount(self) -> None:
        """Make the view in a mount namespace that only descriptors keep."""
        from threading import Thread  # noqa: PLC0415 - for containers that do not run

        container = self._container
        if container.status == tasks.RESTARTING:
            # Its supervisor may mount the same files at any moment.
            if self._writing:
                message = f"container {container.name} is about to be restarted"
                raise Unavailable(message, hint="Try again when it runs, or stop it.")
            self._shared = True
        stack = LayerRecords(container.engine.database).stack(container.row.chain)
        planned = self._planned()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self._mount_here(stack, planned)
            except BaseException as error:  # noqa: BLE001 - raised by the caller
                failures.append(error)

        thread = Thread(target=work)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    def _planned(self) -> list[Mount]:
        engine, options = self._container.engine, self._container.options
        directory = engine.paths.container(self._container.id)
        return plan_mounts(
            options,
            bundle_dir=directory,
            files=[name for name in FILES if os.path.exists(f"{directory}/{name}")],
            source_of=source_finder(engine, self._container.id, options),
        )

    def _mount_here(self, stack: Stack, planned: list[Mount]) -> None:
        """Leave the process's mount namespace, alone of its threads, and mount everything."""
        engine = self._container.engine
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mount.mount(None, "/", None, mount.MS_PRIVATE | mount.MS_REC, None)
        self._descriptors.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        active = engine.paths.container(self._container.id)
        root_fd = engine.layers.mount(stack, active=active, readonly=self._shared)
        self._descriptors.append(root_fd)
        sources = [(each["destination"], self._source(each)) for each in planned]
        top_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors.append(top_fd)
        mount.attach(root_fd, top_fd)
        for target, source_fd in sources:
            if source_fd >= 0:
                self._attach(root_fd, target, source_fd)
        if self._container.options.readonly:
            readonly = mount.MOUNT_ATTR_RDONLY
            mount.mount_setattr(root_fd, "", mount.AT_EMPTY_PATH, attr_set=readonly)
        self.root_fd = root_fd

    def _source(self, planned: Mount) -> int:
        """Return a detached mount of what is to be bound; -1 if it is missing or no bind."""
        if planned["type"] != "bind":
            return -1
        from knarr.engine.copying.binding import open_bind  # noqa: PLC0415 - for what does not run

        words = planned["options"]
        recursive = mount.AT_RECURSIVE if "rbind" in words else 0
        source_fd = open_bind(planned)
        if source_fd < 0:
            return -1
        self._descriptors.append(source_fd)
        if "ro" in words:
            below = recursive if "rro" in words else 0
            mount.mount_setattr(
                source_fd, "", mount.AT_EMPTY_PATH | below, attr_set=mount.MOUNT_ATTR_RDONLY
            )
        return source_fd

    def _attach(self, root_fd: int, target: str, source_fd: int) -> None:
        """Mount on `target`, which is made if the first start has not made it yet."""
        try:
            target_fd = paths.open_in_root(root_fd, target)
        except (FileNotFoundError, NotADirectoryError):
            if self._shared:
                return
            target_fd = _make_target(root_fd, target, source_fd)
        self._descriptors.append(target_fd)
        try:
            mount.attach(source_fd, target_fd)
        except NotADirectoryError as error:
            message = f"cannot mount on {target} of container {self._container.name}"
            raise Failed(message, hint="One is a directory and the other is a file.") from error

    def refuse_readonly(self, directory_fd: int) -> None:
        """Raise if nothing can be written in the open directory.

        Raises: InvalidArgument
        """
        flags = os.statvfs(f"/proc/self/fd/{directory_fd}").f_flag
        if flags & os.ST_RDONLY:
            same = os.fstat(directory_fd).st_dev == os.fstat(self.root_fd).st_dev
            raise InvalidArgument(READONLY_ROOT if same else READONLY_VOLUME)

    def creator(self) -> FileUser:
        """Return the context in which files can be made: as the container's root."""
        return FileUser(*self.outside(0, 0))

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return an owner as the container numbers it."""
        return _inside(uid, self._uids), _inside(gid, self._gids)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return an owner as the kernel is to be told it.

        Raises: InvalidArgument
        """
        return _outside(uid, self._uids), _outside(gid, self._gids)


def _make_target(root_fd: int, target: str, source_fd: int) -> int:
    if stat.S_ISDIR(os.fstat(source_fd).st_mode):
        return paths.make_directories(root_fd, target)
    resolved = paths.resolve_in_root(root_fd, target)
    os.close(paths.make_directories(root_fd, resolved.rpartition("/")[0]))
    flags = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW
    os.close(paths.open_plain(root_fd, resolved, flags, mode=0o644))
    return paths.open_plain(root_fd, resolved)


def _inside(number: int, ranges: Iterable[IdRange]) -> int:
    if not ranges:
        return number
    for each in ranges:
        if each.outside <= number < each.outside + each.size:
            return each.inside + number - each.outside
    return _UNMAPPED


def _outside(number: int, ranges: Iterable[IdRange]) -> int:
    if not ranges:
        return number
    for each in ranges:
        if each.inside <= number < each.inside + each.size:
            return each.outside + number - each.inside
    message = f"the container has no user or group {number}"
    raise InvalidArgument(message, hint="Its user namespace maps fewer IDs.")


def hidden_devices(lines: Iterable[str]) -> frozenset[int]:
    """Return the devices, by the lines of a mountinfo, that show the kernel's objects as files.

    Man: proc_pid_mountinfo(5)
    """
    found = set()
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if right.split(" ")[0] in _KERNEL or fields[4] == "/dev":
            major, _, minor = fields[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
