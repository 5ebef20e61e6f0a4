"""Databases of rpm as images have them, which may be anybody's."""

from __future__ import annotations

import sqlite3
import struct

import pytest

from knarr.engine.build.attesting.rpm import read_rpms
from knarr.errors import Corrupt
from support.fuzzing import Mutations, Watch

TABLE = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


def header(**tags: str) -> bytes:
    numbers = {"name": 1000, "version": 1001, "release": 1002, "arch": 1022}
    index, values = b"", b""
    for name, text in tags.items():
        index += struct.pack(">IIiI", numbers[name], 6, len(values), 1)
        values += text.encode() + b"\0"
    return struct.pack(">II", len(tags), len(values)) + index + values


BASH = header(name="bash", version="5.2", release="1.el9", arch="x86_64")


def database(*statements: str, blobs: tuple[object, ...] = ()) -> bytes:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    for blob in blobs:
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    connection.commit()
    data = connection.serialize()
    connection.close()
    return data


def test_packages_are_found() -> None:
    assert list(read_rpms(database(TABLE, blobs=(BASH,)))) == [("bash", "5.2-1.el9", "x86_64")]


@pytest.mark.parametrize("blob", [None, 7, "text", b"", b"\xff" * 20, BASH[:-10]])
def test_headers_that_are_none(blob: object) -> None:
    with pytest.raises(Corrupt):
        list(read_rpms(database(TABLE, blobs=(blob,))))


@pytest.mark.parametrize(
    "statements",
    [
        (f"CREATE VIEW Packages AS {ENDLESS} SELECT zeroblob(1000000) AS blob FROM c",),
        (f"CREATE VIEW Packages AS {ENDLESS} SELECT x AS blob FROM c WHERE x < 0",),
        ("CREATE VIEW Packages AS SELECT zeroblob(2000000000) AS blob",),
        ("CREATE TABLE a (blob)", "INSERT INTO a VALUES (1)",
         "CREATE VIEW Packages AS SELECT a.blob FROM a, a AS b, a AS c"),
        ("CREATE TABLE Packages (a, blob AS (zeroblob(a)))",
         "INSERT INTO Packages (a) VALUES (1)"),
    ],
    ids=["endless", "never", "huge", "view", "computed"],
)  # fmt: skip
def test_nothing_is_computed(statements: tuple[str, ...]) -> None:
    with Watch(), pytest.raises(Corrupt):
        list(read_rpms(database(*statements)))


def test_changed_databases_are_read_or_refused() -> None:
    inputs = [database(TABLE, blobs=(BASH, header(name="zlib", version="1", release="2")))]
    for data in Mutations(inputs).limited(500):
        with Watch():
            try:
                list(read_rpms(data))
            except Corrupt:
                continue
