"""Taking a layer in: its blob becomes a tree, and a recipe by which its tar is made again.

A layer is unpacked as it comes, in one pass. On the way its recipe is written (see
`knarr.snapshot.recipe`), and proved by digest afterwards: if it does not give the same bytes (a tar
that has a name twice, say), the blob stays as long as the layer. Else the tree is the one copy, and
whether the blob stays beside it is a matter of `images.keep-blobs`:

    always   every blob stays
    needed   one stays that cannot be had again: neither from the registry it was pulled from, nor
             made again by the compressor that made it (see `knarr.util.regzip`)
    never    none stays
"""

from __future__ import annotations

import contextlib
import time

from knarr.engine import settings
from knarr.engine.image.places.growth import allowed, open_any
from knarr.engine.image.places.storesource import write_blob, write_tar
from knarr.errors import Corrupt
from knarr.oci import descriptor as d
from knarr.oci.config import chain_id
from knarr.oci.digest import Digest, VerifyingReader
from knarr.snapshot.recipe import Recorder
from knarr.store.layers import LayerBlob, LayerRow
from knarr.util import regzip
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Descriptor
    from knarr.util.compression import Reader

    Stack = tuple[Digest, ...]

PLAIN = frozenset((d.OCI_LAYER, d.DOCKER_LAYER))
COMPRESSED = frozenset(
    (d.OCI_LAYER_GZIP, d.OCI_LAYER_ZSTD, d.DOCKER_LAYER_GZIP, d.DOCKER_LAYER_ZSTD)
)
_CHUNK = 1 << 20


class Intake:
    """Takes the layers of an operation into the store of an engine.

    `forms` are the layers' blobs, to be recorded with them; `kept` those that have to be in the
    store then; `written` those that were put there. Of `spared` layers no blob is wanted.
    """

    def __init__(self, engine: Engine, report: Report) -> None:
        self._engine = engine
        self._report = report
        self._keep = engine.settings.get(settings.KEEP_BLOBS)
        self._growth = allowed(engine)
        self.forms: dict[Digest, LayerBlob] = {}
        self.kept: set[Digest] = set()
        self.spared: set[Digest] = set()
        self.written: list[Digest] = []

    def take(self, layer: Descriptor, source: Source, diff_id: Digest, stack: Stack) -> LayerRow:
        """Return the layer on `stack`, unpacked from what `source` has.

        Raises: Corrupt
        """
        if layer.media_type in PLAIN and layer.digest != diff_id:
            message = (
                f"layer {layer.digest} is uncompressed and not what the config names: {diff_id}"
            )
            raise Corrupt(message)
        row = self._there(diff_id, stack)
        if row is not None:
            if layer.media_type in PLAIN:
                _check_size(layer, row.tar_size)
            self._spare(layer, source, row)
            return row
        return self._unpack(layer, source, diff_id, stack)

    def _there(self, diff_id: Digest, stack: Stack) -> LayerRow | None:
        """Return the layer if it is on record and unpacked."""
        chain = chain_id(stack[-1] if stack else None, diff_id)
        row = self._engine.images.layers.find(chain)
        return row if row is not None and self._engine.layers.has(chain) else None

    def _spare(self, layer: Descriptor, source: Source, row: LayerRow) -> None:
        """Keep the blob of a layer that is there, if it is at hand and not to be had again."""
        if layer.digest in self.spared:
            return
        self._report(layer.digest, "Already exists", 0, 0)
        self._note(layer, row.diff_id)
        if getattr(source, "distant", False) or self._engine.blobs.has(layer.digest):
            return
        if self._wanted(layer, source, row.chain_id):
            self._put(layer, source)

    def _unpack(self, layer: Descriptor, source: Source, diff_id: Digest, stack: Stack) -> LayerRow:
        engine = self._engine
        with contextlib.ExitStack() as closing:
            stream = self._open(layer, source, closing)
            if getattr(stream, "elsewhere", None) and stream.elsewhere():
                return self._from_elsewhere(layer, diff_id, stack)
            packed = _Head(stream)
            plain = layer.media_type in PLAIN
            tar = _Head(
                packed if plain else open_any(packed, self._growth, f"layer {layer.digest}")[0]
            )
            recorder = Recorder(tar)
            self._report(layer.digest, "Extracting", 0, layer.size)
            applied = engine.layers.apply(recorder, parents=stack, diff_id=diff_id)
            for rest in (recorder, packed):
                while rest.read(_CHUNK):
                    pass  # nothing was read if there is such a tree already
        if plain:
            _check_size(layer, recorder.size)
        engine.recipes.put(diff_id, recorder.finish())
        maker = "" if plain else regzip.recognize(packed.head, tar.head, self._deflaters(source))
        self._note(layer, diff_id, maker=maker)
        self._settle(layer, source, diff_id, applied.chain_id)
        trace("store:unpacked")
        self._report(layer.digest, "Pull complete", 0, 0)
        parent = stack[-1] if stack else None
        now_ns = time.time_ns()
        return LayerRow(applied.chain_id, diff_id, parent, applied.size, recorder.size, now_ns)

    def _open(self, layer: Descriptor, source: Source, closing: contextlib.ExitStack) -> Any:
        """Return the blob of a layer, verified while it is read."""
        landing = getattr(source, "landing", False)
        if not landing and self._engine.blobs.has(layer.digest):
            return closing.enter_context(self._engine.blobs.open(layer.digest))
        stream = source.open(layer)
        closing.callback(stream.close)
        if landing or layer.media_type in PLAIN:
            return stream  # verified by who fetches it, or by its diff ID
        return VerifyingReader(stream, layer.digest, layer.size)

    def _deflaters(self, source: Source) -> tuple[str, ...]:
        """Return what is tried to find a maker: what the registry has is not worth much trying."""
        return regzip.OWN if getattr(source, "distant", False) else regzip.EVERY

    def _from_elsewhere(self, layer: Descriptor, diff_id: Digest, stack: Stack) -> LayerRow:
        """Return a layer that another process has recorded while we waited for its download."""
        row = self._there(diff_id, stack)
        if row is None:
            message = f"layer {layer.digest} was removed before it was recorded"
            raise Corrupt(message, hint="Pull the image again.")
        self._note(layer, diff_id)
        self._report(layer.digest, "Already exists", 0, 0)
        return row

    def _note(self, layer: Descriptor, diff_id: Digest, *, maker: str = "") -> None:
        if layer.media_type in COMPRESSED:
            self.forms[layer.digest] = LayerBlob(
                diff_id, layer.digest, layer.media_type, layer.size, maker=maker
            )

    def _settle(self, layer: Descriptor, source: Source, diff_id: Digest, chain: Digest) -> None:
        """See to it that the tar can be had again, and that the blob stays if it has to."""
        if not self._proven(diff_id, chain):
            self._engine.recipes.delete(diff_id)
            form = LayerBlob(diff_id, layer.digest, layer.media_type, layer.size, needed=True)
            self.forms[layer.digest] = form
        elif not self._wanted(layer, source, chain):
            return
        if getattr(source, "landing", False):
            self.kept.add(layer.digest)
        elif not self._engine.blobs.has(layer.digest):
            self._put(layer, source)

    def _proven(self, diff_id: Digest, chain: Digest) -> bool:
        try:
            return write_tar(self._engine, chain, diff_id, _Nowhere()) == diff_id
        except Corrupt:
            return False

    def _wanted(self, layer: Descriptor, source: Source, chain: Digest) -> bool:
        """Tell whether a blob is to stay although the tree has all that is in it."""
        if self._keep != settings.NEEDED:
            return self._keep == settings.ALWAYS
        if layer.media_type in PLAIN or getattr(source, "landing", False):
            return False
        return not self._can_make(layer, chain)

    def _can_make(self, layer: Descriptor, chain: Digest) -> bool:
        """Tell whether the blob can be made again, by making it."""
        blob = self.forms[layer.digest]
        return bool(blob.maker) and write_blob(self._engine, blob, chain, _Nowhere()) == blob.digest

    def _put(self, layer: Descriptor, source: Source) -> None:
        """Put a blob into the store."""
        stream = source.open(layer)
        try:
            reader = VerifyingReader(stream, layer.digest, layer.size)
            with self._engine.blobs.writer() as writer:
                while data := reader.read(_CHUNK):
                    writer.write(data)
                self.written.append(writer.commit(layer.digest))
        finally:
            stream.close()


def _check_size(layer: Descriptor, size: int) -> None:
    """Raise if the tar of an uncompressed layer, of a `size` if that is known, is not as promised.

    Its digest is right: but others would get the manifest that is wrong.
    """
    if size not in (-1, layer.size):
        message = f"layer {layer.digest} has {size} bytes, and its manifest says {layer.size}"
        raise Corrupt(message)


class _Head:
    """Hands on what is read, and keeps the beginning of it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: list[bytes] = []
        self._missing = regzip.HEAD

    @property
    def head(self) -> bytes:
        return b"".join(self._kept)

    def read(self, size: int = -1, /) -> bytes:
        data = self._reader.read(size)
        if self._missing:
            self._kept.append(data[: self._missing])
            self._missing -= len(self._kept[-1])
        return data


class _Nowhere:
    def write(self, data: bytes, /) -> None:
        pass
