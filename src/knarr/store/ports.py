"""The records of published ports, and the marks where searches for something free stopped."""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database

_COLUMNS = "container, protocol, container_port, host_ip, host_port, address"

# Host addresses that stand for all of their version.
EVERYWHERE = ("0.0.0.0", "::")


class PortRow(Value):
    """A port of the host that leads to a container's port at `address`."""

    container: str
    protocol: str
    container_port: int
    host_ip: str
    host_port: int
    address: str


class PortRecords:
    """The published ports in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, rows: Iterable[PortRow]) -> None:
        """Record published ports.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.executemany(
                f"INSERT INTO ports ({_COLUMNS}) VALUES (?,?,?,?,?,?)",  # noqa: S608
                [
                    (r.container, r.protocol, r.container_port, r.host_ip, r.host_port, r.address)
                    for r in rows
                ],
            )

    def all(self) -> list[PortRow]:
        """Return all published ports."""
        return self._select("1", ())

    def of(self, container_id: str) -> list[PortRow]:
        """Return the published ports of a container."""
        return self._select("container = ?", (container_id,))

    def clashing(self, protocol: str, host_ip: str, host_port: int) -> list[PortRow]:
        """Return the published ports that exclude publishing this one."""
        rows = self._select("protocol = ? AND host_port = ?", (protocol, host_port))
        return [
            row
            for row in rows
            if row.host_ip != row.address  # published at the container's own address
            and (":" in row.host_ip) == (":" in host_ip)
            and (row.host_ip == host_ip or {row.host_ip, host_ip} & set(EVERYWHERE))
        ]

    def remove(self, container_id: str) -> None:
        """Forget the published ports of a container."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM ports WHERE container = ?", (container_id,))

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[PortRow]:
        order = "ORDER BY container, container_port, protocol, host_ip, host_port"
        statement = f"SELECT {_COLUMNS} FROM ports WHERE {condition} {order}"  # noqa: S608
        return [PortRow(*row) for row in self._database.rows(statement, parameters)]


class Marks:
    """Texts by name, such as the address of a network that was handed out last."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def find(self, name: str) -> str:
        """Return the mark, empty if there is none."""
        row = self._database.row("SELECT value FROM marks WHERE name = ?", (name,))
        return str(row[0]) if row else ""

    def set(self, name: str, value: str) -> None:
        """Make the mark, or move it."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO marks VALUES (?,?)", (name, value))

    def remove(self, name: str) -> None:
        """Forget the mark."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM marks WHERE name = ?", (name,))
