"""The processes that look after containers: what they keep in memory, and what they do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engines import IMAGE
from benchmarks.rows import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.engines import Engine

TICKS = os.sysconf("SC_CLK_TCK")
PRIVATE = ("Private_Clean:", "Private_Dirty:")


class Supervisors:
    """Those of a number of containers: memory in KiB, processor time in ms a second."""

    def __init__(self, pids: Iterable[int], daemons: Iterable[int], seconds: float) -> None:
        """Look at the parents of `pids` and at `daemons`, for a while."""
        parents = sorted({_parent(pid) for pid in pids})
        keepers = [pid for parent in parents for pid in children(parent) if _same(pid, parent)]
        daemons = list(daemons)
        everyone = [*parents, *keepers, *daemons]
        before = sum(map(_busy, everyone))
        time.sleep(seconds)
        self.busy = (sum(map(_busy, everyone)) - before) / seconds
        found = [memory(pid) for pid in (*parents, *keepers)]
        self.pss = sum(pss for pss, _ in found)
        self.private = sum(private for _, private in found)
        self.daemon = sum(memory(pid)[0] for pid in daemons)

    @staticmethod
    def daemons(engine: Engine) -> list[int]:
        """Return the processes of an engine that are there without any container."""
        place = str(engine.work)
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdecimal()
            and _program(path) in ("dockerd", "containerd", "podman")
            and place in (path / "cmdline").read_bytes().decode(errors="replace")
        ]


def memory_of_one(engine: Engine) -> int:
    """Return the proportional memory of what looks after one container that idles, in KiB."""
    engine.call("run", "-d", *QUIET, "--name", "memory", IMAGE, "sleep", "600")
    try:
        pid = engine.call("inspect", "--format", "{{.State.Pid}}", "memory")
        return memory(_parent(int(pid)))[0]
    finally:
        engine.call("rm", "-f", "memory")


def _program(directory: Path) -> str:
    try:
        return (directory / "comm").read_text().strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def children(pid: int) -> list[int]:
    """Return the processes that a process started and has not waited for."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (path / "children").read_text().split())
    return found


def _same(pid: int, parent: int) -> bool:
    """Tell whether a child looks after the container, too: a fork of its parent."""
    return os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{parent}/exe")


def _busy(pid: int) -> float:
    """Return the processor time of a process so far, in ms."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS


def memory(pid: int) -> tuple[int, int]:
    """Return the proportional and the private memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    fields = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return fields["Pss:"], sum(fields[name] for name in PRIVATE)
