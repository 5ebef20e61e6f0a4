"""The images of one name for several platforms.

A tag names one image, that which was pulled last. The others that came by the same index are kept
with it, and found from it by the index, which each of them needs.
"""

from __future__ import annotations

from knarr.oci.manifest import Manifest, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow


def choose(engine: Engine, row: ImageRow, platform: Platform) -> ImageRow | None:
    """Return `row` if it is for `platform`, else its sibling that is, or None."""
    if row.platform.matches(platform):
        return row
    records = engine.images.records
    for index in indexes(engine, row):
        for other in records.users(index):
            found = records.find(other)
            if found is not None and found.platform.matches(platform):
                return found
    return None


def indexes(engine: Engine, row: ImageRow) -> list[Digest]:
    """Return the digests of the indexes by which an image came, none if it came alone."""
    if row.manifest is None or not engine.blobs.has(row.manifest):
        return []
    manifest = decode_manifest(engine.blobs.read(row.manifest), row.media_type)
    known = {manifest.digest, row.id}
    if isinstance(manifest, Manifest):
        known.update(layer.digest for layer in manifest.layers)
    return [digest for digest in engine.images.records.blobs(row.id) if digest not in known]
