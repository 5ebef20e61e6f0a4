"""The logs that builds keep of their steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from knarr.engine.build.history import logs
from knarr.engine.build.history.logs import LogReader, StepLog

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_step_that_prints_without_end_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no text take six in the file, so that is what counts."""
    monkeypatch.setattr(logs, "MOST", 1 << 20)
    log = StepLog(str(tmp_path), "build", 1, "RUN yes")
    for _ in range(100):
        log.write(1, b"\xff" * (1 << 16))
    log.end("", "")
    (name,) = os.listdir(tmp_path)
    assert os.path.getsize(tmp_path / name) < 2 << 20
    reader = LogReader(str(tmp_path / name))
    *kept, last = [piece.data for piece in reader.take()]
    reader.close()
    assert set(kept) == {b"\xff" * (1 << 16)}
    assert b"what the step printed after this is not kept" in last
    assert reader.ended
