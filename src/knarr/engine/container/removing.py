"""Removing containers: the record, the directory, the volumes that nobody named.

A journal entry covers the whole of it, and what was cut short is done again from the start: every
step is harmless when repeated.
"""

from __future__ import annotations

import errno
import os

from knarr.engine import leftovers
from knarr.engine.container import tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.tasks import read_state
from knarr.engine.noting import note, note_left, note_networks
from knarr.errors import Conflict, Failed, NotFound
from knarr.store.containers import ContainerRecords
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.engine.paths import Paths
    from knarr.store.containers import ContainerRow

REMOVING = "remove"
ASIDE = ".removed-"


def remove(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    *,
    force: bool = False,
    volumes: bool = False,
) -> None:
    """Remove a container; with `force` kill it first, with `volumes` remove its anonymous volumes.

    Raises: Conflict
    """
    try:
        _remove(engine, row, options, force=force, volumes=volumes)
    except Conflict:
        if not (force and read_state(engine.paths, row.id).active):
            raise
        _remove(engine, row, options, force=force, volumes=volumes)  # somebody had started it again
    except (OSError, Failed) as error:
        if not _for_want_of_room(error) or read_state(engine.paths, row.id).active:
            raise
        with ContainerLock(engine.paths, row.id):
            _make_room(engine.paths, row.id)
        _remove(engine, row, options, force=force, volumes=volumes)


def _for_want_of_room(error: BaseException | None) -> bool:
    """Tell whether a full disk is at the bottom of an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return True
        error = error.__cause__
    return False


def _make_room(paths: Paths, container_id: str) -> None:
    """On a full disk, give up first what takes most room: writing down what is done needs some.

    For who holds the container's lock.
    """
    from knarr.linux.tree import remove_tree  # noqa: PLC0415 - not for who only asks

    directory = os.open(paths.container(container_id), os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in os.listdir(directory):
            if ".log" in name:
                os.unlink(name, dir_fd=directory)
        remove_tree(directory, "upper")
    finally:
        os.close(directory)


def _remove(
    engine: Engine, row: ContainerRow, options: Options, *, force: bool, volumes: bool
) -> None:
    state = read_state(engine.paths, row.id)
    if state.active:
        if not force:
            raise _refusal(row, state.status)
        from knarr.engine.container import stopping  # noqa: PLC0415 - only for what runs

        stopping.end(engine, row, options)
    elif state.status == tasks.EXITED:
        _await_supervisor(engine, row)
    try:
        with (
            engine.journal.begin(REMOVING, row.id, "volumes" if volumes else ""),
            ContainerLock(engine.paths, row.id),
        ):
            now = read_state(engine.paths, row.id)
            if now.active:  # somebody started it in between
                raise _refusal(row, now.status)
            take_away(engine, row.id, volumes=volumes)
            _discard_left(engine.paths, row.id)
    except NotFound:  # it ran with --rm, and its end was its removal
        if not state.active:
            raise


def _discard_left(paths: Paths, container_id: str) -> None:
    """Remove the run directory that a supervisor leaves whose clean-up failed."""
    directory = paths.task(container_id)
    if os.path.isdir(directory) and not leftovers.held(f"{directory}/{leftovers.SUPERVISOR_LOCK}"):
        from knarr.supervise import places  # noqa: PLC0415 - seldom needed

        places.discard(directory)


def _await_supervisor(engine: Engine, row: ContainerRow) -> None:
    """Wait for the supervisor of a container that has just ended: it may be cleaning up."""
    if os.path.isdir(engine.paths.task(row.id)):
        from knarr.engine.container import stopping  # noqa: PLC0415 - rarely needed

        stopping.await_end(engine, row)


def _refusal(row: ContainerRow, status: str) -> Conflict:
    message = (
        f'cannot remove container "/{row.name}": container is {status}: stop the container before '
        "removing or force remove"
    )
    if status == tasks.PAUSED:
        message = (
            f'cannot remove container "/{row.name}": container is paused and must be unpaused first'
        )
    return Conflict(message)


def take_away(engine: Engine, container_id: str, *, volumes: bool) -> None:
    """Remove all that there is of a container that does not run. Harmless when done before."""
    release(engine, container_id)
    query = "SELECT 1 FROM volume_users WHERE container = ?"
    volumes = volumes and engine.database.row(query, (container_id,)) is not None
    row = ContainerRecords(engine.database).find(container_id)
    with engine.database.transaction():
        if volumes:
            engine.volumes.release(container_id)
        ContainerRecords(engine.database).remove(container_id)
    trace("remove:record-gone")
    if row is not None and "storage_opt" in row.options:
        from knarr.engine.space.quotas import lift  # noqa: PLC0415 - for few containers

        lift(f"{engine.paths.container(container_id)}/upper")
    remove_directory(engine.paths, container_id)
    trace("remove:directory-gone")
    if os.path.isdir(engine.paths.waiting(container_id)):
        from knarr.engine.waiting import forget  # noqa: PLC0415 - of few containers

        forget(engine.paths, container_id)
    if row is not None:
        note(engine.paths, row, "destroy")
    if volumes:
        engine.volumes.sweep()


def take_away_at_its_end(engine: Engine, container_id: str) -> None:
    """Remove a container that ran with --rm, also from a disk that it has filled itself."""
    try:
        take_away(engine, container_id, volumes=True)
    except (OSError, Failed) as error:
        if not _for_want_of_room(error):
            raise
        _make_room(engine.paths, container_id)
        take_away(engine, container_id, volumes=True)


def finish(engine: Engine, container_id: str) -> None:
    """Finish a removal whose record is gone, also while who began it is still at it."""
    forget_secrets(engine.paths, container_id)
    remove_directory(engine.paths, container_id)
    engine.volumes.sweep()


def release(engine: Engine, container_id: str) -> None:
    """Give back what only a running container needs, if it had any of it.

    Addresses and ports: most that end had none left. Copies of secrets: few ever had one.
    """
    forget_secrets(engine.paths, container_id)
    if engine.database.row("SELECT 1 FROM endpoints WHERE container = ?", (container_id,)):
        endpoints = engine.networks.endpoints(container_id)
        engine.networks.detach(container_id)
        note_networks(engine.paths, container_id, endpoints, "disconnect")
    note_left(engine.paths, container_id)


def forget_secrets(paths: Paths, container_id: str) -> None:
    """Remove the copies of secrets that were made for a container."""
    if os.path.isdir(f"{paths.run}/secrets"):
        from knarr.engine.supplies.secrets import forget  # noqa: PLC0415 - for few containers

        forget(paths, container_id)


def remove_directory(paths: Paths, container_id: str) -> None:
    """Remove a container's directory, if it is there.

    It is renamed first: who waits for the lock in it notices that the container is gone.
    """
    from knarr.linux.tree import remove_tree  # noqa: PLC0415 - not for who only asks

    parent = os.open(paths.containers_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        aside = f"{ASIDE}{container_id}"
        try:
            os.rename(container_id, aside, src_dir_fd=parent, dst_dir_fd=parent)
        except FileNotFoundError:
            pass
        trace("remove:aside")
        remove_tree(parent, aside)
    finally:
        os.close(parent)
