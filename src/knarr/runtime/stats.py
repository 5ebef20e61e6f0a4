"""What a container uses: read from its cgroups, in the form in which runc prints it.

One shape for both versions of cgroups, that of runc's `events --stats`: CPU times are nanoseconds,
memory is bytes, and v2's figures are put under v1's names where they mean the same. What a
controller that is missing would have told is left out.

Docker: `stats` and the API's stats are derived from the same numbers
"""

from __future__ import annotations

import os

from knarr.runtime.cgroups import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.runtime.cgroups import Cgroup

    Stats = dict[str, Any]

_UNLIMITED = (1 << 64) - 1


def read_stats(group: Cgroup) -> Stats:
    """Return what a container uses at this moment."""
    return {
        "cpu": _cpu(group),
        "memory": _memory(group),
        "pids": _pids(group),
        "blkio": _block_io(group),
        "hugetlb": _huge_pages(group),
    }


def _cpu(group: Cgroup) -> Stats:
    versions = group.versions()
    directory = group.directory_of("cpu")
    if versions.get("cpu") == 2 or "cpuacct" not in versions:
        unified = group.unified
        figures = _pairs(f"{unified.directory}/cpu.stat") if unified else {}
        usage = {
            "total": figures.get("usage_usec", 0) * 1000,
            "kernel": figures.get("system_usec", 0) * 1000,
            "user": figures.get("user_usec", 0) * 1000,
        }
        throttled = figures.get("throttled_usec", 0) * 1000
    else:
        usage = _cpu_v1(group.directory_of("cpuacct") or "")
        figures = _pairs(f"{directory}/cpu.stat") if directory else {}
        throttled = figures.get("throttled_time", 0)
    throttling = {
        "periods": figures.get("nr_periods", 0),
        "throttledPeriods": figures.get("nr_throttled", 0),
        "throttledTime": throttled,
    }
    return {"usage": usage, "throttling": throttling}


def _cpu_v1(directory: str) -> Stats:
    return {
        "total": _number(f"{directory}/cpuacct.usage"),
        "percpu": [int(word) for word in _text(f"{directory}/cpuacct.usage_percpu").split()],
        "kernel": _number(f"{directory}/cpuacct.usage_sys"),
        "user": _number(f"{directory}/cpuacct.usage_user"),
    }


def _memory(group: Cgroup) -> Stats:
    directory = group.directory_of("memory")
    if directory is None:
        return {}
    raw = _pairs(f"{directory}/memory.stat")
    if group.versions()["memory"] == 1:
        kernel, tcp = "memory.kmem", "memory.kmem.tcp"
        return {
            "cache": raw.get("cache", 0),
            "usage": _counter_v1(directory, "memory"),
            "swap": _counter_v1(directory, "memory.memsw"),
            "kernel": _counter_v1(directory, kernel),
            "kernelTCP": _counter_v1(directory, tcp),
            "raw": raw,
        }
    usage = {
        "limit": _number(f"{directory}/memory.max", _UNLIMITED),
        "usage": _number(f"{directory}/memory.current"),
        "max": _number(f"{directory}/memory.peak"),
        "failcnt": _pairs(f"{directory}/memory.events").get("max", 0),
    }
    swap_limit = _number(f"{directory}/memory.swap.max", _UNLIMITED)
    swap = {
        "limit": min(usage["limit"] + swap_limit, _UNLIMITED),
        "usage": usage["usage"] + _number(f"{directory}/memory.swap.current"),
        "failcnt": 0,
    }
    return {"cache": raw.get("file", 0), "usage": usage, "swap": swap, "raw": raw}


def _counter_v1(directory: str, name: str) -> Stats:
    return {
        "limit": _number(f"{directory}/{name}.limit_in_bytes"),
        "usage": _number(f"{directory}/{name}.usage_in_bytes"),
        "max": _number(f"{directory}/{name}.max_usage_in_bytes"),
        "failcnt": _number(f"{directory}/{name}.failcnt"),
    }


def _pids(group: Cgroup) -> Stats:
    directory = group.directory_of("pids")
    if directory is None:
        return {}
    current = _number(f"{directory}/pids.current")
    return {"current": current, "limit": _number(f"{directory}/pids.max")}


def _block_io(group: Cgroup) -> Stats:
    unified = group.directory_of("io")
    if unified:
        return _io(_text(f"{unified}/io.stat"))
    directory = group.directory_of("blkio")
    if directory is None:
        return {}
    found = {}
    for key, name in (("ioServiceBytesRecursive", "bytes"), ("ioServicedRecursive", "d")):
        stem = "io_service_bytes" if name == "bytes" else "io_serviced"
        for file in (f"blkio.bfq.{stem}_recursive", f"blkio.throttle.{stem}_recursive"):
            entries = _entries(_text(f"{directory}/{file}"))
            if entries:
                found[key] = entries
    return found


def _entries(text: str) -> list[Stats]:
    """Return lines such as `254:0 Read 4096`, without the sums."""
    entries = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:
            major, _, minor = words[0].partition(":")
            number, value = int(minor), int(words[2])
            entry = {"major": int(major), "minor": number, "op": words[1], "value": value}
            entries.append(entry)
    return entries


def _io(text: str) -> Stats:
    """Return v2's lines, `254:0 rbytes=4096 wbytes=0 rios=1 …`, under v1's names."""
    names = {
        "rbytes": ("ioServiceBytesRecursive", "Read"),
        "wbytes": ("ioServiceBytesRecursive", "Write"),
        "rios": ("ioServicedRecursive", "Read"),
        "wios": ("ioServicedRecursive", "Write"),
    }
    found: dict[str, list[Stats]] = {}
    for line in text.splitlines():
        device, *words = line.split()
        major, _, minor = device.partition(":")
        for word in words:
            name, _, value = word.partition("=")
            if name in names and minor:
                key, operation = names[name]
                entry = {"major": int(major), "minor": int(minor), "op": operation}
                found.setdefault(key, []).append({**entry, "value": int(value)})
    return found


def _huge_pages(group: Cgroup) -> Stats:
    directory = group.directory_of("hugetlb")
    if directory is None:
        return {}
    v1 = group.versions()["hugetlb"] == 1
    usage, most = (".usage_in_bytes", ".max_usage_in_bytes") if v1 else (".current", "")
    found = {}
    for name in _names(directory):
        if name.startswith("hugetlb.") and name.endswith(usage) and ".rsvd" not in name:
            size = name.removeprefix("hugetlb.").removesuffix(usage)
            entry = {"usage": _number(f"{directory}/{name}"), "failcnt": 0}
            if most:
                entry["max"] = _number(f"{directory}/hugetlb.{size}{most}")
                entry["failcnt"] = _number(f"{directory}/hugetlb.{size}.failcnt")
            found[size] = entry
    return found


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _text(path: str) -> str:
    try:
        return read(path)
    except FileNotFoundError:
        return ""


def _number(path: str, unlimited: int = 0) -> int:
    """Return the number in a file, 0 if there is no such file; `max` is what `unlimited` says."""
    text = _text(path).strip()
    if text == "max":
        return unlimited
    return int(text) if text else 0


def _pairs(path: str) -> dict[str, int]:
    """Return lines of a name and a number."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2}
