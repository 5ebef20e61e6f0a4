"""Finishing, or taking back, what processes left that were killed.

Runs when `leftovers` suspects something, in whichever command comes next, before that does anything
else; one process at a time, under <root>/recovery.lock. What was found decides what is done:

| sign                                    | done                                                  |
|-----------------------------------------|-------------------------------------------------------|
| journal entry `create`                  | the container is removed, record and all              |
| journal entry `start`, nothing runs     | network released; with --rm the container is removed  |
| journal entry `remove`                  | removed to the end                                    |
| another kind of entry                   | `finish` of the module that `KINDS` names             |
| run directory, lock free, process lives | a new supervisor adopts it                            |
| run directory, lock free, no process    | exit recorded as unknown, cleaned up; restarted if    |
|                                         | its policy says so                                    |
| another boot                            | the same for every container that is recorded running |

After any of these everything is looked through once for what has no owner: directories without a
record, control groups, endpoints, layers and blobs. A container whose lock is held is left alone:
whoever holds it is at work on it.

What is said about it is one line for each deed.
"""

from __future__ import annotations

import os
import time

from knarr.engine import leftovers
from knarr.engine.container import cleanup, creating, groups, orders, removing, starting, tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.image import mounting
from knarr.engine.options.encoding import decode
from knarr.errors import KnarrError, NotFound, Unavailable
from knarr.store.containers import ContainerRecords
from knarr.store.ports import PortRecords
from knarr.supervise import control, places, task
from knarr.supervise.messages import Adoption
from knarr.util.files import FileLock, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.store.containers import ContainerRow
    from knarr.store.journal import Entry

# Kinds of journal entries of other modules, each with a function `finish(engine, entry)` that
# returns what it did in words, or an empty text.
KINDS: dict[str, str] = {
    "build": "engine.build.recovery:finish",
    "commit": "engine.changes:finish",
    "network": "engine.network.mending:finish",
    "sent files": "engine.build.sent:finish",
    "volume-copy": "engine.volume.copies:finish",
}


def recover(engine: Engine) -> list[str]:
    """Clean up what is found, and return what was done, one sentence each."""
    with FileLock(engine.paths.recovery_lock_path):
        if not leftovers.suspected(engine.paths):  # another process was faster
            return []
        return recover_all(engine)


def recover_all(engine: Engine) -> list[str]:
    """Do what `recover` does, whatever is suspected, for who holds the lock."""
    done = [sentence for sentence in _recover(engine) if sentence]
    write_atomically(engine.paths.boot_id_path, leftovers.boot_id().encode() + b"\n", durable=False)
    return done


def _recover(engine: Engine) -> list[str]:
    first_time = not os.path.exists(engine.paths.database_path)
    if first_time and not os.listdir(engine.paths.journal_dir):
        return []
    done = [_finish(engine, entry) for entry in engine.journal.unfinished()]
    done += [_resolve(engine, task_id) for task_id in leftovers.abandoned_tasks(engine.paths)]
    if leftovers.recorded_boot(engine.paths) != leftovers.boot_id():
        done += _after_boot(engine)
    return done + _sweep(engine)


# journal entries


def _finish(engine: Engine, entry: Entry) -> str:
    finish = _FINISHERS.get(entry.kind, _finish_other)
    try:
        said = finish(engine, entry)
    except KnarrError as error:
        engine.journal.release(entry)
        return f"could not finish an unfinished {entry.kind} of {entry.key[:12]}: {error}"
    engine.journal.clear(entry)
    return said


def _finish_create(engine: Engine, entry: Entry) -> str:
    creating.forget(engine, entry.key)
    return f"removed container {entry.key[:12]}, whose creation was interrupted"


def _finish_start(engine: Engine, entry: Entry) -> str:
    row = ContainerRecords(engine.database).find(entry.key)
    if row is None or tasks.read_state(engine.paths, row.id).active:
        return ""
    removed = cleanup.clean_up(engine, row.id, auto_remove=decode(row.options).auto_remove)
    if removed:
        return f"removed container {row.name}, whose start was interrupted"
    return f"took back the interrupted start of container {row.name}"


def _finish_remove(engine: Engine, entry: Entry) -> str:
    if tasks.read_state(engine.paths, entry.key).active:
        return ""
    removing.take_away(engine, entry.key, volumes=entry.detail == "volumes")
    return f"finished the removal of container {entry.key[:12]}"


def _finish_other(engine: Engine, entry: Entry) -> str:
    home = KINDS.get(entry.kind)
    if home is None:
        return f"found an unfinished {entry.kind}; what it left is removed"
    module, _, name = home.partition(":")
    said: str = getattr(__import__(f"knarr.{module}", fromlist=[name]), name)(engine, entry)
    return said


_FINISHERS: dict[str, Callable[[Engine, Entry], str]] = {
    creating.CREATING: _finish_create,
    starting.STARTING: _finish_start,
    removing.REMOVING: _finish_remove,
}


# containers without a supervisor


def _resolve(engine: Engine, container_id: str) -> str:
    """See to a container whose run directory nobody holds."""
    row = ContainerRecords(engine.database).find(container_id)
    if row is None:
        places.discard(engine.paths.task(container_id))
        return ""
    fields = task.read(engine.paths.container(container_id))
    if fields is not None and fields["status"] == task.RUNNING and task.alive(fields):
        try:
            adopt(engine, container_id)
        except KnarrError as error:
            if task.alive(fields):
                return f"could not give container {row.name} a new supervisor: {error}"
        else:
            return f"gave container {row.name} a new supervisor: the old one was killed"
    return _bury(engine, row)


def adopt(engine: Engine, container_id: str) -> None:
    """Start a supervisor for a container that runs and lost its own.

    Raises: Conflict (somebody else did, or it has ended), Failed
    """
    row = ContainerRecords(engine.database).get(container_id)
    fields = task.read(engine.paths.container(container_id))
    if fields is None:
        message = f"container {row.name} has no task"
        raise NotFound(message)
    order = orders.order_again(engine, row, decode(row.options)).replace(
        adopt=Adoption(fields["pid"], fields["pid_started"]),
        restart_count=fields["restart_count"],
    )
    sockets = _hold_ports(engine, container_id)
    fresh = control.spawn()
    try:
        fresh.send_order(order, sockets)
        fresh.wait_started()
    finally:
        fresh.abort()
        for descriptor in sockets:
            os.close(descriptor)


def _hold_ports(engine: Engine, container_id: str) -> list[int]:
    """Return sockets that keep a container's host ports from others, as the old supervisor did."""
    from knarr.network.ports import hold  # noqa: PLC0415 - for who publishes ports

    sockets = []
    for row in PortRecords(engine.database).of(container_id):
        try:
            sockets.append(hold(row.protocol, row.host_ip, row.host_port))
        except KnarrError:  # somebody was faster; the rules lead to the container all the same
            continue
    return sockets


def _bury(engine: Engine, row: ContainerRow) -> str:
    """Record and clean up the end of a container that nobody saw, or start it again."""
    options = decode(row.options)
    fields = task.read(engine.paths.container(row.id)) or task.FIELDS
    unseen = fields["status"] in (task.RUNNING, task.RESTARTING)
    try:
        with ContainerLock(engine.paths, row.id, wait=False):
            tasks.record_lost(engine.paths, row.id, time.time_ns())
            places.discard(engine.paths.task(row.id))
    except (NotFound, Unavailable):
        return ""
    if unseen and _wants_restart(options, manually_stopped=fields["manually_stopped"]):
        return _start_again(engine, row, options)
    if cleanup.clean_up(engine, row.id, auto_remove=options.auto_remove):
        return f"removed container {row.name}, which ended while nobody watched"
    return f"container {row.name} ended while nobody watched" if unseen else ""


def _wants_restart(options: Options, *, manually_stopped: bool) -> bool:
    return options.restart.name != "no" and not manually_stopped


def _start_again(engine: Engine, row: ContainerRow, options: Options) -> str:
    try:
        starting.start(engine, row, options).close()
    except KnarrError as error:
        return f"container {row.name} ended while nobody watched, and does not start: {error}"
    return f"container {row.name} ended while nobody watched, and was started again"


# everything


def _after_boot(engine: Engine) -> list[str]:
    """Record the end of everything that ran when the machine went down."""
    done = []
    for row in ContainerRecords(engine.database).all():
        fields = task.read(engine.paths.container(row.id))
        if fields is None or fields["boot_id"] == leftovers.boot_id():
            continue
        if fields["status"] not in (task.RUNNING, task.RESTARTING):
            continue
        options = decode(row.options)
        tasks.record_lost(engine.paths, row.id, time.time_ns())
        if cleanup.clean_up(engine, row.id, auto_remove=options.auto_remove):
            done.append(f"removed container {row.name}, which ended with the machine's last boot")
    return done


def _sweep(engine: Engine) -> list[str]:
    """Remove what belongs to nobody."""
    done = _sweep_directories(engine)
    dead = dead_sandboxes(engine)
    engine.networks.release_dead(lambda one: one not in dead)
    if dead:
        done.append(f"released the addresses of {len(dead)} containers that do not run")
    for path in groups.strays(engine, at_work):
        groups.remove(path)
    engine.volumes.sweep()
    done += mounting.sweep(engine)
    from knarr.engine.space.collect import collect_all  # noqa: PLC0415 - loads what removes images

    return done + collect_all(engine)


def _sweep_directories(engine: Engine) -> list[str]:
    """Remove directories of containers that have no record, and unfinished run directories.

    Who makes one has its operation in the journal before it, and its record before the operation
    ends: asked for in the opposite order, none of them is missed.
    """
    paths, count = engine.paths, 0
    names = os.listdir(paths.containers_dir)
    busy = {entry.key for entry in engine.journal.living()}
    known = {row.id for row in ContainerRecords(engine.database).all()}
    for name in names:
        container_id = name.removeprefix(removing.ASIDE)
        lock = f"{paths.containers_dir}/{name}/lock"
        if container_id in busy or (name in known and container_id == name):
            continue
        if leftovers.held(lock):
            continue
        removing.remove_directory(paths, container_id)
        count += 1
    for name in os.listdir(paths.run):
        path = f"{paths.run}/{name}"
        if name.startswith(".") and not leftovers.held(f"{path}/{places.LOCK}"):
            places.discard(path)
    return [f"removed {count} directories of containers that do not exist"] if count else []


def at_work(engine: Engine) -> set[str]:
    """Return the IDs of all containers that run, and of what operations are about.

    In the opposite order: a start that is over by the time that operations are looked at has left
    a container that runs.
    """
    busy = {entry.key for entry in engine.journal.living()}
    rows = ContainerRecords(engine.database).all()
    return busy | {row.id for row in rows if tasks.read_state(engine.paths, row.id).active}


def dead_sandboxes(engine: Engine) -> set[str]:
    """Return who has addresses in networks and is neither running nor about to."""
    sandboxes = set(engine.networks.sandboxes.everyone()) - at_work(engine)
    if any(entry.kind == "build" for entry in engine.journal.living()):  # its steps have none
        sandboxes &= {row.id for row in ContainerRecords(engine.database).all()}
    return sandboxes
