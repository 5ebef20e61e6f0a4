"""The records of networks and of the endpoints that containers have in them.

The database itself sees to it that no address of a network is handed out twice: of two processes
that take the same one, the second meets a Conflict and takes the next.
"""

from __future__ import annotations

from knarr.errors import NotFound
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.store.database import Database

_HEX = "0123456789abcdef"
_COLUMNS = "id, name, created_ns, detail"
_ENDPOINT = "network, container, address, detail"


class NetworkRow(Value):
    """A network; `detail` is a JSON text."""

    id: str
    name: str
    created_ns: int
    detail: str = "{}"


class EndpointRow(Value):
    """A container's place in a network; `detail` is a JSON text."""

    network: str
    container: str
    address: str | None
    detail: str = "{}"


class MemberRow(Value):
    """A container in a network; `hostname` is the one that it was given, if it was given one."""

    container: str
    name: str
    hostname: str | None
    address: str | None
    detail: str


class NetworkRecords:
    """The networks in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: NetworkRow) -> None:
        """Record a network.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO networks VALUES (?,?,?,?)",
                (row.id, row.name, row.created_ns, row.detail),
            )

    def update(self, row: NetworkRow) -> None:
        """Replace the record that has the ID of `row`.

        Raises: Conflict, NotFound
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE networks SET name = ?, detail = ? WHERE id = ?",
                (row.name, row.detail, row.id),
            )
            if not cursor.rowcount:
                message = f"no such network: {row.id}"
                raise NotFound(message)

    def find(self, network_id: str) -> NetworkRow | None:
        """Return the network with this full ID, or None."""
        found = self._select("id = ?", (network_id,))
        return found[0] if found else None

    def find_by_name(self, name: str) -> NetworkRow | None:
        """Return the network of this name, or None."""
        found = self._select("name = ?", (name,))
        return found[0] if found else None

    def matching(self, text: str) -> list[NetworkRow]:
        """Return the network that `text` means, or several if it is the start of several IDs.

        Docker: a full ID comes before a name, a name before the start of an ID
        """
        exact = self.find(text) or self.find_by_name(text)
        if exact is not None:
            return [exact]
        if not text or text.strip(_HEX):
            return []
        return self._select("id >= ? AND id < ?", (text, text + "~"))

    def all(self) -> list[NetworkRow]:
        """Return all networks, in order of their names."""
        return self._select("1", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[NetworkRow]:
        statement = f"SELECT {_COLUMNS} FROM networks WHERE {condition} ORDER BY name"  # noqa: S608
        return [NetworkRow(*row) for row in self._database.rows(statement, parameters)]

    def remove(self, network_id: str) -> bool:
        """Forget a network; return whether there was one.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM networks WHERE id = ?", (network_id,))
            return cursor.rowcount > 0

    def add_endpoint(self, row: EndpointRow) -> None:
        """Record an endpoint.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO endpoints VALUES (?,?,?,?)",
                (row.network, row.container, row.address, row.detail),
            )

    def find_endpoint(self, network_id: str, container_id: str) -> EndpointRow | None:
        """Return a container's endpoint in a network, or None."""
        row = self._database.row(
            f"SELECT {_ENDPOINT} FROM endpoints WHERE network = ? AND container = ?",  # noqa: S608
            (network_id, container_id),
        )
        return EndpointRow(*row) if row else None

    def endpoints(self, network_id: str) -> list[EndpointRow]:
        """Return the endpoints of a network."""
        return self._endpoints("network = ?", network_id)

    def endpoints_of(self, container_id: str) -> list[EndpointRow]:
        """Return the endpoints of a container."""
        return self._endpoints("container = ?", container_id)

    def _endpoints(self, condition: str, value: str) -> list[EndpointRow]:
        statement = (
            f"SELECT {_ENDPOINT} FROM endpoints WHERE {condition} ORDER BY network, container"  # noqa: S608
        )
        return [EndpointRow(*row) for row in self._database.rows(statement, (value,))]

    def members(self, network_id: str) -> list[MemberRow]:
        """Return the endpoints of a network that containers have, with what those are called."""
        rows = self._database.rows(
            "SELECT e.container, c.name, json_extract(c.options, '$.hostname'), e.address, e.detail"
            " FROM endpoints e JOIN containers c ON c.id = e.container"
            " WHERE e.network = ? ORDER BY e.container",
            (network_id,),
        )
        return [MemberRow(*row) for row in rows]

    def has_confined(self) -> bool:
        """Tell whether any endpoint has rules for what may be connected to from it."""
        query = "SELECT 1 FROM endpoints WHERE json_extract(detail, '$.egress') IS NOT NULL LIMIT 1"
        return self._database.row(query) is not None

    def addresses(self, network_id: str) -> frozenset[str]:
        """Return the addresses of a network that are taken."""
        rows = self._database.rows(
            "SELECT address FROM endpoints WHERE network = ? AND address IS NOT NULL",
            (network_id,),
        )
        return frozenset(address for (address,) in rows)

    def remove_endpoint(self, network_id: str, container_id: str) -> bool:
        """Forget an endpoint; return whether there was one."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "DELETE FROM endpoints WHERE network = ? AND container = ?",
                (network_id, container_id),
            )
            return cursor.rowcount > 0
