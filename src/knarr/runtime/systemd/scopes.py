"""A container as a scope unit of systemd, which makes its cgroup, delegates it and shows it.

    named        cgroupsPath `slice:prefix:name` means the unit prefix-name.scope in that slice
    started      with a process of ours inside, since systemd makes no scope without one: the
                 holder, which is ended as soon as the container's init is in the cgroup
    limited      the limits that systemd knows are properties of the unit, so that it does not set
                 others at its next reload; then all are written to the cgroup as without systemd
    stopped      when the container is deleted

systemd is told nothing of devices: the program of the container's rules is attached to the cgroup
as always, and a unit without a policy of devices has none that could contradict.

Only where there is nothing but cgroup v2: what else systemd once managed it no longer does.

Man: systemd.scope(5), systemd.resource-control(5), org.freedesktop.systemd1(5)
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, InvalidArgument, Unsupported
from knarr.linux import cgroup, process
from knarr.runtime.cgroups import Cgroup, Place
from knarr.runtime.systemd import manager, properties
from knarr.runtime.systemd.manager import Manager, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

    from knarr.linux.cgroup import Hierarchy
    from knarr.runtime.resources import Write
else:
    import _signal

DEFAULT_SLICE = "system.slice"
DEFAULT_PREFIX = "knarr"
PATIENCE = 50  # times 20 ms
_UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"


def locate(path: str, container_id: str, hierarchies: Iterable[Hierarchy] | None = None) -> Cgroup:
    """Return the cgroup of the scope that the spec's cgroupsPath `path` means.

    Raises: InvalidArgument, Unsupported
    """
    found = list(cgroup.hierarchies() if hierarchies is None else hierarchies)
    if len(found) != 1 or found[0].version != 2:
        message = "--systemd-cgroup: needs a machine with cgroup v2 alone"
        raise Unsupported(message)
    slice_name, unit = names(path, container_id)
    above = "/".join(expand(slice_name))
    place = found[0]
    directory = os.path.normpath(f"{place.mount_point}/{above}/{unit}")
    group = Cgroup([Place(2, place.controllers, directory, place.mount_point)])
    group.unit = unit
    return group


def names(path: str, container_id: str) -> tuple[str, str]:
    """Return the slice and the unit of a cgroupsPath.

    Raises: InvalidArgument
    """
    slice_name, prefix, name = DEFAULT_SLICE, DEFAULT_PREFIX, container_id
    if path:
        parts = path.split(":")
        if len(parts) != 3 or "/" in path:
            message = f'expected cgroupsPath to be of format "slice:prefix:name", got "{path}"'
            raise InvalidArgument(message)
        slice_name, prefix, name = parts[0] or DEFAULT_SLICE, parts[1], parts[2]
    if not name or name.endswith(".slice"):
        message = f'cgroupsPath "{path}" does not name a scope'
        raise InvalidArgument(message)
    return slice_name, f"{prefix}-{name}.scope" if prefix else f"{name}.scope"


def expand(slice_name: str) -> list[str]:
    """Return a slice with those that it is in, which its name tells: a.slice, a-b.slice.

    Raises: InvalidArgument
    """
    stem = slice_name.removesuffix(".slice")
    if stem == "-" and slice_name != stem:
        return []
    words = stem.split("-")
    if stem == slice_name or not all(words):
        message = f'invalid slice name "{slice_name}"'
        raise InvalidArgument(message)
    return ["-".join(words[:count]) + ".slice" for count in range(1, len(words) + 1)]


def _hold() -> NoReturn:
    """Wait for the end, which comes with the parent's at the latest."""
    try:
        process.prctl(process.PR_SET_PDEATHSIG, _signal.SIGKILL)
        while True:
            _signal.pause()
    finally:
        os._exit(1)


class Holder:
    """The process that keeps a scope until the container's init is in it."""

    def __init__(self) -> None:
        """Begin it; it ends with its parent."""
        self.pid = os.fork()
        if self.pid == 0:
            _hold()

    def end(self) -> None:
        """End it, if that has not been done."""
        if self.pid:
            os.kill(self.pid, _signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def start(
    group: Cgroup, container_id: str, writes: Iterable[Write], annotations: Mapping[str, str]
) -> Holder:
    """Start the scope with the limits that systemd knows; return who keeps it.

    Raises: Conflict, InvalidArgument, Unsupported, Failed
    """
    wanted = properties.of_scope(os.path.basename(os.path.dirname(_directory(group))), container_id)
    wanted += properties.of_limits(writes) + properties.of_annotations(annotations)
    doing = f"starting the unit {group.unit}"
    systemd = Manager()
    holder = Holder()
    try:
        wanted.append(("PIDs", ("au", [holder.pid])))
        arguments = [group.unit, "fail", wanted, []]
        job = _ask_to_start(systemd, doing, group, arguments)
        systemd.finish(doing, job)
    except BaseException:
        holder.end()
        raise
    finally:
        systemd.close()
    return holder


def _ask_to_start(systemd: Manager, doing: str, group: Cgroup, arguments: list[Any]) -> str:
    """Return the job that starts the scope.

    A container that is restarted wants the name of a scope whose last process has just ended; the
    cgroup goes a moment before systemd has put the unit away.

    Raises: Conflict, InvalidArgument, Unsupported, Failed
    """
    for _ in range(PATIENCE):
        try:
            [job] = systemd.call(doing, "StartTransientUnit", "ssa(sv)a(sa(sv))", arguments)
        except Refused as error:
            if error.name != _UNIT_EXISTS:
                raise
            if group.exists():
                break
            time.sleep(0.02)
        else:
            return str(job)
    message = f"{doing}: there is one already"
    raise Conflict(message)


def _directory(group: Cgroup) -> str:
    assert group.unified is not None
    return group.unified.directory


def update(group: Cgroup, writes: Iterable[Write]) -> None:
    """Tell systemd other limits of the scope.

    Raises: Unsupported, Failed
    """
    wanted = properties.of_limits(writes)
    if not wanted:
        return
    systemd = Manager()
    try:
        doing = f"changing the unit {group.unit}"
        systemd.call(doing, "SetUnitProperties", "sba(sv)", [group.unit, True, wanted])
    finally:
        systemd.close()


def stop(group: Cgroup) -> None:
    """Stop the scope, unless it went with its last process.

    systemd has then removed the cgroup as well, and need not be asked.

    Raises: Unsupported, Failed
    """
    if not group.exists():
        return
    systemd = Manager()
    try:
        doing = f"stopping the unit {group.unit}"
        [job] = systemd.call(doing, "StopUnit", "ss", [group.unit, "replace"])
        systemd.finish(doing, job)
    except Refused as error:
        if error.name != manager.NO_SUCH_UNIT:
            raise
    finally:
        systemd.close()
