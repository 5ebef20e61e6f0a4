"""What is believed of task.json, and the words for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from knarr.engine.container import tasks
from knarr.engine.container.tasks import State, judge
from knarr.engine.paths import Paths
from knarr.supervise import task
from knarr.util.files import FileLock

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9
NOW = 1_000_000 * SECOND


def fields(**changes: object) -> dict[str, Any]:
    """Return the record of this very process, which runs."""
    pid = os.getpid()
    alive = {"pid": pid, "pid_started": task.start_time(pid), "boot_id": task.boot_id()}
    return {**task.FIELDS, **alive, "status": task.RUNNING, **changes}


def test_a_living_process_runs(tmp_path: Path) -> None:
    state = judge(fields(), str(tmp_path))
    assert (state.status, state.pid, state.active) == ("running", os.getpid(), True)


def test_a_marked_one_is_paused(tmp_path: Path) -> None:
    (tmp_path / "paused").touch()
    assert judge(fields(), str(tmp_path)).status == "paused"


@pytest.mark.parametrize(
    "changes",
    [{"boot_id": "another"}, {"pid_started": 1}, {"pid": 1 << 22}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_true_is_not_believed(tmp_path: Path, changes: dict[str, object]) -> None:
    state = judge(fields(**changes), str(tmp_path))
    assert (state.status, state.pid, state.exit_code) == ("exited", 0, 255)
    assert "nobody watched" in state.error


def test_who_just_ended_counts_as_running_while_a_supervisor_lives(tmp_path: Path) -> None:
    with FileLock(str(tmp_path / "supervisor.lock")):
        assert judge(fields(pid_started=1), str(tmp_path)).status == "running"
        assert judge(fields(status=task.RESTARTING), str(tmp_path)).status == "restarting"
    assert judge(fields(status=task.RESTARTING, exit_code=3), str(tmp_path)).exit_code == 3


def test_an_exit_is_as_recorded(tmp_path: Path) -> None:
    state = judge(fields(status=task.EXITED, exit_code=7, boot_id="any"), str(tmp_path))
    assert (state.status, state.exit_code, state.pid) == ("exited", 7, 0)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "Created"),
        (State("running", started_ns=NOW - 3 * SECOND), "Up 3 seconds"),
        (State("paused", started_ns=NOW - 90 * SECOND), "Up About a minute (Paused)"),
        (State("exited", exit_code=137, finished_ns=NOW - 120 * SECOND),
         "Exited (137) 2 minutes ago"),
        (State("restarting", exit_code=1, finished_ns=NOW - 4 * SECOND),
         "Restarting (1) 4 seconds ago"),
    ],
)  # fmt: skip
def test_words(state: State, words: str) -> None:
    assert state.words(NOW) == words


def test_a_failed_start_is_recorded_once(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path / "root"), str(tmp_path / "run"))
    paths.prepare()
    os.makedirs(paths.container("c"))
    assert tasks.read_state(paths, "c") == State()
    tasks.record_failure(paths, "c", "no such user", 125)
    state = tasks.read_state(paths, "c")
    assert (state.status, state.exit_code, state.error) == ("created", 125, "no such user")


def test_an_unseen_end_is_recorded(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path / "root"), str(tmp_path / "run"))
    paths.prepare()
    os.makedirs(paths.container("c"))
    record = task.Task(paths.container("c"))
    record.save(**fields(boot_id="another", started_ns=5))
    tasks.record_lost(paths, "c", NOW)
    state = tasks.read_state(paths, "c")
    assert (state.status, state.exit_code, state.finished_ns) == ("exited", 255, NOW)
    tasks.record_lost(paths, "c", NOW + 1)
    assert tasks.read_state(paths, "c").finished_ns == NOW
