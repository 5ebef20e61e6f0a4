"""Namespaces: what a process sees of the system, made, joined and named.

The names are those of the runtime-spec (`mount`, `network`, …); `/proc/<pid>/ns` has its own.

Man: namespaces(7), unshare(2), setns(2)
"""

from __future__ import annotations

import os

from knarr.linux import libc
from knarr.linux.libc import c_int

# <linux/sched.h>
CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# The runtime-spec's name, and the file below /proc/<pid>/ns.
FLAGS = {
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "network": CLONE_NEWNET,
    "pid": CLONE_NEWPID,
    "mount": CLONE_NEWNS,
    "time": CLONE_NEWTIME,
}
FILES = {
    "user": "user",
    "cgroup": "cgroup",
    "ipc": "ipc",
    "uts": "uts",
    "network": "net",
    "pid": "pid",
    "mount": "mnt",
    "time": "time",
}

_unshare = libc.function("unshare", c_int)
_setns = libc.function("setns", c_int, c_int)


def names(flags: int) -> list[str]:
    """Return the names of the kinds in `flags`."""
    return [name for name, flag in FLAGS.items() if flags & flag]


def unshare(flags: int) -> None:
    """Leave the namespaces in `flags` (CLONE_NEW…) for new ones."""
    _unshare(flags)


def setns(descriptor: int, flags: int) -> None:
    """Enter the namespace of a /proc/<pid>/ns file, or several of a process by its pidfd."""
    _setns(descriptor, flags)


class InNetwork:
    """Puts this thread into the network namespace `descriptor`, and back, for a `with` statement.

    A socket stays where it was made; /proc/sys/net shows the namespace of whoever looks.
    """

    __slots__ = ("_descriptor", "_home")

    def __init__(self, descriptor: int) -> None:
        """Do nothing yet."""
        self._descriptor = descriptor
        self._home = -1

    def __enter__(self) -> None:
        """Enter. Raises: OSError"""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(self._descriptor, CLONE_NEWNET)
        except BaseException:
            os.close(self._home)
            raise

    def __exit__(self, *_: object) -> None:
        """Return. Raises: OSError"""
        try:
            setns(self._home, CLONE_NEWNET)
        finally:
            os.close(self._home)
