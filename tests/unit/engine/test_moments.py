"""Moments are equal only while nothing is recorded and nothing happens."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from knarr.engine.engine import Engine
from knarr.engine.moments import SETTLED_NS, moment
from knarr.util import eventlog

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = (1.0, 1.0)


def engine_at(directory: Path) -> Engine:
    engine = Engine(str(directory / "root"), str(directory / "run"))
    engine.database.rows("SELECT 1")
    eventlog.append(engine.paths.root, "daemon", "reload", "x")
    return engine


def settle(engine: Engine) -> None:
    """Let the last changes be a while ago."""
    os.utime(f"{engine.paths.root}/{eventlog.NAME}", LONG_AGO)
    log = f"{engine.paths.database_path}-wal"
    now_ns = os.stat(log).st_mtime_ns
    os.utime(log, ns=(now_ns - SETTLED_NS, now_ns - SETTLED_NS))


def test_a_commit_and_an_event_begin_another_moment(tmp_path: Path) -> None:
    with engine_at(tmp_path) as engine:
        settle(engine)
        first = moment(engine)
        assert first is not None
        with (
            Engine(engine.paths.root, engine.paths.run) as other,
            other.database.transaction() as c,
        ):
            c.execute("DELETE FROM containers")
            c.execute("PRAGMA user_version = 77")
        assert moment(engine) is None
        settle(engine)
        second = moment(engine)
        assert second is not None
        assert second[1] != first[1]
        eventlog.append(engine.paths.root, "daemon", "reload", "y")
        settle(engine)
        third = moment(engine)
        assert third is not None
        assert third[1:] != second[1:]


def test_a_moment_that_has_just_begun_is_none(tmp_path: Path) -> None:
    with engine_at(tmp_path) as engine:
        assert moment(engine) is None
        time.sleep(SETTLED_NS / 1e9)
        assert moment(engine) is not None


def test_without_a_database_nothing_can_be_told(tmp_path: Path) -> None:
    with engine_at(tmp_path) as engine:
        os.utime(f"{engine.paths.root}/{eventlog.NAME}", LONG_AGO)
        engine.database.close()
        assert moment(engine) is None
