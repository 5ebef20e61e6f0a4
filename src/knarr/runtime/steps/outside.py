"""Limits of a process in the making, and the mapping of its users: what looks at it from outside.

Two things pull at the moment when limits are set. They may be lower than what init still needs, so
that late is better; and raising them needs privileges over the machine, which init has neither in
a user namespace nor after it has become the program's user. So init sets them itself just before
it changes users, except in a user namespace: there its parent does, when all mounts are made.

The OOM killer is told by the parent too. And nobody maps users for himself.

Man: user_namespaces(7), prlimit(2), proc_pid_oom_score_adj(5)
"""

from __future__ import annotations

import os

from knarr.errors import PermissionDenied
from knarr.linux import process
from knarr.runtime.failures import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.runtime.errands import Users
    from knarr.runtime.plan import Namespaces


_RAISING = (
    "A limit above the hard limit that knarr itself has takes CAP_SYS_RESOURCE, and for files must "
    "not be above fs.nr_open."
)


class OutsideStep:
    """One deed that is done to a process, by itself or by its parent."""

    __slots__ = ()

    def run(self, pid: int) -> None:
        """Do it to the process `pid`, 0 for the caller."""
        raise NotImplementedError

    def doing(self) -> str:
        """Say what is being done, for the beginning of an error."""
        return str(self)


class ResourceLimit(OutsideStep):
    """A limit of setrlimit(2)."""

    __slots__ = ("hard", "name", "soft")

    def __init__(self, name: str, soft: int, hard: int) -> None:
        """Limit `name`, a word of process.RLIMITS."""
        self.name = name
        self.soft = soft
        self.hard = hard

    def __str__(self) -> str:
        """Show the limit as ulimit(1) would."""
        soft, hard = (
            "unlimited" if value == process.RLIM_INFINITY else str(value)
            for value in (self.soft, self.hard)
        )
        return f"rlimit {self.name.lower()} {soft}:{hard}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting {self}"

    def run(self, pid: int) -> None:
        """Set it."""
        try:
            process.setrlimit(pid, process.RLIMITS.index(self.name), self.soft, self.hard)
        except PermissionError as error:
            message = f"{self.doing()}: operation not permitted"
            raise PermissionDenied(message, hint=_RAISING) from error


class OomScore(OutsideStep):
    """How gladly the kernel kills the program when memory runs out."""

    __slots__ = ("adjustment",)

    def __init__(self, adjustment: int) -> None:
        """Adjust the score by -1000 (never) to 1000 (first)."""
        self.adjustment = adjustment

    def __str__(self) -> str:
        """Show the adjustment."""
        return f"oom_score_adj {self.adjustment}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting {self}"

    def run(self, pid: int) -> None:
        """Set it."""
        _write(f"/proc/{pid or 'self'}/oom_score_adj", str(self.adjustment))


def do_all(steps: Sequence[OutsideStep], pid: int) -> None:
    """Do all steps to the process `pid`.

    Raises: PermissionDenied, Failed
    """
    for step in steps:
        try:
            step.run(pid)
        except OSError as error:
            raise failed(step.doing(), error) from error


def map_users(names: Namespaces | Users, pid: int) -> None:
    """Write the mappings of a new user namespace.

    Spec: runtime-spec config-linux.md, "User namespace mappings"
    """
    if os.geteuid() != 0:
        _write(f"/proc/{pid}/setgroups", "deny")
    for file, entries in (("uid_map", names.uid_map), ("gid_map", names.gid_map)):
        _write(f"/proc/{pid}/{file}", "".join(f"{i} {o} {n}\n" for i, o, n in entries))


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
