"""What a container uses, as `docker stats` and dashboards read it.

The share of the processors is the client's to compute: from two looks, the earlier one being in
`precpu_stats`. Names differ by the version of control groups, as they do from Docker.

Docker: StatsResponse of API 1.55
"""

from __future__ import annotations

import os

from knarr.util.times import ZERO, render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.engine.resources.statistics import Figures

    Document = dict[str, Any]

BLOCK_IO = {
    "io_service_bytes_recursive": "ioServiceBytesRecursive",
    "io_serviced_recursive": "ioServicedRecursive",
    "io_queue_recursive": "ioQueueRecursive",
    "io_service_time_recursive": "ioServiceTimeRecursive",
    "io_wait_time_recursive": "ioWaitTimeRecursive",
    "io_merged_recursive": "ioMergedRecursive",
    "io_time_recursive": "ioTimeRecursive",
    "sectors_recursive": "sectorsRecursive",
}


def stats(
    container_id: str,
    name: str,
    now: Figures | None,
    before: Figures | None,
    *,
    machine_memory: int,
) -> Document:
    """Return the document of one look; without `now` the container does not run."""
    found: Document = {
        "id": container_id,
        "name": f"/{name}",
        "os_type": "linux",
        "read": render_rfc3339(now.taken_ns) if now else ZERO,
        "preread": render_rfc3339(before.taken_ns) if before else ZERO,
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(now.stats.get("memory", {}), machine_memory) if now else {},
        "pids_stats": _pids(now.stats.get("pids", {})) if now else {},
        "blkio_stats": _block_io(now.stats.get("blkio", {})) if now else _block_io({}),
        "num_procs": 0,
        "storage_stats": {},
    }
    if now and now.interfaces:
        found["networks"] = {name: dict(counters) for name, counters in now.interfaces.items()}
    return found


def _cpu(look: Figures | None) -> Document:
    cpu = look.stats.get("cpu", {}) if look else {}
    usage, throttling = cpu.get("usage", {}), cpu.get("throttling", {})
    found: Document = {
        "cpu_usage": {
            "total_usage": usage.get("total", 0),
            "usage_in_kernelmode": usage.get("kernel", 0),
            "usage_in_usermode": usage.get("user", 0),
        },
        "throttling_data": {
            "periods": throttling.get("periods", 0),
            "throttled_periods": throttling.get("throttledPeriods", 0),
            "throttled_time": throttling.get("throttledTime", 0),
        },
    }
    if usage.get("percpu"):
        found["cpu_usage"]["percpu_usage"] = usage["percpu"]
    if look:
        found["system_cpu_usage"] = look.system_ns
        found["online_cpus"] = os.cpu_count() or 1
    return found


def _memory(memory: Mapping[str, Any], machine: int) -> Document:
    usage = memory.get("usage", {})
    limit = usage.get("limit", 0)
    found: Document = {
        "usage": usage.get("usage", 0),
        "limit": min(limit, machine) if limit else machine,
        "stats": memory.get("raw", {}),
    }
    for name, key in (("max_usage", "max"), ("failcnt", "failcnt")):
        if usage.get(key):
            found[name] = usage[key]
    return found


def _pids(pids: Mapping[str, int]) -> Document:
    found = {"current": pids.get("current", 0)}
    if pids.get("limit"):
        found["limit"] = pids["limit"]
    return found


def _block_io(blkio: Mapping[str, Any]) -> Document:
    return {name: blkio.get(key) or None for name, key in BLOCK_IO.items()}
