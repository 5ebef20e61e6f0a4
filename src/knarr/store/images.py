"""The records of images, and what each is made of.

An image's ID is the digest of its config. Its manifest is the document under which it came, or
under which it was last given to others; an image built here has none until then.
"""

from __future__ import annotations

from knarr.errors import NotFound
from knarr.oci.descriptor import Platform
from knarr.oci.digest import Digest
from knarr.oci.document import EMPTY, FrozenDict
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.store.database import Database, Row

_HEX = "0123456789abcdef"
_COLUMNS = (
    "id, manifest, media_type, created_ns, added_ns, size, os, architecture, variant, parent,"
    " labels, used_ns"
)


class ImageRow(Value):
    """An image. `size` is that of its unpacked layers; `parent` the image it was made from here.

    `used_ns` is when it last came, was built on, or had a container made of it.
    """

    id: Digest
    manifest: Digest | None
    media_type: str
    created_ns: int
    added_ns: int
    size: int
    platform: Platform
    parent: Digest | None = None
    labels: FrozenDict = EMPTY
    used_ns: int = 0


class ImageRecords:
    """The images in a database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database

    def add(self, row: ImageRow, stack: Iterable[Digest], blobs: Iterable[Digest] = ()) -> None:
        """Record an image with the chain IDs of its layers, bottom first, and the blobs it needs.

        An image that is there already stays as it was, but for a manifest it did not have.

        Raises: Conflict
        """
        platform = row.platform
        values = (
            row.id, row.manifest, row.media_type, row.created_ns, row.added_ns, row.size,
            platform.os, platform.architecture, platform.variant, row.parent,
            jsontext.dumps(row.labels, sort_keys=True), row.added_ns,
        )  # fmt: skip
        with self._database.transaction() as cursor:
            cursor.execute(
                f"INSERT OR IGNORE INTO images ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
                values,
            )
            if not cursor.rowcount:
                if row.manifest is not None:
                    self.set_manifest(row.id, row.manifest, row.media_type, blobs)
                return
            cursor.executemany(
                "INSERT INTO image_layers VALUES (?,?,?)",
                [(row.id, position, chain) for position, chain in enumerate(stack)],
            )
            self._add_blobs(row.id, blobs)

    def set_manifest(
        self, image_id: Digest, manifest: Digest, media_type: str, blobs: Iterable[Digest]
    ) -> None:
        """Record under which manifest an image is known, and the blobs it needs.

        An image that has a manifest already keeps that one: it has the blobs for it.
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE images SET manifest = ?, media_type = ? WHERE id = ? AND manifest IS NULL",
                (manifest, media_type, image_id),
            )
            if cursor.rowcount:
                self._add_blobs(image_id, blobs)

    def change_manifest(
        self, image_id: Digest, manifest: Digest, media_type: str, blobs: Iterable[Digest]
    ) -> None:
        """Let an image be known under another manifest; of blobs it needs only `blobs` then."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE images SET manifest = ?, media_type = ? WHERE id = ?",
                (manifest, media_type, image_id),
            )
            cursor.execute("DELETE FROM image_blobs WHERE image = ?", (image_id,))
            self._add_blobs(image_id, blobs)

    def need(self, image_id: Digest, blobs: Iterable[Digest]) -> None:
        """Record further blobs that an image needs."""
        self._add_blobs(image_id, blobs)

    def _add_blobs(self, image_id: Digest, blobs: Iterable[Digest]) -> None:
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO image_blobs VALUES (?,?)",
                [(image_id, blob) for blob in blobs],
            )

    def find(self, image_id: Digest) -> ImageRow | None:
        """Return the image, or None."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM images WHERE id = ?", (image_id,))  # noqa: S608
        return _image(row) if row else None

    def get(self, image_id: Digest) -> ImageRow:
        """Return the image.

        Raises: NotFound
        """
        row = self.find(image_id)
        if row is None:
            message = f"no such image: {image_id}"
            raise NotFound(message)
        return row

    def matching(self, prefix: str) -> list[ImageRow]:
        """Return the images whose ID begins with `prefix`, with or without `sha256:`."""
        digits = prefix.removeprefix("sha256:")
        if not digits or digits.strip(_HEX):
            return []
        start = f"sha256:{digits}"
        return self._select("id >= ? AND id < ?", (start, start + "~"))

    def children(self, image_id: Digest) -> list[ImageRow]:
        """Return the images that were made from this one here."""
        return self._select("parent = ?", (image_id,))

    def all(self) -> list[ImageRow]:
        """Return all images, the youngest first."""
        return self._select("1", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[ImageRow]:
        statement = f"SELECT {_COLUMNS} FROM images WHERE {condition} ORDER BY created_ns DESC, id"  # noqa: S608
        return [_image(row) for row in self._database.rows(statement, parameters)]

    def stack(self, image_id: Digest) -> tuple[Digest, ...]:
        """Return the chain IDs of the image's layers, bottom first."""
        rows = self._database.rows(
            "SELECT chain FROM image_layers WHERE image = ? ORDER BY position", (image_id,)
        )
        return tuple([Digest(chain) for (chain,) in rows])

    def blobs(self, image_id: Digest) -> list[Digest]:
        """Return the blobs that the image needs."""
        rows = self._database.rows("SELECT digest FROM image_blobs WHERE image = ?", (image_id,))
        return [Digest(digest) for (digest,) in rows]

    def users(self, digest: Digest) -> list[Digest]:
        """Return the images that need the blob `digest`."""
        rows = self._database.rows(
            "SELECT image FROM image_blobs WHERE digest = ? ORDER BY image", (digest,)
        )
        return [Digest(image) for (image,) in rows]

    def used_blobs(self) -> frozenset[str]:
        """Return the blobs that any image needs."""
        return frozenset(d for (d,) in self._database.rows("SELECT digest FROM image_blobs"))

    def used_chains(self) -> frozenset[str]:
        """Return the top chain ID of every image: those below follow from the layers."""
        return frozenset(c for (c,) in self._database.rows("SELECT chain FROM image_layers"))

    def touch(self, image_id: Digest, now_ns: int) -> None:
        """Note that an image is used; that may be lost with a power cut."""
        with self._database.transaction(durable=False) as cursor:
            cursor.execute("UPDATE images SET used_ns = ? WHERE id = ?", (now_ns, image_id))

    def remove(self, image_id: Digest) -> None:
        """Forget an image, its tags, and what it is made of; blobs and layers stay."""
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE images SET parent = NULL WHERE parent = ?", (image_id,))
            cursor.execute("DELETE FROM images WHERE id = ?", (image_id,))


def _image(row: Row) -> ImageRow:
    return ImageRow(
        Digest(row[0]),
        Digest(row[1]) if row[1] else None,
        row[2],
        row[3],
        row[4],
        row[5],
        Platform(row[6], row[7], row[8]),
        Digest(row[9]) if row[9] else None,
        FrozenDict(jsontext.loads(row[10])),
        max(row[11], row[4]),
    )
