"""Volumes: directories that outlive the containers they are mounted into.

The record says that a volume exists, the directory is made before it and removed after it (see
`engine.volume.directories`). A volume that a container uses cannot be removed: the database holds
the one against the other.

A snapshot is a volume called VOLUME@NAME, which no container can have. It goes with its volume
where a person insists; otherwise a volume that has snapshots stays.

An empty volume gets what the image has at the place where it is mounted, owners and all, when the
container is created: see `engine.volume.copyup`.
"""

from __future__ import annotations

import os
import time

from knarr.engine.filters import boolean, matches_labels, parse_filters, pruning_condition
from knarr.engine.noting import note_pruned
from knarr.engine.volume.directories import Directories
from knarr.engine.volume.driver import Mounted, check_options, find, is_plain, size_limit
from knarr.engine.volume.names import DRIVER, SNAPSHOT, check_driver, check_name, is_snapshot
from knarr.errors import Conflict, NotFound
from knarr.store.volumes import VolumeRecords, VolumeRow
from knarr.util import jsontext
from knarr.util.trace import trace
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest
    from knarr.oci.digest import Digest

    # `list` is a method below.
    VolumeList = list["Volume"]
    RowList = list[VolumeRow]
    NameList = list[str]

ANONYMOUS_LABEL = "com.docker.volume.anonymous"

FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")


class Volume:
    """A volume as recorded."""

    __slots__ = ("_volumes", "anonymous", "created_ns", "labels", "name", "options")

    def __init__(self, volumes: Volumes, row: VolumeRow) -> None:
        self._volumes = volumes
        self.name = row.name
        self.anonymous = row.anonymous
        self.created_ns = row.created_ns
        detail = jsontext.loads(row.detail)
        self.labels: dict[str, str] = detail.get("labels", {})
        self.options: dict[str, str] = detail.get("options", {})  # of the driver

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
            "Options": self.options or None,
            "Scope": "local",
        }


class Volumes:
    """The volumes of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.directories = Directories(engine.paths.volumes_dir)
        self._records = VolumeRecords(engine.database)

    # for people

    def list(self) -> VolumeList:
        """Return all volumes, in order of their names."""
        return [Volume(self, row) for row in self._records.all() if not is_snapshot(row.name)]

    def snapshots(self, name: str = "") -> VolumeList:
        """Return the snapshots of a volume, or of all, in the order in which they were made."""
        rows = [row for row in self._records.all() if is_snapshot(row.name)]
        found = [row for row in rows if row.name.startswith(f"{name}{SNAPSHOT}" if name else "")]
        found.sort(key=lambda row: (row.name.partition(SNAPSHOT)[0], row.created_ns))
        return [Volume(self, row) for row in found]

    def find(self, name: str) -> Volume | None:
        """Return the volume or snapshot of this name, or None."""
        row = self._records.find(name)
        return Volume(self, row) if row else None

    def get(self, name: str) -> Volume:
        """Return the volume or snapshot of this name.

        Raises: NotFound
        """
        return Volume(self, self._records.get(name))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the document that `volume inspect` shows.

        Raises: NotFound
        """
        return self.get(name).inspect()

    def create(
        self,
        name: str = "",
        *,
        driver: str = DRIVER,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """Return the volume of this name, made if there is none; without a name, an anonymous one.

        Raises: InvalidArgument, NotFound
        """
        check_driver(name, driver)
        anonymous = not name
        if name:
            check_name(name)
        name = name or os.urandom(32).hex()
        with self._engine.database.transaction():
            self._make(name, labels or {}, options or {}, anonymous=anonymous)
        return self.get(name)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container has, or a snapshot.

        With `force` a missing one is no error, and snapshots of the volume go with it.

        Raises: NotFound, Conflict
        """
        with self._engine.database.transaction():
            if force and self._records.find(name) is None:
                return
            limited = "size" in self.get(name).options
            self._refuse_used("remove", name)
            snapshots = self._names_of_snapshots(name)
            if snapshots and not force:
                message = f"remove {name}: volume has snapshots - [{', '.join(snapshots)}]"
                raise Conflict(message, hint="Remove these first, or use --force.")
            for each in (*snapshots, name):
                self._records.remove(each)
        trace("volumes:record-gone")
        if limited:
            self.directories.lift(name)
        for each in (*snapshots, name):
            self.directories.delete(self.directories.set_aside(each))
            self.note(each, "destroy")

    def rename(self, name: str, new_name: str) -> None:
        """Give a volume that no container has another name, and its snapshots with it.

        Raises: InvalidArgument, NotFound, Conflict
        """
        check_name(new_name)
        with self._engine.journal.begin("renaming of a volume", name):
            with Undo() as undo, self._engine.database.transaction():
                self._records.get(name)
                self._refuse_used("rename", name)
                self.refuse_taken(new_name)
                names = [name, *self._names_of_snapshots(name)]
                for old in names:
                    new = new_name + old.removeprefix(name)
                    self.directories.rename(old, new)
                    undo.push(f"giving {old} its name again", self.directories.take_back, new, old)
                    self._records.rename(old, new)
                trace("volumes:renamed")
                undo.keep()
            for old in names:
                self.directories.settle(new_name + old.removeprefix(name))
        self.note(new_name, "rename", oldName=name)

    def _names_of_snapshots(self, name: str) -> NameList:
        return [] if is_snapshot(name) else [one.name for one in self.snapshots(name)]

    def _refuse_used(self, verb: str, name: str) -> None:
        users = self._records.users(name)
        if users:
            message = f"{verb} {name}: volume is in use - [{', '.join(users)}]"
            raise Conflict(message, hint="Remove these containers first.")

    def refuse_taken(self, name: str) -> None:
        """Raise if there is a volume or snapshot of this name.

        Raises: Conflict
        """
        if self._records.find(name) is not None:
            kind = "snapshot" if is_snapshot(name) else "volume"
            message = f"{kind} {name} already exists"
            raise Conflict(message)

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

        Docker: those with options stay

        Raises: InvalidArgument
        """
        texts = list(filters)
        wanted = pruning_condition(texts, PRUNE_FILTERS)
        given = parse_filters(texts, PRUNE_FILTERS)
        every = every or ("all" in given and boolean("all", given["all"]))
        kept = {one.name.partition(SNAPSHOT)[0] for one in self.snapshots()}
        return [
            volume
            for volume in self.list()
            if (every or volume.anonymous)
            and not volume.used
            and volume.name not in kept
            and not volume.options
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
        return self.directories.data(name)

    def mounted(self, name: str) -> Mounted:
        """Return what a container has to mount to have the volume, after a try.

        Raises: NotFound, Failed
        """
        volume = self.get(name)
        if is_plain(volume.options):
            return Mounted(volume.path)
        shared = f"{self._engine.paths.run}/volumes/{name}"
        return find(volume.path, volume.options, shared=shared)

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
                check_driver(mount.source, mount.driver or DRIVER)
                if not mount.anonymous:
                    check_name(mount.source)
                self._make(
                    mount.source, mount.labels, mount.driver_options, anonymous=mount.anonymous
                )
                names.append(mount.source)
            self._records.use(container_id, names)

    def fill(self, stack: tuple[Digest, ...], mounts: Iterable[MountRequest]) -> None:
        """Copy what the image has where empty volumes are mounted.

        Docker: only directories are copied; a volume's directory takes the owner and mode of the
        image's, with or without content
        """
        from knarr.engine.volume import copyup  # noqa: PLC0415 - few containers have volumes

        copyup.fill(self._engine, stack, mounts)

    def release(self, container_id: str) -> None:
        """Forget the anonymous volumes that only this container has, unless snapshots say "stay".

        Part of the transaction that removes the container's record; `sweep` comes after it.
        """
        with self._engine.database.transaction():
            for row in self._records.used_by(container_id):
                if row.anonymous and self._records.users(row.name) == [container_id]:
                    self._records.unuse(container_id, row.name)
                    if not self.snapshots(row.name):
                        self._records.remove(row.name)
                        self.note(row.name, "destroy")

    def sweep(self) -> NameList:
        """Delete directories that no record speaks of, and return their names."""
        with self._engine.database.transaction():
            known = {row.name for row in self._records.all()}
            strays = self.directories.strays(known)
            names = [name for name in strays if not self.directories.put_back(name, known)]
            aside = [self.directories.take_aside(name) for name in names]
        for name in aside:
            self.directories.delete(name)
        return names

    # records

    def _make(
        self, name: str, labels: Mapping[str, str], options: Mapping[str, str], *, anonymous: bool
    ) -> None:
        """Record a volume, if it is new, with a directory; part of a transaction."""
        if self._records.find(name) is not None:
            return
        if options:
            check_options(name, options, self.directories.top)
        if anonymous:
            labels = {**labels, ANONYMOUS_LABEL: ""}
        self.directories.make(name, size=size_limit(options))
        trace("volumes:directory-made")
        self.record(name, labels, options, anonymous=anonymous)

    def record(
        self,
        name: str,
        labels: Mapping[str, str],
        options: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> None:
        """Record a volume or snapshot whose directory is there; part of a transaction."""
        detail = {"labels": dict(labels)}
        if options:
            detail["options"] = dict(sorted(options.items()))
        self._records.add(VolumeRow(name, anonymous, time.time_ns(), jsontext.dumps(detail)))
        self.note(name, "create")

    def note(self, name: str, action: str, **more: str) -> None:
        """Note what happened to a volume."""
        from knarr.util import eventlog  # noqa: PLC0415 - for who changes something

        eventlog.append(self._engine.paths.root, "volume", action, name, {"driver": DRIVER, **more})
