"""Tags: under which references images can be had; and the layout's index, derived from them.

A reference with a tag names one image and can be moved. A reference with a digest
(`debian@sha256:…`) says under which manifest digest an image was had from, or given to, a
repository; it is kept like a tag.

`index.json` lists the images whose blobs are all there: a layer that was built here, or came in a
form that can be made again, has no blob until somebody needs one, and an index that names what is
missing is invalid. The database knows all images; the index is for others who read the layout. It
is rendered from the database while the index's lock is held, after each change, so the last one
that renders has seen all changes.
"""

from __future__ import annotations

import os

from knarr.oci import layout
from knarr.oci.descriptor import Descriptor, Platform
from knarr.oci.digest import Digest
from knarr.oci.reference import Reference, parse_reference
from knarr.util.files import FileLock, write_atomically
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.store.blobs import Blobs
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

    def all(self) -> list[TagRow]:
        """Return all references, in order."""
        return self._select("", ())

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[TagRow]:
        statement = f"SELECT reference, image, updated_ns FROM tags {condition} ORDER BY reference"  # noqa: S608
        return [_tag(row) for row in self._database.rows(statement, parameters)]


def _tag(row: Row) -> TagRow:
    return TagRow(parse_reference(row[0]), Digest(row[1]), row[2])


def write_index(database: Database, blobs: Blobs) -> None:
    """Make the layout valid, and its index say what the database says now."""
    directory = blobs.images_dir
    with FileLock(f"{directory}/index.lock"):
        _sweep(directory)
        if not os.path.exists(f"{directory}/{layout.LAYOUT_FILE}"):
            os.makedirs(f"{directory}/{layout.BLOBS_DIR}/sha256", 0o755, exist_ok=True)
            write_atomically(f"{directory}/{layout.LAYOUT_FILE}", layout.render_layout())
        index = layout.render_index(_listed(database, blobs))
        trace("tags.write_index:before-write")
        write_atomically(f"{directory}/{layout.INDEX_FILE}", index)


def _sweep(directory: str) -> None:
    """Delete what a writer that was killed left; all writers of these files hold the lock."""
    for name in os.listdir(directory):
        if name.endswith(".tmp"):
            os.unlink(f"{directory}/{name}")


def _listed(database: Database, blobs: Blobs) -> list[tuple[str, Descriptor]]:
    """Return what the index lists: each reference of every image that is complete in blobs."""
    names: dict[str, list[str]] = {}
    for reference, image in database.rows("SELECT reference, image FROM tags ORDER BY reference"):
        if "@" not in reference:
            names.setdefault(image, []).append(reference)
    needed: dict[str, list[str]] = {}
    for image, digest in database.rows("SELECT image, digest FROM image_blobs"):
        needed.setdefault(image, []).append(digest)
    found = []
    for image, manifest, media_type, *platform in database.rows(
        "SELECT id, manifest, media_type, os, architecture, variant FROM images"
        " WHERE manifest IS NOT NULL ORDER BY id"
    ):
        if not all(blobs.has(Digest(digest)) for digest in needed.get(image, ())):
            continue
        digest = Digest(manifest)
        descriptor = Descriptor(
            media_type, digest, blobs.size(digest), platform=Platform(*platform)
        )
        found += [(name, descriptor) for name in names.get(image, [""])]
    return found
