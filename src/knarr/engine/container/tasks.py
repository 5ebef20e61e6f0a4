"""What a container's process is doing, from what its supervisor wrote and what the kernel says.

task.json is written by the supervisor alone while it lives, and believed only as far as it can be
true: in this boot, for a process that exists and started when the file says.

    created ──▶ running ◀──▶ paused          the marker `paused` lies in the run directory
                   │  ▲
                   ▼  │
               restarting                    between two runs, as long as the supervisor lives
                   │
                   ▼
                 exited

A process that is gone while its supervisor lives is about to be recorded: it counts as running,
as it does for Docker until the event has been seen. Without a supervisor nobody knows how it ended.
"""

from __future__ import annotations

import os

from knarr.engine.leftovers import SUPERVISOR_LOCK, boot_id, held
from knarr.supervise import task
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.paths import Paths

CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
RESTARTING = "restarting"
EXITED = "exited"
STARTING = "starting"  # of health
STATUSES = (CREATED, RESTARTING, RUNNING, "removing", PAUSED, EXITED, "dead")

ACTIVE = frozenset((RUNNING, PAUSED, RESTARTING))
PAUSED_MARK = "paused"
UNKNOWN_EXIT = 255
UNSEEN = "it ended while nobody watched: how is not known"


class State(Value):
    """A task at one moment. Times are 0 for "never"; `pid` is 0 unless a process runs."""

    status: str = CREATED
    pid: int = 0
    exit_code: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    error: str = ""
    oom_killed: bool = False
    restart_count: int = 0
    manually_stopped: bool = False
    health: str = ""
    next_start_ns: int = 0

    @property
    def active(self) -> bool:
        """Tell whether Docker calls it running: it runs, is paused, or about to start again."""
        return self.status in ACTIVE

    def words(self, now_ns: int) -> str:
        """Return what the column STATUS says: "Up 3 seconds", "Exited (137) 2 minutes ago"."""
        from knarr.util.text import human_duration  # noqa: PLC0415 - for lists alone

        since_start = human_duration((now_ns - self.started_ns) / 1e9)
        since_end = human_duration((now_ns - self.finished_ns) / 1e9)
        if self.status == RUNNING:
            return f"Up {since_start}{self._health_words()}"
        if self.status == PAUSED:
            return f"Up {since_start} (Paused)"
        if self.status == RESTARTING:
            return f"Restarting ({self.exit_code}) {since_end} ago"
        if self.status == EXITED:
            return f"Exited ({self.exit_code}) {since_end} ago"
        return "Created"

    def _health_words(self) -> str:
        if not self.health:
            return ""
        return f" (health: {self.health})" if self.health == STARTING else f" ({self.health})"


def read_state(paths: Paths, container_id: str) -> State:
    """Return the state of a container's task."""
    fields = task.read(paths.container(container_id))
    if fields is None:
        return State()
    return judge(fields, paths.task(container_id))


def judge(fields: dict[str, Any], control_dir: str) -> State:
    """Return what of the record in `fields` can be believed."""
    status, pid = fields["status"], fields["pid"]
    if status == RUNNING and task.alive(fields):
        status = PAUSED if os.path.exists(f"{control_dir}/{PAUSED_MARK}") else RUNNING
    elif status in (RUNNING, RESTARTING):
        pid = 0
        if fields["boot_id"] != boot_id() or not held(f"{control_dir}/{SUPERVISOR_LOCK}"):
            return _lost(fields)
    elif status == CREATED and not task.alive(fields):
        pid = 0
    return State(
        status,
        pid if status in (RUNNING, PAUSED, CREATED) else 0,
        fields["exit_code"],
        fields["started_ns"],
        fields["finished_ns"],
        fields["error"],
        fields["oom_killed"],
        fields["restart_count"],
        fields["manually_stopped"],
        fields["health"],
        fields["next_start_ns"],
    )


def _lost(fields: dict[str, Any]) -> State:
    """Return the state of a process that ended while nobody watched."""
    if fields["status"] == RESTARTING:  # the run before it had ended as recorded
        code, finished, error = fields["exit_code"], fields["finished_ns"], fields["error"]
    else:
        code, finished = UNKNOWN_EXIT, fields["finished_ns"] or fields["started_ns"]
        error = UNSEEN
    return State(
        EXITED,
        0,
        code,
        fields["started_ns"],
        finished,
        error,
        fields["oom_killed"],
        fields["restart_count"],
        fields["manually_stopped"],
        fields["health"],
    )


def record_lost(paths: Paths, container_id: str, now_ns: int) -> None:
    """Write down that a task ended unseen. Only for who knows that no supervisor lives."""
    fields = task.read(paths.container(container_id))
    if fields is None or fields["status"] not in (RUNNING, RESTARTING):
        return
    lost = _lost(fields)
    record = task.Task(paths.container(container_id))
    record.fields = fields
    record.save(
        status=EXITED, pid=0, exit_code=lost.exit_code, error=lost.error, finished_ns=now_ns
    )


def record_failure(paths: Paths, container_id: str, error: str, exit_code: int) -> None:
    """Write down why a container could not be started, when no supervisor came so far.

    Docker: it stays "created", and inspect says what went wrong
    """
    before = task.read(paths.container(container_id))
    record = task.Task(paths.container(container_id))
    if before is not None:
        record.fields = before
    if record.fields["status"] == CREATED or not record.fields["started_ns"]:
        record.save(status=CREATED, pid=0, exit_code=exit_code, error=error)
    else:
        record.save(pid=0, exit_code=exit_code, error=error)
