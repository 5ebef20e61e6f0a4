"""The gate by which one process starts what another one created."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from knarr.runtime import channel, gate

if TYPE_CHECKING:
    from pathlib import Path


def waiting(directory: Path) -> tuple[gate.FifoGate, channel.Channel]:
    gate.make_fifos(str(directory))
    ours, theirs = channel.open_channel()
    return gate.FifoGate(theirs, str(directory)), ours


def test_nobody_waits_before_and_after(tmp_path: Path) -> None:
    assert not gate.is_waiting(str(tmp_path))
    assert gate.open_gate(str(tmp_path)) is None
    made, ours = waiting(tmp_path)
    assert gate.is_waiting(str(tmp_path))
    answers: list[object] = []
    opener = threading.Thread(target=lambda: answers.append(gate.open_gate(str(tmp_path))))
    opener.start()
    made.wait()
    assert ours.receive()[0] == channel.READY
    for descriptor in made.keep()[2:]:
        os.close(descriptor)  # what exec does
    opener.join(10)
    assert answers == [()]
    assert not gate.is_waiting(str(tmp_path))
    ours.close()


def test_who_starts_hears_what_failed(tmp_path: Path) -> None:
    made, ours = waiting(tmp_path)
    answers: list[object] = []
    opener = threading.Thread(target=lambda: answers.append(gate.open_gate(str(tmp_path))))
    opener.start()
    made.wait()
    made.report(("error", "Failed", "0", "no luck", ""))
    os.close(made.keep()[2])
    opener.join(10)
    assert answers == [("error", "Failed", "0", "no luck", "")]
    ours.close()


def test_before_the_start_the_parent_hears(tmp_path: Path) -> None:
    made, ours = waiting(tmp_path)
    made.move(30)
    assert all(descriptor >= 30 for descriptor in made.keep())
    made.report(("error", "Failed", "0", "early", ""))
    assert ours.receive()[0][3] == "early"
    for descriptor in made.keep()[1:]:
        os.close(descriptor)
    made.channel.close()
    ours.close()
