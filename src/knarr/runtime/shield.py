"""An interpreter that nobody can write to, whoever gets hold of it.

A process on its way into a container is still this interpreter, and `/proc/<pid>/exe` leads to its
file. See `init` for who could open that, and how: the link is followed through the very mount that
the program was executed from. So the program is executed from a copy of its mount (open_tree(2))
that is read-only and hangs nowhere. No other process can name that mount to change it; it lives as
long as the processes that were executed from it; and what is opened through it for writing fails
with EROFS, even for root. Making it takes 30 µs, and no copy of the file.

Who starts an interpreter that will enter containers starts it from here: `executable_path`. Who has
been started otherwise can execute itself once more: `take_cover`.

Man: open_tree(2), mount_setattr(2), proc_pid_exe(5)
"""

from __future__ import annotations

import os
import sys

from knarr.linux import mount
from knarr.linux.mount import AT_EMPTY_PATH, AT_FDCWD, OPEN_TREE_CLONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def open_interpreter(path: str = "") -> int:
    """Return a descriptor of this interpreter's file, or `path`, on a read-only mount of its own.

    Raises: OSError, without CAP_SYS_ADMIN
    """
    real = os.path.realpath(path or sys.executable)
    descriptor = mount.open_tree(AT_FDCWD, real, OPEN_TREE_CLONE)
    try:
        flag = mount.MOUNT_ATTR_RDONLY
        mount.mount_setattr(descriptor, "", AT_EMPTY_PATH, attr_set=flag)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def executable_path(descriptor: int) -> str:
    """Return the path by which the file open as `descriptor` is executed.

    Give the interpreter `sys.executable` as its name all the same: it finds its library by that.
    """
    return f"/proc/self/fd/{descriptor}"


def is_covered() -> bool:
    """Tell whether the file of this process cannot be written to through /proc."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def take_cover() -> None:
    """Execute this process once more, from a read-only mount; return if it is that already.

    Without the privilege to make mounts it returns as well: such a process has no business with
    files that only root can write.
    """
    if is_covered():
        return
    try:
        descriptor = open_interpreter()
    except PermissionError:
        return
    _execute_again(descriptor)


def _execute_again(descriptor: int) -> NoReturn:
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execv(executable_path(descriptor), arguments)  # noqa: S606 - no shell is wanted
