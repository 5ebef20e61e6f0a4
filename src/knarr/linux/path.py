"""Paths below a root that others control, resolved by the kernel inside that root.

A name such as `/app/data` means a place in a container's tree, and any component of it may be a
symbolic link of the container's owner: to `/etc`, to `../../..`, to `/proc/self/root`. The host's
path resolution would follow it out of the tree. openat2(2) does not: with RESOLVE_IN_ROOT the
descriptor is the root, for absolute links and for `..` too.

Three ways in, by what a symbolic link on the way means:

* `open_in_root`: links are followed, as a process chrooted to the root would follow them. For names
  that people give: `COPY --from`, `knarr cp`, mount targets.
* `open_plain`: a link on the way is an error (ELOOP), as are `..` and absolute names. For names
  whose links are known to be resolved, and where a link can only be an attack.
* `resolve_in_root` turns a name with links into one without, also where its end does not exist yet.
  What it returns is opened with `open_plain`: a link put there in the meantime is then refused, so
  the gap between looking and opening gives nothing away.

`Parent` opens the directory of a path's last component, which is not followed, for what is done to
that name there; `Directories` remembers open parents, for those who do many things below one root.

Everything takes paths as str or bytes; relative and absolute paths mean the same. Descriptors that
are returned are close-on-exec and the caller's to close.

Man: openat2(2), path_resolution(7)
"""

from __future__ import annotations

import errno
import os
import stat
from _struct import Struct

from knarr.linux import libc
from knarr.linux.libc import c_char_p, c_int, c_size_t

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import AnyStr

    Path = str | bytes

# <linux/openat2.h>
RESOLVE_NO_XDEV = 0x1
RESOLVE_NO_MAGICLINKS = 0x2
RESOLVE_NO_SYMLINKS = 0x4
RESOLVE_BENEATH = 0x8
RESOLVE_IN_ROOT = 0x10

MAX_LINKS = 255  # what resolve_in_root follows; the kernel itself stops at 40

_openat2 = libc.syscall(437, "openat2", c_int, c_char_p, c_char_p, c_size_t)
_open_how = Struct("=QQQ")  # flags, mode, resolve; OPEN_HOW_SIZE_VER0 is 24 bytes


def openat2(directory_fd: int, path: Path, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` below `directory_fd` with RESOLVE_… rules.

    "EAGAIN: the kernel could not ensure that a '..' component didn't escape (due to a race
    condition or potential attack). The caller may choose to retry": someone renames directories
    at this moment. It is tried some more times, then the error is the caller's.
    """
    how = _open_how.pack(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    for _ in range(32):
        try:
            return _openat2(directory_fd, name, how, _open_how.size)
        except BlockingIOError:
            continue
    return _openat2(directory_fd, name, how, _open_how.size)


def open_in_root(root_fd: int, path: Path, flags: int = os.O_PATH) -> int:
    """Open `path` as if `root_fd` were the root directory; links are followed inside it."""
    rules = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    return openat2(root_fd, path or ".", flags, resolve=rules)


def open_plain(
    root_fd: int, path: Path, flags: int = os.O_PATH, *, mode: int = 0, resolve: int = 0
) -> int:
    """Open `path` below `root_fd` where no component may be a symbolic link.

    With O_PATH | O_NOFOLLOW the last component may be one; it is opened, not followed.
    """
    rules = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | resolve
    return openat2(root_fd, path or ".", flags, mode=mode, resolve=rules)


def components(path: AnyStr) -> list[AnyStr]:
    """Return the names in `path`, without empty ones and `.`."""
    if isinstance(path, bytes):
        return [part for part in path.split(b"/") if part not in (b"", b".")]
    return [part for part in path.split("/") if part not in ("", ".")]


class Parent:
    """The open parent directory of `path` and the last name, for the calls with `dir_fd`.

        with Parent(root_fd, "/etc/hostname") as (directory_fd, name):
            os.unlink(name, dir_fd=directory_fd)

    A path that ends in `..`, or names the root itself, has no last name: EINVAL.
    """

    __slots__ = ("_fd", "_name", "_parent", "_root_fd")

    def __init__(self, root_fd: int, path: Path) -> None:
        """Take `path` apart; nothing is opened yet."""
        names = components(os.fsdecode(path))
        if not names or names[-1] == "..":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        self._root_fd = root_fd
        self._parent = "/".join(names[:-1])
        self._name = names[-1]
        self._fd = -1

    def __enter__(self) -> tuple[int, str]:
        """Open the parent."""
        self._fd = open_in_root(self._root_fd, self._parent, os.O_PATH | os.O_DIRECTORY)
        return self._fd, self._name

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        os.close(self._fd)


def stat_in_root(root_fd: int, path: Path) -> os.stat_result:
    """Return what is at `path`, or where the link there leads."""
    descriptor = open_in_root(root_fd, path)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def symlink_in_root(target: Path, root_fd: int, path: Path) -> None:
    """Make a symbolic link at `path` that says `target`."""
    with Parent(root_fd, path) as (directory_fd, name):
        os.symlink(os.fsdecode(target), name, dir_fd=directory_fd)


def resolve_in_root(root_fd: int, path: Path) -> str:
    """Return `path` with all links resolved inside the root: relative, without `..`, "" the root.

    From the first component that does not exist the rest is kept as it is, but for `..`. So a
    dangling link leads to where its target would be.
    """
    waiting = components(os.fsdecode(path))[::-1]
    done: list[str] = []
    followed = 0
    missing = False
    while waiting:
        name = waiting.pop()
        if name == "..":
            if done:
                done.pop()
            missing = False
            continue
        done.append(name)
        target = "" if missing else _link_target(root_fd, "/".join(done))
        if target is None:
            missing = True
        elif target:
            followed += 1
            if followed > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            done = [] if target.startswith("/") else done[:-1]
            waiting += components(target)[::-1]
    return "/".join(done)


def _link_target(root_fd: int, path: str) -> str | None:
    """Return where the link at `path` leads, "" if it is none, None if there is nothing."""
    try:
        descriptor = open_plain(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return ""
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def make_directories(
    root_fd: int,
    path: Path,
    mode: int = 0o755,
    *,
    owner: tuple[int, int] | None = None,
    inherit: bool = False,
) -> int:
    """Make the directory `path` and its parents as needed; return a descriptor of it.

    Links are followed inside the root, dangling ones to where they lead. What is made gets exactly
    `mode` and `owner` (user ID, group ID), with `inherit` also a setgid bit of what it is in; what
    exists is left alone. NotADirectoryError if something on the way is none.
    """
    names = components(resolve_in_root(root_fd, path))
    current = open_plain(root_fd, ".", os.O_PATH | os.O_DIRECTORY)
    try:
        for name in names:
            below = _make_directory(current, name, mode, owner, inherit=inherit)
            os.close(current)
            current = below
    except BaseException:
        os.close(current)
        raise
    return current


def _make_directory(
    directory_fd: int, name: str, mode: int, owner: tuple[int, int] | None, *, inherit: bool
) -> int:
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.mkdir(name, 0o700, dir_fd=directory_fd)
    except FileExistsError:
        return os.open(name, flags | os.O_PATH, dir_fd=directory_fd)
    descriptor = os.open(name, flags | os.O_RDONLY, dir_fd=directory_fd)
    try:
        if owner:
            os.fchown(descriptor, *owner)
        inherited = os.fstat(descriptor).st_mode & stat.S_ISGID if inherit else 0
        os.fchmod(descriptor, mode | inherited)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Directories:
    """Open directories below one root, remembered by path; the oldest are closed first.

    `open` returns a descriptor that stays valid until `limit` other directories were asked for, or
    the path is forgotten: use it at once and do not close it. How a path is opened is the caller's
    choice (`open_plain`, `open_in_root` or anything else of their form). Who removes or replaces a
    directory calls `forget` for it and all below it.
    """

    def __init__(self, root_fd: int, *, limit: int = 200) -> None:
        """Begin with none but the root; `root_fd` stays the caller's."""
        self._root_fd = root_fd
        self._limit = limit
        self._open: dict[bytes, int] = {}

    def find(self, path: bytes) -> int | None:
        """Return the descriptor of `path` if it is remembered; the root's for an empty path."""
        return self._open.get(path) if path else self._root_fd

    def keep(self, path: bytes, descriptor: int) -> None:
        """Take over `descriptor`, of the directory `path`."""
        if len(self._open) >= self._limit:
            os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = descriptor

    def forget(self, path: bytes) -> None:
        """Close `path`, if it is open."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])
