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

Every command that starts a supervisor waits for this, first thing. So its two calls go through the
part of `ctypes` that is in C alone, which takes 0.4 ms to load where `linux.mount` takes 2.5.

Man: open_tree(2), mount_setattr(2), proc_pid_exe(5)
"""

from __future__ import annotations

import _ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

_RTLD_NOW = 2
# <asm-generic/unistd.h>: one number on all architectures
_OPEN_TREE = 428
_MOUNT_SETATTR = 442
# <linux/mount.h>, <linux/fcntl.h>
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_RDONLY = 1


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001 - for its speed
    _type_ = "l"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


def open_interpreter(path: str = "") -> int:
    """Return a descriptor of this interpreter's file, or `path`, on a read-only mount of its own.

    Raises: OSError, without CAP_SYS_ADMIN
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    real = os.path.realpath(path or sys.executable)
    descriptor = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(real), flags)
    try:
        attributes = _RDONLY.to_bytes(8, sys.byteorder) + bytes(24)  # struct mount_attr
        _call(_MOUNT_SETATTR, descriptor, b"", _AT_EMPTY_PATH, attributes, len(attributes))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _call(number: int, *arguments: int | bytes) -> int:
    program: Any = None  # "a handle for the main program", dlopen(3)
    syscall: Any = _Function(_ctypes.dlsym(_ctypes.dlopen(program, _RTLD_NOW), "syscall"))
    words = [word if isinstance(word, bytes) else _Long(word) for word in arguments]
    result: int = syscall(_Long(number), *words)
    if result == -1:
        number = _ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


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
