"""Tags: under which references images can be had.

A reference with a tag names one image and can be moved. A reference with a digest
(`debian@sha256:…`) says under which manifest digest an image was had from, or given to, a
repository; it is kept like a tag.
"""

from __future__ import annotations

from knarr.oci.digest import Digest
from knarr.oci.reference import Reference, parse_reference
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.store.database import Database, Row


class TagRow(Value):
    """A reference and the image it names."""

    reference: Reference
    image: Digest
    updated_ns: int


class TagRecords:
    """The references in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def set(self, reference: Reference, image_id: Digest, now_ns: int) -> Digest | None:
        """Let `reference` name an image, and return the one it named before, if another.

        Raises: Conflict
        """
        text = str(reference)
        with self._database.transaction() as cursor:
            before = cursor.execute(
                "SELECT image FROM tags WHERE reference = ?", (text,)
            ).fetchone()
            cursor.execute(
                "INSERT OR REPLACE INTO tags VALUES (?,?,?,?)",
                (text, reference.name, image_id, now_ns),
            )
        return Digest(before[0]) if before and before[0] != image_id else None

    def find(self, reference: Reference) -> TagRow | None:
        """Return what `reference` names, or None."""
        row = self._database.row(
            "SELECT reference, image, updated_ns FROM tags WHERE reference = ?", (str(reference),)
        )
        return _tag(row) if row else None

    def remove(self, reference: Reference) -> bool:
        """Forget a reference; return whether there was one."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM tags WHERE reference = ?", (str(reference),))
            return cursor.rowcount > 0

    def of(self, image_id: Digest) -> list[TagRow]:
        """Return the references that name an image, in order."""
        return self._select("WHERE image = ?", (image_id,))

    def tagged(self, image_id: Digest) -> bool:
        """Tell whether a reference with a tag names an image."""
        return any(row.reference.tag is not None for row in self.of(image_id))

    def all(self) -> list[TagRow]:
        """Return all references, in order."""
        return self._select("", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[TagRow]:
        statement = f"SELECT reference, image, updated_ns FROM tags {condition} ORDER BY reference"  # noqa: S608
        return [_tag(row) for row in self._database.rows(statement, parameters)]


def _tag(row: Row) -> TagRow:
    return TagRow(parse_reference(row[0]), Digest(row[1]), row[2])
