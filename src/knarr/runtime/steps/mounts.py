"""The mounts of a spec, and how each is made.

Every mount is made detached (`fsopen` … `fsmount` for a file system, `open_tree` for a bind), gets
its attributes while nobody can see it, and is moved onto its place, which is a descriptor that
openat2 resolved inside the container's root. No path of the host is ever put together from names
inside, so a rootfs with symbolic links gains nothing by them, not even by exchanging directories
meanwhile (CVE-2021-30465 and its kin).

Where the kernel makes a place of its own (below /proc), only what cannot deceive the programs that
trust it may be mounted, as in runc.

Spec: runtime-spec config.md, "Mounts"
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.errors import InvalidArgument, PermissionDenied, Unsupported
from knarr.linux import mount, path
from knarr.linux.mount import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    OPEN_TREE_CLONE,
)
from knarr.runtime.steps.attributes import bind_attributes, set_attributes
from knarr.runtime.steps.filesystems import copy_up, make_file_system
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.errands import Users
    from knarr.runtime.steps.options import MountOptions
    from knarr.runtime.steps.room import Room

_KERNEL_VIEWS = ("proc", "sysfs")  # what programs believe without looking twice

# Files of /proc that may be covered: what others emulate per container (lxcfs), nothing that
# credentials or security labels are written to.
_MAY_COVER = frozenset(
    (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip


class MountStep(Step):
    """What all mounts have: a place, options, and the way onto the place."""

    __slots__ = ("options", "target")

    def __init__(self, target: str, options: MountOptions) -> None:
        """Mount at `target`, a path inside the container."""
        self.target = target
        self.options = options

    def __str__(self) -> str:
        """Show the mount in one line, as in fstab."""
        words = str(self.options)
        return f"{self.subject()} at {self.target}" + (f" ({words})" if words else "")

    def doing(self) -> str:
        """Say what is being mounted where."""
        return f"mounting {self.subject()} at {self.target}"

    def subject(self) -> str:
        """Return what is mounted, in words."""
        raise NotImplementedError

    def place(self, room: Room, *, directory: bool) -> int:
        """Return a descriptor of the target, made if it is not there."""
        flags = os.O_PATH | (os.O_DIRECTORY if directory else 0)
        try:
            return path.open_in_root(room.root_fd, self.target, flags)
        except FileNotFoundError:
            pass
        if directory:
            return path.make_directories(room.root_fd, self.target, inherit=True)
        return make_file(room.root_fd, self.target)

    def attach(self, mount_fd: int, target_fd: int) -> None:
        """Move the detached mount to its place, with its propagation; both descriptors close."""
        try:
            mount.attach(mount_fd, target_fd)
            for propagation, recursive in self.options.propagation:
                flags = AT_EMPTY_PATH | recursive
                mount.mount_setattr(mount_fd, "", flags, propagation=propagation)
        finally:
            os.close(target_fd)
            os.close(mount_fd)


class FileSystem(MountStep):
    """A new mount of a file system that the kernel knows."""

    __slots__ = ("fstype", "source")

    def __init__(self, fstype: str, source: str, target: str, options: MountOptions) -> None:
        """Mount `source`, for most types just a word, as `fstype`."""
        super().__init__(target, options)
        self.fstype = fstype
        self.source = source

    def subject(self) -> str:
        """Return the type."""
        return self.fstype

    def run(self, room: Room) -> None:
        """Mount it."""
        parameters = list(self.options.parameters)
        inherits = self.fstype == "tmpfs" and not any(key == "mode" for key, _ in parameters)
        if inherits and (mode := self._mode_there(room)):
            parameters.append(("mode", f"{mode:o}"))
        target_fd = self._place(room)
        if self.options.set & mount.MOUNT_ATTR_RDONLY and not self.options.copy_up:
            parameters.append(("ro", None))
        mount_fd = make_file_system(self.fstype, self.source, parameters, self.options.set)
        if self.options.copy_up:
            copy_up(target_fd, mount_fd)
        if self.fstype == "devpts" and self.target.rstrip("/") == "/dev/pts":
            room.devpts_fd = os.dup(mount_fd)
        self.attach(mount_fd, target_fd)

    def _mode_there(self, room: Room) -> int:
        """Return the mode of the directory at the target; 0 if there is none: tmpfs has its own."""
        try:
            target_fd = path.open_in_root(room.root_fd, self.target)
        except FileNotFoundError:
            return 0
        try:
            return stat.S_IMODE(os.fstat(target_fd).st_mode)
        finally:
            os.close(target_fd)

    def _place(self, room: Room) -> int:
        """Return the target, which for what programs trust must not be reached through links."""
        if self.fstype not in _KERNEL_VIEWS:
            target_fd = self.place(room, directory=True)
            refuse_cover(room, target_fd, self.target)
            return target_fd
        name = self.target.lstrip("/")
        try:
            return path.open_plain(room.root_fd, name, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return self.place(room, directory=True)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            message = f"{self.doing()}: {self.fstype} must be mounted on ordinary directory"
            hint = "What is there is a file or a symbolic link, or reached through one."
            raise PermissionDenied(message, hint=hint) from error


class Bind(MountStep):
    """A file or directory of the host, shown in the container.

    The source is opened when it is its turn, in the container's mount namespace: it may be a mount
    that an earlier step makes inside the root; and where the container has users of its own, the
    kernel has locked what the host forbids there (`ro`, `nodev` and the like), so that root inside
    cannot allow it again. With users of its own init may not go to every source, and never may it
    map owners: then the parent does it for init.
    """

    __slots__ = ("_mount_fd", "by_parent", "early", "late", "number", "source", "users")

    def __init__(
        self, source: str, target: str, options: MountOptions, users: Users | None = None
    ) -> None:
        """Show `source`, an absolute path of the host; with `users`, with its owners mapped.

        A source /proc/<pid>/root/… is a mount of that process's, which the host need not see. With
        the option subpath=… only that part of the source is shown, found inside the source whatever
        links there are: who can write there must not choose what of the host is mounted.
        """
        super().__init__(target, options)
        self.source = source
        self.users = users
        self.by_parent = False
        self.number = 0  # its place in the plan
        self._mount_fd = -1
        self.early = bool(users or options.subpath or foreign_mount(source))
        self.late = not foreign_mount(source)

    def subject(self) -> str:
        """Return the source and how much of it."""
        return f"{'rbind' if self.options.bind == AT_RECURSIVE else 'bind'} {self.source}"

    def prepare(self) -> int:
        """Open the source from where the caller is."""
        self._mount_fd = self.open()
        self.map(self._mount_fd)
        return self._mount_fd

    def open(self) -> int:
        """Return a detached copy of the source."""
        foreign = foreign_mount(self.source)
        if foreign:
            from knarr.runtime import errands  # noqa: PLC0415 - in the parent, for few containers

            return errands.borrow(*foreign)
        recursive = AT_RECURSIVE if self.options.bind == AT_RECURSIVE else 0
        if self.options.subpath:
            return self._open_part(recursive)
        return mount.open_tree(AT_FDCWD, self.source, OPEN_TREE_CLONE | recursive)

    def map(self, mount_fd: int) -> None:
        """Map the owners in the detached mount, if they are to be mapped.

        Raises: Unsupported
        """
        if not self.users:
            return
        try:
            self.users.apply(mount_fd, recursive=self.options.idmap == "ridmap")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            kind = mount.kind_of(os.fstat(mount_fd).st_dev)
            message = f"mounting {self.source} at {self.target}: {kind} cannot map owners"
            raise Unsupported(
                message, hint="The kernel maps owners for some file systems."
            ) from error

    def _open_part(self, recursive: int) -> int:
        """Return a mount of the part of the source that is wanted."""
        whole_fd = os.open(self.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_part(whole_fd, self.options.subpath, self.source, recursive)
        finally:
            os.close(whole_fd)

    def run(self, room: Room) -> None:
        """Bind it."""
        options = self.options
        mount_fd = self._mount_fd
        if mount_fd < 0 and self.by_parent:
            mount_fd = room.ask_for_mount(self.number)
        elif mount_fd < 0:
            mount_fd = self.open()
            if self.users:
                room.map_mount(self.number, mount_fd)
        elif not room.exposed:  # opened where `/` is no slave: a peer of the host's mounts
            flags = AT_EMPTY_PATH | AT_RECURSIVE
            mount.mount_setattr(mount_fd, "", flags, propagation=mount.MS_SLAVE)
        directory = stat.S_ISDIR(os.fstat(mount_fd).st_mode)
        target_fd = self.place(room, directory=directory)
        refuse_cover(room, target_fd, self.target, mount_fd)
        bind_attributes(mount_fd, options)
        self.attach(mount_fd, target_fd)


def open_part(whole_fd: int, part: str, whole: str, recursive: int = 0) -> int:
    """Return a detached mount of what is at `part` in an open directory, `whole` in words.

    Raises: InvalidArgument
    """
    try:
        part_fd = path.open_in_root(whole_fd, part)
    except FileNotFoundError as error:
        message = f"cannot mount {part} of {whole}: it is not there"
        raise InvalidArgument(message) from error
    try:
        return mount.open_tree(part_fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | recursive)
    finally:
        os.close(part_fd)


def foreign_mount(source: str) -> tuple[int, str] | None:
    """Return the process and the path of a source that is in another mount namespace."""
    words = source.split("/", 4)
    if len(words) == 5 and words[1] == "proc" and words[2].isdecimal() and words[3] == "root":
        return int(words[2]), f"/{words[4]}"
    return None


class Remount(MountStep):
    """Other attributes for a mount that is there already."""

    __slots__ = ()

    def subject(self) -> str:
        """Return the verb."""
        return "remount"

    def run(self, room: Room) -> None:
        """Change the attributes of the mount at the target."""
        target_fd = path.open_in_root(room.root_fd, self.target)
        try:
            set_attributes(target_fd, self.options)
        finally:
            os.close(target_fd)


def make_file(root_fd: int, target: str, *, follow: bool = True) -> int:
    """Return a descriptor of the file `target`; it and its parents are made if not there.

    With `follow` false a link that is there is opened itself, and nothing can be mounted on it.
    """
    if follow:
        target = path.resolve_in_root(root_fd, target)
    parent, _, name = target.rpartition("/")
    parent_fd = path.make_directories(root_fd, parent)
    try:
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent_fd))
        except FileExistsError:
            pass
        return path.open_plain(parent_fd, name, os.O_PATH | os.O_NOFOLLOW)
    finally:
        os.close(parent_fd)


def refuse_cover(room: Room, target_fd: int, target: str, mount_fd: int = -1) -> None:
    """Refuse to cover /proc or a part of it that programs trust, however its name was spelled.

    Only `mount_fd` that is a proc itself may be mounted at /proc.

    Raises: PermissionDenied
    """
    shown = room.path_of(target_fd)
    inside = shown[len(room.root_path.rstrip("/")) :] if shown.startswith(room.root_path) else shown
    if inside == "/proc":
        allowed = mount_fd >= 0 and mount.filesystem_type(mount_fd) == mount.PROC_SUPER_MAGIC
    elif inside.startswith("/proc/"):
        allowed = inside.removeprefix("/proc/") in _MAY_COVER
    else:
        allowed = mount.filesystem_type(target_fd) != mount.PROC_SUPER_MAGIC
    if not allowed:
        message = f"mounting at {target}: {inside} is a part of proc that must not be covered"
        raise PermissionDenied(message)
