"""The records of containers: id, name, what it stands on, and texts that the engine reads."""

from __future__ import annotations

from knarr.errors import NotFound
from knarr.oci.digest import Digest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database, Row

_HEX = "0123456789abcdef"
_COLUMNS = "id, name, image, chain, created_ns, options, detail"


class ContainerRow(Value):
    """A container. `chain` is the top layer it stands on; `options` and `detail` are JSON texts."""

    id: str
    name: str
    image: Digest | None
    chain: Digest | None
    created_ns: int
    options: str = "{}"
    detail: str = "{}"


class ContainerRecords:
    """The containers in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: ContainerRow) -> None:
        """Record a container.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                f"INSERT INTO containers ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608
                (row.id, row.name, row.image, row.chain, row.created_ns, row.options, row.detail),
            )
            cursor.execute(
                "UPDATE images SET used_ns = ? WHERE id = ?", (row.created_ns, row.image)
            )

    def update(self, row: ContainerRow) -> None:
        """Replace the record that has the ID of `row`.

        Raises: Conflict, NotFound
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE containers SET name = ?, image = ?, chain = ?, options = ?, detail = ?"
                " WHERE id = ?",
                (row.name, row.image, row.chain, row.options, row.detail, row.id),
            )
            if not cursor.rowcount:
                raise _missing(row.id)

    def find(self, container_id: str) -> ContainerRow | None:
        """Return the container with this full ID, or None."""
        return self._one("id = ?", container_id)

    def find_by_name(self, name: str) -> ContainerRow | None:
        """Return the container of this name, or None."""
        return self._one("name = ?", name)

    def get(self, container_id: str) -> ContainerRow:
        """Return the container with this full ID.

        Raises: NotFound
        """
        row = self.find(container_id)
        if row is None:
            raise _missing(container_id)
        return row

    def matching(self, text: str) -> list[ContainerRow]:
        """Return the container that `text` means, or several if it is the start of several IDs.

        Docker: a full ID comes before a name, a name before the start of an ID
        """
        exact = self.find(text) or self.find_by_name(text)
        if exact is not None:
            return [exact]
        if not text or text.strip(_HEX):
            return []
        return self._select("id >= ? AND id < ?", (text, text + "~"))

    def of_image(self, image_id: Digest) -> list[ContainerRow]:
        """Return the containers that were made from an image."""
        return self._select("image = ?", (image_id,))

    def all(self) -> list[ContainerRow]:
        """Return all containers, the youngest first."""
        return self._select("1", ())

    def used_chains(self) -> frozenset[str]:
        """Return the layers on which containers stand, or that they mount."""
        rows = self._database.rows(
            "SELECT chain FROM containers WHERE chain IS NOT NULL"
            " UNION SELECT chain FROM container_layers"
        )
        return frozenset(chain for (chain,) in rows)

    def keep_layers(self, container_id: str, chains: Iterable[str]) -> None:
        """Record that a container mounts these layers; the record goes with the container's.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO container_layers VALUES (?,?)",
                [(container_id, chain) for chain in chains],
            )

    def remove(self, container_id: str) -> bool:
        """Forget a container; return whether there was one."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM containers WHERE id = ?", (container_id,))
            return cursor.rowcount > 0

    def _one(self, condition: str, value: str) -> ContainerRow | None:
        found = self._select(condition, (value,))
        return found[0] if found else None

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[ContainerRow]:
        statement = (
            f"SELECT {_COLUMNS} FROM containers WHERE {condition} ORDER BY created_ns DESC, id"  # noqa: S608
        )
        return [_container(row) for row in self._database.rows(statement, parameters)]


def _container(row: Row) -> ContainerRow:
    image = Digest(row[2]) if row[2] else None
    chain = Digest(row[3]) if row[3] else None
    return ContainerRow(row[0], row[1], image, chain, row[4], row[5], row[6])


def _missing(container_id: str) -> NotFound:
    message = f"no such container: {container_id}"
    return NotFound(message)
