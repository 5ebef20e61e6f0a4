"""Images, bit by bit: every blob against its digest, every layer's tree against its diff ID.

A tree is packed again, and the digest of that compared. Where the tar is not made of the tree alone
(a recipe has small files and all attributes itself, a blob everything), it is unpacked aside, and
the two trees are compared. So a flipped bit shows wherever it is; times of files do not count.

What is damaged is made anew from the other form where that is whole: a tree from the layer's blob;
a blob that can be made from the tree is dropped until somebody asks for it. The rest is pulled
again, if the image has a name in a registry; else a person has to say where it comes from.
"""

from __future__ import annotations

import os

from knarr.engine.checking.findings import Check, Finding
from knarr.engine.image.places.storesource import write_tar
from knarr.errors import Corrupt, NotFound
from knarr.oci.digest import Digest, VerifyingReader
from knarr.snapshot.apply import unpack_layer
from knarr.snapshot.snapshotter import Limits
from knarr.snapshot.treehash import tree_digest
from knarr.store.layers import LayerRecords
from knarr.util import compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from knarr.engine.engine import Engine
    from knarr.oci.reference import Reference
    from knarr.store.layers import LayerBlob, LayerRow

BLOB, LAYER = "blob", "layer"
DROP, UNPACK, PULL = "make it again when it is asked for", "unpack its blob again", "pull"
_CHUNK = 1 << 20
_DAMAGED = "its contents are not what its digest says"
_ELSE = "load, import or build the image again"


# blobs


def find_blobs(engine: Engine) -> Iterator[Finding]:
    """Yield blobs that are not what their names say, and blobs that are missing."""
    there = engine.blobs.list()
    for digest in there:
        if not _whole(engine, digest):
            yield Finding(BLOB, str(digest), _DAMAGED, _remedy_of_blob(engine, digest))
    for row in engine.images.records.all():
        for digest in filter(None, (row.id, row.manifest)):
            if digest not in there:
                problem = f"image {row.id[7:19]} is recorded, and it is missing"
                yield Finding(BLOB, str(digest), problem, _pulling(engine, row.id))


def _whole(engine: Engine, digest: Digest) -> bool:
    try:
        with engine.blobs.open(digest) as file:
            reader = VerifyingReader(file, digest)
            while reader.read(_CHUNK):
                pass
    except Corrupt:
        return False
    except NotFound:  # it was removed meanwhile
        return True
    return True


def _remedy_of_blob(engine: Engine, digest: Digest) -> str:
    """Return how a damaged blob is mended."""
    for image in engine.images.records.all():
        if digest in (image.id, image.manifest):
            return _pulling(engine, image.id)
    found = _layer_of(engine, digest)
    if found is not None and not found.needed:
        return DROP
    owners = engine.images.records.users(digest)
    return _pulling(engine, owners[0]) if owners else DROP


def repair_blobs(engine: Engine, found: Sequence[Finding]) -> None:
    """Drop what can be made again, pull what cannot."""
    for finding in found:
        if finding.repair != _ELSE:
            engine.blobs.delete(Digest(finding.object))
    _pull(engine, found)


# layers


def find_layers(engine: Engine) -> Iterator[Finding]:
    """Yield layers without a tree, and those whose tree is not what it was unpacked from."""
    for row in LayerRecords(engine.database).all():
        if not engine.layers.has(row.chain_id):
            yield Finding(LAYER, str(row.chain_id), "its tree is missing", _remedy_of(engine, row))
        elif not _sound(engine, row):
            problem = "its tree is not what its diff ID says"
            yield Finding(LAYER, str(row.chain_id), problem, _remedy_of(engine, row))


def _sound(engine: Engine, row: LayerRow) -> bool:
    try:
        with open(_unnamed(engine.paths.root), "w+b") as tar:
            if write_tar(engine, row.chain_id, row.diff_id, tar) != row.diff_id:
                return False
            if not _made_of_more(engine, row.diff_id):
                return True
            tar.seek(0)
            return _equals(engine, row, tar)
    except (Corrupt, NotFound):
        return not engine.layers.has(row.chain_id)  # removed meanwhile, or damaged


def _unnamed(directory: str) -> int:
    return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _made_of_more(engine: Engine, diff_id: Digest) -> bool:
    """Tell whether a layer's tar is made of more than its tree, and so tells less about that."""
    if engine.recipes.has(diff_id):
        return True
    return any(blob.needed for blob in engine.images.layers.blobs(diff_id))


def _equals(engine: Engine, row: LayerRow, tar: BinaryIO) -> bool:
    """Tell whether a layer's tree is what `tar` unpacks to."""
    parents = LayerRecords(engine.database).stack(row.chain_id)[:-1]
    with engine.layers.incoming() as fresh:
        view = engine.layers.view(parents)
        unpack_layer(tar, fresh.descriptor, parents=view, limits=Limits())
        wanted = tree_digest(fresh.descriptor, [""], owners=True)
        descriptor = os.open(engine.layers.path(row.chain_id), os.O_PATH | os.O_DIRECTORY)
        try:
            return tree_digest(descriptor, [""], owners=True) == wanted
        finally:
            os.close(descriptor)


def _remedy_of(engine: Engine, row: LayerRow) -> str:
    blobs = engine.images.layers.blobs(row.diff_id)
    if any(engine.blobs.has(one.digest) and _whole(engine, one.digest) for one in blobs):
        return UNPACK
    owners = [
        image.id
        for image in engine.images.records.all()
        if row.chain_id in engine.images.stack(image.id)
    ]
    return _pulling(engine, owners[0]) if owners else _ELSE


def repair_layers(engine: Engine, found: Sequence[Finding]) -> None:
    """Unpack blobs again, lower layers first, and pull what has none."""
    wanted = {finding.object for finding in found if finding.repair == UNPACK}
    rows = [row for row in LayerRecords(engine.database).all() if str(row.chain_id) in wanted]
    depth = {row.chain_id: len(LayerRecords(engine.database).stack(row.chain_id)) for row in rows}
    for row in sorted(rows, key=lambda one: depth[one.chain_id]):
        _unpack(engine, row)
    for finding in found:
        if finding.repair.startswith(PULL) and engine.layers.has(Digest(finding.object)):
            engine.layers.discard(engine.layers.detach(Digest(finding.object)))
    _pull(engine, found)


def _unpack(engine: Engine, row: LayerRow) -> None:
    """Put a fresh tree in the place of a layer's damaged one, once it is there."""
    blobs = engine.images.layers.blobs(row.diff_id)
    blob = next(one for one in blobs if engine.blobs.has(one.digest))
    parents = LayerRecords(engine.database).stack(row.chain_id)[:-1]
    old = engine.layers.detach(row.chain_id) if engine.layers.has(row.chain_id) else ""
    with engine.blobs.open(blob.digest) as file:
        tar = compression.open_any(file)[0]
        engine.layers.apply(tar, parents=parents, diff_id=row.diff_id)
    if old:
        engine.layers.discard(old)


# where images are from


def _pulling(engine: Engine, image_id: str) -> str:
    """Return the repair that pulls an image again, or that a person has to see to it."""
    names = _registry_names(engine, image_id)
    return f"{PULL} {names[0]}" if names else _ELSE


def _registry_names(engine: Engine, image_id: str) -> list[Reference]:
    """Return the digests under which a registry had the image."""
    names = [row.reference for row in engine.images.tags.of(Digest(image_id))]
    return [name for name in names if name.digest is not None]


def _pull(engine: Engine, found: Iterable[Finding]) -> None:
    from knarr.oci.reference import parse_reference  # noqa: PLC0415 - for what has to be pulled

    names = {one.repair.partition(" ")[2] for one in found if one.repair.startswith(f"{PULL} ")}
    for name in sorted(names):
        engine.images.pull(parse_reference(name))


def _layer_of(engine: Engine, digest: Digest) -> LayerBlob | None:
    for row in LayerRecords(engine.database).all():
        for blob in engine.images.layers.blobs(row.diff_id):
            if blob.digest == digest:
                return blob
    return None


CHECKS = (Check(find_blobs, repair_blobs), Check(find_layers, repair_layers))
