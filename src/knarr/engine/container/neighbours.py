"""Containers that share: whose namespaces another one joins, and ranges of users nobody shares.

At create `container:NAME` becomes `container:ID`, so that a rename changes nothing, and
`--userns auto` gets its range; `keep-id` has a user namespace in which everybody has the number
that they have outside. At start the other container must run. Its namespaces are named by
its process ID, which could be another process's a moment later; so `Neighbours.verify` is asked
again when the namespaces have been joined: who still runs under the same number as before ran all
the time in between. From then on the supervisor holds them by descriptors of its own.

Docker: getIPCContainer, getPIDContainer and getNetworkedContainer of moby, with their words
"""

from __future__ import annotations

from knarr.engine.container import tasks
from knarr.engine.options.namespaces import CONTAINER, auto_size, kept_user
from knarr.engine.options.values import IdRange
from knarr.errors import Conflict, InvalidArgument, KnarrError, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.store.containers import ContainerRow

# Field of `Namespaces` → kind of the spec, the kernel's file, and the words for what is joined.
KINDS = {
    "network": ("network", "net", "network"),
    "pid": ("pid", "pid", "PID"),
    "ipc": ("ipc", "ipc", "IPC"),
    "uts": ("uts", "uts", "UTS"),
    "cgroup": ("cgroup", "cgroup", "cgroup"),
    "user": ("user", "user", "user"),
}
SHAREABLE = ("shareable", "host")
KEEP = "keep-id"

# IDs that no system hands out: between what systemd gives to its containers and what it keeps for
# foreign images. An entry of SUBORDINATE in /etc/subuid and /etc/subgid goes before it.
# Spec: systemd UIDS-GIDS, "1879048192…2147352575 Unused"
FIRST_ID = 1879048192
AVAILABLE = 2147352576 - FIRST_ID
SUBORDINATE = "containers"


def settle(engine: Engine, options: Options) -> Options:
    """Return the options with IDs instead of names, and the ranges of a user namespace.

    Raises: NotFound, InvalidArgument, Conflict
    """
    networking = options.networking
    if networking.mode.startswith(CONTAINER):
        other = _find(engine, networking.mode, "cannot join network of container")
        options = options.replace(networking=networking.replace(mode=CONTAINER + other.id))
    spaces = options.namespaces
    for field in ("pid", "ipc", "uts", "cgroup", "user"):
        mode = getattr(spaces, field)
        if mode.startswith(CONTAINER):
            other = _find(engine, mode, f"can't join {KINDS[field][2]} of container")
            spaces = spaces.replace(**{field: CONTAINER + other.id})
            if field == "user":
                theirs = _options(other).namespaces
                spaces = spaces.replace(uid_map=theirs.uid_map, gid_map=theirs.gid_map)
    return options.replace(namespaces=spaces)


def claim_users(engine: Engine, options: Options) -> Options:
    """Return the options with a range for `--userns auto`; in the transaction of the record.

    Raises: Unavailable
    """
    spaces = options.namespaces
    if not spaces.user.startswith("auto") or spaces.uid_map:
        return options
    size = auto_size(spaces.user)
    taken = list(_taken(engine))
    maps = {}
    for field, file in (("uid_map", "/etc/subuid"), ("gid_map", "/etc/subgid")):
        maps[field] = (IdRange(0, find_free(taken, _available(file), size), size),)
    return options.replace(namespaces=spaces.replace(**maps))


def keep_users(options: Options) -> Options:
    """Return the options with the mapping for `--userns keep-id`, and with its user if none is set.

    Goes before the image's config: its user counts as little as it does to Podman.

    Podman: "For containers created by root, the current mapping is created into a new user
    namespace."
    """
    maps = {}
    for field in ("uid_map", "gid_map"):
        with open(f"/proc/self/{field}", encoding="ascii") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
        maps[field] = tuple(IdRange(first, first, size) for first, _, size in ranges)
    uid, gid = kept_user(options.namespaces.user)
    return options.replace(
        namespaces=options.namespaces.replace(**maps), user=options.user or f"{uid}:{gid}"
    )


def find_free(taken: Iterable[tuple[int, int]], room: list[tuple[int, int]], size: int) -> int:
    """Return the first ID of `size` in one of the ranges of `room` that are not `taken`.

    Ranges are pairs of first ID and size.

    Raises: Unavailable
    """
    used = sorted(taken)
    for first, length in room:
        candidate = first
        for start, count in used:
            if start + count <= candidate:
                continue
            if start >= candidate + size:
                break
            candidate = start + count
        if candidate + size <= first + length:
            return candidate
    message = f"cannot find {size} unused IDs for a user namespace"
    raise Unavailable(message, hint=f"Give {SUBORDINATE} more of them in /etc/subuid and subgid.")


def _available(path: str) -> list[tuple[int, int]]:
    """Return the ranges from which containers get theirs."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    found = []
    for line in lines:
        name, _, rest = line.strip().partition(":")
        first, _, size = rest.partition(":")
        if name == SUBORDINATE and first.isdecimal() and size.isdecimal():
            found.append((int(first), int(size)))
    return found or [(FIRST_ID, AVAILABLE)]


def _taken(engine: Engine) -> Iterator[tuple[int, int]]:
    for container in engine.containers.all():
        spaces = container.options.namespaces
        if spaces.user.startswith(KEEP):
            continue
        for one in (*spaces.uid_map, *spaces.gid_map):
            yield one.outside, one.size


def _find(engine: Engine, mode: str, doing: str) -> ContainerRow:
    name = mode.removeprefix(CONTAINER)
    try:
        return engine.containers.get(name).row
    except KnarrError as error:
        message = f"{doing} {name}: {error.message}"
        raise type(error)(message, hint=error.hint) from None


def _options(row: ContainerRow) -> Options:
    from knarr.engine.options.encoding import decode  # noqa: PLC0415 - for few containers

    return decode(row.options)


class Neighbours:
    """The containers that one joins, as they run now."""

    __slots__ = ("_engine", "_pids", "joined", "network", "shm")

    def __init__(self, engine: Engine, options: Options, container_id: str) -> None:
        """Find them.

        `joined` are the namespaces' files by their kind in the spec, `shm` the /dev/shm that goes
        with a joined ipc namespace, `network` the record of who made the network.

        Raises: Conflict, InvalidArgument
        """
        self._engine = engine
        self._pids: dict[str, int] = {}
        self.joined: dict[str, str] = {}
        self.shm = ""
        self.network: ContainerRow | None = None
        modes = {"network": options.networking.mode}
        modes |= {name: getattr(options.namespaces, name) for name in KINDS if name != "network"}
        for name, mode in modes.items():
            if mode.startswith(CONTAINER):
                self._join(name, mode.removeprefix(CONTAINER), container_id)

    def _join(self, name: str, other: str, container_id: str) -> None:
        kind, file, words = KINDS[name]
        if other == container_id:
            message = f"cannot join own {words}"
            raise InvalidArgument(message)
        try:
            row = self._engine.containers.get(other).row
        except NotFound:
            message = f"cannot join {words} of container {other}: it was removed"
            raise Conflict(message) from None
        pid = self._pids[other] = self._running(row.id, words)
        self.joined[kind] = f"/proc/{pid}/ns/{file}"
        if name == "network":
            self.network = row
        elif name == "ipc":
            self._share_memory(row, pid)

    def _running(self, container_id: str, words: str) -> int:
        state = tasks.read_state(self._engine.paths, container_id)
        if state.status == tasks.RESTARTING:
            message = (
                f"cannot join {words} of container {container_id}: it is restarting, wait until "
                "it is running"
            )
            raise Conflict(message)
        if not state.active or not state.pid:
            message = f"cannot join {words} of a non running container: {container_id}"
            raise Conflict(message)
        return state.pid

    def _share_memory(self, row: ContainerRow, pid: int) -> None:
        mode = _options(row).namespaces.ipc
        if mode not in SHAREABLE and not mode.startswith(CONTAINER):
            message = (
                f"can't join IPC of container {row.id}: non-shareable IPC (hint: use "
                "IpcMode:shareable for the donor container)"
            )
            raise Conflict(message)
        self.shm = f"/proc/{pid}/root/dev/shm"

    def verify(self) -> None:
        """Raise if one of them has ended since, whose number somebody else may have by now.

        Raises: Conflict
        """
        for container_id, pid in self._pids.items():
            if self._running(container_id, "namespaces") != pid:
                message = f"cannot join namespaces of container {container_id}: it was restarted"
                raise Conflict(message)
