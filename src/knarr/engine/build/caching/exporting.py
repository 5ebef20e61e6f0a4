"""Giving the cache of a build to a place outside, or into the config of the image.

What is given are the records that the build used or made. With MIN these have the layers of the
image that was built; the other results are named without their layers, so that the steps above
them are recognized. With MAX every layer goes along.
"""

from __future__ import annotations

import base64
import io

from knarr.build.cacheconfig import DIFF_ID, MEDIA_TYPE, Records, Result, encode_records
from knarr.build.events import Finished, Noted, Started
from knarr.build.worker import Hollow
from knarr.engine.build.caching.places import LOCAL, MAX
from knarr.engine.image.sending import Sending
from knarr.engine.image.transfer import put_all
from knarr.errors import KnarrError
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import digest_of
from knarr.oci.document import FrozenDict
from knarr.oci.manifest import encode_manifest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.build.events import Report
    from knarr.build.graph import Stack
    from knarr.build.worker import Cached
    from knarr.engine.build.caching.importing import Imports
    from knarr.engine.build.caching.places import CacheTarget
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream, Target
    from knarr.oci.digest import Digest


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
    return base64.b64encode(encode_records(records)[0]).decode()


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


class _Exporting:
    """One export; the source that the place reads the documents from."""

    def __init__(
        self, engine: Engine, used: Used, target: CacheTarget, imports: Imports | None
    ) -> None:
        self._engine = engine
        self._used = used
        self._wanted = target
        self._imports = imports
        self._layers = _Layers(engine, imports)
        self._documents: dict[Digest, bytes] = {}

    def run(self) -> Digest:
        """Send layers, then the documents; return the digest of the manifest."""
        target, tag = self._open()
        blobs = self._send(target)
        records = _records(self._layers, self._used, blobs)
        mounts = self._send_mounts(target) if self._wanted.mounts else {}
        raw, layers = encode_records(records.replace(mounts=mounts))
        manifest = encode_manifest(
            Descriptor(MEDIA_TYPE, self._keep(raw), len(raw)),
            layers,
            media_type=d.DOCKER_MANIFEST if self._wanted.docker else d.OCI_MANIFEST,
        )
        self._keep(manifest.raw)
        put_all(self, target, manifest)
        target.tag(tag, manifest.descriptor)
        return manifest.digest

    def _open(self) -> tuple[Target, str]:
        place = self._wanted.place
        if place.kind == LOCAL:
            from knarr.engine.image.places.directory import DirectoryTarget  # noqa: PLC0415

            return DirectoryTarget(place.directory), place.tag
        from knarr.engine.image.places.registry import RegistryTarget  # noqa: PLC0415 - HTTP

        assert place.reference is not None
        connection = self._engine.registries.connect(place.reference)
        return RegistryTarget(connection), place.reference.tag or ""

    def _send(self, target: Target) -> dict[Digest, Descriptor]:
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
                if known is not None and target.has(known):
                    blobs[chain] = known
                elif self._bring(stack[: place + 1]):
                    here[chain] = None
        sending = Sending(self._engine, list(here), target, self._wanted.form)
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

    def _send_mounts(self, target: Target) -> dict[str, Descriptor]:
        from knarr.engine.build.caching import mounts  # noqa: PLC0415 - for who asks for it

        found = {}
        for name in self._used.mounts:
            with mounts.packed(self._engine, name, self._wanted.form) as packed:
                if packed is not None:
                    if not target.has(packed.descriptor):
                        target.put(packed.descriptor, packed)
                    found[name] = packed.descriptor
        return found

    def _keep(self, raw: bytes) -> Digest:
        digest = digest_of(raw)
        self._documents[digest] = raw
        return digest

    # the source of the documents

    def resolve(self, name: str) -> Descriptor:
        """Raise: nothing here has a name."""
        raise AssertionError(name)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a document."""
        return io.BytesIO(self._documents[descriptor.digest])


def _records(layers: _Layers, used: Used, blobs: Mapping[Digest, Descriptor]) -> Records:
    results = {
        key: Result(layers.diff_ids(result.stack), result.created_ns)
        for key, result in used.results.items()
        if result.stack
    }
    return Records(results, used.copied, {}, blobs)
