"""The document that an exported build cache is described by: BuildKit's cache configuration.

    layers     each a blob on the layer before it (its `parent`)
    records    which layer a cache key led to, and when its result came about
    knarr      what BuildKit has no place for: results whose layers were left out, so that the steps
               above them can be recognized; what copies took; the caches of mounts

Keys are ours (see `cache`): BuildKit reads the document, and finds nothing that it asks for; of one
of BuildKit's the same is true the other way round. What is read here was made by anybody: digests
are digests, layers stand on layers before them, and nothing else is believed.

Docker: application/vnd.buildkit.cacheconfig.v0 of BuildKit
"""

from __future__ import annotations

from knarr.errors import Corrupt, InvalidArgument
from knarr.oci import document
from knarr.oci.config import chain_ids
from knarr.oci.digest import Digest
from knarr.util.times import parse_rfc3339, render_rfc3339
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.document import Fields

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"
DIFF_ID = "containerd.io/uncompressed"
_VERSION = 1


class Result(Value):
    """What a key led to: the diff IDs of its layers, bottom first, and when it came about."""

    diff_ids: tuple[Digest, ...]
    created_ns: int


class Records(Value):
    """What a cache knows. `copied` are fingerprints by keys, `mounts` blobs by keys of caches.

    `blobs` are the layers that can be had, by chain ID.
    """

    results: Mapping[str, Result] = {}
    copied: Mapping[str, str] = {}
    mounts: Mapping[str, Descriptor] = {}
    blobs: Mapping[Digest, Descriptor] = {}


def encode_records(records: Records) -> tuple[bytes, list[Descriptor]]:
    """Return the document, and the blobs that it names, each once."""
    layers: list[dict[str, Any]] = []
    places: dict[Digest, int] = {}
    listed, hollow = [], {}
    for key, result in sorted(records.results.items()):
        chains = chain_ids(result.diff_ids)
        created = render_rfc3339(result.created_ns)
        if all(chain in records.blobs for chain in chains):
            for below, chain in zip([None, *chains], chains, strict=False):
                if chain not in places:
                    places[chain] = len(layers)
                    parent = -1 if below is None else places[below]
                    layers.append({"blob": str(records.blobs[chain].digest), "parent": parent})
            found = {"layer": places[chains[-1]], "createdAt": created}
            listed.append({"digest": key, "results": [found]})
        else:
            diff_ids = [str(diff_id) for diff_id in result.diff_ids]
            hollow[key] = {"diffIds": diff_ids, "createdAt": created}
    value = {
        "layers": layers,
        "records": listed,
        "knarr": {
            "version": _VERSION,
            "results": hollow,
            "copied": dict(records.copied),
            "mounts": {name: str(blob.digest) for name, blob in records.mounts.items()},
        },
    }
    named = {blob.digest: blob for blob in (records.blobs[chain] for chain in places)}
    named |= {blob.digest: blob for blob in records.mounts.values()}
    return document.dump(value), list(named.values())


def decode_records(raw: bytes, blobs: Mapping[Digest, tuple[Descriptor, Digest]]) -> Records:
    """Return what a document says; `blobs` are descriptor and diff ID by what it calls them.

    Raises: Corrupt
    """
    fields = document.load(raw, "cache configuration")
    stacks, available = _read_layers(fields, blobs)
    results = {}
    for record in fields.children("records"):
        for found in record.children("results"):
            place = found.integer("layer")
            if place < len(stacks) and stacks[place]:
                results[str(record.digest("digest"))] = Result(stacks[place], _created(found))
    own = fields.child("knarr")
    if own is None or own.integer("version") != _VERSION:
        return Records(results, blobs=available)
    for key, hollow in _objects(own, "results"):
        diff_ids = tuple([Digest(text) for text in hollow.texts("diffIds") or ()])
        results.setdefault(str(Digest(key)), Result(diff_ids, _created(hollow)))
    mounts = {
        name: blobs[Digest(text)][0]
        for name, text in own.mapping("mounts").items()
        if Digest(text) in blobs
    }
    return Records(results, own.mapping("copied"), mounts, available)


def _read_layers(
    fields: Fields, blobs: Mapping[Digest, tuple[Descriptor, Digest]]
) -> tuple[list[tuple[Digest, ...]], dict[Digest, Descriptor]]:
    """Return the diff IDs up to each layer, none where a blob is missing, and the blobs."""
    stacks: list[tuple[Digest, ...]] = []
    available: dict[Digest, Descriptor] = {}
    for number, layer in enumerate(fields.children("layers")):
        parent = layer.integer("parent", lowest=-1)
        if parent >= number:
            layer.refuse("parent", "the number of a layer before it")
        blob = blobs.get(layer.digest("blob"))
        below = () if parent < 0 else stacks[parent]
        if blob is None or (parent >= 0 and not below):
            stacks.append(())
            continue
        stacks.append((*below, blob[1]))
        available[_top(stacks[-1])] = blob[0]
    return stacks, available


def _top(diff_ids: Sequence[Digest]) -> Digest:
    return chain_ids(diff_ids)[-1]


def _objects(fields: Fields, key: str) -> list[tuple[str, Fields]]:
    inner = fields.child(key)
    if inner is None:
        return []
    found = [(name, inner.child(name)) for name in sorted(inner.object)]
    return [(name, child) for name, child in found if child is not None]


def _created(fields: Fields) -> int:
    text = fields.text("createdAt")
    try:
        return parse_rfc3339(text) if text else 0
    except InvalidArgument as error:
        message = f"{fields.where}: createdAt: {error}"
        raise Corrupt(message) from error
