"""knarr info."""

from __future__ import annotations

import os
import sys

from knarr import __version__
from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display system-wide information",
    options=(
        Option(
            "format",
            "Format output using a custom template:\n"
            "'json':             Print in JSON format\n"
            "'TEMPLATE':         Print output using the given Go template",
            kind="string",
            short="f",
            completes="json",
        ),
    ),
)

# The lines of the plain form: label and Docker's name of the fact.
LINES = (
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Runtimes", "Runtimes"),
    ("Default Runtime", "DefaultRuntime"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("Python Version", "PythonVersion"),
    ("Root Dir", "DockerRootDir"),
    ("Run Dir", "RunDir"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    facts = _facts(context)
    form = options.text("format")
    if form:
        from knarr.cli.output import show_object  # noqa: PLC0415 - only for who asks

        show_object(context, facts, form)
        return 0
    from knarr.util.text import binary_size  # noqa: PLC0415 - not for --help

    for label, name in LINES:
        value = binary_size(facts[name]) if name == "MemTotal" else facts[name]
        value = " ".join(value) if name == "Runtimes" else value
        context.print(f"{label}: {value}")
    return 0


def _facts(context: Context) -> dict[str, Any]:
    from knarr.engine.container.tasks import PAUSED  # noqa: PLC0415
    from knarr.engine.runtimes import OWN, find_all  # noqa: PLC0415 - not for --help

    engine, host = context.engine, os.uname()
    states = [container.state for container in engine.containers.all()]
    active = sum(state.active for state in states)
    paused = sum(state.status == PAUSED for state in states)
    return {
        "Containers": len(states),
        "ContainersRunning": active - paused,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - active,
        "Images": len(engine.images.list()),
        "ServerVersion": __version__,
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "CgroupVersion": _cgroup_version(),
        "Runtimes": {name: {"path": path or sys.executable} for name, path in find_all().items()},
        "DefaultRuntime": OWN,
        "KernelVersion": host.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": host.nodename,
        "PythonVersion": ".".join(str(number) for number in sys.version_info[:3]),
        "DockerRootDir": engine.paths.root,
        "RunDir": engine.paths.run,
    }


def _cgroup_version() -> str:
    """Return 2 where the second version alone is mounted, as Docker tells them apart."""
    return "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1"


def _operating_system() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            name, _, value = line.partition("=")
            if name == "PRETTY_NAME":
                return value.strip("\"'")
    return "Linux"
