"""The local store as a place that images are given to: all that come through one target, or none.

Blobs and trees are put where they belong as they come, which nobody sees; `commit` writes all
records in one transaction. The journal entry of the operation names everything beforehand, so that
nobody collects it in between, and so that it is found if this process dies.

Layers are taken in as `intake` says. What is there already is not unpacked again, and not asked for
from afar in another form.

An index that led to an image is kept for it: the image is known under the index's digest too, and
those for other platforms that came by the same index are found from it.
"""

from __future__ import annotations

import time
from functools import partial

from knarr.engine.image.places.intake import COMPRESSED, PLAIN, Intake
from knarr.engine.image.places.place import read_document
from knarr.engine.image.progress import silent
from knarr.engine.images import moment
from knarr.errors import Corrupt, KnarrError, Unsupported
from knarr.oci import descriptor as d
from knarr.oci.config import chain_ids, decode_config
from knarr.oci.manifest import Index, Manifest, decode_manifest
from knarr.oci.reference import parse_reference
from knarr.store.database import Database
from knarr.store.images import ImageRow
from knarr.store.layers import LayerRecords, LayerRow
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source
    from knarr.engine.image.progress import Report
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.store.journal import Operation

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
        self._intake = Intake(engine, report)
        self._manifests: dict[Digest, Manifest] = {}
        self._made_up: set[Digest] = set()
        self._indexes: dict[Digest, Index] = {}
        self._configs: dict[Digest, ImageConfig] = {}
        self._sources: dict[Digest, Source] = {}
        self._images: dict[Digest, _Image] = {}
        self._landing: Any = None

    @property
    def written(self) -> list[Digest]:
        """The blobs that were put into the store; another process may turn out to need them."""
        return self._intake.written

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether a document was put; of layers it is remembered where they are."""
        return descriptor.digest in self._manifests or descriptor.digest in self._configs

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
        elif kind in PLAIN | COMPRESSED:
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
            if layer.media_type not in PLAIN | COMPRESSED:
                message = f"layer {layer.digest} is of the unsupported type {layer.media_type}"
                hint = "knarr image copy copies artifacts between registries and layouts."
                raise Unsupported(message, hint=hint)
        blobs = [manifest.digest, manifest.config.digest, *(x.digest for x in manifest.layers)]
        self._operation.need(blobs)
        self._manifests[manifest.digest] = manifest
        if self._present(manifest.config.digest):
            self._intake.spared.update(
                (manifest.digest, *(layer.digest for layer in manifest.layers))
            )

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
                source = self._sources[layer.digest]
                layers.append(self._intake.take(layer, source, diff_id, stack))
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
                source.expect([layer], there=partial(self._recorded, chain))
                self._landing = source

    def _recorded(self, chain: Digest) -> bool:
        """Tell whether another process has recorded a layer by now; asked by any thread."""
        database = Database(self._engine.paths.database_path)
        try:
            return LayerRecords(database).find(chain) is not None and self._engine.layers.has(chain)
        finally:
            database.close()

    def commit(self) -> list[Arrival]:
        """Record everything, and return what came in the order it came.

        Raises: Conflict, Corrupt
        """
        engine = self._engine
        engine.recipes.sync()
        engine.layers.sync()
        if self._landing is not None:
            self.written.extend(self._landing.publish(self._intake.kept))
        for index in self._indexes.values():
            engine.blobs.put(index.raw)
        for image in self._images.values():
            engine.blobs.put(image.config.raw)
            if image.manifest.digest not in self._made_up | self._intake.spared:
                self.written.append(engine.blobs.put(image.manifest.raw))
        trace("store:before-record")
        with engine.database.transaction():
            arrivals = [self._record(image) for image in self._images.values()]
        engine.images.publish()
        if self._landing is not None:
            self._landing.drop()
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
        images.records.touch(row.id, now_ns)
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
        for form in image.manifest.layers:
            blob = self._intake.forms.get(form.digest)
            if blob is not None:
                self._engine.images.layers.add_blob(blob)


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
