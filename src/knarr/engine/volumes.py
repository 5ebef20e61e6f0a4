"""Volumes: directories that outlive the containers they are mounted into.

    <root>/volumes/<name>/_data      what containers see
    <root>/volumes/<name>/.filling   a copy of an image's content that is not whole yet

The record says that a volume exists, the directory is made before it and removed after it. So a
directory without a record is of an operation that was cut short, or is about to get its record in a
transaction that is under way; `sweep` removes the former, in a transaction of its own. A volume
that a container uses cannot be removed: the database holds the one against the other.

An empty volume gets what the image has at the place where it is mounted, owners and all, when the
container is created. The copy is made aside and takes the place of the empty directory by a rename,
unless another container may be looking at that directory already; then it is filled where it is.
"""

from __future__ import annotations

import fcntl
import os
import time

from knarr.engine.filters import boolean, matches_labels, parse_filters, pruning_condition
from knarr.engine.noting import note_pruned
from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.store.volumes import VolumeRecords, VolumeRow
from knarr.util import jsontext
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest
    from knarr.oci.digest import Digest

    # `list` is a method below.
    VolumeList = list["Volume"]
    NameList = list[str]

DRIVER = "local"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"

FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")

_REMOVED = ".removed-"
_FILLING = ".filling"
DATA_MODE = 0o755
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_FIRST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LETTERS = _FIRST_LETTERS | frozenset("_.-")


class Volume:
    """A volume as recorded."""

    __slots__ = ("_volumes", "anonymous", "created_ns", "labels", "name")

    def __init__(self, volumes: Volumes, row: VolumeRow) -> None:
        self._volumes = volumes
        self.name = row.name
        self.anonymous = row.anonymous
        self.created_ns = row.created_ns
        self.labels: dict[str, str] = jsontext.loads(row.detail).get("labels", {})

    @property
    def path(self) -> str:
        """Return the directory that containers see."""
        return self._volumes.path(self.name)

    @property
    def used(self) -> bool:
        """Tell whether a container, running or not, has the volume."""
        return bool(self._volumes.users(self.name))

    def inspect(self) -> dict[str, Any]:
        """Return the document that `volume inspect` shows."""
        from knarr.util.times import render_rfc3339  # noqa: PLC0415 - for who looks closer

        return {
            "CreatedAt": render_rfc3339(self.created_ns - self.created_ns % 1_000_000_000),
            "Driver": DRIVER,
            "Labels": self.labels or None,
            "Mountpoint": self.path,
            "Name": self.name,
            "Options": None,
            "Scope": "local",
        }


class Volumes:
    """The volumes of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directory = engine.paths.volumes_dir
        self._records = VolumeRecords(engine.database)

    # for people

    def list(self) -> VolumeList:
        """Return all volumes, in order of their names."""
        return [Volume(self, row) for row in self._records.all()]

    def get(self, name: str) -> Volume:
        """Return the volume of this name.

        Raises: NotFound
        """
        return Volume(self, self._records.get(name))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the document that `volume inspect` shows.

        Raises: NotFound
        """
        return self.get(name).inspect()

    def create(
        self, name: str = "", *, driver: str = DRIVER, labels: Mapping[str, str] | None = None
    ) -> Volume:
        """Return the volume of this name, made if there is none; without a name, an anonymous one.

        Raises: InvalidArgument, NotFound
        """
        _check_driver(name, driver)
        anonymous = not name
        if name:
            check_name(name)
        name = name or os.urandom(32).hex()
        labels = {**(labels or {}), **({ANONYMOUS_LABEL: ""} if anonymous else {})}
        with self._engine.database.transaction():
            self._make(name, anonymous=anonymous, labels=labels)
        return self.get(name)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container has; with `force` a missing one is no error.

        Raises: NotFound, Conflict
        """
        with self._engine.database.transaction():
            if force and self._records.find(name) is None:
                return
            self._records.get(name)
            users = self._records.users(name)
            if users:
                message = f"remove {name}: volume is in use - [{', '.join(users)}]"
                raise Conflict(message, hint="Remove these containers first.")
            self._records.remove(name)
        trace("volumes:record-gone")
        self._delete(self._set_aside(name))
        self._note(name, "destroy")

    def filtered(self, filters: Iterable[str] = ()) -> VolumeList:
        """Return the volumes that pass `filters`.

        Docker: parts of names count

        Raises: InvalidArgument
        """
        given = parse_filters(filters, FILTERS)
        found = self.list()
        if "name" in given:
            found = [v for v in found if any(text in v.name for text in given["name"])]
        if "driver" in given:
            found = [v for v in found if DRIVER in given["driver"]]
        if "dangling" in given:
            dangling = boolean("dangling", given["dangling"])
            found = [v for v in found if v.used is not dangling]
        return [v for v in found if matches_labels(given.get("label", ()), v.labels)]

    def unused(self, filters: Iterable[str] = (), *, every: bool = False) -> VolumeList:
        """Return unused anonymous volumes, or with `every` all unused ones, that pass `filters`.

        Raises: InvalidArgument
        """
        texts = list(filters)
        wanted = pruning_condition(texts, PRUNE_FILTERS)
        given = parse_filters(texts, PRUNE_FILTERS)
        every = every or ("all" in given and boolean("all", given["all"]))
        return [
            volume
            for volume in self.list()
            if (every or volume.anonymous)
            and not volume.used
            and wanted(volume.created_ns, volume.labels)
        ]

    def size_of(self, volume: Volume) -> int:
        """Return how many bytes a volume takes."""
        return self._engine.layers.usage(volume.path).size

    def prune(
        self, filters: Iterable[str] = (), *, every: bool = False, dry_run: bool = False
    ) -> tuple[NameList, int]:
        """Remove what `unused` returns; return the names, and how many bytes that gave back.

        With `dry_run` only say which they are.

        Raises: InvalidArgument
        """
        removed, freed = [], 0
        for volume in self.unused(filters, every=every):
            size = self.size_of(volume)
            try:
                if not dry_run:
                    self.remove(volume.name)
            except (Conflict, NotFound):  # somebody was faster
                continue
            removed.append(volume.name)
            freed += size
        if not dry_run:
            note_pruned(self._engine.paths, "volume", freed)
        return removed, freed

    # for containers

    def path(self, name: str) -> str:
        """Return the directory of a volume."""
        return f"{self._directory}/{name}/_data"

    def users(self, name: str) -> NameList:
        """Return the IDs of the containers that have the volume."""
        return self._records.users(name)

    def claim(self, container_id: str, mounts: Iterable[MountRequest]) -> None:
        """Record that a container has the volumes in `mounts`, made if there are none of the name.

        Part of the transaction that records the container.

        Raises: InvalidArgument, NotFound
        """
        names = []
        with self._engine.database.transaction():
            for mount in mounts:
                _check_driver(mount.source, mount.driver or DRIVER)
                if not mount.anonymous:
                    check_name(mount.source)
                labels = {**mount.labels, **({ANONYMOUS_LABEL: ""} if mount.anonymous else {})}
                self._make(mount.source, anonymous=mount.anonymous, labels=labels)
                names.append(mount.source)
            self._records.use(container_id, names)

    def fill(self, stack: tuple[Digest, ...], mounts: Iterable[MountRequest]) -> None:
        """Copy what the image has where empty volumes are mounted.

        Docker: only directories are copied; a volume's directory takes the owner and mode of the
        image's, with or without content
        """
        from knarr.engine.copyup import copy_up  # noqa: PLC0415 - few containers have volumes

        wanted = [m for m in mounts if m.kind == "volume" and not m.nocopy and not m.subpath]
        wanted = [m for m in wanted if not os.listdir(self.path(m.source))]
        if not wanted:
            return
        image_fd = self._engine.layers.mount(stack, readonly=True)
        try:
            for mount in wanted:
                with _Locked(f"{self._directory}/{mount.source}") as volume_fd:
                    alone = len(self.users(mount.source)) <= 1
                    copy_up(image_fd, mount.target, volume_fd, aside=_FILLING if alone else "")
        finally:
            os.close(image_fd)

    def release(self, container_id: str) -> None:
        """Forget the anonymous volumes that only this container has.

        Part of the transaction that removes the container's record; `sweep` comes after it.
        """
        with self._engine.database.transaction():
            for row in self._records.used_by(container_id):
                if row.anonymous and self._records.users(row.name) == [container_id]:
                    self._records.unuse(container_id, row.name)
                    self._records.remove(row.name)
                    self._note(row.name, "destroy")

    def sweep(self) -> NameList:
        """Delete directories that no record speaks of, and return their names."""
        with self._engine.database.transaction():
            known = {row.name for row in self._records.all()}
            names = [name for name in os.listdir(self._directory) if name not in known]
            aside = [n if n.startswith(_REMOVED) else self._set_aside(n) for n in names]
        for name in aside:
            self._delete(name)
        return names

    # directories

    def _make(self, name: str, *, anonymous: bool, labels: Mapping[str, str]) -> None:
        """Record a volume, if it is new, with a directory; part of a transaction."""
        if self._records.find(name) is not None:
            return
        os.makedirs(f"{self._directory}/{name}", 0o711, exist_ok=True)
        try:
            os.mkdir(self.path(name), DATA_MODE)
            os.chmod(self.path(name), DATA_MODE)  # whatever the umask is
        except FileExistsError:  # of an attempt that was cut short
            pass
        trace("volumes:directory-made")
        detail = jsontext.dumps({"labels": dict(labels)})
        self._records.add(VolumeRow(name, anonymous, time.time_ns(), detail))
        self._note(name, "create")

    def _note(self, name: str, action: str) -> None:
        from knarr.util import eventlog  # noqa: PLC0415 - for who changes something

        eventlog.append(self._engine.paths.root, "volume", action, name, {"driver": DRIVER})

    def _set_aside(self, name: str) -> str:
        """Give a directory a name that no volume can have, and return that."""
        aside = f"{_REMOVED}{name}-{os.urandom(4).hex()}"
        try:
            os.rename(f"{self._directory}/{name}", f"{self._directory}/{aside}")
        except FileNotFoundError:
            pass
        return aside

    def _delete(self, name: str) -> None:
        from knarr.linux.tree import remove_tree  # noqa: PLC0415 - not for who only asks

        directory = os.open(self._directory, _DIRECTORY)
        try:
            remove_tree(directory, name)
        finally:
            os.close(directory)


class _Locked:
    """A directory, open and held with flock(2)."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._descriptor = os.open(self._path, _DIRECTORY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def check_name(name: str) -> None:
    """Raise unless `name` can be a volume's.

    Raises: InvalidArgument
    """
    if len(name) == 1:
        message = "volume name is too short, names should be at least two alphanumeric characters"
        raise InvalidArgument(message)
    if not name or name[0] not in _FIRST_LETTERS or not _LETTERS.issuperset(name):
        message = (
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
        )
        hint = "If you intended to pass a host directory, use absolute path."
        raise InvalidArgument(message, hint=hint)
    if len(name) > 255:
        message = f"volume name is too long: {len(name)} characters"
        raise InvalidArgument(message)


def _check_driver(name: str, driver: str) -> None:
    if driver != DRIVER:
        message = (
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )
        raise NotFound(message, hint=f"The volume driver is {DRIVER}.")
