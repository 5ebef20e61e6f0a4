"""The gate by which one process starts what another one created."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Failed
from knarr.runtime import channel, gate

if TYPE_CHECKING:
    from pathlib import Path


def waiting(directory: Path) -> tuple[gate.DoorGate, channel.Channel]:
    ours, theirs = channel.open_channel()
    return gate.DoorGate(theirs, gate.open_door(str(directory))), ours


def start(directory: Path, caught: list[Failed]) -> threading.Thread:
    """Start what waits in a directory, in a thread; it adds what went wrong."""

    def knock() -> None:
        behind = gate.knock(str(directory))
        assert behind is not None
        try:
            gate.open_gate(behind, os.getpid(), state={})
        except Failed as failure:
            caught.append(failure)

    thread = threading.Thread(target=knock)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals of this process alone."""
    monkeypatch.setattr("knarr.runtime.gate.end_on_signals", lambda: None)


def test_nobody_waits_before_and_after(tmp_path: Path) -> None:
    assert not gate.is_waiting(str(tmp_path))
    assert gate.knock(str(tmp_path)) is None
    made, ours = waiting(tmp_path)
    assert gate.is_waiting(str(tmp_path))
    caught: list[Failed] = []
    opener = start(tmp_path, caught)
    made.wait()
    assert ours.receive()[0] == channel.READY
    assert not gate.is_waiting(str(tmp_path))
    made.channel.close()  # what exec does
    opener.join(10)
    assert not caught
    ours.close()


def test_who_starts_hears_what_failed(tmp_path: Path) -> None:
    made, ours = waiting(tmp_path)
    caught: list[Failed] = []
    opener = start(tmp_path, caught)
    made.wait()
    made.report(("error", "Failed", "0", "no luck", ""))
    made.channel.close()
    opener.join(10)
    assert [failure.message for failure in caught] == ["no luck"]
    ours.close()


def test_before_the_start_the_parent_hears(tmp_path: Path) -> None:
    made, ours = waiting(tmp_path)
    made.move(30)
    assert all(descriptor >= 30 for descriptor in made.keep())
    made.report(("error", "Failed", "0", "early", ""))
    assert ours.receive()[0][3] == "early"
    made.close()
    ours.close()


def test_the_path_of_the_door_may_be_long(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 100) / ("y" * 100)
    directory.mkdir(parents=True)
    door = gate.open_door(str(directory))
    assert gate.is_waiting(str(directory))
    door.close()
    assert not gate.is_waiting(str(directory))
