"""The records of the build cache: which result a cache key had.

A record keeps its layer: as long as it is there, garbage collection spares the layer.
"""

from __future__ import annotations

from knarr.oci.digest import Digest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database

_COLUMNS = "key, chain, size, created_ns, used_ns, uses, detail"


class CacheRow(Value):
    """A cached result: the top layer it led to, if any; `detail` is a JSON text."""

    key: str
    chain: Digest | None
    size: int
    created_ns: int
    used_ns: int
    uses: int = 0
    detail: str = "{}"


class CacheRecords:
    """The build cache in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: CacheRow) -> CacheRow:
        """Record a result, and return the one that counts: another build may have been first.

        Raises: Conflict
        """
        values = (
            row.key, row.chain, row.size, row.created_ns, row.used_ns, row.uses, row.detail,
        )  # fmt: skip
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO builds VALUES (?,?,?,?,?,?,?)", values)
            return self.find(row.key) or row

    def find(self, key: str) -> CacheRow | None:
        """Return the result of a key, or None."""
        found = self._select("key = ?", (key,))
        return found[0] if found else None

    def all(self) -> list[CacheRow]:
        """Return all results, the least recently used first."""
        return self._select("1", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[CacheRow]:
        statement = f"SELECT {_COLUMNS} FROM builds WHERE {condition} ORDER BY used_ns, key"  # noqa: S608
        return [
            CacheRow(key, Digest(chain) if chain else None, *rest)
            for key, chain, *rest in self._database.rows(statement, parameters)
        ]

    def touch(self, keys: Iterable[str], now_ns: int) -> None:
        """Record that results were used again."""
        with self._database.transaction() as cursor:
            cursor.executemany(
                "UPDATE builds SET used_ns = ?, uses = uses + 1 WHERE key = ?",
                [(now_ns, key) for key in keys],
            )

    def used_chains(self) -> frozenset[str]:
        """Return the layers that results stand on."""
        rows = self._database.rows("SELECT chain FROM builds WHERE chain IS NOT NULL")
        return frozenset(chain for (chain,) in rows)

    def remove(self, keys: Iterable[str]) -> None:
        """Forget results; their layers stay until garbage is collected."""
        with self._database.transaction() as cursor:
            cursor.executemany("DELETE FROM builds WHERE key = ?", [(key,) for key in keys])
