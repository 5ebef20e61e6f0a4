"""Lists of manifests that are being put together here, before a registry gets them.

A list has a reference as its name, and exists as long as it lists something. Of each manifest in it
there is the descriptor, with the platform that the list gives it, and the document itself.
"""

from __future__ import annotations

from knarr.oci.descriptor import decode_descriptor, encode_descriptor
from knarr.oci.document import Fields
from knarr.oci.reference import Reference, parse_reference
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.descriptor import Descriptor
    from knarr.store.database import Database, Row


class Member(Value):
    """A manifest that a list lists: under which reference it was had, and its bytes."""

    reference: Reference
    descriptor: Descriptor
    raw: bytes


class ManifestRecords:
    """The lists in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def members(self, name: Reference) -> list[Member]:
        """Return what a list lists, in the order of references; nothing if there is no list."""
        rows = self._database.rows(
            "SELECT reference, descriptor, raw FROM manifests WHERE list = ? ORDER BY reference",
            (str(name),),
        )
        return [_member(row) for row in rows]

    def put(self, name: Reference, members: Iterable[Member]) -> None:
        """Let a list list `members`, too, in place of what it had under the same references.

        Raises: Conflict
        """
        values = [
            (
                str(name),
                str(member.reference),
                jsontext.dumps(encode_descriptor(member.descriptor)),
                member.raw,
            )
            for member in members
        ]
        with self._database.transaction() as cursor:
            cursor.executemany("INSERT OR REPLACE INTO manifests VALUES (?,?,?,?)", values)

    def remove(self, name: Reference) -> bool:
        """Forget a list; tell whether there was one."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM manifests WHERE list = ?", (str(name),))
            return cursor.rowcount > 0


def _member(row: Row) -> Member:
    reference, descriptor, raw = row
    fields = Fields(jsontext.loads(descriptor), reference)
    return Member(parse_reference(reference), decode_descriptor(fields), raw)
