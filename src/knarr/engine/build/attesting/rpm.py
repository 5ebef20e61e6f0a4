"""Reading rpm's database: a table of headers in SQLite, each a list of tagged values.

    4 bytes  number of entries, big-endian like all that follows
    4 bytes  size of the values
    entries  tag, type, offset among the values, count: 4 bytes each
    values   strings end with a zero

Docker: none; rpm's docs/manual/format.md describes the header
"""

from __future__ import annotations

import struct

from knarr.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE = 1000, 1001, 1002, 1003, 1022
_STRINGS = (6, 8, 9)
_INT32 = 4
_KEYS = "gpg-pubkey"


def read_rpms(database: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield name, version and architecture of each package. Raises: Corrupt"""
    import sqlite3  # noqa: PLC0415 - few images have such a database

    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(database)
        rows = connection.execute("SELECT blob FROM Packages").fetchall()
    except sqlite3.Error as error:
        message = f"the rpm database is damaged: {error}"
        raise Corrupt(message) from error
    finally:
        connection.close()
    for (blob,) in rows:
        about = _header(blob)
        if about.get(_NAME) and about[_NAME] != _KEYS:
            version = f"{about.get(_VERSION, '')}-{about.get(_RELEASE, '')}"
            if about.get(_EPOCH, "0") != "0":
                version = f"{about[_EPOCH]}:{version}"
            yield about[_NAME], version, about.get(_ARCHITECTURE, "")


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
