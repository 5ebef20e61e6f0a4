"""The records of builds: what was built from what, when, and how it ended.

They are no more than memories: after a power cut the last ones may be missing.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database

_COLUMNS = "id, source, name, started_ns, ended_ns, status, detail"


class BuildRun(Value):
    """A build: `source` says what was built, alike for each build of it; `detail` is a JSON text.

    `ended_ns` is 0 while it runs.
    """

    id: str
    source: str
    name: str
    started_ns: int
    ended_ns: int
    status: str
    detail: str = "{}"


class BuildRuns:
    """The builds that a database remembers."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def put(self, row: BuildRun) -> None:
        """Record a build, or what it has come to."""
        values = (
            row.id, row.source, row.name, row.started_ns, row.ended_ns, row.status, row.detail,
        )  # fmt: skip
        with self._database.transaction(durable=False) as cursor:
            cursor.execute("INSERT OR REPLACE INTO build_runs VALUES (?,?,?,?,?,?,?)", values)

    def find(self, build_id: str) -> BuildRun | None:
        """Return the build, or None."""
        found = self._select("id = ?", (build_id,))
        return found[0] if found else None

    def all(self) -> list[BuildRun]:
        """Return all builds, the latest first."""
        return self._select("1", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[BuildRun]:
        statement = (
            f"SELECT {_COLUMNS} FROM build_runs WHERE {condition} "  # noqa: S608 - our own words
            "ORDER BY started_ns DESC, id"
        )
        return [BuildRun(*row) for row in self._database.rows(statement, parameters)]

    def beyond(self, kept: int) -> list[str]:
        """Return the IDs of all builds but the latest."""
        statement = "SELECT id FROM build_runs ORDER BY started_ns DESC LIMIT -1 OFFSET ?"
        return [build_id for (build_id,) in self._database.rows(statement, (kept,))]

    def remove(self, ids: Iterable[str]) -> None:
        """Forget builds."""
        with self._database.transaction(durable=False) as cursor:
            cursor.executemany("DELETE FROM build_runs WHERE id = ?", [(each,) for each in ids])
