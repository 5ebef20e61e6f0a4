"""The local store as a place that images are had from.

An image that came with a manifest is given under that manifest, with the blobs that were kept.
Where there is none (the image was built here), or a blob of it is not here any more, a manifest is
made that has every layer as an uncompressed tar. Then nothing but the size and digest of each tar
has to be known beforehand, which they are; and the manifest is the same each time.
"""

from __future__ import annotations

import io
import os

from knarr.engine.image.places.archive import Slice, spool_file
from knarr.errors import Corrupt
from knarr.oci.descriptor import OCI_CONFIG, OCI_LAYER, Descriptor
from knarr.oci.digest import VerifyingReader
from knarr.oci.manifest import Manifest, decode_manifest, encode_manifest
from knarr.util import compression
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow
    from knarr.store.layers import LayerBlob
    from knarr.util.compression import Writer

_CHUNK = 1 << 20


class StoreSource:
    """The images of an engine; a name is whatever names an image there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._documents: dict[Digest, bytes] = {}
        self._trees: dict[Digest, Digest] = {}  # diff ID: a chain ID under which it is unpacked

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest of an image.

        Raises: InvalidArgument, NotFound
        """
        row = self._engine.images.get(name)
        stack = self._engine.images.stack(row.id)
        for chain_id in stack:
            self._trees[self._engine.images.layers.get(chain_id).diff_id] = chain_id
        manifest = self._recorded(row) or self._made(row, stack)
        self._documents[manifest.digest] = manifest.raw
        return manifest.descriptor

    def needs(self, name: str) -> list[str]:
        """Return the digests of all that reading an image may take."""
        row = self._engine.images.get(name)
        return [
            row.id,
            *self._engine.images.stack(row.id),
            *self._engine.images.records.blobs(row.id),
        ]

    def _recorded(self, row: ImageRow) -> Manifest | None:
        """Return the manifest that an image came with, if everything in it can be given."""
        blobs = self._engine.blobs
        if row.manifest is None or not blobs.has(row.manifest):
            return None
        manifest = decode_manifest(blobs.read(row.manifest), row.media_type)
        if not isinstance(manifest, Manifest):
            return None
        given = all(blobs.has(x.digest) or x.digest in self._trees for x in manifest.layers)
        return manifest if given else None

    def _made(self, row: ImageRow, stack: tuple[Digest, ...]) -> Manifest:
        """Return a manifest with uncompressed layers."""
        layers = []
        for chain_id in stack:
            layer = self._engine.images.layers.get(chain_id)
            size = layer.tar_size if layer.tar_size > 0 else self._measure(layer.diff_id)
            layers.append(Descriptor(OCI_LAYER, layer.diff_id, size))
        return plain_manifest(
            Descriptor(OCI_CONFIG, row.id, self._engine.blobs.size(row.id)), layers
        )

    def _measure(self, diff_id: Digest) -> int:
        counter = _Counter()
        self._pour_tree(diff_id, counter)
        return counter.count

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob; a layer that has none is packed for the occasion.

        Raises: NotFound, Corrupt
        """
        digest = descriptor.digest
        if digest in self._documents:
            return io.BytesIO(self._documents[digest])
        if self._engine.blobs.has(digest) or digest not in self._trees:
            return self._engine.blobs.open(digest)
        return _Spooled(self, descriptor, self._engine.blobs.incoming_dir)

    def pour(self, descriptor: Descriptor, out: Writer) -> None:
        """Write a blob to `out`, verified.

        Raises: NotFound, Corrupt
        """
        digest = descriptor.digest
        if digest in self._documents:
            out.write(self._documents[digest])
        elif self._engine.blobs.has(digest) or digest not in self._trees:
            with self._engine.blobs.open(digest) as file:
                reader = VerifyingReader(file, digest, descriptor.size)
                while data := reader.read(_CHUNK):
                    out.write(data)
        else:
            self._pour_tree(digest, out)

    def _pour_tree(self, diff_id: Digest, out: Writer) -> None:
        chain_id = self._trees[diff_id]
        found = write_tar(self._engine, chain_id, diff_id, out)
        if found != diff_id:
            message = f"the tree of layer {chain_id} is not what {diff_id} was unpacked to"
            raise Corrupt(message, hint="Load, pull or build the image again.")


def write_tar(
    engine: Engine,
    chain_id: Digest,
    diff_id: Digest,
    out: Writer,
    *,
    blobs: Iterable[LayerBlob] | None = None,
) -> Digest:
    """Write the tar of a layer, and return the digest of what was written.

    Threads give the layer's `blobs`, as only the engine's own may ask the database.

    Raises: NotFound, Corrupt
    """
    if engine.recipes.has(diff_id):
        from knarr.snapshot.recipe import replay  # noqa: PLC0415 - not for layers built here

        with engine.recipes.open(diff_id) as recipe:
            return replay(recipe, engine.layers.path(chain_id), out)
    known = engine.images.layers.blobs(diff_id) if blobs is None else blobs
    for blob in known:
        if blob.needed:
            with engine.blobs.open(blob.digest) as file:
                reader = VerifyingReader(compression.open_any(file)[0], diff_id)
                while data := reader.read(_CHUNK):
                    out.write(data)
            return diff_id
    return engine.layers.write_layer(chain_id, out)


def plain_manifest(config: Descriptor, layers: list[Descriptor]) -> Manifest:
    """Return the manifest that knarr makes up where there is none."""
    return encode_manifest(config, layers)


class _Counter:
    count = 0

    def write(self, data: bytes, /) -> None:
        self.count += len(data)


class _Spooled:
    """A layer, packed into a file without a name."""

    def __init__(self, source: StoreSource, descriptor: Descriptor, spool_dir: str) -> None:
        self._descriptor = spool_file(spool_dir)
        try:
            source.pour(descriptor, self)
        except BaseException:
            self.close()
            raise
        size = os.fstat(self._descriptor).st_size
        self._slice = Slice(self._descriptor, 0, size)

    def write(self, data: bytes, /) -> None:
        write_all(self._descriptor, data)

    def read(self, size: int = -1, /) -> bytes:
        return self._slice.read(size)

    def close(self) -> None:
        os.close(self._descriptor)
