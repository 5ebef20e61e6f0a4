"""The document that an exported build cache is described by: BuildKit's cache configuration.

    layers     each a blob on another layer (its `parent`), in any order
    records    which layers a cache key led to, and when its result came about: one layer with all
               below it, or (`chains`) a list of all of them
    knarr      what BuildKit has no place for: results whose layers were left out, so that the steps
               above them can be recognized; what copies took; the caches of mounts

In a place that has blobs and no manifest the document describes the blobs, too: a layer has
`annotations`, the blobs of mounts are `described`. In the config of an image there are the records
alone, since it has layers already; what is ours is in a record that leads nowhere.

Keys are ours (see `cache`): BuildKit reads the document, and finds nothing that it asks for; of one
of BuildKit's the same is true the other way round. What is read here was made by anybody: digests
are digests, no layer stands on itself, and nothing else is believed.

Docker: application/vnd.buildkit.cacheconfig.v0 of BuildKit
"""

from __future__ import annotations

from knarr.errors import Corrupt, InvalidArgument
from knarr.oci import document
from knarr.oci.config import chain_ids
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest, digest_of
from knarr.oci.document import EMPTY, FrozenDict
from knarr.util.times import parse_rfc3339, render_rfc3339
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from knarr.build.graph import Stack
    from knarr.oci.document import Fields

    # Descriptor and diff ID of blobs, by what a document calls them.
    Blobs = Mapping[Digest, tuple[Descriptor, Digest]]

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"
DIFF_ID = "containerd.io/uncompressed"
_VERSION = 1
# The digest of the record in which an image has what is ours: BuildKit wants one of each record.
_OWN = str(digest_of(b"knarr"))


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


def encode_records(records: Records, *, described: bool = False) -> tuple[bytes, list[Descriptor]]:
    """Return the document, and the blobs that it names, each once; with `described` it does so."""
    value, places = _encode(records)
    mounts = {blob.digest: blob for blob in records.mounts.values()}
    if described:
        for chain, number in places.items():
            value["layers"][number]["annotations"] = _describe(records.blobs[chain])
        value["knarr"]["described"] = {
            str(digest): {"mediaType": blob.media_type, "size": blob.size}
            for digest, blob in mounts.items()
        }
    named = {blob.digest: blob for blob in (records.blobs[chain] for chain in places)}
    return document.dump(value), list((named | mounts).values())


def encode_inline(records: Records, stack: Stack) -> bytes:
    """Return what the config of the image with the layers of `stack` says of its cache.

    It is the list of records alone: the layers are the image's.
    """
    value, _ = _encode(records, stack)
    return document.dump([*value["records"], {"digest": _OWN, "knarr": value["knarr"]}])


def decode_records(raw: bytes, blobs: Blobs | None = None) -> Records:
    """Return what a document says; without `blobs` it has to describe its blobs itself.

    Raises: Corrupt
    """
    fields = document.load(raw, "cache configuration")
    return _decode(fields, fields.child("knarr"), blobs)


def decode_inline(raw: bytes, layers: Sequence[tuple[Descriptor, Digest]]) -> Records:
    """Return what the config of an image with these layers, and their diff IDs, says of its cache.

    Raises: Corrupt
    """
    listed = [{"blob": str(layers[n][1]), "parent": n - 1} for n in range(len(layers))]
    whole = b'{"layers":%b,"records":%b}' % (document.dump(listed), raw)
    fields = document.load(whole, "cache configuration")
    own = next(
        (one.child("knarr") for one in fields.children("records") if "knarr" in one.object), None
    )
    return _decode(fields, own, {diff_id: (blob, diff_id) for blob, diff_id in layers})


def _encode(records: Records, first: Stack = ()) -> tuple[dict[str, Any], dict[Digest, int]]:
    """Return a document, and the numbers of its layers by chain ID: those of `first` in order."""
    layers: list[dict[str, Any]] = []
    places: dict[Digest, int] = {}

    def number(chains: Stack) -> int:
        for below, chain in zip((None, *chains), chains, strict=False):
            if chain not in places:
                places[chain] = len(layers)
                parent = -1 if below is None else places[below]
                layers.append({"blob": str(records.blobs[chain].digest), "parent": parent})
        return places[chains[-1]]

    if first:
        number(first)
    listed, hollow = [], {}
    for key, result in sorted(records.results.items()):
        chains = tuple(chain_ids(result.diff_ids))
        created = render_rfc3339(result.created_ns)
        if all(chain in records.blobs for chain in chains):
            found = {"layer": number(chains), "createdAt": created}
            listed.append({"digest": key, "layers": [found]})
        else:
            diff_ids = [str(diff_id) for diff_id in result.diff_ids]
            hollow[key] = {"diffIds": diff_ids, "createdAt": created}
    own = {
        "version": _VERSION,
        "results": hollow,
        "copied": dict(records.copied),
        "mounts": {name: str(blob.digest) for name, blob in records.mounts.items()},
    }
    return {"layers": layers, "records": listed, "knarr": own}, places


def _decode(fields: Fields, own: Fields | None, blobs: Blobs | None) -> Records:
    """Return what a document says, of which `own` is what BuildKit does not read."""
    if own is not None and own.integer("version") != _VERSION:
        own = None
    if blobs is None:
        blobs = _described(fields, own)
    layers = _Layers(fields, blobs)
    results = {}
    for record in fields.children("records"):
        for diff_ids, created_ns in layers.results(record):
            results[str(record.digest("digest"))] = Result(diff_ids, created_ns)
    if own is None:
        return Records(results, blobs=layers.available)
    for key, hollow in _objects(own, "results"):
        diff_ids = tuple([Digest(text) for text in hollow.texts("diffIds") or ()])
        results.setdefault(str(Digest(key)), Result(diff_ids, _created(hollow)))
    mounts = {
        name: blobs[Digest(text)][0]
        for name, text in own.mapping("mounts").items()
        if Digest(text) in blobs
    }
    return Records(results, own.mapping("copied"), mounts, layers.available)


class _Layers:
    """The layers of a document: `available` are the blobs that can be had, by chain ID."""

    def __init__(self, fields: Fields, blobs: Blobs) -> None:
        self.available: dict[Digest, Descriptor] = {}
        self._listed = [
            (layer, layer.digest("blob"), layer.integer("parent", lowest=-1))
            for layer in fields.children("layers")
        ]
        self._blobs = blobs
        self._stacks = self._read()

    def _read(self) -> list[tuple[Digest, ...]]:
        """Return the diff IDs up to each layer, none where a blob is missing. Raises: Corrupt"""
        stacks: dict[int, tuple[Digest, ...]] = {-1: ()}
        for number in range(len(self._listed)):
            waiting: dict[int, None] = {}
            while number not in stacks:
                waiting[number] = None
                layer, _, parent = self._listed[number]
                if parent in waiting or parent >= len(self._listed):
                    layer.refuse("parent", "the number of a layer that does not stand on this one")
                number = parent
            for each in reversed(waiting):
                _, digest, parent = self._listed[each]
                whole = parent < 0 or stacks[parent]
                stacks[each] = self._stack(stacks[parent], digest) if whole else ()
        return [stacks[number] for number in range(len(self._listed))]

    def _stack(self, below: tuple[Digest, ...], digest: Digest) -> tuple[Digest, ...]:
        blob = self._blobs.get(digest)
        if blob is None:
            return ()
        stack = (*below, blob[1])
        self.available[_top(stack)] = blob[0]
        return stack

    def results(self, record: Fields) -> Iterator[tuple[tuple[Digest, ...], int]]:
        """Yield what a record leads to, of which all layers can be had, and when it came about."""
        for found in record.children("layers"):
            place = found.integer("layer")
            if place < len(self._stacks) and self._stacks[place]:
                yield self._stacks[place], _created(found)
        for found in record.children("chains"):
            stack: tuple[Digest, ...] = ()
            for place in found.integers("layers"):
                if place >= len(self._listed):
                    break
                longer = self._stack(stack, self._listed[place][1])
                if not longer:
                    break
                stack = longer
            else:
                if stack:
                    yield stack, _created(found)


def _describe(blob: Descriptor) -> dict[str, Any]:
    """Return the annotations of a layer."""
    diff_id = blob.annotations[DIFF_ID]
    return {"mediaType": blob.media_type, "diffID": diff_id, "size": blob.size}


def _described(fields: Fields, own: Fields | None) -> Blobs:
    """Return the blobs that a document describes; a layer without a diff ID leads nowhere."""
    blobs = {}
    for layer in fields.children("layers"):
        told = layer.child("annotations")
        if told is not None and told.text("diffID"):
            diff_id, digest = told.digest("diffID"), layer.digest("blob")
            annotations = FrozenDict({DIFF_ID: str(diff_id)})
            blobs[digest] = _descriptor(told, digest, annotations), diff_id
    for text, told in _objects(own, "described") if own is not None else ():
        digest = Digest(text)
        blobs.setdefault(digest, (_descriptor(told, digest), digest))
    return blobs


def _descriptor(told: Fields, digest: Digest, annotations: FrozenDict = EMPTY) -> Descriptor:
    size = told.integer("size")
    return Descriptor(told.text("mediaType"), digest, size, annotations=annotations)


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
