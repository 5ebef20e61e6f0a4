"""Giving the cache of a build to a place outside, or into the config of the image.

What is given are the records that the build used or made. With MIN these have the layers of the
image that was built; the other results are named without their layers, so that the steps above
them are recognized. With MAX every layer goes along.
"""

from __future__ import annotations

import base64

from knarr.build.cacheconfig import DIFF_ID, Records, Result, encode_inline, encode_records
from knarr.build.events import Finished, Noted, Started
from knarr.build.worker import Hollow
from knarr.engine.build.caching.places import LOCAL, MAX
from knarr.engine.image.sending import Sending
from knarr.errors import KnarrError
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.document import FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from knarr.build.events import Report
    from knarr.build.graph import Stack
    from knarr.build.worker import Cached
    from knarr.engine.build.caching.importing import Imports
    from knarr.engine.build.caching.places import CacheTarget
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source
    from knarr.oci.digest import Digest
else:
    Protocol = object


class Used(Value):
    """What a build found or made: results and fingerprints by their keys, and its own results."""

    results: Mapping[str, Cached]
    copied: Mapping[str, str]
    stacks: tuple[Stack, ...]
    mounts: tuple[str, ...] = ()


def inline(engine: Engine, used: Used, stack: Stack, imports: Imports | None) -> str:
    """Return what an image with the layers of `stack` says of its cache."""
    layers = _Layers(engine, imports)
    blobs = {
        chain: Descriptor(d.OCI_LAYER, diff_id, 0)
        for chain, diff_id in zip(stack, layers.diff_ids(stack), strict=True)
    }
    records = _records(layers, used, blobs)
    return base64.b64encode(encode_inline(records, stack)).decode()


def export(
    engine: Engine, used: Used, target: CacheTarget, imports: Imports | None, report: Report
) -> None:
    """Give what was used to `target`.

    Raises: Corrupt, what the place raises; nothing if errors are to be ignored
    """
    activity = f"internal cache export {target.place}"
    report(Started(activity, f"exporting cache to {target.place}"))
    try:
        digest = _Exporting(engine, used, target, imports).run()
    except KnarrError as error:
        report(Finished(activity, error=str(error)))
        if not target.ignore_error:
            raise
    else:
        report(Noted(activity, f"writing cache manifest {digest} done"))
        report(Finished(activity))


class _Layers:
    """What the store or a cache knows of layers."""

    def __init__(self, engine: Engine, imports: Imports | None) -> None:
        self._engine = engine
        self._imports = imports

    def diff_ids(self, stack: Stack) -> tuple[Digest, ...]:
        found = []
        for chain in stack:
            row = self._engine.images.layers.find(chain)
            if row is not None:
                found.append(row.diff_id)
            else:
                assert self._imports is not None
                found.append(self._imports.diff_id(chain))
        return tuple(found)


class Outlet(Protocol):
    """A place that a cache is written to: blobs first, then the document that names them.

    `described` says that the document has to tell what its blobs are.
    """

    described: bool

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether a blob is there."""

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob."""

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Be a target of images, whose manifests have names."""

    def keep(self, raw: bytes, layers: list[Descriptor]) -> Digest:
        """Write the document of a cache with these blobs, and return the digest to tell of."""


class _Exporting:
    """One export."""

    def __init__(
        self, engine: Engine, used: Used, target: CacheTarget, imports: Imports | None
    ) -> None:
        self._engine = engine
        self._used = used
        self._wanted = target
        self._imports = imports
        self._layers = _Layers(engine, imports)

    def run(self) -> Digest:
        """Send layers, then the document; return the digest of what describes the cache."""
        outlet = self._open()
        blobs = self._send(outlet)
        records = _records(self._layers, self._used, blobs)
        mounts = self._send_mounts(outlet) if self._wanted.mounts else {}
        raw, layers = encode_records(records.replace(mounts=mounts), described=outlet.described)
        return outlet.keep(raw, layers)

    def _open(self) -> Outlet:
        """Return the place. Raises: InvalidArgument, Unauthorized, what connecting raises"""
        place = self._wanted.place
        if place.actions is not None:
            from knarr.engine.build.caching.actions.cache import ActionsPlace  # noqa: PLC0415 - HTTP

            return ActionsPlace(self._engine, place.actions)
        from knarr.engine.build.caching.artifact import Artifact  # noqa: PLC0415 - for few

        docker = self._wanted.docker
        if place.kind == LOCAL:
            from knarr.engine.image.places.directory import DirectoryTarget  # noqa: PLC0415

            return Artifact(DirectoryTarget(place.directory), place.tag, docker=docker)
        from knarr.engine.image.places.registry import RegistryTarget  # noqa: PLC0415 - HTTP

        assert place.reference is not None
        connection = self._engine.registries.connect(place.reference)
        return Artifact(RegistryTarget(connection), place.reference.tag or "", docker=docker)

    def _send(self, outlet: Outlet) -> dict[Digest, Descriptor]:
        """Send the layers that go along, and return their blobs by chain ID."""
        stacks = list(self._used.stacks)
        if self._wanted.mode == MAX:
            stacks += [result.stack for result in self._used.results.values()]
        blobs: dict[Digest, Descriptor] = {}
        here: dict[Digest, None] = {}
        for stack in stacks:
            for place, chain in enumerate(stack):
                known = self._imports.descriptor(chain) if self._imports else None
                if chain in blobs or chain in here:
                    continue
                if known is not None and outlet.has(known):
                    blobs[chain] = known
                elif self._bring(stack[: place + 1]):
                    here[chain] = None
        sending = Sending(self._engine, list(here), outlet, self._wanted.form)
        blobs.update(zip(here, sending.run(), strict=True))
        sending.remember()
        return self._annotated(blobs)

    def _bring(self, stack: Stack) -> bool:
        """See to it that a stack is here; return False if it cannot be had."""
        if self._imports is None:
            return True
        try:
            self._imports.bring(stack)
        except Hollow:
            return False
        return True

    def _annotated(self, blobs: dict[Digest, Descriptor]) -> dict[Digest, Descriptor]:
        """Return the blobs with their diff IDs, by which who imports them knows the layers."""
        return {
            chain: blob.replace(
                annotations=FrozenDict({DIFF_ID: str(self._layers.diff_ids((chain,))[0])})
            )
            for chain, blob in blobs.items()
        }

    def _send_mounts(self, outlet: Outlet) -> dict[str, Descriptor]:
        from knarr.engine.build.caching import mounts  # noqa: PLC0415 - for who asks for it

        found = {}
        for name in self._used.mounts:
            with mounts.packed(self._engine, name, self._wanted.form) as packed:
                if packed is not None:
                    if not outlet.has(packed.descriptor):
                        outlet.put(packed.descriptor, packed)
                    found[name] = packed.descriptor
        return found


def _records(layers: _Layers, used: Used, blobs: Mapping[Digest, Descriptor]) -> Records:
    results = {
        key: Result(layers.diff_ids(result.stack), result.created_ns)
        for key, result in used.results.items()
        if result.stack
    }
    return Records(results, used.copied, {}, blobs)
