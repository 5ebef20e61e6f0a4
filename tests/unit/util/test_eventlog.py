"""The file of events: in order, whole, and never in anybody's way."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from knarr.util import eventlog

if TYPE_CHECKING:
    from pathlib import Path


def lines(root: Path) -> list[list[object]]:
    return [json.loads(line) for line in (root / eventlog.NAME).read_bytes().splitlines()]


def test_an_event_is_a_line(tmp_path: Path) -> None:
    before = time.time_ns()
    eventlog.append(str(tmp_path), "volume", "create", "data", {"driver": "local"})
    ((when, *rest),) = lines(tmp_path)
    assert isinstance(when, int)
    assert before <= when <= time.time_ns()
    assert rest == ["volume", "create", "data", {"driver": "local"}]


def test_many_writers_keep_the_order_of_times(tmp_path: Path) -> None:
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for number in range(200):
                eventlog.append(str(tmp_path), "daemon", str(number), "x")
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    times = [line[0] for line in lines(tmp_path)]
    assert len(times) == 800
    assert times == sorted(times, key=lambda when: int(str(when)))


def test_writers_lose_nothing_over_rotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog, "LIMIT", 2000)
    monkeypatch.setattr(eventlog, "KEPT", 1000)
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            for number in range(100):
                eventlog.append(str(tmp_path), "daemon", str(number), "x")
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    files = list(tmp_path.iterdir())
    assert len(files) > 3
    assert sum(len(path.read_bytes().splitlines()) for path in files) == 300


def test_a_root_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    eventlog.append(str(tmp_path / "nowhere"), "daemon", "x", "y")
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_does_not_fit_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventlog.append(str(tmp_path), "daemon", "first", "x")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    eventlog.append(str(tmp_path), "daemon", "second", "x")
    monkeypatch.setattr(os, "write", write)
    eventlog.append(str(tmp_path), "daemon", "third", "x")
    assert [line[2] for line in lines(tmp_path)] == ["first", "third"]
