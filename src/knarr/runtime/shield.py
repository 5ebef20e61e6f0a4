"""An interpreter that nobody can write to, whoever gets hold of it.

A process on its way into a container is still this interpreter, and `/proc/<pid>/exe` leads to its
file. See `init` for who could open that, and how: the link is followed through the very mount that
the program was executed from. So the program is executed from a copy of its mount (open_tree(2))
that is read-only and hangs nowhere. No other process can name that mount to change it; it lives as
long as the processes that were executed from it; and what is opened through it for writing fails
with EROFS, even for root. Making it takes 0.1 ms, and no copy of the file.

The engine starts every supervisor so: it stays, and may be asked for an exec at any time. Who has
been started otherwise executes itself once more (`take_cover`) before it enters a container, or
makes one whose init is seen by processes that are not its own (`is_among_others`).

Man: open_tree(2), mount_setattr(2), proc_pid_exe(5)
"""

from __future__ import annotations

import os
import sys

from knarr.linux import mount
from knarr.linux.mount import AT_EMPTY_PATH, AT_FDCWD, OPEN_TREE_CLONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn


def open_interpreter(path: str = "") -> int:
    """Return a descriptor of this interpreter's file, or `path`, on a read-only mount of its own.

    Raises: OSError, without CAP_SYS_ADMIN
    """
    real = os.path.realpath(path or sys.executable)
    descriptor = mount.open_tree(AT_FDCWD, real, OPEN_TREE_CLONE)
    try:
        mount.mount_setattr(descriptor, "", AT_EMPTY_PATH, attr_set=mount.MOUNT_ATTR_RDONLY)
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


def lets_trace(spec: Mapping[str, Any]) -> bool:
    """Tell whether processes of a container with `spec` may look into others."""
    sets = (spec.get("process") or {}).get("capabilities") or {}
    return "CAP_SYS_PTRACE" in (sets.get("bounding") or ())


def is_among_others(spec: Mapping[str, Any]) -> bool:
    """Tell whether processes that are not its own see the init of a container with `spec`."""
    entries = (spec.get("linux") or {}).get("namespaces") or ()
    return all(entry.get("type") != "pid" or entry.get("path") for entry in entries)


def name_process(name: str) -> None:
    """Call this process `name`, of up to 15 letters: by itself it is called by its descriptor."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def take_cover() -> None:
    """Execute this process once more, from a read-only mount; return if it is that already.

    Without the privilege to make mounts it returns as well: such a process has no business with
    files that only root can write.
    """
    if is_covered():
        name_process("knarr-runtime")
        return
    try:
        descriptor = open_interpreter()
    except PermissionError:
        return
    _execute_again(descriptor)


def _execute_again(descriptor: int) -> NoReturn:
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execv(executable_path(descriptor), arguments)  # noqa: S606 - no shell is wanted
