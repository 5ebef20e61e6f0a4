"""What `info` says of the host and of this root, under Docker's names.

What describes a daemon alone has no place here. Whether a limit is supported is looked up where
containers' limits are (`resources.support`).
"""

from __future__ import annotations

import os
import sys
import time

from knarr import __version__
from knarr.engine import settings
from knarr.engine.container import apparmor
from knarr.engine.container.tasks import PAUSED
from knarr.engine.options.logging import DRIVERS
from knarr.engine.resources.support import find_support
from knarr.engine.runtimes import OWN, find_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.engine import Engine

# Docker's name of a limit, and what the kernel has to offer for it.
LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "OomKillDisable": "oom-kill",
    "PidsLimit": "pids",
    "CPUShares": "shares",
    "CpuCfsPeriod": "quota",
    "CpuCfsQuota": "quota",
    "CPUSet": "cpuset",
}
WARNINGS = {
    "MemoryLimit": "No memory limit support",
    "SwapLimit": "No swap limit support",
    "PidsLimit": "No pids limit support",
    "CPUShares": "No cpu shares support",
    "CpuCfsQuota": "No cpu cfs quota support",
    "CPUSet": "No cpuset support",
    "IPv4Forwarding": "IPv4 forwarding is disabled",
}
PROXIES = {"HttpProxy": "HTTP_PROXY", "HttpsProxy": "HTTPS_PROXY", "NoProxy": "NO_PROXY"}


def system_info(engine: Engine) -> dict[str, Any]:
    """Return everything that `info` shows."""
    found = {**_contents(engine), **_ways(engine), **_host()}
    found["Warnings"] = [f"WARNING: {text}" for name, text in WARNINGS.items() if not found[name]]
    return found


def _contents(engine: Engine) -> dict[str, Any]:
    states = [container.state for container in engine.containers.all()]
    active = sum(state.active for state in states)
    paused = sum(state.status == PAUSED for state in states)
    return {
        "Containers": len(states),
        "ContainersRunning": active - paused,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - active,
        "Images": len(engine.images.list(every=True)),
    }


def _ways(engine: Engine) -> dict[str, Any]:
    """Return how this root does things."""
    runtimes = {name: {"path": path or sys.executable} for name, path in find_all().items()}
    return {
        "ServerVersion": __version__,
        "Driver": "overlay",
        "DriverStatus": [["Backing Filesystem", _file_system(engine.paths.root)]],
        "LoggingDriver": "json-file",
        "CgroupDriver": engine.settings.get(settings.CGROUP_MANAGER),
        "CgroupVersion": _cgroup_version(),
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "null"], "Log": sorted(DRIVERS),
        },
        "Runtimes": runtimes,
        "DefaultRuntime": OWN,
        "LiveRestoreEnabled": True,  # nothing that containers need could be restarted
        "SecurityOptions": [
            *(["name=apparmor"] if apparmor.can_load() else []),
            "name=seccomp,profile=builtin",
            "name=cgroupns",
        ],
        "DockerRootDir": engine.paths.root,
        "RunDir": engine.paths.run,
        "SettingsFile": engine.settings.in_use,
        "PythonVersion": ".".join(str(number) for number in sys.version_info[:3]),
    }  # fmt: skip


def _host() -> dict[str, Any]:
    support, host = find_support(), os.uname()
    from knarr.util.times import render_rfc3339  # noqa: PLC0415 - for who asks

    release = _release()
    return {
        "KernelVersion": host.release,
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": host.nodename,
        "SystemTime": render_rfc3339(time.time_ns()),
        "IPv4Forwarding": _setting("net/ipv4/ip_forward") == "1",
        **{name: feature in support for name, feature in LIMITS.items()},
        **{
            name: os.environ.get(variable) or os.environ.get(variable.lower(), "")
            for name, variable in PROXIES.items()
        },
    }


def _cgroup_version() -> str:
    """Return 2 where the second version alone is mounted, as Docker tells them apart."""
    return "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1"


def _setting(name: str) -> str:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _file_system(path: str) -> str:
    """Return the type of the file system at `path`, as its mount has it."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == wanted:
                return rest.split(" ", 1)[0]
    return "unknown"


def _release() -> dict[str, str]:
    """Return what the distribution says of itself. Man: os-release(5)"""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        pairs = (line.partition("=") for line in lines)
        return {name: value.strip("\"'") for name, _, value in pairs}
    return {}
