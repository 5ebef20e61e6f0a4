"""The processes of a container by its cgroups: listed, paused, killed, counted, buried.

A process can leave its parent, its session and its namespaces, but not its cgroup. So what is done
to all processes of a container is done by way of it.

Where there is a v2 directory it is used, also in a hybrid system: `cgroup.freeze` and
`cgroup.kill` act on processes that fork meanwhile too. v1 has a freezer, and killing is repeated
until nobody is left.

The root of a hierarchy is everybody's, also when a container's init is found there, as other
runtimes leave it in hierarchies that they do not use: it is never taken for the container's.
"""

from __future__ import annotations

import errno
import os
import time

from knarr.errors import Conflict, Failed, Unsupported
from knarr.runtime.cgroups import members, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.runtime.cgroups import Cgroup, Place

_PATIENCE = 2.0  # how long a cgroup may stay busy, or processes may take to stop


def processes(group: Cgroup, *, below: bool = True) -> list[int]:
    """Return the IDs of the processes inside, with `below` also in cgroups made inside."""
    found: dict[int, None] = {}
    for place in _by_preference(group):
        for directory in _tree(place.directory) if below else [place.directory]:
            found.update(dict.fromkeys(members(directory)))
        if found:
            break
    found.pop(0, None)  # one of another process ID namespace, and to kill(2) the caller's own group
    return list(found)


def _by_preference(group: Cgroup) -> list[Place]:
    """Return the directories, first the one that tells all; others may hold strays of crashes."""
    own = (place for place in group.places if not _is_root(place))
    return sorted(own, key=lambda place: place.version, reverse=True)


def _is_root(place: Place) -> bool:
    """Tell whether a directory is the root of its hierarchy."""
    return os.path.ismount(place.directory)


def _unified(group: Cgroup) -> Place | None:
    """Return the v2 directory, if it is the container's own."""
    unified = group.unified
    return None if unified is None or _is_root(unified) else unified


def _freezer(group: Cgroup) -> str | None:
    """Return the directory of the v1 freezer, if it is the container's own."""
    own = (place for place in group.places if "freezer" in place.controllers)
    return next((place.directory for place in own if not _is_root(place)), None)


def freeze(group: Cgroup, *, frozen: bool) -> None:
    """Stop all processes inside, or let them go on.

    Raises: Unsupported, Failed
    """
    unified, v1 = _unified(group), _freezer(group)
    if unified is not None and os.path.exists(f"{unified.directory}/cgroup.freeze"):
        write(f"{unified.directory}/cgroup.freeze", str(int(frozen)))
        _wait(lambda: is_frozen(group) == frozen, "the processes did not stop")
    elif v1 is not None:
        state = "FROZEN" if frozen else "THAWED"
        write(f"{v1}/freezer.state", state)
        _wait(lambda: read(f"{v1}/freezer.state").strip() == state, "the processes did not stop")
    else:
        message = "cannot pause: there is no cgroup with the freezer controller"
        raise Unsupported(message)


def is_frozen(group: Cgroup) -> bool:
    """Tell whether the processes are stopped."""
    unified, directory = _unified(group), _freezer(group)
    if unified is not None and os.path.exists(f"{unified.directory}/cgroup.events"):
        return "frozen 1" in read(f"{unified.directory}/cgroup.events")
    try:
        return directory is not None and "THAWED" not in read(f"{directory}/freezer.state")
    except FileNotFoundError:
        return False


def kill(group: Cgroup) -> None:
    """Kill every process inside, also those that fork meanwhile."""
    unified = _unified(group)
    if unified is not None:
        try:
            write(f"{unified.directory}/cgroup.kill", "1")
        except FileNotFoundError:
            pass
        else:
            return
    for _ in range(100):
        alive = processes(group)
        if not alive:
            return
        for pid in alive:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        if is_frozen(group):
            freeze(group, frozen=False)


def delete(group: Cgroup) -> None:
    """Remove the directories, with all that were made inside.

    Raises: Conflict
    """
    for place in _by_preference(group):
        remove_tree(place.directory)


def remove_tree(directory: str) -> None:
    """Remove one directory with all below it.

    Raises: Conflict
    """
    for each in _tree(directory):
        _remove(each)


def _remove(directory: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    pause = 0.0005
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                message = f"cannot remove the cgroup {directory}: there are processes in it"
                raise Conflict(message) from error
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _tree(directory: str) -> list[str]:
    """Return a directory and all below it, the deepest first."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found += _tree(entry.path)
    except FileNotFoundError:
        return []
    return [*found, directory]


def oom_kills(group: Cgroup) -> int:
    """Return how many processes inside were killed for lack of memory; 0 if that is not known."""
    directory = group.directory_of("memory")
    if directory is None:
        return 0
    for file in ("memory.events", "memory.oom_control"):
        try:
            text = read(f"{directory}/{file}")
        except FileNotFoundError:
            continue
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
    return 0


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    pause = 0.0002
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
