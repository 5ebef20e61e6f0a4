"""The cgroups of a container: one directory in each hierarchy, under one name.

    located      from the spec's cgroupsPath and what is mounted (`locate`), or from a state file
    created      directories made, controllers enabled on the way down (v2), cpusets filled (v1)
    joined       v2: the process is born inside (CLONE_INTO_CGROUP); v1: it enters by itself
    limited      `resources.plan_resources`, written before anything runs inside
    deleted      from the leaves up, with those that were made inside; a cgroup stays busy for a
                 moment after its last process has ended, so that removing is tried again

In a hybrid system the container gets a cgroup in v2 too, even if v2 has no controller: freezing and
killing all processes are one write each there, without races with processes that fork.

A cgroupsPath that is absolute begins at the root of each hierarchy as the caller sees it. A
relative one, and the default, which is the container's ID, begin at the caller's own cgroup (v1),
or beside it in v2, where a cgroup with processes can have no children with controllers.

Spec: runtime-spec config-linux.md, "Cgroups Path"
"""

from __future__ import annotations

import errno
import os

from knarr.errors import Conflict, InvalidArgument, KnarrError, Unsupported
from knarr.linux import cgroup
from knarr.runtime.failures import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.runtime.resources import Write


class Place:
    """A container's directory in one hierarchy."""

    __slots__ = ("controllers", "directory", "root", "version")

    def __init__(
        self, version: int, controllers: tuple[str, ...], directory: str, root: str = ""
    ) -> None:
        """Describe `directory`; `root` is where its hierarchy is mounted."""
        self.version = version
        self.controllers = controllers
        self.directory = directory
        self.root = root or os.path.dirname(directory)


class Cgroup:
    """All the directories of one container."""

    __slots__ = ("places", "unit")

    def __init__(self, places: Sequence[Place]) -> None:
        """Put together the directories; `unit` is the scope that has them, if systemd does."""
        self.places = list(places)
        self.unit = ""

    @property
    def unified(self) -> Place | None:
        """The directory in the v2 hierarchy, if there is one."""
        return next((place for place in self.places if place.version == 2), None)

    def versions(self) -> dict[str, int]:
        """Return the version of each controller there is."""
        return {name: place.version for place in self.places for name in place.controllers}

    def directory_of(self, controller: str) -> str | None:
        """Return the directory in which a controller's files are; `cgroup` names v2's own files."""
        for place in self.places:
            if controller in place.controllers or (controller == "cgroup" and place.version == 2):
                return place.directory
        return None

    def paths(self) -> dict[str, str]:
        """Return the directories by controller, v2's by "": the form of a state file."""
        paths = {name: p.directory for p in self.places if p.version == 1 for name in p.controllers}
        if self.unified:
            paths[""] = self.unified.directory
        return paths

    def exists(self) -> bool:
        """Tell whether any of the directories is there."""
        return any(os.path.isdir(place.directory) for place in self.places)


def locate(path: str, container_id: str) -> Cgroup:
    """Return the cgroup that the spec's cgroupsPath `path` means; nothing is made yet.

    Raises: InvalidArgument
    """
    if _is_unit(path):
        message = f'cgroupsPath "{path}" is of the form for systemd'
        raise InvalidArgument(message, hint="--systemd-cgroup lets systemd make the cgroup.")
    if ".." in path.split("/"):
        message = f'cgroupsPath "{path}" leads upwards'
        raise InvalidArgument(message)
    places = []
    for hierarchy in cgroup.hierarchies():
        if path.startswith("/"):
            inside = os.path.normpath("/" + path.lstrip("/"))
        else:
            own = hierarchy.own if hierarchy.version == 1 else os.path.dirname(hierarchy.own)
            inside = os.path.normpath(f"{own.rstrip('/')}/{path or container_id}")
        if inside == "/":
            message = f'cgroupsPath "{path}" is the root, which cannot be a container\'s'
            raise InvalidArgument(message)
        directory = hierarchy.directory(inside)
        root = hierarchy.mount_point
        places.append(Place(hierarchy.version, hierarchy.controllers, directory, root))
    return Cgroup(places)


def find(path: str, container_id: str) -> Cgroup:
    """Return the cgroup that `path` means, in the form for systemd or as a directory.

    Raises: InvalidArgument, Unsupported
    """
    if _is_unit(path):
        from knarr.runtime.systemd import scopes  # noqa: PLC0415 - only where systemd is asked for

        return scopes.locate(path, container_id)
    return locate(path, container_id)


def _is_unit(path: str) -> bool:
    """Tell whether a cgroupsPath is of the form `slice:prefix:name`."""
    return path.count(":") == 2 and "/" not in path


def of_process(pid: int) -> Cgroup:
    """Return the cgroup that a process is in.

    Raises: Conflict
    """
    try:
        found = cgroup.hierarchies(pid)
    except (FileNotFoundError, ProcessLookupError) as error:
        message = "the container is not running"
        raise Conflict(message) from error
    return Cgroup(
        [Place(h.version, h.controllers, h.directory(h.own), h.mount_point) for h in found]
    )


def from_paths(paths: dict[str, str]) -> Cgroup:
    """Return the cgroup that `Cgroup.paths` described."""
    by_directory: dict[str, list[str]] = {}
    for name, directory in paths.items():
        if name:
            by_directory.setdefault(directory, []).append(name)
    places = [Place(1, tuple(names), directory) for directory, names in by_directory.items()]
    if "" in paths:
        directory = paths[""]
        places.append(Place(2, cgroup.offered(directory), directory))
    return Cgroup(places)


def make(places: Iterable[Place], needed: set[str], made: list[str]) -> None:
    """Make directories, and append each that was not there to `made`.

    `needed` are the controllers without which the container cannot be: failing to enable one of
    them is an error.

    Raises: Conflict, PermissionDenied, Failed
    """
    made.extend(place.directory for place in places if _make(place, needed))


def _make(place: Place, needed: set[str]) -> bool:
    """Make one directory; False if it was there, empty."""
    try:
        os.mkdir(place.directory)
    except FileExistsError:
        found = len(members(place.directory))
        if found:
            message = f"container's cgroup is not empty: {place.directory} has {found} processes"
            raise Conflict(message) from None
        _refuse_frozen(place)
        return False
    except FileNotFoundError:
        _make_parents(place)
        os.mkdir(place.directory)
    except OSError as error:
        raise failed(f"making the cgroup {place.directory}", error) from error
    if place.version == 2:
        enable(place, needed)
    elif "cpuset" in place.controllers:
        _fill_cpuset(place.directory, place.root)
    return True


def _refuse_frozen(place: Place) -> None:
    """Refuse a cgroup that is frozen: who enters it to become the container would stop there."""
    file, word = ("cgroup.freeze", "1") if place.version == 2 else ("freezer.state", "FROZEN")
    if place.version == 2 or "freezer" in place.controllers:
        try:
            frozen = read(f"{place.directory}/{file}").strip() == word
        except FileNotFoundError:
            return
        if frozen:
            message = f"container's cgroup unexpectedly frozen: {place.directory}"
            raise Conflict(message) from None


def _make_parents(place: Place) -> None:
    """Make the directories between the root of the hierarchy and the container's."""
    current = place.root
    for name in os.path.dirname(place.directory)[len(place.root) :].strip("/").split("/"):
        current = f"{current}/{name}"
        try:
            os.mkdir(current)
        except FileExistsError:
            continue
        if place.version == 1 and "cpuset" in place.controllers:
            _fill_cpuset(current, place.root)


def _fill_cpuset(directory: str, root: str) -> None:
    """Copy the parent's CPUs and memory nodes: without, no process can enter.

    A parent that somebody else made may have none either.
    """
    parent = os.path.dirname(directory)
    for file in ("cpuset.cpus", "cpuset.mems"):
        if read(f"{directory}/{file}").strip():
            continue
        if not read(f"{parent}/{file}").strip() and parent != root:
            _fill_cpuset(parent, root)
        value = read(f"{parent}/{file}").strip()
        if value:
            write(f"{directory}/{file}", value)


def enable(place: Place, needed: set[str]) -> None:
    """Let all controllers of v2 reach the container's directory: limits may come later.

    Raises: PermissionDenied, Unsupported, Failed
    """
    present = cgroup.offered(place.directory)
    missing = [controller for controller in place.controllers if controller not in present]
    if not missing:
        return
    current = place.root
    names = os.path.dirname(place.directory)[len(place.root) :].strip("/").split("/")
    for name in ("", *names):
        current = f"{current}/{name}" if name else current
        for controller in missing:
            try:
                write(f"{current}/cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                if controller in needed:
                    doing = f"enabling the {controller} controller in {current}"
                    raise failed(doing, error) from error


def apply(group: Cgroup, writes: Iterable[Write]) -> None:
    """Set limits.

    A period that is too short for the share of it that is set so far comes after the new share.

    Raises: PermissionDenied, InvalidArgument, Unsupported, Failed
    """
    later = []
    for wanted in writes:
        try:
            _set(group, wanted)
        except OSError as error:
            if error.errno != errno.EINVAL or wanted.file not in _PERIODS:
                raise _not_set(wanted, error) from error
            later.append(wanted)
    for wanted in later:
        try:
            _set(group, wanted)
        except OSError as error:
            raise _not_set(wanted, error) from error


_PERIODS = ("cpu.cfs_period_us", "cpu.rt_period_us")


def _set(group: Cgroup, wanted: Write) -> None:
    directory = group.directory_of(wanted.controller)
    try:
        write(f"{directory}/{wanted.file}", wanted.value)
    except FileNotFoundError:
        if wanted.instead is None:
            raise
        _set(group, wanted.instead)


def _not_set(wanted: Write, error: OSError) -> KnarrError:
    if error.errno == errno.ENOENT:
        return Unsupported(f"cannot set {wanted.file}: this kernel has no such limit")
    return failed(f'setting {wanted.file} to "{wanted.value}"', error)


def enter(group: Cgroup) -> None:
    """Move the calling process, which has one thread, into the v1 cgroups.

    By the file `tasks` and the number 0, which means the caller. Any other way the kernel stops
    all forks and exits on the machine meanwhile, for which it waits until every processor has
    passed a quiet state: 7 ms when nobody else has just done the same, against 0.3 ms for nine
    hierarchies.
    """
    for place in group.places:
        if place.version == 1:
            write(f"{place.directory}/tasks", "0")


def put(places: Iterable[Place], pid: int) -> None:
    """Move another process into cgroups.

    Raises: PermissionDenied, Failed
    """
    for place in places:
        try:
            write(f"{place.directory}/cgroup.procs", str(pid))
        except OSError as error:
            raise failed(f"joining the cgroup {place.directory}", error) from error


def members(directory: str) -> list[int]:
    """Return the IDs of the processes in one directory."""
    try:
        return list(map(int, read(f"{directory}/cgroup.procs").split()))
    except OSError:  # gone, or threaded (EOPNOTSUPP): then they are told by the directory above
        return []


def read(path: str) -> str:
    """Return what a control file says."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, 65536)
        while len(data) % 4096 == 0 and (more := os.read(descriptor, 65536)):
            data += more
        return data.decode()
    finally:
        os.close(descriptor)


def write(path: str, value: str) -> None:
    """Write one line to a control file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
