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
    from collections.abc import Mapping
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


class Figures(Value):
    """All that is known at one moment: what the runtime reads, and each interface's counters.

    `system_ns` is what all processors of the machine did so far, idle time and all.
    """

    taken_ns: int
    stats: Mapping[str, Any]
    interfaces: Mapping[str, Mapping[str, int]]
    system_ns: int


def figures(container: Container) -> Figures | None:
    """Return all figures of a container, None if it does not run."""
    state = container.state
    if not state.active or not state.pid:
        return None
    try:
        stats = read_stats(lifecycle.group_of(state.pid))
        on_host = container.options.networking.on_host
        interfaces = {} if on_host else read_interfaces(state.pid)
    except (Conflict, FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return None
    return Figures(time.time_ns(), stats, interfaces, _system_time())


def _system_time() -> int:
    """Return the nanoseconds of all processors since the boot. Man: proc_stat(5)"""
    with open("/proc/stat", "rb", buffering=0) as file:
        fields = file.read().split(b"\n", 1)[0].split()
    return sum(map(int, fields[1:9])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def sample(container: Container) -> Sample | None:
    """Return what a container uses, None if it does not run."""
    found = figures(container)
    if found is None:
        return None
    received = sum(counters["rx_bytes"] for counters in found.interfaces.values())
    sent = sum(counters["tx_bytes"] for counters in found.interfaces.values())
    return make_sample(found.stats, received, sent, machine_memory(), time.monotonic_ns())


def make_sample(
    figures: Mapping[str, Any], received: int, sent: int, machine: int, now_ns: int
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


# The columns of /proc/net/dev that Docker shows.
COUNTERS = {
    "rx_bytes": 0,
    "rx_packets": 1,
    "rx_errors": 2,
    "rx_dropped": 3,
    "tx_bytes": 8,
    "tx_packets": 9,
    "tx_errors": 10,
    "tx_dropped": 11,
}


def read_interfaces(pid: int) -> dict[str, dict[str, int]]:
    """Return the counters of the interfaces in the network of a process."""
    with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
        return parse_interfaces(file.read())


def parse_interfaces(text: str) -> dict[str, dict[str, int]]:
    """Return the counters of the interfaces in the text of /proc/net/dev, but for loopback.

    Man: proc_pid_net(5)
    """
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != "lo" and len(fields) >= 12:
            found[name.strip()] = {key: int(fields[at]) for key, at in COUNTERS.items()}
    return found


def machine_memory() -> int:
    """Return the bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
