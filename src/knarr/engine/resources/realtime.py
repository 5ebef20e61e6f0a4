"""Real-time budgets of the control groups above a container.

A group of v1 can give its children no more real-time than it has itself, and a new group has none.
So the groups between the root and a container's get what all below them have, and what is asked
for. (v2 counts no real-time: there `--cpu-rt-runtime` is refused.)

Docker: the daemon's own options --cpu-rt-period and --cpu-rt-runtime, which nobody needs here
"""

from __future__ import annotations

import os

from knarr.errors import Unavailable
from knarr.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Resources

RUNTIME, PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"


def make_room(parent: str, asked: Resources) -> None:
    """Let the group `parent`, and those above it, have what another container asks for.

    Raises: Unavailable
    """
    period = asked.cpu_rt_period_us or 1_000_000
    share = asked.cpu_rt_runtime_us / period
    hierarchy = next(
        (h for h in cgroup.hierarchies() if h.version == 1 and "cpu" in h.controllers), None
    )
    if hierarchy is None:
        return
    directory = hierarchy.mount_point
    for name in parent.strip("/").split("/"):
        directory = f"{directory}/{name}"
        os.makedirs(directory, exist_ok=True)
        _allot(directory, share)


def _allot(directory: str, share: float) -> None:
    """Let a group have what its children have, and `share` of a processor more."""
    taken = sum(
        _number(f"{entry.path}/{RUNTIME}") / _number(f"{entry.path}/{PERIOD}")
        for entry in os.scandir(directory)
        if entry.is_dir()
    )
    needed = int((taken + share) * _number(f"{directory}/{PERIOD}")) + 1
    if _number(f"{directory}/{RUNTIME}") >= needed:
        return
    try:
        with open(f"{directory}/{RUNTIME}", "w", encoding="ascii") as file:
            file.write(str(needed))
    except OSError as error:
        message = f"there is not so much real-time left for {directory}"
        hint = "The root's kernel.sched_rt_runtime_us bounds what all groups have together."
        raise Unavailable(message, hint=hint) from error


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
