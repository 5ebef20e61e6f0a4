"""Transactions are whole, and errors of SQLite mean something."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from knarr.errors import Conflict, Corrupt, Failed, Unavailable, Unsupported
from knarr.store import database as module
from knarr.store.database import Database
from knarr.store.schema import MIGRATIONS
from support.children import end, run_python, start_python, wait_stopped

ADD = "INSERT INTO networks VALUES (?, ?, 1, '{}')"
NORMAL, FULL = 1, 2  # SQLite's numbers
WRITE = """
import sys
from knarr.store.database import Database
database = Database(sys.argv[1])
with database.transaction() as cursor:
    cursor.execute("INSERT INTO networks VALUES ('child', 'child', 1, '{}')")
"""


def names(database: Database) -> list[str]:
    return [name for (name,) in database.rows("SELECT name FROM networks ORDER BY name")]


def test_a_transaction_is_kept_whole(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(ADD, ("1", "a"))
        assert database.in_transaction
    assert names(database) == ["a"]


def test_an_error_takes_everything_back(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction() as cursor:
        cursor.execute(ADD, ("1", "a"))
        raise KeyError
    assert names(database) == []


def test_a_part_can_be_taken_back_without_the_whole(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(ADD, ("1", "a"))
        with pytest.raises(KeyError), database.transaction() as inner:
            inner.execute(ADD, ("2", "b"))
            raise KeyError
        with database.transaction() as inner:
            inner.execute(ADD, ("3", "c"))
    assert names(database) == ["a", "c"]


def test_only_a_durable_transaction_waits_for_the_disk(database: Database) -> None:
    with database.transaction(durable=False):
        assert database.row("PRAGMA synchronous") == (NORMAL,)
    with database.transaction():
        assert database.row("PRAGMA synchronous") == (FULL,)


def test_the_log_is_kept_short(database: Database) -> None:
    for number in range(200):
        with database.transaction(durable=False) as cursor:
            cursor.execute(ADD, (str(number), "x" * 3000 + str(number)))
    assert os.path.getsize(f"{database.path}-wal") < 1 << 20


def test_a_broken_rule_is_a_conflict(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(ADD, ("1", "a"))
    with pytest.raises(Conflict, match=r"networks\.name"), database.transaction() as cursor:
        cursor.execute(ADD, ("2", "a"))


def test_a_killed_writer_leaves_nothing(database: Database) -> None:
    names(database)
    assert run_python(WRITE, database.path, trace="database:before-commit=kill").returncode == -9
    assert names(database) == []
    assert run_python(WRITE, database.path, trace="database:after-commit=kill").returncode == -9
    assert names(database) == ["child"]


def test_readers_do_not_wait_and_writers_do(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    assert names(database) == []
    child = start_python(WRITE, database.path, trace="database:before-commit=stop")
    try:
        wait_stopped(child)
        assert names(database) == []
        with pytest.raises(Unavailable, match="busy"):
            database.transaction().__enter__()
    finally:
        end(child)
    with database.transaction() as cursor:
        cursor.execute(ADD, ("1", "a"))


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "knarr.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(Corrupt, match="damaged"):
        Database(str(tmp_path / "knarr.db")).rows("SELECT 1")


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot use the database"):
        Database(str(tmp_path / "none" / "knarr.db")).rows("SELECT 1")


def test_a_newer_schema_is_left_alone(database: Database) -> None:
    names(database)
    database.close()
    raw = sqlite3.connect(database.path)
    raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    with pytest.raises(Unsupported, match="newer knarr"):
        names(database)


def test_the_file_is_private(database: Database) -> None:
    names(database)
    assert stat.S_IMODE(os.stat(database.path).st_mode) == 0o600


def test_many_first_users_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "knarr.db")
    children = [start_python(WRITE.replace("'child'", f"'{n}'"), path) for n in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    database = Database(path)
    assert names(database) == ["0", "1", "2", "3"]
    database.close()


def test_a_first_user_waits_for_another(tmp_path: Path) -> None:
    path = str(tmp_path / "knarr.db")
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.2, other.rollback)
    ending.start()
    database = Database(path)
    assert names(database) == []
    database.close()
    ending.join()
    other.close()
