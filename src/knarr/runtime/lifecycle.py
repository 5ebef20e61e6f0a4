"""What is done to a container that exists: looked at, signalled, paused, limited, taken down.

A container is named by its init's process ID (a number that the caller has checked to be still that
process) or by its cgroup. What reaches all processes goes by the cgroup: see `members`.

Nothing is remembered between calls; whoever has a container keeps its ID, spec and process ID.
"""

from __future__ import annotations

import os

from knarr.errors import Conflict
from knarr.runtime import cgroups, device_rules, members
from knarr.runtime.document import Node
from knarr.runtime.resources import plan_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.resources import Write

    Container = Cgroup | int
else:
    import _signal


def group_of(container: Container) -> Cgroup:
    """Return the cgroup of a container; for a process ID, the one in which its init is.

    Raises: Conflict
    """
    return cgroups.of_process(container) if isinstance(container, int) else container


def locate(spec: Mapping[str, Any], container_id: str, *, by_systemd: bool = False) -> Cgroup:
    """Return the cgroup of the container `container_id` with `spec`, whether it runs or not."""
    if by_systemd:
        from knarr.runtime.systemd import scopes  # noqa: PLC0415 - only where systemd is asked for

        return scopes.locate(Node(spec).node("linux").text("cgroupsPath"), container_id)
    return cgroups.locate(Node(spec).node("linux").text("cgroupsPath"), container_id)


def processes(container: Container) -> list[int]:
    """Return the IDs of all processes of a container, as the caller's namespace numbers them."""
    return members.processes(group_of(container))


def pause(container: Container) -> None:
    """Stop all processes of a container.

    Raises: Unsupported, Conflict, Failed
    """
    members.freeze(group_of(container), frozen=True)


def resume(container: Container) -> None:
    """Let all processes of a container go on.

    Raises: Unsupported, Conflict, Failed
    """
    members.freeze(group_of(container), frozen=False)


def kill_group(container: Container, number: int) -> None:
    """Send a signal to each process of a container.

    Raises: Conflict
    """
    group = group_of(container)
    if number == _signal.SIGKILL:
        members.kill(group)
        return
    for each in members.processes(group):
        try:
            os.kill(each, number)
        except ProcessLookupError:
            continue


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process.

    Raises: Conflict
    """
    try:
        os.kill(pid, number)
    except ProcessLookupError as error:
        message = "container not running"
        raise Conflict(message) from error


def update(container: Container, resources: Mapping[str, Any]) -> None:
    """Set other limits, an object like `linux.resources`; what it does not name stays as it is.

    Raises: InvalidArgument, Unsupported, Conflict, Failed
    """
    group = group_of(container)
    node = Node(resources, "resources")
    writes = plan_resources(node, group.versions())
    if group.unit:
        from knarr.runtime.systemd import scopes  # noqa: PLC0415 - only where systemd is asked for

        scopes.update(group, writes)
    cgroups.apply(group, _in_possible_order(group, writes))
    device_rules.restrict(group, device_rules.plan_rules(node.nodes("devices")))


def _in_possible_order(group: Cgroup, writes: Sequence[Write]) -> list[Write]:
    """Return the writes in an order that a running container can follow.

    v1 allows no moment in which memory + swap is below memory: when both are raised, the sum must
    be raised first.
    """
    order = list(writes)
    files = [wanted.file for wanted in order]
    first, second = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    if first in files and second in files:
        low, high = files.index(first), files.index(second)
        present = int(cgroups.read(f"{group.directory_of('memory')}/{second}"))
        limit = int(order[low].value)
        if low < high and (limit < 0 or limit > present):
            order[low], order[high] = order[high], order[low]
    return order


def take_down(group: Cgroup) -> int:
    """Remove what is left of a container whose init has ended; return how often memory ran out.

    Processes that outlived init (which a container without a process ID namespace allows) are
    killed.

    Raises: Conflict
    """
    killed = members.oom_kills(group)
    members.kill(group)
    if group.unit:
        from knarr.runtime.systemd import scopes  # noqa: PLC0415 - only where systemd is asked for

        scopes.stop(group)
    members.delete(group)
    return killed
