"""Errands: what has to be done in another namespace, by a child that hands back a descriptor.

Three things cannot be done from where the caller is, nor by the container's init:

* A mount that maps its owners (MOUNT_ATTR_IDMAP) takes the map from a user namespace, so that there
  must be one: a child makes it, and is gone as soon as it is open (`Users`).
* An overlay maps nothing itself, but takes layers that do. For these to be found under the names
  that its options have, a child covers the directories of the layers with mapped copies of
  themselves, in a mount namespace of its own (`mount_mapped`). What overlay writes (copies,
  whiteouts) it writes as who mounted it, whom the map must know: so the child acts on files as the
  container's root, with all its powers. On the disk everything stays as the image has it, so that
  containers with different users share layers and volumes, and a commit, a copy or a diff needs to
  know nothing of users.
* A mount of another container can be copied only from inside its mount namespace (`borrow`).

Man: mount_setattr(2), user_namespaces(7), setns(2)
"""

from __future__ import annotations

import os

from knarr.errors import Failed
from knarr.linux import capabilities, mount, namespaces, overlay, process
from knarr.linux.mount import AT_EMPTY_PATH, AT_FDCWD, OPEN_TREE_CLONE
from knarr.runtime import birth
from knarr.runtime import channel as talk
from knarr.runtime.failures import failed
from knarr.runtime.steps import outside
from knarr.runtime.steps.mounts import open_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from knarr.runtime.birth import Newborn
    from knarr.runtime.channel import Channel
    from knarr.runtime.steps.mounts import Bind

    Ranges = Sequence[tuple[int, int, int]]

DONE = ("done",)


class Users:
    """The mapping of users of a container or a mount, and a user namespace that has it."""

    __slots__ = ("_descriptor", "gid_map", "path", "uid_map")

    def __init__(self, uid_map: Ranges = (), gid_map: Ranges = (), path: str = "") -> None:
        """Map by entries of first ID inside, first ID outside, and how many.

        Or as the user namespace does that is at `path` already.
        """
        self.uid_map = uid_map
        self.gid_map = gid_map
        self.path = path
        self._descriptor = -1

    def descriptor(self) -> int:
        """Return the namespace, made when first asked for; `close` closes it."""
        if self._descriptor < 0:
            flags = os.O_RDONLY | os.O_CLOEXEC
            made = not self.path
            self._descriptor = _make_user_namespace(self) if made else os.open(self.path, flags)
        return self._descriptor

    def close(self) -> None:
        """Let go of the namespace; mounts that were mapped by it keep it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def root(self) -> tuple[int, int]:
        """Return user and group outside of the root inside; itself where it is not mapped."""
        return _outside(0, self.uid_map), _outside(0, self.gid_map)

    def apply(self, mount_fd: int, *, recursive: bool = False) -> None:
        """Map the owners of a detached mount."""
        flags = AT_EMPTY_PATH | (mount.AT_RECURSIVE if recursive else 0)
        attribute = mount.MOUNT_ATTR_IDMAP
        mount.mount_setattr(mount_fd, "", flags, attr_set=attribute, userns_fd=self.descriptor())


def _outside(number: int, ranges: Ranges) -> int:
    for inside, outside_id, count in ranges:
        if inside <= number < inside + count:
            return outside_id + number - inside
    return number


def _make_user_namespace(users: Users) -> int:
    def wait(channel: Channel) -> NoReturn:
        channel.receive()  # until the parent hangs up
        os._exit(0)

    child = birth.fork(wait, namespaces.CLONE_NEWUSER)
    try:
        outside.map_users(users, child.pid)
        return os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        _end(child)


def _run(work: Callable[[], int], doing: str, flags: int = 0) -> int:
    """Do `work` in a child with new namespaces, and return the descriptor that it returns.

    Raises: KnarrError
    """

    def do(channel: Channel) -> NoReturn:
        try:
            channel.send(DONE, work())
        except BaseException as error:  # noqa: BLE001 - the top of this process
            channel.send(talk.describe(error, doing))
        os._exit(0)

    child = birth.fork(do, flags)
    try:
        message, descriptor = child.channel.receive()
    finally:
        _end(child)
    if message[:1] == (talk.ERROR,):
        talk.raise_error(message)
    if message != DONE:
        text = f"{doing}: the process for it was killed"
        raise Failed(text)
    return descriptor


def _end(child: Newborn) -> None:
    child.channel.close()
    os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    os.close(child.pidfd)


def mount_mapped(options: Sequence[tuple[str, str]], users: Users) -> int:
    """Mount an overlay whose layers map their owners by `users`; return the detached mount.

    Raises: KnarrError
    """
    users.descriptor()  # made by us: the child knows no way to a namespace of ours
    keys = ("lowerdir+", "upperdir", "workdir")
    parents = {os.path.dirname(os.path.realpath(path)) for key, path in options if key in keys}

    def work() -> int:
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE, None)
        for directory in sorted(parents):
            _cover(directory, users)
        _act_as(*users.root())
        return overlay.open_mount_here(list(options))

    return _run(work, "mounting the overlay of the root with mapped users", namespaces.CLONE_NEWNS)


def _cover(directory: str, users: Users) -> None:
    """Mount a mapped copy of a directory over itself."""
    mount_fd = mount.open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE)
    try:
        users.apply(mount_fd)
        target_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mount.attach(mount_fd, target_fd)
        os.close(target_fd)
    except OSError as error:
        error.add_note(f"mapping the owners of {directory}")
        raise
    finally:
        os.close(mount_fd)


def _act_as(uid: int, gid: int) -> None:
    """Make files as somebody else, with the powers that the kernel takes away for that."""
    process.setfsgid(gid)
    process.setfsuid(uid)
    _, permitted, inheritable = capabilities.capget()
    capabilities.capset(permitted, permitted, inheritable)


def do_inside(pid: int, work: Callable[[], int], doing: str) -> int:
    """Do `work` where a process sees files, and return the descriptor that it returns.

    That is in its mount namespace and from its root, which another mount may cover by now.

    Raises: KnarrError
    """

    def enter() -> int:
        descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        namespaces.setns(descriptor, namespaces.CLONE_NEWNS)
        os.fchdir(root_fd)
        os.chroot(".")
        return work()

    return _run(enter, doing)


def borrow(pid: int, path: str) -> int:
    """Return a detached copy of the mount at `path` in the mount namespace of a process.

    Raises: KnarrError
    """
    flags = OPEN_TREE_CLONE | mount.AT_SYMLINK_NOFOLLOW
    doing = f"sharing {path} of process {pid}"
    return do_inside(pid, lambda: mount.open_tree(AT_FDCWD, path, flags), doing)


def part_of(mount_fd: int, part: str, whole: str) -> int:
    """Return a detached mount of a part of a detached mount, `whole` in words.

    Raises: KnarrError
    """

    def work() -> int:
        # A kernel before 6.15 copies no mount that hangs nowhere: it hangs for a moment here.
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE, None)
        top_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mount.attach(mount_fd, top_fd)
        return open_part(mount_fd, part, whole)

    return _run(work, f"mounting {part} of {whole}", namespaces.CLONE_NEWNS)


def open_mount(step: Bind, pid: int) -> int:
    """Open the source of a bind mount as the init `pid` of the container sees it, and map it."""
    mount_fd = do_inside(pid, step.open, step.doing())
    if step.users:
        map_mount(step, os.dup(mount_fd))
    return mount_fd


def map_mount(step: Bind, mount_fd: int) -> None:
    """Map the owners of a bind mount, which the container's init may not; close the descriptor.

    Raises: KnarrError
    """
    assert step.users is not None
    try:
        step.map(mount_fd)
    except OSError as error:
        raise failed(f"mapping the owners of {step.source} at {step.target}", error) from error
    finally:
        step.users.close()
        os.close(mount_fd)
