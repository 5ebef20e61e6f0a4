"""What a running container uses: processor time, memory, network, block devices, processes.

A `Sample` is one look, in absolute figures; two of them, some time apart, tell how busy the
processors were. Everything is read from control groups and /proc by whoever asks: nobody counts
in the background.

Docker: the figures of `docker stats`: memory without the page cache that can be dropped at once;
the network without the loopback interface, and none for a container in the host's network
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict
from knarr.runtime import lifecycle
from knarr.runtime.stats import read_stats
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.containers import Container


class Sample(Value):
    """One look at what a container has used so far, and at what it uses now."""

    taken_ns: int
    cpu_ns: int
    memory: int
    memory_limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int

    def cpu_share(self, earlier: Sample) -> float:
        """Return which part of one processor was used since `earlier`; 2.0 is all of two."""
        passed = self.taken_ns - earlier.taken_ns
        return max(0, self.cpu_ns - earlier.cpu_ns) / passed if passed > 0 else 0.0

    @property
    def memory_share(self) -> float:
        """Return which part of its limit the memory is."""
        return self.memory / self.memory_limit if self.memory_limit else 0.0


def sample(container: Container) -> Sample | None:
    """Return what a container uses, None if it does not run."""
    state = container.state
    if not state.active or not state.pid:
        return None
    try:
        figures = read_stats(lifecycle.group_of(state.pid))
        own_network = container.options.networking.mode != "host"
        received, sent = traffic(state.pid) if own_network else (0, 0)
    except (Conflict, FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return None
    return make_sample(figures, received, sent, machine_memory(), time.monotonic_ns())


def make_sample(
    figures: dict[str, Any], received: int, sent: int, machine: int, now_ns: int
) -> Sample:
    """Return the sample of the runtime's `figures` on a machine with so much memory."""
    memory = figures.get("memory", {})
    usage, raw = memory.get("usage", {}), memory.get("raw", {})
    droppable = raw.get("total_inactive_file", raw.get("inactive_file", 0))
    used = usage.get("usage", 0)
    limit = usage.get("limit", 0)
    moved = {"read": 0, "write": 0}
    for entry in figures.get("blkio", {}).get("ioServiceBytesRecursive", ()):
        name = entry["op"].lower()
        if name in moved:
            moved[name] += entry["value"]
    return Sample(
        taken_ns=now_ns,
        cpu_ns=figures.get("cpu", {}).get("usage", {}).get("total", 0),
        memory=used - droppable if droppable < used else used,
        memory_limit=min(limit, machine) if limit else machine,
        received=received,
        sent=sent,
        read=moved["read"],
        written=moved["write"],
        processes=figures.get("pids", {}).get("current", 0),
    )


def traffic(pid: int) -> tuple[int, int]:
    """Return the bytes received and sent in the network of a process."""
    with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
        return parse_traffic(file.read())


def parse_traffic(text: str) -> tuple[int, int]:
    """Return the sums over the interfaces in the text of /proc/net/dev, but for loopback.

    Man: proc_pid_net(5)
    """
    received = sent = 0
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != "lo" and len(fields) >= 9:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def machine_memory() -> int:
    """Return the bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
