"""Containers: what is recorded, what lies in directories, what runs, and who looks after it.

Whoever works on a container holds a lock: its directory's, its journal entry's, or, as its
supervisor, that of its run directory. What is not as it should be and held by nobody was left by
somebody who was killed. A supervisor that lives and does not answer is found by asking.
"""

from __future__ import annotations

import os
import signal
import time

from knarr.engine import leftovers, recovery
from knarr.engine.checking.findings import Check, Finding
from knarr.engine.container import removing
from knarr.errors import KnarrError, Unavailable
from knarr.store.containers import ContainerRecords
from knarr.supervise import control, places, task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths
    from knarr.store.containers import ContainerRow

ANSWER_WITHIN = 2.0  # seconds: a supervisor has never more to do than to pass output on

JOURNAL, CONTAINER, DIRECTORY, RUN_DIRECTORY = "journal", "container", "directory", "run directory"
SUPERVISOR = "supervisor"

_LOST_RECORD = "its directory is missing: nothing but the record is left"


def find_unfinished(engine: Engine) -> Iterable[Finding]:
    """Yield operations whose process was killed."""
    for name, entry in engine.journal.abandoned():
        if entry is None:
            yield Finding(JOURNAL, name, "the entry cannot be read", "delete the entry")
        else:
            problem = f"the {entry.kind} of {entry.key[:12]} was interrupted"
            yield Finding(JOURNAL, name, problem, "finish it, or take it back")


def finish(engine: Engine, found: Sequence[Finding]) -> None:
    """Delete entries that nobody can read, and have the rest finished."""
    for finding in found:
        if finding.repair == "delete the entry":
            os.unlink(f"{engine.paths.journal_dir}/{finding.object}")
    recovery.recover_all(engine)


def find_incomplete(engine: Engine) -> Iterable[Finding]:
    """Yield records without a directory, and directories without a record."""
    paths = engine.paths
    names = set(os.listdir(paths.containers_dir))
    rows = ContainerRecords(engine.database).all()
    for row in rows:
        if row.id not in names:
            yield Finding(CONTAINER, row.name, _LOST_RECORD, "remove the record")
    interrupted = {entry.key for _, entry in engine.journal.abandoned() if entry}
    for name in sorted(names - {row.id for row in rows}):
        path = f"{paths.containers_dir}/{name}"
        if name.removeprefix(removing.ASIDE) in interrupted:
            continue  # it is said already
        if not leftovers.held(f"{path}/lock"):
            yield Finding(DIRECTORY, path, "no container is recorded for it", "remove it")


def remove_incomplete(engine: Engine, found: Sequence[Finding]) -> None:
    """Remove records without a directory, and have the rest swept."""
    names = {finding.object for finding in found if finding.kind == CONTAINER}
    for row in ContainerRecords(engine.database).all():
        if row.name in names:
            removing.take_away(engine, row.id, volumes=False)
    recovery.recover_all(engine)


def find_unattended(engine: Engine) -> Iterable[Finding]:
    """Yield containers whose task and supervisor are not what they should be."""
    paths = engine.paths
    for row in ContainerRecords(engine.database).all():
        if not os.path.isdir(paths.container(row.id)):
            continue
        found = _judge(paths, row)
        if found is not None:
            yield found
    known = {row.id for row in ContainerRecords(engine.database).all()}
    for name in sorted(set(leftovers.abandoned_tasks(paths)) - known):
        path = paths.task(name)
        yield Finding(RUN_DIRECTORY, path, "no container is recorded for it", "remove it")
    for name in sorted(os.listdir(paths.run)):
        path = f"{paths.run}/{name}"
        if name.startswith(".") and not leftovers.held(f"{path}/{places.LOCK}"):
            yield Finding(RUN_DIRECTORY, path, "it was never finished", "remove it")


def _judge(paths: Paths, row: ContainerRow) -> Finding | None:
    """Return what is wrong with a container's task."""
    fields = task.read(paths.container(row.id))
    if fields is None:
        if os.path.exists(f"{paths.container(row.id)}/task.json"):
            return Finding(CONTAINER, row.name, "its task.json cannot be read", "forget its task")
        fields = task.FIELDS
    if leftovers.held(f"{paths.task(row.id)}/{places.LOCK}"):
        return _question(paths, row, fields)
    if fields["status"] == task.RUNNING and task.alive(fields):
        problem = "it runs, and its supervisor was killed"
        return Finding(CONTAINER, row.name, problem, "give it a new supervisor")
    if fields["status"] in (task.RUNNING, task.RESTARTING):
        problem = "it ended while nobody watched"
        return Finding(CONTAINER, row.name, problem, "record its end, and do what its policy says")
    if os.path.isdir(paths.task(row.id)):
        path = paths.task(row.id)
        return Finding(RUN_DIRECTORY, path, "it was left by a supervisor", "remove it")
    return None


def _question(paths: Paths, row: ContainerRow, fields: dict[str, Any]) -> Finding | None:
    """Return what is wrong if the supervisor of a container that runs does not answer."""
    if fields["status"] != task.RUNNING or not task.alive(fields):
        return None  # it comes, or goes
    try:
        with control.connect(paths.task(row.id), wake=False) as client:
            client.connection.settimeout(ANSWER_WITHIN)
            client.state()
    except (OSError, Unavailable):
        problem = f"its supervisor, process {fields['supervisor_pid']}, does not answer"
        return Finding(SUPERVISOR, row.name, problem, "replace it; the container goes on")
    except KnarrError:  # it did answer
        return None
    return None


def attend(engine: Engine, found: Sequence[Finding]) -> None:
    """End supervisors that do not answer, forget unreadable tasks, and have the rest seen to."""
    ids = {row.name: row.id for row in ContainerRecords(engine.database).all()}
    for finding in found:
        if finding.kind == SUPERVISOR:
            _end_supervisor(engine.paths, ids[finding.object])
        elif finding.repair == "forget its task":
            os.unlink(f"{engine.paths.container(ids[finding.object])}/task.json")
    recovery.recover_all(engine)


def _end_supervisor(paths: Paths, container_id: str) -> None:
    """Kill a supervisor, if the process is the one that holds the lock, and await its end."""
    fields = task.read(paths.container(container_id)) or task.FIELDS
    lock = f"{paths.task(container_id)}/{places.LOCK}"
    pid = fields["supervisor_pid"]
    if not pid or not _has_open(pid, lock):
        return
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + ANSWER_WITHIN
    while leftovers.held(lock) and time.monotonic() < deadline:
        time.sleep(0.01)


def _has_open(pid: int, path: str) -> bool:
    directory = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(f"{directory}/{name}") == path for name in os.listdir(directory))
    except OSError:
        return False


CHECKS = (
    Check(find_unfinished, finish),
    Check(find_incomplete, remove_incomplete),
    Check(find_unattended, attend),
)
