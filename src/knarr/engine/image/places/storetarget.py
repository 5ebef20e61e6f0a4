"""The local store as a place that images are given to: all that come through one target, or none.

Blobs and trees are put where they belong as they come, which nobody sees; `commit` writes all
records in one transaction. The journal entry of the operation names everything beforehand, so that
nobody collects it in between, and so that it is found if this process dies.

A layer is unpacked as it comes, in one pass. Of an uncompressed one the recipe is kept, from which
its tar can be made again bit for bit; if the recipe does not give the same bytes (a tar that has a
name twice, say), the blob stays as long as the layer. A compressed blob stays as long as the layer
in any case: what compressed it cannot be repeated. What is there already is not unpacked again, and
not asked for from afar in another form.

An index that led to an image is kept for it: the image is known under the index's digest too, and
those for other platforms that came by the same index are found from it.
"""

from __future__ import annotations

import contextlib
import time

from knarr.engine.image.places.place import read_document
from knarr.engine.image.places.storesource import write_tar
from knarr.engine.image.progress import silent
from knarr.engine.images import moment
from knarr.errors import Corrupt, KnarrError, Unsupported
from knarr.oci import descriptor as d
from knarr.oci.config import chain_id, chain_ids, decode_config
from knarr.oci.digest import VerifyingReader
from knarr.oci.manifest import Index, Manifest, decode_manifest
from knarr.oci.reference import parse_reference
from knarr.snapshot.recipe import Recorder
from knarr.store.images import ImageRow
from knarr.store.layers import LayerBlob, LayerRow
from knarr.util import compression
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source, Stream
    from knarr.engine.image.progress import Report
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.snapshot.snapshotter import Applied
    from knarr.store.journal import Operation
    from knarr.util.compression import Reader

_CHUNK = 1 << 20
_PLAIN = frozenset((d.OCI_LAYER, d.DOCKER_LAYER))
_COMPRESSED = frozenset(
    (d.OCI_LAYER_GZIP, d.OCI_LAYER_ZSTD, d.DOCKER_LAYER_GZIP, d.DOCKER_LAYER_ZSTD)
)
_FOREIGN = frozenset(
    (
        d.DOCKER_FOREIGN_LAYER,
        *(d.OCI_LAYER_NONDISTRIBUTABLE + end for end in ("", "+gzip", "+zstd")),
    )
)


class Arrival(Value):
    """An image that came: its ID, the references it has now, and whom they named before."""

    id: Digest
    references: tuple[Reference, ...] = ()
    displaced: tuple[tuple[Reference, Digest], ...] = ()


class StoreTarget:
    """Takes images into the store of an engine, as a part of `operation`."""

    takes_indexes = True

    def __init__(self, engine: Engine, operation: Operation, *, report: Report = silent) -> None:
        self._engine = engine
        self._operation = operation
        self._report = report
        self.written: list[Digest] = []  # blobs that another process may turn out to have spared
        self._manifests: dict[Digest, Manifest] = {}
        self._made_up: set[Digest] = set()
        self._indexes: dict[Digest, Index] = {}
        self._configs: dict[Digest, ImageConfig] = {}
        self._sources: dict[Digest, Source] = {}
        self._needed: set[Digest] = set()
        self._spared: set[Digest] = set()
        self._images: dict[Digest, _Image] = {}
        self._landing: Any = None

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob of a layer is here; documents are always wanted."""
        digest = descriptor.digest
        return digest in self._manifests or digest in self._configs or digest in self._spared

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Take a blob, or remember whom to ask for it.

        Raises: Corrupt, Unsupported
        """
        kind, digest = descriptor.media_type, descriptor.digest
        if kind in d.MANIFESTS:
            self._expect(decode_manifest(read_document(source, descriptor), kind))
            if getattr(source, "made_up", False):
                self._made_up.add(digest)
        elif kind in d.CONFIGS:
            self._configs[digest] = config = decode_config(read_document(source, descriptor))
            self._operation.need((*chain_ids(config.diff_ids), *config.diff_ids))
        elif kind in d.INDEXES:
            index = decode_manifest(read_document(source, descriptor), kind)
            if isinstance(index, Index):
                self._indexes[digest] = index
                self._operation.need((digest,))
        elif kind in _PLAIN | _COMPRESSED:
            self._sources[digest] = source
        else:
            message = f"cannot take in a {kind or 'blob without a type'}"
            raise Unsupported(message, hint="Only images of container layers are understood.")

    def _expect(self, manifest: Manifest | object) -> None:
        if not isinstance(manifest, Manifest):
            message = "an index was put where a manifest was announced"
            raise Corrupt(message)
        for layer in manifest.layers:
            if layer.media_type in _FOREIGN:
                message = (
                    f"layer {layer.digest} is a foreign layer, which its owner lets nobody else "
                    "give out, and is not fetched from there"
                )
                raise Unsupported(message, hint="Images for Windows have such layers.")
            if layer.media_type not in _PLAIN | _COMPRESSED:
                message = f"layer {layer.digest} is of the unsupported type {layer.media_type}"
                hint = "knarr image copy copies artifacts between registries and layouts."
                raise Unsupported(message, hint=hint)
        blobs = [manifest.digest, manifest.config.digest, *(x.digest for x in manifest.layers)]
        self._operation.need(blobs)
        self._manifests[manifest.digest] = manifest
        if self._present(manifest.config.digest):
            self._spared.update((manifest.digest, *(layer.digest for layer in manifest.layers)))

    def _present(self, image_id: Digest) -> bool:
        """Tell whether the image is here under another manifest, with all its layers.

        Then it keeps that manifest, and no blobs in other forms are wanted.
        """
        images, row = self._engine.images, self._engine.images.records.find(image_id)
        if row is None or row.manifest is None:
            return False
        self._operation.need((image_id, *images.stack(image_id)))
        return images.records.find(image_id) is not None and all(
            self._engine.layers.has(chain_id) for chain_id in images.stack(image_id)
        )

    def _keep(self, descriptor: Descriptor, source: Source) -> None:
        stream = source.open(descriptor)
        try:
            reader = VerifyingReader(stream, descriptor.digest, descriptor.size)
            with self._engine.blobs.writer() as writer:
                while data := reader.read(_CHUNK):
                    writer.write(data)
                self.written.append(writer.commit(descriptor.digest))
        finally:
            stream.close()

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Unpack the image and let `name` name it, once `commit` is called.

        Raises: Corrupt, InvalidArgument
        """
        image = self._images.get(descriptor.digest)
        if image is None:
            image = self._unpack(self._manifests[descriptor.digest])
            self._images[descriptor.digest] = image
        if name:
            image.references.append(parse_reference(name).with_default_tag())

    def _unpack(self, manifest: Manifest) -> _Image:
        config = self._configs[manifest.config.digest]
        if len(config.diff_ids) != len(manifest.layers):
            message = (
                f"image {config.digest} has {len(manifest.layers)} layers, and its config names "
                f"{len(config.diff_ids)}"
            )
            raise Corrupt(message)
        self._expect_layers(manifest, config)
        layers: list[LayerRow] = []
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            stack = tuple([row.chain_id for row in layers])
            try:
                layers.append(self._layer(layer, diff_id, stack))
            except KnarrError as error:
                error.add_note(f"while unpacking layer {layer.digest}")
                raise
        return _Image(manifest, config, layers)

    def _expect_layers(self, manifest: Manifest, config: ImageConfig) -> None:
        """Let a source that fetches ahead know which layers are going to be read."""
        chains = chain_ids(config.diff_ids)
        for chain, layer in zip(chains, manifest.layers, strict=True):
            source: Any = self._sources.get(layer.digest)
            if not self._engine.layers.has(chain) and getattr(source, "landing", False):
                source.expect([layer])
                self._landing = source

    def _layer(self, layer: Descriptor, diff_id: Digest, stack: tuple[Digest, ...]) -> LayerRow:
        """Return the layer on `stack`, unpacked."""
        if layer.media_type in _PLAIN and layer.digest != diff_id:
            message = (
                f"layer {layer.digest} is uncompressed and not what the config names: {diff_id}"
            )
            raise Corrupt(message)
        engine, parent = self._engine, stack[-1] if stack else None
        row = engine.images.layers.find(chain_id(parent, diff_id))
        if row is not None and engine.layers.has(row.chain_id):
            if layer.media_type in _PLAIN:
                _check_size(layer, row.tar_size)
            self._spare(layer)
            return row
        if layer.media_type in _PLAIN:
            applied, tar_size = self._unpack_plain(layer, diff_id, stack)
        else:
            applied, tar_size = self._unpack_compressed(layer, diff_id, stack)
        trace("store:unpacked")
        self._report(layer.digest, "Pull complete", 0, 0)
        return LayerRow(applied.chain_id, diff_id, parent, applied.size, tar_size, time.time_ns())

    def _spare(self, layer: Descriptor) -> None:
        """Keep the blob of a layer that is unpacked already, if that costs nothing but disk."""
        source = self._sources.get(layer.digest)
        if layer.digest not in self._spared:
            self._report(layer.digest, "Already exists", 0, 0)
        kept = layer.media_type in _PLAIN or self._engine.blobs.has(layer.digest)
        if source is not None and not kept and not getattr(source, "distant", False):
            self._keep(layer, source)

    def _unpack_plain(
        self, layer: Descriptor, diff_id: Digest, stack: tuple[Digest, ...]
    ) -> tuple[Applied, int]:
        engine, source = self._engine, self._sources[layer.digest]
        stream = source.open(layer)
        try:
            recorder = Recorder(stream)
            applied = engine.layers.apply(recorder, parents=stack, diff_id=diff_id)
            while recorder.read(_CHUNK):
                pass  # nothing was read if there is such a tree already
        finally:
            stream.close()
        _check_size(layer, recorder.size)
        engine.recipes.put(diff_id, recorder.finish())
        self._prove(layer, applied)
        return applied, recorder.size

    def _unpack_compressed(
        self, layer: Descriptor, diff_id: Digest, stack: tuple[Digest, ...]
    ) -> tuple[Applied, int]:
        """Unpack a layer while its blob comes, and keep the blob as long as the layer."""
        engine, source = self._engine, self._sources.get(layer.digest)
        self._needed.add(layer.digest)
        with contextlib.ExitStack() as closing:
            stream: Stream
            if source is not None and getattr(source, "landing", False):
                stream = source.open(layer)  # verifies and keeps by itself
            elif source is None or engine.blobs.has(layer.digest):
                stream = engine.blobs.open(layer.digest)
            else:
                stream = closing.enter_context(_Kept(engine, source, layer, self.written))
            closing.callback(stream.close)
            counted = _Counted(compression.open_any(stream)[0])
            self._report(layer.digest, "Extracting", 0, layer.size)
            applied = engine.layers.apply(counted, parents=stack, diff_id=diff_id)
            for rest in (counted, stream):
                while rest.read(_CHUNK):
                    pass  # nothing was read if there is such a tree already
            if isinstance(stream, _Kept):
                stream.commit()
        return applied, counted.size

    def _prove(self, layer: Descriptor, applied: Applied) -> None:
        """Make sure that the layer's tar can be had again: by its recipe, or else as a blob."""
        try:
            found = write_tar(self._engine, applied.chain_id, applied.diff_id, _Nowhere())
        except Corrupt:
            found = None
        if found != applied.diff_id:
            self._engine.recipes.delete(applied.diff_id)
            if layer.media_type in _PLAIN:
                self._keep(layer, self._sources[layer.digest])
            self._needed.add(layer.digest)

    def commit(self) -> list[Arrival]:
        """Record everything, and return what came in the order it came.

        Raises: Conflict, Corrupt
        """
        engine = self._engine
        engine.layers.sync()
        if self._landing is not None:
            self.written += self._landing.publish()
        for index in self._indexes.values():
            engine.blobs.put(index.raw)
        for image in self._images.values():
            engine.blobs.put(image.config.raw)
            if image.manifest.digest not in self._made_up | self._spared:
                self.written.append(engine.blobs.put(image.manifest.raw))
        trace("store:before-record")
        with engine.database.transaction():
            arrivals = [self._record(image) for image in self._images.values()]
        engine.images.publish()
        return arrivals

    def _record(self, image: _Image) -> Arrival:
        images, now_ns = self._engine.images, time.time_ns()
        manifest, config = image.manifest, image.config
        made_up = manifest.digest in self._made_up
        for layer in image.layers:
            images.layers.add(layer)
        self._record_forms(image)
        blobs = [config.digest]
        if not made_up:
            blobs += [manifest.digest, *(layer.digest for layer in manifest.layers)]
        row = image_row(config, image.layers, now_ns).replace(
            manifest=None if made_up else manifest.digest, media_type=manifest.media_type
        )
        images.records.add(row, [layer.chain_id for layer in image.layers], blobs)
        indexes = self._ways(manifest.digest)
        images.records.need(row.id, indexes)
        known = (manifest.digest, *indexes)[-1 if indexes else 0]
        displaced = []
        for reference in image.references:
            before = images.tags.set(reference, row.id, now_ns)
            if before is not None:
                displaced.append((reference, before))
            if not made_up:
                self._name_digest(reference, known, row.id)
        return Arrival(row.id, tuple(image.references), tuple(displaced))

    def _ways(self, digest: Digest) -> list[Digest]:
        """Return the indexes that led to a manifest, the outermost last."""
        found = []
        while listing := [
            index
            for index in self._indexes.values()
            if any(entry.digest == digest for entry in index.manifests)
            and index.digest not in found
        ]:
            digest = listing[0].digest
            found.append(digest)
        return found

    def _name_digest(self, reference: Reference, digest: Digest, image_id: Digest) -> None:
        """Record that a repository has the image under `digest`.

        Docker: the digest of the index, if there is one
        """
        by_digest = reference.replace(tag=None, digest=digest)
        self._engine.images.tags.set(by_digest, image_id, time.time_ns())

    def _record_forms(self, image: _Image) -> None:
        """Record in which forms the tars of the layers came, and which of them must stay."""
        for form, layer in zip(image.manifest.layers, image.layers, strict=True):
            needed = form.digest in self._needed
            if needed or form.media_type in _COMPRESSED:
                self._engine.images.layers.add_blob(
                    LayerBlob(layer.diff_id, form.digest, form.media_type, form.size, needed)
                )


def _check_size(layer: Descriptor, size: int) -> None:
    """Raise if the tar of an uncompressed layer, of a `size` if that is known, is not as promised.

    Its digest is right: but others would get the manifest that is wrong.
    """
    if size not in (-1, layer.size):
        message = f"layer {layer.digest} has {size} bytes, and its manifest says {layer.size}"
        raise Corrupt(message)


def image_row(config: ImageConfig, layers: Sequence[LayerRow], now_ns: int) -> ImageRow:
    """Return the record of an image that has no manifest yet."""
    return ImageRow(
        id=config.digest,
        manifest=None,
        media_type=d.OCI_MANIFEST,
        created_ns=moment(config.created),
        added_ns=now_ns,
        size=sum(layer.size for layer in layers),
        platform=config.platform,
        labels=config.config.labels,
    )


class _Image:
    """An image that is unpacked and not recorded yet."""

    def __init__(self, manifest: Manifest, config: ImageConfig, layers: list[LayerRow]) -> None:
        self.manifest = manifest
        self.config = config
        self.layers = layers
        self.references: list[Reference] = []


class _Counted:
    """Counts what is read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._reader.read(size)
        self.size += len(data)
        return data


class _Kept:
    """A blob that is verified and written to the store while it is read. Used as a context."""

    def __init__(
        self, engine: Engine, source: Source, layer: Descriptor, written: list[Digest]
    ) -> None:
        self._layer = layer
        self._written = written
        self._stream = source.open(layer)
        self._reader = VerifyingReader(self._stream, layer.digest, layer.size)
        self._writer = engine.blobs.writer()

    def read(self, size: int = -1, /) -> bytes:
        data = self._reader.read(size)
        self._writer.write(data)
        return data

    def commit(self) -> None:
        """Give the blob its place: all of it was read."""
        self._written.append(self._writer.commit(self._layer.digest))

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:  # noqa: PYI036 - handed on
        self._writer.__exit__(*failure)


class _Nowhere:
    def write(self, data: bytes, /) -> None:
        pass
