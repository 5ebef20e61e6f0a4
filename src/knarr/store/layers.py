"""The records of layers: what each stack of the snapshotter is, and in which forms its tar exists.

A layer's tree lies in `layers/<chain>`; its tar is named by the diff ID. A tar can also be had as a
blob, compressed or not: `layer_blobs` remembers every form that was seen, whether its blob is here
or not, so that a layer that a registry has already is not sent again.
"""

from __future__ import annotations

from knarr.errors import NotFound
from knarr.oci.digest import Digest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database, Row

_COLUMNS = "chain, diff, parent, size, tar_size, created_ns"
_BLOB_COLUMNS = "diff, digest, media_type, size, needed, maker"


class LayerRow(Value):
    """A layer on a stack. `size` is that of its tree, `tar_size` that of its tar, in bytes."""

    chain_id: Digest
    diff_id: Digest
    parent: Digest | None
    size: int
    tar_size: int
    created_ns: int


class LayerBlob(Value):
    """A form of a layer's tar: the blob `digest` holds it, compressed as `media_type` says.

    `needed` says that the tar cannot be made from the tree, so that the blob must stay. `maker` is
    what makes the blob from the tar, as `knarr.util.regzip` writes it; empty if that is not known.
    """

    diff_id: Digest
    digest: Digest
    media_type: str
    size: int
    needed: bool = False
    maker: str = ""


class LayerRecords:
    """The layers in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: LayerRow) -> None:
        """Record a layer; one that is there stays as it was.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                f"INSERT OR IGNORE INTO layers ({_COLUMNS}) VALUES (?,?,?,?,?,?)",  # noqa: S608
                (row.chain_id, row.diff_id, row.parent, row.size, row.tar_size, row.created_ns),
            )

    def find(self, chain_id: Digest) -> LayerRow | None:
        """Return the layer, or None."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM layers WHERE chain = ?", (chain_id,))  # noqa: S608
        return _layer(row) if row else None

    def get(self, chain_id: Digest) -> LayerRow:
        """Return the layer.

        Raises: NotFound
        """
        row = self.find(chain_id)
        if row is None:
            message = f"no such layer: {chain_id}"
            raise NotFound(message)
        return row

    def stack(self, chain_id: Digest | None) -> tuple[Digest, ...]:
        """Return the chain IDs from the bottom up to `chain_id`; none for None.

        Raises: NotFound
        """
        found: list[Digest] = []
        while chain_id is not None:
            found.append(chain_id)
            chain_id = self.get(chain_id).parent
        return tuple(reversed(found))

    def all(self) -> list[LayerRow]:
        """Return all layers."""
        return [_layer(row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM layers")]  # noqa: S608

    def remove(self, chain_ids: Iterable[Digest]) -> None:
        """Forget layers, those on top first; and the forms of tars that no layer has any more.

        Raises: Conflict
        """
        with self._database.transaction() as cursor:
            cursor.executemany("DELETE FROM layers WHERE chain = ?", [(c,) for c in chain_ids])
            cursor.execute("DELETE FROM layer_blobs WHERE diff NOT IN (SELECT diff FROM layers)")

    def add_blob(self, blob: LayerBlob) -> None:
        """Remember a form of a layer's tar; one that is needed stays so, as does a maker."""
        with self._database.transaction() as cursor:
            cursor.execute(
                f"INSERT INTO layer_blobs ({_BLOB_COLUMNS}) VALUES (?,?,?,?,?,?)"  # noqa: S608
                " ON CONFLICT (diff, digest) DO UPDATE SET needed = max(needed, excluded.needed),"
                " maker = iif(excluded.maker = '', maker, excluded.maker)",
                (blob.diff_id, blob.digest, blob.media_type, blob.size, blob.needed, blob.maker),
            )

    def blobs(self, diff_id: Digest) -> list[LayerBlob]:
        """Return the known forms of a layer's tar."""
        rows = self._database.rows(
            f"SELECT {_BLOB_COLUMNS} FROM layer_blobs WHERE diff = ? ORDER BY size",  # noqa: S608
            (diff_id,),
        )
        return [
            LayerBlob(Digest(diff), Digest(digest), media_type, size, bool(needed), maker)
            for diff, digest, media_type, size, needed, maker in rows
        ]

    def known_blobs(self) -> frozenset[str]:
        """Return every blob that is a known form of a layer."""
        return frozenset(d for (d,) in self._database.rows("SELECT digest FROM layer_blobs"))

    def needed_blobs(self) -> frozenset[str]:
        """Return the blobs without which the tar of a layer is lost."""
        rows = self._database.rows("SELECT digest FROM layer_blobs WHERE needed")
        return frozenset(digest for (digest,) in rows)


def _layer(row: Row) -> LayerRow:
    parent = Digest(row[2]) if row[2] else None
    return LayerRow(Digest(row[0]), Digest(row[1]), parent, row[3], row[4], row[5])
