"""Limits that this kernel does not know: left out, with Docker's warning, rather than refused.

`find_support` looks at the host, `without_unsupported` is pure.

Docker: verifyPlatformContainerResources of moby, and its sysinfo for what counts as support
"""

from __future__ import annotations

import os

from knarr.engine.options.values import UNACCOUNTED
from knarr.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.options.values import Options
    from knarr.linux.cgroup import Hierarchy

# Feature → controller and file of v1. In v2 whoever has the controller has the features, but for
# those that v2 does without.
FEATURES = {
    "memory": ("memory", "memory.limit_in_bytes"),
    "swap": ("memory", "memory.memsw.limit_in_bytes"),
    "reservation": ("memory", "memory.soft_limit_in_bytes"),
    "swappiness": ("memory", "memory.swappiness"),
    "oom-kill": ("memory", "memory.oom_control"),
    "pids": ("pids", ""),
    "shares": ("cpu", "cpu.shares"),
    "quota": ("cpu", "cpu.cfs_quota_us"),
    "realtime": ("cpu", "cpu.rt_runtime_us"),
    "cpuset": ("cpuset", "cpuset.cpus"),
    "weight": ("blkio", "blkio.weight"),
    "weights": ("blkio", "blkio.weight_device"),
    "read_bps": ("blkio", "blkio.throttle.read_bps_device"),
    "write_bps": ("blkio", "blkio.throttle.write_bps_device"),
    "read_iops": ("blkio", "blkio.throttle.read_iops_device"),
    "write_iops": ("blkio", "blkio.throttle.write_iops_device"),
}
ONLY_V1 = frozenset(("swappiness", "oom-kill", "realtime"))
NO_CGROUP = "or the cgroup is not mounted."

# Field of `Resources`, the feature it needs, and what is said when the kernel has it not.
DISCARDED = (
    ("memory", "memory", f"memory limit capabilities {NO_CGROUP} Limitation discarded."),
    ("memory_swappiness", "swappiness",
     f"memory swappiness capabilities {NO_CGROUP} Memory swappiness discarded."),
    ("memory_reservation", "reservation",
     f"memory soft limit capabilities {NO_CGROUP} Limitation discarded."),
    ("oom_kill_disabled", "oom-kill", "OomKillDisable. OomKillDisable discarded."),
    ("pids_limit", "pids", f"PIDs limit capabilities {NO_CGROUP} PIDs limit discarded."),
    ("cpu_shares", "shares", f"CPU shares {NO_CGROUP} Shares discarded."),
    ("cpu_period_us", "quota", f"CPU CFS scheduler {NO_CGROUP} Period discarded."),
    ("cpu_quota_us", "quota", f"CPU CFS scheduler {NO_CGROUP} Quota discarded."),
    ("cpuset_cpus", "cpuset", f"cpuset {NO_CGROUP} Cpuset discarded."),
    ("cpuset_mems", "cpuset", f"cpuset {NO_CGROUP} Cpuset discarded."),
    ("blkio_weight", "weight", f"Block I/O weight {NO_CGROUP} Weight discarded."),
    ("blkio_weights", "weights", f"Block I/O weight_device {NO_CGROUP} Weight-device discarded."),
    ("read_bps", "read_bps",
     f"BPS Block I/O read limit {NO_CGROUP} Block I/O BPS read limit discarded."),
    ("write_bps", "write_bps",
     f"BPS Block I/O write limit {NO_CGROUP} Block I/O BPS write limit discarded."),
    ("read_iops", "read_iops",
     f"IOPS Block read limit {NO_CGROUP} Block I/O IOPS read limit discarded."),
    ("write_iops", "write_iops",
     f"IOPS Block write limit {NO_CGROUP} Block I/O IOPS write limit discarded."),
)  # fmt: skip
NO_SWAP = (
    f"Your kernel does not support swap limit capabilities {NO_CGROUP} Memory limited without swap."
)
UNLIMITED = (
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
    "system running out of resources."
)


def find_support() -> frozenset[str]:
    """Return which of the features this host has."""
    from knarr.linux import cgroup  # noqa: PLC0415 - for who limits anything

    return support_of(cgroup.hierarchies(), os.path.exists)


def support_of(hierarchies: list[Hierarchy], exists: Any) -> frozenset[str]:
    """Return the features of `hierarchies`; `exists` tells whether there is a file.

    v1 shows most files in the root of a hierarchy; one that only children have is not asked for.
    """
    homes = {name: each for each in hierarchies for name in each.controllers}
    if "io" in homes:
        homes.setdefault("blkio", homes["io"])
    found = set()
    for feature, (controller, file) in FEATURES.items():
        home = homes.get(controller)
        if home is None:
            continue
        if home.version == 2:
            present = feature not in ONLY_V1
        else:
            present = not file or exists(f"{home.mount_point}/{file}")
        if present:
            found.add(feature)
    return frozenset(found)


def without_unsupported(options: Options, support: frozenset[str]) -> tuple[Options, list[str]]:
    """Return the options without what the kernel does not know, and Docker's words about it.

    Raises: InvalidArgument, Unsupported
    """
    asked = options.resources
    if (asked.cpu_rt_period_us or asked.cpu_rt_runtime_us) and "realtime" not in support:
        message = "kernel does not support CPU real-time scheduler"
        raise Unsupported(message)
    if asked.nano_cpus and "quota" not in support:
        message = (
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the "
            "cgroup is not mounted"
        )
        raise InvalidArgument(message)
    nothing = type(asked)()
    changes: dict[str, Any] = {}
    warnings = []
    for field, feature, words in DISCARDED:
        given = getattr(asked, field)
        if given and feature not in support:
            changes[field] = getattr(nothing, field)
            warnings.append(f"Your kernel does not support {words}")
    if asked.memory and "swap" not in support:
        changes["memory_swap"] = UNACCOUNTED
        warnings.append(NO_SWAP)
    if asked.oom_kill_disabled and "oom-kill" in support and not asked.memory:
        warnings.append(UNLIMITED)
    if not changes:
        return options, warnings
    return options.replace(resources=asked.replace(**changes)), list(dict.fromkeys(warnings))


def require_nodes(options: Options) -> None:
    """Raise unless the machine has the memory nodes of `--cpuset-mems`.

    Raises: InvalidArgument
    """
    wanted = options.resources.cpuset_mems
    if not wanted:
        return
    from knarr.engine.options.limits import parse_cpu_list  # noqa: PLC0415 - for few containers

    try:
        with open("/sys/devices/system/node/online", encoding="ascii") as file:
            there = file.read().strip()
    except FileNotFoundError:  # a kernel without nodes has one
        there = "0"
    if not set(parse_cpu_list(wanted, "mems")) <= set(parse_cpu_list(there)):
        message = (
            f"requested memory nodes are not available - requested {wanted}, available: {there}"
        )
        raise InvalidArgument(message)


def require_writable(options: Options) -> None:
    """Raise where a container must not write to its control groups.

    v1 has no way to give a group away without its limits.

    Docker: "writable-cgroups" is for cgroup v2 in a namespace of the container's own
    """
    from knarr.linux import cgroup  # noqa: PLC0415 - for few containers

    if options.namespaces.cgroup not in ("", "private"):
        message = "conflicting options: writable-cgroups and the CGROUP mode"
        raise InvalidArgument(message)
    if any(each.version == 1 for each in cgroup.hierarchies()):
        message = "writable-cgroups needs cgroup v2 for all controllers"
        raise Unsupported(message)
