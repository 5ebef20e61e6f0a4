"""Reading rpm's database: a table of headers in SQLite, each a list of tagged values.

    4 bytes  number of entries, big-endian like all that follows
    4 bytes  size of the values
    entries  tag, type, offset among the values, count: 4 bytes each
    values   strings end with a zero

The file comes with the image, and so does what SQLite would take for its schema. A view in the
place of the table can compute without end, and cells can share their pages: so nothing may be done
but read that table, and not for ever.

Docker: none; rpm's docs/manual/format.md describes the header
"""

from __future__ import annotations

import struct

from knarr.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE = 1000, 1001, 1002, 1003, 1022
_STRINGS = (6, 8, 9)
_INT32 = 4
_KEYS = "gpg-pubkey"
_TABLE = "Packages"
_GROWTH = 4  # times the size of the database that all headers may have together


def read_rpms(database: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield name, version and architecture of each package. Raises: Corrupt"""
    import sqlite3  # noqa: PLC0415 - few images have such a database

    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(database)
        connection.set_authorizer(_allow)
        for blob in _blobs(connection, len(database) * _GROWTH):
            about = _header(blob)
            if about.get(_NAME) and about[_NAME] != _KEYS:
                version = f"{about.get(_VERSION, '')}-{about.get(_RELEASE, '')}"
                if about.get(_EPOCH, "0") != "0":
                    version = f"{about[_EPOCH]}:{version}"
                yield about[_NAME], version, about.get(_ARCHITECTURE, "")
    except sqlite3.Error as error:
        message = f"the rpm database is damaged: {error}"
        raise Corrupt(message) from error
    finally:
        connection.close()


def _allow(action: int, name: str | None, *_: object) -> int:
    """Tell SQLite whether it may do something: read the one table, and nothing else."""
    import sqlite3  # noqa: PLC0415 - as above

    if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and name == _TABLE):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _blobs(connection: Connection, room: int) -> Iterator[bytes]:
    for (blob,) in connection.execute("SELECT blob FROM Packages"):
        if not isinstance(blob, bytes):
            message = "a header in the rpm database is none"
            raise Corrupt(message)
        room -= len(blob)
        if room < 0:
            message = "the headers in the rpm database are larger than it is"
            raise Corrupt(message)
        yield blob


def _header(blob: bytes) -> dict[int, str]:
    try:
        count, size = struct.unpack_from(">II", blob)
        start = 8 + 16 * count
        values = blob[start : start + size]
        found = {}
        for tag, kind, offset, _ in struct.iter_unpack(">IIiI", blob[8:start]):
            if kind in _STRINGS:
                end = values.index(b"\0", offset)
                found[tag] = values[offset:end].decode("utf-8", "replace")
            elif kind == _INT32:
                found[tag] = str(struct.unpack_from(">I", values, offset)[0])
    except (struct.error, ValueError) as error:
        message = f"a header in the rpm database is damaged: {error}"
        raise Corrupt(message) from error
    return found
