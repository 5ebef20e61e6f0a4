"""The images of one name for several platforms.

A tag names one image, that which was pulled last. The others that came by the same index are kept
with it, and found from it by the index, which each of them needs.
"""

from __future__ import annotations

from knarr.oci.document import MAX_SIZE
from knarr.oci.manifest import Index, Manifest, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow


def choose(engine: Engine, row: ImageRow, platform: Platform) -> ImageRow | None:
    """Return `row` if it is for `platform`, else its sibling that is, or None."""
    family = (row, *siblings(engine, row))
    return next((one for one in family if one.platform.matches(platform)), None)


def siblings(engine: Engine, row: ImageRow) -> list[ImageRow]:
    """Return the other images that came by the same index, each once."""
    records = engine.images.records
    users = [other for index in indexes(engine, row) for other in records.users(index)]
    found = [records.find(other) for other in dict.fromkeys(users) if other != row.id]
    return [one for one in found if one is not None]


def outermost(engine: Engine, row: ImageRow) -> Digest | None:
    """Return the digest of the index by which an image came, None if it came alone.

    That is one that no other of its indexes lists; of several the one that was last named.
    """
    found = indexes(engine, row)
    listed: set[Digest] = set()
    for digest in found:
        index = decode_manifest(engine.blobs.read(digest))
        if isinstance(index, Index):
            listed |= {entry.digest for entry in index.manifests}
    outer = [digest for digest in found if digest not in listed]
    named = {
        tag.reference.digest: tag.updated_ns
        for tag in engine.images.tags.of(row.id)
        if tag.reference.digest is not None
    }
    return max(outer, key=lambda digest: named.get(digest, 0)) if outer else None


def indexes(engine: Engine, row: ImageRow) -> list[Digest]:
    """Return the digests of the indexes by which an image came, none if it came alone."""
    if row.manifest is None or not engine.blobs.has(row.manifest):
        return []
    manifest = decode_manifest(engine.blobs.read(row.manifest), row.media_type)
    known = {manifest.digest, row.id}
    if isinstance(manifest, Manifest):
        known.update(layer.digest for layer in manifest.layers)
    others = [digest for digest in engine.images.records.blobs(row.id) if digest not in known]
    return [digest for digest in others if _is_index(engine, digest)]


def _is_index(engine: Engine, digest: Digest) -> bool:
    """Tell whether a blob that an image needs is an index; it may be what is attested of it."""
    blobs = engine.blobs
    if not blobs.has(digest) or blobs.size(digest) > MAX_SIZE:
        return False
    raw = blobs.read(digest)
    return b'"manifests"' in raw and b'"schemaVersion"' in raw
