"""Pushing: an image is given to a registry.

What came from elsewhere is given on under the manifest it came with, byte for byte, as long as
every blob of it is here or at the registry. What was made here gets a manifest with gzipped layers:
of a layer that was compressed before the digest is on record, and if the registry has that blob
nothing is compressed, nor sent. So a second push sends nothing.

Several layers are compressed and sent at a time: threads, which never ask the database. The
compressed form is not kept: the registry has it now, and the same tar gives the same bytes again.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque

from knarr.engine.image.places.archive import Slice, spool_file
from knarr.engine.image.places.registry import RegistryTarget
from knarr.engine.image.places.storesource import StoreSource, write_tar
from knarr.engine.image.progress import silent
from knarr.engine.image.transfer import copy
from knarr.errors import Corrupt, NotFound
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest, hasher
from knarr.oci.manifest import Manifest, decode_manifest, encode_manifest
from knarr.store.layers import LayerBlob
from knarr.util.compression import fast_zlib
from knarr.util.files import write_all
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Platform
    from knarr.oci.reference import Reference
    from knarr.store.images import ImageRow

AT_ONCE = 3
_LEVEL = 3  # of ISA-L; zlib's stands beside it in docs/images.md
_GZIP = 31
_PIECE = 1 << 18
_FORMS = {
    d.OCI_LAYER: d.OCI_LAYER,
    d.OCI_LAYER_GZIP: d.OCI_LAYER_GZIP,
    d.OCI_LAYER_ZSTD: d.OCI_LAYER_ZSTD,
    d.DOCKER_LAYER: d.OCI_LAYER,
    d.DOCKER_LAYER_GZIP: d.OCI_LAYER_GZIP,
    d.DOCKER_LAYER_ZSTD: d.OCI_LAYER_ZSTD,
}


class Pushed(Value):
    """What the registry has now under a tag: digest and size of the manifest."""

    reference: Reference
    digest: Digest
    size: int


def push(
    engine: Engine,
    reference: Reference,
    *,
    platform: Platform | None = None,
    report: Report = silent,
) -> Pushed:
    """Give the image `reference`, that for `platform`, to the registry in its name.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    row = _meant(engine, reference, platform)
    source = StoreSource(engine)
    with engine.journal.begin("push", str(reference), needs=source.needs(row.id)):
        source.resolve(row.id)
        pushing = _Pushing(engine, row, reference, report)
        manifest = pushing.run()
        target = pushing.target
        copy(pushing, target, row.id, as_name=reference.tag or "")
    pushing.remember()
    by_digest = reference.replace(tag=None, digest=manifest.digest)
    engine.images.set_tag(by_digest, row.id)
    engine.images.note("push", row.id, reference.familiar())
    return Pushed(reference, manifest.digest, manifest.size)


def _meant(engine: Engine, reference: Reference, platform: Platform | None) -> ImageRow:
    row = engine.images.choose(str(reference), platform)
    if row is not None:
        return row
    engine.images.get(str(reference))  # says it if there is none at all
    message = f"image {reference.familiar()} is not here for the platform {platform}"
    raise NotFound(message, hint=f"knarr pull --platform {platform} gets it.")


class _Layer:
    """A layer to be pushed, with all that a thread has to know of it."""

    def __init__(self, chain_id: Digest, diff_id: Digest, blobs: list[LayerBlob]) -> None:
        self.chain_id = chain_id
        self.diff_id = diff_id
        self.blobs = blobs
        self.descriptor: Descriptor | None = None
        self.made = False


class _Pushing:
    """One image on its way to one repository; the source that `copy` reads from at the end."""

    def __init__(self, engine: Engine, row: ImageRow, reference: Reference, report: Report) -> None:
        self._engine = engine
        self._row = row
        self._report = report
        images = engine.images
        chains = images.stack(row.id)
        self._layers = [self._layer(chain) for chain in chains]
        self._shown = {b.digest: x.diff_id for x in self._layers for b in x.blobs}
        repository = engine.registries.connect(reference)
        self.target = RegistryTarget(
            repository, mount_from=self._neighbours(reference), report=self._tell
        )
        self._documents: dict[Digest, bytes] = {row.id: engine.blobs.read(row.id)}
        self._manifest: Manifest | None = None
        self._error: BaseException | None = None

    def _layer(self, chain_id: Digest) -> _Layer:
        layers = self._engine.images.layers
        diff_id = layers.get(chain_id).diff_id
        return _Layer(chain_id, diff_id, layers.blobs(diff_id))

    def _neighbours(self, reference: Reference) -> list[str]:
        """Return other repositories of the registry that have, or had, this image."""
        found = {
            tag.reference.repository
            for tag in self._engine.images.tags.of(self._row.id)
            if tag.reference.digest is not None and tag.reference.registry == reference.registry
        }
        return sorted(found - {reference.repository})

    def _tell(self, digest: Digest, action: str, done: int, whole: int) -> None:
        if digest != self._row.id:
            self._report(self._shown.get(digest, digest), action, done, whole)

    def run(self) -> Manifest:
        """Give all layers to the registry; return the manifest that names them."""
        for layer in self._layers:
            self._report(layer.diff_id, "Preparing", 0, 0)
        recorded = self._recorded()
        if recorded is not None:
            for layer, descriptor in zip(self._layers, recorded.layers, strict=True):
                layer.descriptor = descriptor
        self._work_through()
        if recorded is None or any(layer.made for layer in self._layers):
            config = Descriptor(d.OCI_CONFIG, self._row.id, len(self._documents[self._row.id]))
            named = [layer.descriptor for layer in self._layers if layer.descriptor]
            recorded = encode_manifest(config, named)
        self._documents[recorded.digest] = recorded.raw
        self._manifest = recorded
        return recorded

    def _recorded(self) -> Manifest | None:
        """Return the manifest that the image came with."""
        blobs, row = self._engine.blobs, self._row
        if row.manifest is None or not blobs.has(row.manifest):
            return None
        found = decode_manifest(blobs.read(row.manifest), row.media_type)
        if not isinstance(found, Manifest) or len(found.layers) != len(self._layers):
            return None
        return found

    def _work_through(self) -> None:
        queue = deque(self._layers)
        lock = threading.Lock()

        def work() -> None:
            while self._error is None:
                with lock:
                    if not queue:
                        return
                    layer = queue.popleft()
                try:
                    self._give(layer)
                except BaseException as error:  # noqa: BLE001 - raised by who waits
                    self._error = error

        count = min(AT_ONCE, len(self._layers))
        threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _give(self, layer: _Layer) -> None:
        """See to it that the registry has a layer, in whichever form."""
        wanted = layer.descriptor
        if wanted is not None and (self.target.has(wanted) or self._send_kept(wanted)):
            return
        forms = [_form(blob) for blob in layer.blobs]
        for form in forms:
            if form != wanted and (self.target.has(form) or self._send_kept(form)):
                layer.descriptor, layer.made = form, True
                return
        with _Compressed(self._engine, layer) as compressed:
            layer.descriptor, layer.made = compressed.descriptor, True
            self._shown[compressed.descriptor.digest] = layer.diff_id
            if not self.target.has(compressed.descriptor):
                self.target.put(compressed.descriptor, compressed)
            if wanted is not None and wanted.digest == compressed.descriptor.digest:
                layer.descriptor, layer.made = wanted, False

    def _send_kept(self, descriptor: Descriptor) -> bool:
        """Send the blob if it is here."""
        if not self._engine.blobs.has(descriptor.digest):
            return False
        self.target.put(descriptor, self)
        return True

    def remember(self) -> None:
        """Record in which forms the registry has the layers."""
        for layer in self._layers:
            form = layer.descriptor
            if layer.made and form is not None:
                self._engine.images.layers.add_blob(
                    LayerBlob(layer.diff_id, form.digest, form.media_type, form.size)
                )

    # the source that `copy` reads the documents from

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest, which `run` made or found."""
        if self._manifest is None:
            message = f"{name} has no manifest yet"
            raise Corrupt(message)
        return self._manifest.descriptor

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a document or a blob that is kept here."""
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        return self._engine.blobs.open(descriptor.digest)


def _form(blob: LayerBlob) -> Descriptor:
    return Descriptor(_FORMS.get(blob.media_type, blob.media_type), blob.digest, blob.size)


class _Compressed:
    """A layer, gzipped into a file without a name; the source of that one blob. A context."""

    def __init__(self, engine: Engine, layer: _Layer) -> None:
        self._file = spool_file(engine.blobs.incoming_dir)
        self._hash = hasher()
        module: Any = fast_zlib()
        level = _LEVEL if module.__name__ != "zlib" else 6
        self._compressor = module.compressobj(level, module.DEFLATED, _GZIP)
        self._waiting: list[bytes] = []
        self._size = 0
        try:
            found = write_tar(engine, layer.chain_id, layer.diff_id, self, blobs=layer.blobs)
            if found != layer.diff_id:
                message = f"the tree of layer {layer.chain_id} is not that of {layer.diff_id}"
                raise Corrupt(message, hint="Load, pull or build the image again.")
            self._flush()
            self._put(self._compressor.flush())
        except BaseException:
            os.close(self._file)
            raise
        digest = Digest(f"sha256:{self._hash.hexdigest()}")
        size = os.fstat(self._file).st_size
        self.descriptor = Descriptor(d.OCI_LAYER_GZIP, digest, size)

    def write(self, data: bytes, /) -> None:
        """Take a piece of the tar; many of them are small."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        self._put(self._compressor.compress(b"".join(self._waiting)))
        self._waiting.clear()
        self._size = 0

    def _put(self, data: bytes) -> None:
        if data:
            self._hash.update(data)
            write_all(self._file, data)

    def resolve(self, name: str) -> Descriptor:  # noqa: ARG002 - there is but one
        """Return the blob."""
        return self.descriptor

    def open(self, descriptor: Descriptor) -> Stream:
        """Return the blob, opened for reading."""
        return Slice(self._file, 0, descriptor.size)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file."""
        os.close(self._file)
