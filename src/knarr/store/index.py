"""The layout's index, `index.json`, derived from the tags.

It lists the images whose blobs are all there: a layer that was built here, or came in a form that
can be made again, has no blob until somebody needs one, and an index that names what is missing is
invalid. The database knows all images; the index is for others who read the layout. It is rendered
from the database while the index's lock is held, after each change, so the last one that renders
has seen all changes.

Spec: image-spec image-layout.md, "index.json file"
"""

from __future__ import annotations

import os

from knarr.oci import layout
from knarr.oci.descriptor import Descriptor, Platform
from knarr.oci.digest import Digest
from knarr.util.files import FileLock, make_directories, write_atomically
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.store.blobs import Blobs
    from knarr.store.database import Database


def write_index(database: Database, blobs: Blobs) -> None:
    """Make the layout valid, and its index say what the database says now."""
    directory = blobs.images_dir
    with FileLock(f"{directory}/index.lock"):
        _sweep(directory)
        if not os.path.exists(f"{directory}/{layout.LAYOUT_FILE}"):
            make_directories(f"{directory}/{layout.BLOBS_DIR}/sha256")
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
