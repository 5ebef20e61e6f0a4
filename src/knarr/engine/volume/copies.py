"""Copies of volumes: clones, snapshots, and what an archive brings.

A copy is made aside, written to disk, and comes into its place by one rename within the transaction
that records it: a command that is killed leaves all of it or nothing. Data are shared with the
original where the file system can (reflinks), and holes stay holes; hard links, owners, modes,
times, extended attributes and ACLs are copied. Sockets are left out: they mean something only to
the process that made them.

While a container writes to a volume its files are copied one after the other. What vanishes
meanwhile is left out, so that a copy holds what a machine might find that lost its power while the
container wrote, but for the order of writes to different files. With `pause` the containers that
use the volume stand still meanwhile, and it is as of one moment.
"""

from __future__ import annotations

import os

from knarr.engine.container.locks import ContainerLock
from knarr.engine.freezing import Frozen, thaw
from knarr.engine.volume.content import copy_whole, open_content
from knarr.engine.volume.driver import is_plain, size_limit
from knarr.engine.volume.names import SNAPSHOT, check_name, check_snapshot, is_snapshot
from knarr.errors import Conflict, InvalidArgument
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.volumes import Volume
    from knarr.store.journal import Entry
    from knarr.util.compression import Reader
    from knarr.util.tarwriter import Sink

COPYING = "volume-copy"


def clone(
    engine: Engine,
    name: str,
    new_name: str,
    *,
    labels: Mapping[str, str] | None = None,
    pause: bool = False,
) -> Volume:
    """Make a volume with the content of a volume or snapshot; it has labels of its own.

    Raises: InvalidArgument, NotFound, Conflict
    """
    check_name(new_name)
    return _copy(engine, name, new_name, labels or {}, pause=pause)


def snapshot(
    engine: Engine,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    pause: bool = False,
) -> Volume:
    """Keep the content of a volume as it is now, as the snapshot VOLUME@NAME.

    `name` may be that of the volume alone: then the snapshot is called by the time.

    Raises: InvalidArgument, NotFound, Conflict
    """
    volume, at, own = name.partition(SNAPSHOT)
    if not at:
        from time import gmtime, strftime  # noqa: PLC0415 - for who gives no name

        own = strftime("%Y%m%dT%H%M%SZ", gmtime())
    check_snapshot(f"{volume}{SNAPSHOT}{own}")
    return _copy(engine, volume, f"{volume}{SNAPSHOT}{own}", labels or {}, pause=pause)


def _copy(
    engine: Engine, name: str, new_name: str, labels: Mapping[str, str], *, pause: bool
) -> Volume:
    volumes = engine.volumes
    volumes.get(name)
    volumes.refuse_taken(new_name)
    with (
        engine.journal.begin(COPYING, name) as operation,
        volumes.directories.incoming() as incoming,
    ):
        _take(engine, name, incoming.data_fd, operation.note, pause=pause)
        incoming.sync()
        with engine.database.transaction():
            volumes.refuse_taken(new_name)
            if is_snapshot(new_name):
                volumes.get(name)
            incoming.publish(new_name)
            volumes.record(new_name, labels)
    trace("volumes:recorded")
    return volumes.get(new_name)


def _take(
    engine: Engine, name: str, target_fd: int, note: Callable[[str], object], *, pause: bool
) -> None:
    """Copy what is in a volume."""
    users = list(users_of(engine, name)) if pause else []
    source_fd = open_content(engine, name)
    try:
        with Frozen(users, note):
            copy_whole(source_fd, target_fd, changing=True)
            trace("volumes:copied")
    finally:
        os.close(source_fd)


def users_of(engine: Engine, name: str) -> Iterator[Container]:
    """Yield the containers that have a volume, running or not."""
    for container_id in engine.volumes.users(name):
        yield engine.containers.get(container_id)


def restore(engine: Engine, name: str) -> None:
    """Let a volume have the content that its snapshot `name` has; the snapshot stays.

    Raises: InvalidArgument, NotFound, Conflict
    """
    if not is_snapshot(name):
        message = f"{name} is no snapshot: it is written VOLUME@NAME"
        raise InvalidArgument(message)
    engine.volumes.get(name)
    volume = name.partition(SNAPSHOT)[0]

    def fill(data_fd: int) -> None:
        source_fd = open_content(engine, name)
        try:
            copy_whole(source_fd, data_fd)
        finally:
            os.close(source_fd)

    _replace(engine, volume, fill)
    engine.volumes.note(volume, "restore", snapshot=name)


def _replace(engine: Engine, name: str, fill: Callable[[int], None]) -> None:
    """Let `fill` make the content that a volume has from then on: all of it or nothing.

    No container that has the volume runs, or starts meanwhile.
    """
    volumes = engine.volumes
    volume = volumes.get(name)
    _refuse_options(volume, "be given other content")
    users = volumes.users(name)
    locks = [ContainerLock(engine.paths, container_id) for container_id in users]
    with (
        engine.journal.begin(COPYING, name),
        _All(locks),
        volumes.directories.incoming() as incoming,
    ):
        _refuse_running(engine, name)
        if size := size_limit(volume.options):
            incoming.limit(size)
        fill(incoming.data_fd)
        trace("volumes:filled")
        incoming.sync()
        with engine.database.transaction():
            volumes.get(name)
            if volumes.users(name) != users:
                message = f"volume {name} has got another container meanwhile"
                raise Conflict(message, hint="Try again.")
            incoming.exchange(name)


class _All:
    """Several locks, taken together in the order given."""

    def __init__(self, locks: list[ContainerLock]) -> None:
        self._locks = locks
        self._held: list[ContainerLock] = []

    def __enter__(self) -> None:
        try:
            for lock in self._locks:
                lock.__enter__()
                self._held.append(lock)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        while self._held:
            self._held.pop().__exit__(None, None, None)


def _refuse_running(engine: Engine, name: str) -> None:
    running = [one.name for one in users_of(engine, name) if one.state.active]
    if running:
        message = f"volume {name} is in use by running containers: {', '.join(running)}"
        raise Conflict(message, hint="Stop them first: they would go on with the old content.")


def _refuse_options(volume: Volume, deed: str) -> None:
    if not is_plain(volume.options):
        message = f"volume {volume.name} cannot {deed}: its content is not kept by knarr"
        hint = f"It is mounted from {volume.options['device']}."
        raise InvalidArgument(message, hint=hint)


def export(engine: Engine, name: str, out: Sink, *, pause: bool = False) -> None:
    """Write what is in a volume or snapshot, as an archive.

    Raises: NotFound
    """
    from knarr.engine.volume.archives import VolumePacker  # noqa: PLC0415 - not for copies

    engine.volumes.get(name)
    users = list(users_of(engine, name)) if pause else []
    with engine.journal.begin(COPYING, name) as operation:
        source_fd = open_content(engine, name)
        try:
            with Frozen(users, operation.note):
                VolumePacker(source_fd, out).pack()
        finally:
            os.close(source_fd)
    engine.volumes.note(name, "export")


def import_archive(engine: Engine, name: str, stream: Reader) -> None:
    """Put an archive, which may be compressed, into a volume, which is made if there is none.

    What is there stays, but for what the archive has under the same name.

    Raises: InvalidArgument, Corrupt, Conflict
    """
    from knarr.snapshot.archive import unpack_archive_into  # noqa: PLC0415 - not for copies
    from knarr.util.compression import open_any  # noqa: PLC0415 - as above

    if is_snapshot(name):
        message = f"snapshot {name} cannot be changed"
        raise InvalidArgument(message)
    new = engine.volumes.find(name) is None
    engine.volumes.create(name)

    def fill(data_fd: int) -> None:
        source_fd = open_content(engine, name)
        try:
            copy_whole(source_fd, data_fd)
        finally:
            os.close(source_fd)
        reader, _ = open_any(stream)
        unpack_archive_into(data_fd, "/", reader)

    try:
        _replace(engine, name, fill)
    except BaseException:
        if new:
            engine.volumes.remove(name)
        raise
    engine.volumes.note(name, "import")


def finish(engine: Engine, entry: Entry) -> str:
    """Take back what a copy that was killed has left behind; what it made is swept away."""
    return thaw(engine, entry.detail.split(), "copy of a volume")
