"""What a parent does to a process in the making that this could not do itself.

Inside a user namespace root may neither raise limits nor make itself unattractive to the OOM
killer, and nobody maps users for himself. And a limit may be lower than what init still needs, so
that it is set at the last moment, when init says that it is ready.

Man: user_namespaces(7), prlimit(2), proc_pid_oom_score_adj(5)
"""

from __future__ import annotations

import os

from knarr.linux import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.plan import Namespaces


class OutsideStep:
    """One deed of the parent."""

    __slots__ = ()

    def run(self, pid: int) -> None:
        """Do it to the process `pid`, a child that has not been waited for."""
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
        process.setrlimit(pid, process.RLIMITS.index(self.name), self.soft, self.hard)


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
        _write(f"/proc/{pid}/oom_score_adj", str(self.adjustment))


def map_users(names: Namespaces, pid: int) -> None:
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
