"""What `knarr-runtime` remembers between its calls: one directory for each container.

    <root>/<id>/state.json      what the container is: written before and after it is created
    <root>/<id>/start.sock      where init listens until it is started (see `gate`)

What a container does at the moment is not written down but found out each time: whether its init
is alive (by process ID and start time, so that a recycled number shows no ghost), waits at the
gate, or is frozen.

The directory is what makes an ID taken: it is made first and removed last.

Spec: runtime-spec runtime.md, "State"
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, Corrupt, InvalidArgument, NotFound
from knarr.linux import process
from knarr.runtime import cgroups, gate, members
from knarr.runtime.document import SPEC_VERSION
from knarr.util import files, jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.runtime.cgroups import Cgroup

CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


class State:
    """A container, as its state file tells."""

    __slots__ = ("directory", "fields", "id")

    def __init__(self, directory: str, container_id: str, fields: dict[str, Any]) -> None:
        """Describe the container with these fields."""
        self.directory = directory
        self.id = container_id
        self.fields = fields

    @property
    def pid(self) -> int:
        """The process ID of init."""
        return int(self.fields["pid"])

    @property
    def spec(self) -> dict[str, Any]:
        """The spec that the container was created from."""
        spec: dict[str, Any] = self.fields["spec"]
        return spec

    @property
    def group(self) -> Cgroup:
        """The container's cgroup."""
        group = cgroups.from_paths(self.fields["cgroup_paths"])
        group.unit = self.fields.get("cgroup_unit", "")
        return group

    @property
    def alive(self) -> bool:
        """Tell whether init is a living process, and still the same one."""
        try:
            state, started = process.state_and_start_time(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return started == self.fields["pid_started"] and state not in "ZX"

    def status(self) -> str:
        """Return what the container does: created, running, paused or stopped."""
        if not self.alive:
            return STOPPED
        if gate.is_waiting(self.directory):
            return CREATED
        return PAUSED if members.is_frozen(self.group) else RUNNING

    def shown(self) -> dict[str, Any]:
        """Return the state as the spec has it, and as `state` and `list` print it."""
        status = self.status()
        shown = {
            "ociVersion": SPEC_VERSION,
            "id": self.id,
            "pid": 0 if status == STOPPED else self.pid,
            "status": status,
            "bundle": self.fields["bundle"],
            "rootfs": self.fields["rootfs"],
            "created": self.fields["created"],
        }
        annotations = self.spec.get("annotations")
        if annotations:
            shown["annotations"] = annotations
        shown["owner"] = self.fields["owner"]
        return shown

    def require(self, *allowed: str) -> str:
        """Return the status, which must be one of those `allowed`.

        Raises: Conflict
        """
        status = self.status()
        if status not in allowed:
            message = {
                STOPPED: "container not running",
                PAUSED: "container paused",
                CREATED: "container has not been started",
            }.get(status, f"container is {status}")
            raise Conflict(message)
        return status


def check_id(container_id: str) -> None:
    """Refuse what cannot be a container's ID.

    Raises: InvalidArgument
    """
    good = container_id not in ("", ".", "..") and not set(container_id) - _LETTERS
    if not good or len(container_id) > 255:
        message = "invalid container ID format"
        raise InvalidArgument(message, hint="It may have letters, digits and the signs _ + - and .")


def reserve(root: str, container_id: str) -> str:
    """Take an ID, and return its directory.

    Raises: InvalidArgument, Conflict
    """
    check_id(container_id)
    os.makedirs(root, 0o711, exist_ok=True)
    directory = f"{root}/{container_id}"
    try:
        os.mkdir(directory, 0o711)
    except FileExistsError as error:
        message = "container with given ID already exists"
        raise Conflict(message) from error
    return directory


def write(directory: str, fields: dict[str, Any]) -> None:
    """Write a container's state file."""
    data = jsontext.dumps(fields).encode()
    files.write_atomically(f"{directory}/state.json", data, mode=0o600, durable=False)


def describe(
    pid: int, bundle_dir: str, spec: dict[str, Any], root_path: str, group: Cgroup
) -> dict[str, Any]:
    """Return the fields of the state file; `pid` is 0 before the container's init is there."""
    return {
        "pid": pid,
        "pid_started": process.start_time(pid) if pid else 0,
        "bundle": bundle_dir,
        "rootfs": root_path,
        "created": _now(),
        "owner": "" if os.geteuid() == 0 else str(os.geteuid()),
        "cgroup_paths": group.paths(),
        "cgroup_unit": group.unit,
        "spec": spec,
    }


def _now() -> str:
    nanoseconds = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
    return f"{seconds}.{nanoseconds % 10**9:09d}Z"


def read(root: str, container_id: str) -> State:
    """Return the state of a container.

    Raises: InvalidArgument, NotFound, Corrupt
    """
    check_id(container_id)
    directory = f"{root}/{container_id}"
    try:
        data = files.read_file(f"{directory}/state.json")
    except FileNotFoundError as error:
        message = "container does not exist"
        raise NotFound(message) from error
    try:
        return State(directory, container_id, jsontext.loads(data))
    except ValueError as error:
        message = f"{directory}/state.json: {error}"
        raise Corrupt(message) from error


def read_all(root: str) -> list[State]:
    """Return the states of all containers, by name."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            found.append(read(root, name))
        except (NotFound, InvalidArgument):  # being created or removed, or the cache of filters
            continue
    return found


def remove(directory: str) -> None:
    """Forget a container."""
    files.delete_with_files(directory)
