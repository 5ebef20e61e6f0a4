"""What is attested of an image: in-toto statements, which an index lists beside the image.

    index ─▶ attestation manifest, annotated with the image's digest ─▶ statements, its layers

They are here for images that were built with them; who pulls or loads takes the images alone.
"""

from __future__ import annotations

from functools import partial

from knarr.engine.image.platforms import indexes
from knarr.oci.manifest import Index, Manifest, decode_manifest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow

_TYPE = "vnd.docker.reference.type"
_OF = "vnd.docker.reference.digest"
_MANIFEST = "attestation-manifest"
_PREDICATE = "in-toto.io/predicate-type"


class Statement(Value):
    """One statement: where it is, the kind of its predicate, and the document as it is."""

    descriptor: Descriptor
    predicate_type: str
    raw: bytes


def statements(engine: Engine, row: ImageRow) -> Iterator[Statement]:
    """Yield what is attested of an image, as far as it is here.

    Raises: Corrupt
    """
    blobs = engine.blobs
    for manifest in _manifests(engine, row):
        for layer in manifest.layers:
            predicate_type = layer.annotations.get(_PREDICATE)
            if predicate_type and blobs.has(layer.digest):
                yield Statement(layer, predicate_type, blobs.read(layer.digest))


def _manifests(engine: Engine, row: ImageRow) -> Iterator[Manifest]:
    seen: set[Digest] = set()
    for index in map(partial(_read, engine), indexes(engine, row)):
        for entry in index.manifests if isinstance(index, Index) else ():
            about = entry.annotations
            if about.get(_TYPE) != _MANIFEST or about.get(_OF) != row.manifest:
                continue
            if entry.digest in seen or not engine.blobs.has(entry.digest):
                continue
            seen.add(entry.digest)
            found = _read(engine, entry.digest)
            if isinstance(found, Manifest):
                yield found


def _read(engine: Engine, digest: Digest) -> Manifest | Index:
    return decode_manifest(engine.blobs.read(digest))
