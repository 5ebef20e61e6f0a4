"""Giving the layers of an image to a place, each in a form: compressed somehow, or not.

What a layer was compressed to before is on record. If the place has that blob nothing is done; if
the blob is here it is sent. One that an image came with, and that was not kept, is made again if
its compressor is known, or had from where it came from (`originals`), so that the image keeps its
digest. Else the layer is compressed into a file without a name, and sent from there. The compressed
form is not kept: the place has it now, and the same tar gives the same bytes again.

Several layers are compressed and sent at a time, by threads, which never ask the database.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from knarr.engine import settings
from knarr.engine.image.forms import AS_OCI, Form
from knarr.engine.image.places.archive import Slice, spool_file
from knarr.engine.image.places.intake import COMPRESSED
from knarr.engine.image.places.storesource import write_tar
from knarr.errors import Corrupt, Unsupported
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest, digest_of, hasher
from knarr.store.layers import LayerBlob
from knarr.util import compression, regzip
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from knarr.engine.engine import Engine
    from knarr.engine.image.originals import Originals
    from knarr.engine.image.places.place import Stream, Target

_LEVEL = 3  # of ISA-L; zlib's stands beside it in docs/images.md
_GZIP = 31


class Layer:
    """A layer to be sent, with all that a thread has to know of it.

    `descriptor` is the form in which the place is to have it; then that in which it has it, and
    `made` tells whether that is another.
    """

    def __init__(self, chain_id: Digest, diff_id: Digest, blobs: list[LayerBlob]) -> None:
        self.chain_id = chain_id
        self.diff_id = diff_id
        self.blobs = blobs
        self.descriptor: Descriptor | None = None
        self.made = False


class Sending:
    """The layers of one image on their way to `target`."""

    def __init__(
        self,
        engine: Engine,
        stack: Sequence[Digest],
        target: Target,
        form: Form | None = None,
        *,
        originals: Originals | None = None,
    ) -> None:
        """Send the layers of `stack`, compressed as `form` says where that is left to us.

        Blobs that the image came with and that are not here are had from `originals`.
        """
        self._engine = engine
        self._target = target
        self._originals = originals
        self._form = form or Form()
        self.layers = [self._layer(chain) for chain in stack]
        self.shown = {b.digest: x.diff_id for x in self.layers for b in x.blobs}
        self._error: BaseException | None = None

    def _layer(self, chain_id: Digest) -> Layer:
        layers = self._engine.images.layers
        diff_id = layers.get(chain_id).diff_id
        return Layer(chain_id, diff_id, layers.blobs(diff_id))

    def run(self, *, at_once: int = 0) -> list[Descriptor]:
        """Give all layers to the place, and return in which forms it has them, bottom first.

        So many `at_once`; 0 is as many as settings say.

        Raises: Corrupt, what the place raises
        """
        at_once = at_once or self._engine.settings.get(settings.UPLOADS)
        queue = deque(self.layers)
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

        threads = [
            threading.Thread(target=work, daemon=True)
            for _ in range(min(at_once, len(self.layers)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error
        return [layer.descriptor for layer in self.layers if layer.descriptor]

    def _give(self, layer: Layer) -> None:
        """See to it that the place has a layer, in whichever form."""
        wanted = layer.descriptor
        if wanted is not None and (
            self._target.has(wanted) or self._send_kept(wanted) or self._send_again(layer, wanted)
        ):
            return
        for form in self._known(layer):
            if form != wanted and (self._target.has(form) or self._send_kept(form)):
                layer.descriptor, layer.made = form, True
                return
        with Packed(self._engine, layer, self._form) as packed:
            layer.descriptor, layer.made = packed.descriptor, True
            self.shown[packed.descriptor.digest] = layer.diff_id
            if not self._target.has(packed.descriptor):
                self._target.put(packed.descriptor, packed)
            if wanted is not None and wanted.digest == packed.descriptor.digest:
                layer.descriptor, layer.made = wanted, False

    def _known(self, layer: Layer) -> list[Descriptor]:
        """Return the forms of a layer that will do."""
        known = [
            Descriptor(AS_OCI.get(blob.media_type, blob.media_type), blob.digest, blob.size)
            for blob in layer.blobs
        ]
        if self._form.force:
            return [form for form in known if form.media_type == self._form.media_type]
        return known

    def _send_kept(self, descriptor: Descriptor) -> bool:
        """Send the blob if it is here."""
        if not self._engine.blobs.has(descriptor.digest):
            return False
        self._target.put(descriptor, self)
        return True

    def _send_again(self, layer: Layer, wanted: Descriptor) -> bool:
        """Send the blob that the image came with: made again, or from where it came from."""
        for blob in layer.blobs:
            if blob.digest == wanted.digest and blob.maker and self._send_made(layer, blob, wanted):
                return True
        if self._originals is None or wanted.media_type not in COMPRESSED:
            return False
        original = self._originals.fetch(wanted)
        if original is None:
            return False
        with original:
            self._target.put(wanted, original)
        return True

    def _send_made(self, layer: Layer, blob: LayerBlob, wanted: Descriptor) -> bool:
        try:
            maker = regzip.Maker(blob.maker)
        except Unsupported:
            return False
        with Packed(self._engine, layer, Form(), maker) as packed:
            if packed.descriptor.digest != wanted.digest:
                return False
            self._target.put(wanted, packed)
        return True

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob that is kept here."""
        return self._engine.blobs.open(descriptor.digest)

    def resolve(self, name: str) -> Descriptor:
        """Raise: nothing here has a name."""
        raise AssertionError(name)

    def remember(self) -> None:
        """Record in which forms the place has the layers."""
        for layer in self.layers:
            form = layer.descriptor
            if layer.made and form is not None and form.media_type != d.OCI_LAYER:
                self._engine.images.layers.add_blob(
                    LayerBlob(layer.diff_id, form.digest, form.media_type, form.size)
                )


class Spooled:
    """What is written, compressed into a file without a name; the source of that one blob.

    A context, at whose end the file is gone. The blob can be had after `finish`.
    """

    def __init__(self, engine: Engine, form: Form, maker: Any = None) -> None:
        """Begin; `maker` compresses if it is given."""
        self.descriptor = Descriptor("", digest_of(b""), 0)
        self._form = form
        self._file = spool_file(engine.blobs.incoming_dir)
        self._hash = hasher()
        self._compressor = maker or _compressor(form)
        self._pieces = regzip.Pieces(self._take)

    def write(self, data: bytes, /) -> None:
        """Take a piece of the contents; many of them are small."""
        self._pieces.write(data)

    def finish(self) -> None:
        """Come to the end: the blob is complete, and described."""
        self._pieces.close()
        if self._compressor:
            self._put(self._compressor.flush())
        digest = Digest(f"sha256:{self._hash.hexdigest()}")
        size = os.fstat(self._file).st_size
        self.descriptor = Descriptor(self._form.media_type, digest, size)

    def _take(self, piece: bytes) -> None:
        self._put(self._compressor.compress(piece) if self._compressor else piece)

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


class Packed(Spooled):
    """A layer, compressed."""

    def __init__(self, engine: Engine, layer: Layer, form: Form, maker: Any = None) -> None:
        """Compress the layer now, by `maker` if it is given. Raises: Corrupt"""
        super().__init__(engine, form, maker)
        try:
            found = write_tar(engine, layer.chain_id, layer.diff_id, self, blobs=layer.blobs)
            if found != layer.diff_id:
                message = f"the tree of layer {layer.chain_id} is not that of {layer.diff_id}"
                raise Corrupt(message, hint="Load, pull or build the image again.")
            self.finish()
        except BaseException:
            self.__exit__()
            raise


def _compressor(form: Form) -> Any:
    """Return what compresses: ISA-L without a level, whose own go to 3; else the usual library."""
    if form.kind == compression.GZIP and form.level < 0:
        module: Any = compression.fast_zlib()
        level = _LEVEL if module.__name__ != "zlib" else 6
        return module.compressobj(level, module.DEFLATED, _GZIP)
    return compression.compressor(form.kind, form.level if form.level >= 0 else None)
