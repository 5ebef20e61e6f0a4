"""Calls on files that `os` does not have, and being told of changes instead of looking for them.

Man: syncfs(2), renameat2(2), ioctl_ficlone(2), inotify(7)
"""

from __future__ import annotations

import fcntl
import os

from knarr.linux import libc
from knarr.linux.libc import c_char_p, c_int, c_uint, c_uint32

# <linux/fs.h>
RENAME_NOREPLACE = 0x1
RENAME_EXCHANGE = 0x2
FICLONE = 0x40049409

# <sys/inotify.h>
IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_CLOEXEC = os.O_CLOEXEC
IN_NONBLOCK = os.O_NONBLOCK

_AT_FDCWD = -100
_syncfs = libc.function("syncfs", c_int)
_inotify_init1 = libc.function("inotify_init1", c_int)
_inotify_add_watch = libc.function("inotify_add_watch", c_int, c_char_p, c_uint32)
_renameat2 = libc.syscall(
    316 if os.uname().machine == "x86_64" else 276,
    "renameat2",
    c_int,
    c_char_p,
    c_int,
    c_char_p,
    c_uint,
)


def syncfs(descriptor: int) -> None:
    """Write out everything of the file system that the open file is on."""
    _syncfs(descriptor)


def renameat2(old: str, new: str, flags: int) -> None:
    """Rename, with RENAME_NOREPLACE only if nothing is called `new` (FileExistsError)."""
    _renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)


def ficlone(source_fd: int, target_fd: int) -> None:
    """Make the open file `target_fd` share all data of `source_fd`, copied when written."""
    fcntl.ioctl(target_fd, FICLONE, source_fd)


def umask() -> int:
    """Return the umask, without the moment in which it is another one for all threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o777


def inotify_init1(flags: int = 0) -> int:
    """Return a descriptor that is readable when something watched has changed."""
    return _inotify_init1(flags | IN_CLOEXEC)


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    """Watch the file or directory at `path`, and return the number of the watch."""
    return _inotify_add_watch(descriptor, os.fsencode(path), mask)
