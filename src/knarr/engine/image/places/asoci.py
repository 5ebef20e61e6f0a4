"""Any place as one whose manifests are OCI's: for layouts, which other tools read only so.

Docker's manifests and lists become OCI's: other words for the same config and the same layers, and
so another digest. What is OCI's already stays as it is, to the byte.
"""

from __future__ import annotations

import io

from knarr.engine.image.places import place
from knarr.engine.image.places.place import MAX_NESTING, is_image, read_document
from knarr.errors import Corrupt
from knarr.oci import descriptor as d
from knarr.oci.manifest import Index, Manifest, decode_manifest, encode_index, encode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.image.places.place import Source, Stream
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.util.compression import Writer

_WORDS = {
    d.DOCKER_CONFIG: d.OCI_CONFIG,
    d.DOCKER_LAYER: d.OCI_LAYER,
    d.DOCKER_LAYER_GZIP: d.OCI_LAYER_GZIP,
    d.DOCKER_LAYER_ZSTD: d.OCI_LAYER_ZSTD,
    d.DOCKER_FOREIGN_LAYER: d.OCI_LAYER_NONDISTRIBUTABLE + "+gzip",
}


class AsOci:
    """What `source` has, under OCI's manifests."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._documents: dict[Digest, bytes] = {}

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that `name` names.

        Raises: NotFound, Corrupt
        """
        return self._translate(self._source.resolve(name), MAX_NESTING)

    def _translate(self, descriptor: Descriptor, depth: int) -> Descriptor:
        if not depth:
            message = f"indexes are nested more than {MAX_NESTING} deep"
            raise Corrupt(message)
        raw = read_document(self._source, descriptor)
        found = decode_manifest(raw, descriptor.media_type)
        made = self._index(found, depth) if isinstance(found, Index) else _manifest(found)
        if made is found:
            return descriptor
        self._documents[made.digest] = made.raw
        new = made.descriptor
        return descriptor.replace(media_type=new.media_type, digest=new.digest, size=new.size)

    def _index(self, index: Index, depth: int) -> Index:
        entries = tuple(
            [
                self._translate(entry, depth - 1) if is_image(entry, attestations=True) else entry
                for entry in index.manifests
            ]
        )
        if index.media_type == d.OCI_INDEX and entries == index.manifests:
            return index
        return encode_index(entries, annotations=index.annotations)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob.

        Raises: NotFound, Corrupt
        """
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        return self._source.open(descriptor)

    def pour(self, descriptor: Descriptor, out: Writer) -> None:
        """Write a blob to `out`, verified.

        Raises: NotFound, Corrupt
        """
        if descriptor.digest in self._documents:
            out.write(self._documents[descriptor.digest])
        else:
            # A layer goes by another word than the place knows it by: the place looks at digests.
            place.pour(self._source, descriptor, out)


def _manifest(manifest: Manifest) -> Manifest:
    if manifest.media_type == d.OCI_MANIFEST:
        return manifest
    config, *layers = (
        one.replace(media_type=_WORDS.get(one.media_type, one.media_type))
        for one in (manifest.config, *manifest.layers)
    )
    return encode_manifest(config, layers, annotations=manifest.annotations)
