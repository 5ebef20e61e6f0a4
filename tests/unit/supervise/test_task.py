"""task.json: replaced as a whole, believed as far as it can be true, written on a full disk too."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from knarr.supervise import task

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    one = task.Task(str(tmp_path))
    one.save(status=task.RUNNING, pid=7)
    one.save(pid=8)
    assert task.read(str(tmp_path)) == {**task.FIELDS, "status": "running", "pid": 8}
    assert os.listdir(tmp_path) == ["task.json"]


def test_a_container_without_a_task(tmp_path: Path) -> None:
    assert task.read(str(tmp_path)) is None


def test_on_a_full_disk_it_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = task.Task(str(tmp_path))
    one.save(status=task.RUNNING, pid=7)
    inode = (tmp_path / "task.json").stat().st_ino
    monkeypatch.setattr(task, "write_atomically", full)
    one.save(status=task.EXITED, pid=0, exit_code=3)
    fields = task.read(str(tmp_path))
    assert fields
    assert (fields["status"], fields["exit_code"]) == ("exited", 3)
    assert (tmp_path / "task.json").stat().st_ino == inode


def test_alive_is_what_runs_and_is_the_same() -> None:
    fields = {
        **task.FIELDS, "status": task.RUNNING, "pid": os.getpid(),
        "pid_started": task.start_time(os.getpid()), "boot_id": task.boot_id(),
    }  # fmt: skip
    assert task.alive(fields)
    assert not task.alive({**fields, "status": task.EXITED})
    assert not task.alive({**fields, "boot_id": "another"})
    assert not task.alive({**fields, "pid_started": fields["pid_started"] + 1})


def test_a_zombie_does_not_live() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert task.start_time(pid) == 0
    os.waitpid(pid, 0)
    assert task.start_time(pid) == 0
