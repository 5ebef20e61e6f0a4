"""Keeping an image of the store under documents that were composed for it.

An image that is built is trees and a config; a manifest is made up when it leaves the store. Who
asks for a compression, annotations, attestations or several platforms asks for certain documents:
then these are kept, with the blobs that they name, and the image is given on under them.
"""

from __future__ import annotations

from knarr.engine.image.places.place import pour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.engine.build.export.composing import Composition
    from knarr.engine.build.export.parts import Part
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source
    from knarr.oci.descriptor import Descriptor


class BlobsTarget:
    """The blobs of the store as a place; names are the business of `record`."""

    def __init__(self, engine: Engine) -> None:
        self._blobs = engine.blobs

    def has(self, descriptor: Descriptor) -> bool:
        return self._blobs.has(descriptor.digest)

    def put(self, descriptor: Descriptor, source: Source) -> None:
        with self._blobs.writer() as writer:
            pour(source, descriptor, writer)
            writer.commit(descriptor.digest)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Do nothing: what a name means is in the database."""


def record(engine: Engine, parts: Sequence[Part], composition: Composition) -> None:
    """Let the images of `parts` be known under their documents, which the store has by now."""
    records = engine.images.records
    further = [each.digest for each in composition.attestations]
    further += [layer.digest for each in composition.attestations for layer in each.layers]
    further += [each.config.digest for each in composition.attestations]
    if composition.index is not None:
        further.append(composition.index.digest)
    with engine.database.transaction():
        for part, manifest in zip(parts, composition.parts, strict=True):
            needed = [part.image_id, manifest.digest, *(each.digest for each in manifest.layers)]
            records.change_manifest(
                part.image_id, manifest.digest, manifest.media_type, (*needed, *further)
            )
    composition.remember()
    engine.images.publish()
