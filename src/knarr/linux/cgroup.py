"""Control groups: the hierarchies there are, where they are mounted, where a process is in them.

A machine has cgroup v2 (one hierarchy for all controllers), cgroup v1 (a hierarchy for each
controller or a few together, and named ones without), or both side by side: *hybrid*, where a
controller belongs to one version, and the v2 hierarchy may have none. So nothing here asks for "the
version": it is a fact of each controller.

`hierarchies` reads two small files. In /proc/self/mountinfo a mount of cgroupfs shows the part of
the hierarchy below its root field; in /proc/self/cgroup paths begin at the root of the cgroup
namespace. A process's directory is thus mount point + (path - root field), which in a container
whose cgroups were bind-mounted are not the same.

Man: cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5)
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# <linux/magic.h>

# Words among a v1 mount's super options that are no controllers.
_NO_CONTROLLERS = frozenset(
    (
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
        "favordynmods",
        "nsdelegate",
    )
)


class Hierarchy:
    """One mounted hierarchy and a process's place in it.

    `controllers` are the names of v1 as mounted (`name=systemd` for a named one), or those that v2
    offers at its root. `own` is the process's path from the root of its cgroup namespace.
    """

    __slots__ = ("controllers", "mount_point", "own", "root", "version")

    def __init__(
        self,
        version: int,
        controllers: tuple[str, ...],
        mount_point: str,
        root: str,
        own: str = "/",
    ) -> None:
        """Describe a hierarchy of cgroup `version`."""
        self.version = version
        self.controllers = controllers
        self.mount_point = mount_point
        self.root = root
        self.own = own

    def directory(self, path: str) -> str:
        """Return the directory of the cgroup `path`, absolute from the namespace's root."""
        root = self.root.rstrip("/")
        inside = path[len(root) :] if f"{path}/".startswith(f"{root}/") else path
        return self.mount_point + inside.rstrip("/")

    def __repr__(self) -> str:
        """Show all of it."""
        names = ",".join(self.controllers)
        return f"<v{self.version} {names} at {self.mount_point} root {self.root} own {self.own}>"


def hierarchies(pid: int = 0) -> list[Hierarchy]:
    """Return the hierarchies that are mounted, and where the process `pid` or the caller is."""
    with open("/proc/self/mountinfo", "rb", buffering=0) as file:
        mounts = file.read()
    with open(f"/proc/{pid or 'self'}/cgroup", "rb", buffering=0) as file:
        memberships = file.read()
    found = parse(os.fsdecode(mounts), os.fsdecode(memberships))
    for hierarchy in found:
        if hierarchy.version == 2:
            hierarchy.controllers = offered(hierarchy.mount_point)
    return found


def parse(mountinfo: str, memberships: str) -> list[Hierarchy]:
    """Return the hierarchies that the text of the two files describes, v1 before v2.

    What v2 offers stands in neither: its `controllers` are left empty.
    """
    own_paths = dict(_memberships(memberships.splitlines()))
    found: dict[tuple[str, ...], Hierarchy] = {}
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        hierarchy = _mounted(line)
        key = () if hierarchy.version == 2 else tuple(sorted(hierarchy.controllers))
        if key in own_paths and key not in found:
            hierarchy.own = own_paths[key]
            found[key] = hierarchy
    unified = found.pop((), None)
    return [*found.values(), unified] if unified else list(found.values())


def _memberships(lines: Iterable[str]) -> Iterable[tuple[tuple[str, ...], str]]:
    for line in lines:
        _, names, path = line.split(":", 2)
        yield tuple(sorted(names.split(","))) if names else (), path


def _mounted(line: str) -> Hierarchy:
    fields, _, rest = line.partition(" - ")
    _, _, _, root, mount_point, *_ = fields.split(" ")
    fstype, _, options = rest.split(" ", 2)
    if fstype == "cgroup2":
        return Hierarchy(2, (), unescape(mount_point), unescape(root))
    words = options.split(",")
    names = tuple(w for w in words if w not in _NO_CONTROLLERS and "release_agent=" not in w)
    return Hierarchy(1, names, unescape(mount_point), unescape(root))


def unescape(path: str) -> str:
    r"""Undo the octal escapes of mountinfo (`\040` for a space)."""
    if "\\" not in path:
        return path
    parts = path.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])


def offered(directory: str) -> tuple[str, ...]:
    """Return the controllers that a cgroup v2 directory can give to those below it."""
    try:
        with open(f"{directory}/cgroup.controllers", "rb", buffering=0) as file:
            return tuple(file.read().decode().split())
    except OSError:
        return ()


def is_unified() -> bool:
    """Tell whether there is nothing but cgroup v2."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
