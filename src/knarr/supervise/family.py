"""A control group for one exec within the container's, by which all of its processes can be ended.

A process can leave its parent, its session and its process group, but not this. It is made in one
hierarchy only, the one by which the container's processes are killed, too: v2 if there is any, else
the v1 freezer. Limits are the container's: a group within takes part in them.

Only execs that end with their client have one; processes inside see its name in /proc/self/cgroup.
"""

from __future__ import annotations

import os

from knarr.errors import Unsupported
from knarr.runtime import cgroups, members
from knarr.runtime.cgroups import Cgroup, Place

PREFIX = "exec-"


class Family:
    """The processes of one exec."""

    __slots__ = ("_own", "group")

    def __init__(self, target_pid: int, exec_id: str) -> None:
        """Make the group in that of the container's first process.

        `group` is what the exec's process has to become a member of.

        Raises: Unsupported, Conflict, PermissionDenied, Failed
        """
        places = cgroups.of_process(target_pid).places
        outer = _preferred(places)
        directory = f"{outer.directory}/{PREFIX}{exec_id[:12]}"
        own = Place(outer.version, outer.controllers, directory, outer.root)
        os.mkdir(directory)
        self._own = Cgroup([own])
        self.group = Cgroup([own if place is outer else place for place in places])

    def kill(self) -> None:
        """End all processes that are left."""
        members.kill(self._own)

    def forget(self) -> None:
        """Remove the group, unless processes are left: then it goes with the container's."""
        try:
            os.rmdir(self._own.places[0].directory)
        except OSError:
            pass


def _preferred(places: list[Place]) -> Place:
    for place in reversed(places):
        if place.version == 2 or "freezer" in place.controllers:
            return place
    message = "there is no cgroup by which the processes of an exec could be found"
    raise Unsupported(message, hint="Leave out --on-disconnect kill.")
