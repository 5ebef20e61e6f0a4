"""The records of volumes, and of the containers that use them."""

from __future__ import annotations

from knarr.errors import NotFound
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database

_COLUMNS = "name, anonymous, created_ns, detail"


class VolumeRow(Value):
    """A volume; `detail` is a JSON text."""

    name: str
    anonymous: bool
    created_ns: int
    detail: str = "{}"


class VolumeRecords:
    """The volumes in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: VolumeRow) -> bool:
        """Record a volume; return whether there was none of this name."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO volumes VALUES (?,?,?,?)",
                (row.name, row.anonymous, row.created_ns, row.detail),
            )
            return cursor.rowcount > 0

    def find(self, name: str) -> VolumeRow | None:
        """Return the volume, or None."""
        found = self._select("name = ?", (name,))
        return found[0] if found else None

    def get(self, name: str) -> VolumeRow:
        """Return the volume.

        Raises: NotFound
        """
        row = self.find(name)
        if row is None:
            message = f"no such volume: {name}"
            raise NotFound(message)
        return row

    def all(self) -> list[VolumeRow]:
        """Return all volumes, in order of their names."""
        return self._select("1", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[VolumeRow]:
        statement = f"SELECT {_COLUMNS} FROM volumes WHERE {condition} ORDER BY name"  # noqa: S608
        rows = self._database.rows(statement, parameters)
        return [VolumeRow(name, bool(anonymous), *rest) for name, anonymous, *rest in rows]

    def remove(self, name: str) -> bool:
        """Forget a volume; return whether there was one.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM volumes WHERE name = ?", (name,))
            return cursor.rowcount > 0

    def rename(self, name: str, new_name: str) -> None:
        """Give a volume that no container uses another name.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE volumes SET name = ? WHERE name = ?", (new_name, name))

    def use(self, container_id: str, names: Iterable[str]) -> None:
        """Record that a container uses volumes; the record goes with the container's.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO volume_users VALUES (?,?)",
                [(name, container_id) for name in names],
            )

    def unuse(self, container_id: str, name: str) -> None:
        """Forget that a container uses a volume."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "DELETE FROM volume_users WHERE container = ? AND volume = ?", (container_id, name)
            )

    def users(self, name: str) -> list[str]:
        """Return the IDs of the containers that use a volume."""
        rows = self._database.rows(
            "SELECT container FROM volume_users WHERE volume = ? ORDER BY container", (name,)
        )
        return [container for (container,) in rows]

    def used_by(self, container_id: str) -> list[VolumeRow]:
        """Return the volumes that a container uses."""
        return self._select(
            "name IN (SELECT volume FROM volume_users WHERE container = ?)", (container_id,)
        )
