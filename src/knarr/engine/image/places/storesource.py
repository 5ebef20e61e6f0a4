"""The local store as a place that images are had from.

An image that came with a manifest is given under that manifest, with the blobs that were kept and
those that can be made again. Where there is none (the image was built here), or a blob of it cannot
be had here, a manifest is made that has every layer as an uncompressed tar. Then nothing but the
size and digest of each tar has to be known beforehand, which they are; and the manifest is the same
each time.
"""

from __future__ import annotations

import io
import os

from knarr.engine.image.places.archive import Slice, spool_file
from knarr.errors import Corrupt, KnarrError
from knarr.oci.descriptor import OCI_CONFIG, OCI_LAYER, Descriptor
from knarr.oci.digest import Digest, VerifyingReader, hasher
from knarr.oci.manifest import Manifest, decode_manifest, encode_manifest
from knarr.util import compression, regzip
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
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
        self._makings: dict[Digest, LayerBlob] = {}  # what can be made again of a tree

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest of an image.

        Raises: InvalidArgument, NotFound
        """
        row = self._engine.images.get(name)
        stack = self._engine.images.stack(row.id)
        for chain_id in stack:
            diff_id = self._engine.images.layers.get(chain_id).diff_id
            self._trees[diff_id] = chain_id
            self._makings |= {
                b.digest: b for b in self._engine.images.layers.blobs(diff_id) if b.maker
            }
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
        given = all(self._can_give(layer.digest) for layer in manifest.layers)
        return manifest if given else None

    def _can_give(self, digest: Digest) -> bool:
        """Tell whether a blob is here, or is made again when it is tried."""
        if self._engine.blobs.has(digest) or digest in self._trees:
            return True
        try:
            return digest in self._makings and self._make(digest, _Counter()) == digest
        except KnarrError:
            return False

    def _make(self, digest: Digest, out: Writer) -> Digest:
        blob = self._makings[digest]
        return write_blob(self._engine, blob, self._trees[blob.diff_id], out)

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
        if (
            self._engine.blobs.has(digest)
            or digest not in self._trees.keys() | self._makings.keys()
        ):
            return self._engine.blobs.open(digest)
        return _Spooled(self, descriptor, self._engine.blobs.incoming_dir)

    def pour(self, descriptor: Descriptor, out: Writer) -> None:
        """Write a blob to `out`, verified.

        Raises: NotFound, Corrupt
        """
        digest = descriptor.digest
        if digest in self._documents:
            out.write(self._documents[digest])
        elif not self._engine.blobs.has(digest) and digest in self._trees:
            self._pour_tree(digest, out)
        elif not self._engine.blobs.has(digest) and digest in self._makings:
            if self._make(digest, out) != digest:
                message = f"layer {digest} cannot be made again: the compressor is another one now"
                raise Corrupt(message, hint="Pull or load the image again.")
        else:
            with self._engine.blobs.open(digest) as file:
                reader = VerifyingReader(file, digest, descriptor.size)
                while data := reader.read(_CHUNK):
                    out.write(data)

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


def write_blob(engine: Engine, blob: LayerBlob, chain_id: Digest, out: Writer) -> Digest:
    """Make a compressed layer again from its tree; return the digest of what was written.

    Only the caller knows by that whether it is what it was. Threads may call this.

    Raises: NotFound, Corrupt, Unsupported (the compressor is not at hand here)
    """
    maker, check = regzip.Maker(blob.maker), hasher()

    def put(data: bytes) -> None:
        check.update(data)
        out.write(data)

    pieces = regzip.Pieces(lambda piece: put(maker.compress(piece)))
    write_tar(engine, chain_id, blob.diff_id, pieces, blobs=(blob,))
    pieces.close()
    put(maker.flush())
    return Digest(f"sha256:{check.hexdigest()}")


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
