"""What caches elsewhere know, and getting it here when it is needed.

A cache is asked for its records alone, once. Its layers are had when a step is to work on them, or
when they are what the build results in: of a build of which everything is cached, what only led to
the result stays where it is.

Of a result that is known, and whose layers were left out when the cache was made, the files cannot
be had. Whoever needs them is told so (`Hollow`), and the step is done after all.

What comes is somebody's word for what a step does, as a base image is: a blob has the digest by
which the cache names it, a layer the diff ID, and both are unpacked as those of any image.
"""

from __future__ import annotations

import base64
import binascii

from knarr.build import cacheconfig
from knarr.build.cacheconfig import DIFF_ID, INLINE, Records, decode_inline, decode_records
from knarr.build.events import Finished, Noted, Started
from knarr.build.worker import Cached, Hollow
from knarr.engine.build.caching.places import LOCAL
from knarr.engine.image.places.place import pour, read_document, read_manifest
from knarr.engine.image.progress import silent
from knarr.errors import Corrupt, KnarrError, NotFound
from knarr.oci.config import chain_ids, decode_config
from knarr.oci.digest import Digest, VerifyingReader
from knarr.oci.manifest import Index, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.build.events import Report
    from knarr.build.graph import Stack
    from knarr.engine.build.caching.places import CachePlace
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source, Stream
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.manifest import Manifest


class Imported:
    """One cache: what it knows, and where its blobs are had from."""

    def __init__(self, name: str, source: Source, records: Records) -> None:
        self.name = name
        self.source = source
        self.records = records


class Imports:
    """The caches that a build was told of. What was found comes from the first that has it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._caches: list[Imported] = []
        self._diff_ids: dict[Digest, Digest] = {}

    def add(self, place: CachePlace, platforms: Sequence[Platform], report: Report) -> None:
        """Ask a cache what it knows. One that cannot be had is told of, and done without."""
        activity = f"internal cache {place}"
        report(Started(activity, f"importing cache manifest from {place}"))
        try:
            found = _open(self._engine, place, platforms)
        except KnarrError as error:
            report(Finished(activity, error=str(error)))
            return
        self._caches += found
        count = len({key for cache in found for key in cache.records.results})
        report(Noted(activity, f"inferred {count} results"))
        report(Finished(activity))

    def find(self, key: str) -> tuple[Cached, str] | None:
        """Return the result that a cache has under `key`, and which cache that is."""
        for cache in self._caches:
            result = cache.records.results.get(key)
            if result is not None and result.diff_ids:
                chains = chain_ids(result.diff_ids)
                self._diff_ids.update(zip(chains, result.diff_ids, strict=True))
                return Cached(tuple(chains), result.created_ns), cache.name
        return None

    def copied(self, key: str) -> str | None:
        """Return the fingerprint of what a copy takes, from a stack that need not be here."""
        found = (cache.records.copied.get(key) for cache in self._caches)
        return next((text for text in found if text is not None), None)

    def mount(self, name: str) -> tuple[Descriptor, Source] | None:
        """Return the contents of the cache of a mount, and where they are had from."""
        for cache in self._caches:
            if name in cache.records.mounts:
                return cache.records.mounts[name], cache.source
        return None

    def descriptor(self, chain: Digest) -> Descriptor | None:
        """Return the blob of a layer that a cache has."""
        found = self._blob(chain)
        return found[0] if found is not None else None

    def diff_id(self, chain: Digest) -> Digest:
        """Return the diff ID of a layer of a result that was found."""
        return self._diff_ids[chain]

    def bring(self, stack: Stack) -> None:
        """See to it that all layers of `stack` are here. Raises: Hollow, Corrupt, Unavailable"""
        missing = [chain for chain in stack if not self._engine.layers.has(chain)]
        if not missing:
            return
        origins = {}
        for chain in missing:
            found = self._blob(chain) if chain in self._diff_ids else None
            if found is None:
                raise Hollow(stack)
            origins[chain] = found
        with self._engine.journal.begin("pull", f"cache of {stack[-1]}"):
            self._take(stack, origins)

    def _blob(self, chain: Digest) -> tuple[Descriptor, Source] | None:
        for cache in self._caches:
            blob = cache.records.blobs.get(chain)
            if blob is not None:
                return blob, cache.source
        return None

    def _take(self, stack: Stack, origins: Mapping[Digest, tuple[Descriptor, Source]]) -> None:
        """Get layers, as far as they can be had. Raises: Hollow, Corrupt, Unavailable"""
        from knarr.engine.image.places.intake import Intake  # noqa: PLC0415 - for what comes

        engine = self._engine
        intake = Intake(engine, silent)
        rows = []
        try:
            for place, chain in enumerate(stack):
                if chain in origins:
                    blob, source = origins[chain]
                    passing: Any = _Passing(source)
                    rows.append(intake.take(blob, passing, self._diff_ids[chain], stack[:place]))
                    if blob.digest in intake.kept and not engine.blobs.has(blob.digest):
                        with engine.blobs.writer() as writer:
                            pour(source, blob, writer)
                            writer.commit(blob.digest)
        except NotFound:  # a cache may have dropped what it still names
            raise Hollow(stack) from None
        finally:
            engine.recipes.sync()
            engine.layers.sync()
            with engine.database.transaction():
                for row in rows:
                    engine.images.layers.add(row)
                for form in intake.forms.values():
                    engine.images.layers.add_blob(form)


class _Passing:
    """A source whose blobs are read once and verified on the way: they can be had again there."""

    landing = True
    distant = True

    def __init__(self, source: Source) -> None:
        self._source = source

    def open(self, descriptor: Descriptor) -> _PassingBlob:
        return _PassingBlob(self._source.open(descriptor), descriptor)


class _PassingBlob:
    def __init__(self, stream: Stream, descriptor: Descriptor) -> None:
        self._stream = stream
        self._reader = VerifyingReader(stream, descriptor.digest, descriptor.size)

    def read(self, size: int = -1, /) -> bytes:
        return self._reader.read(size)

    def close(self) -> None:
        self._stream.close()


def _open(engine: Engine, place: CachePlace, platforms: Sequence[Platform]) -> list[Imported]:
    """Ask a cache what it knows. Raises: NotFound, Corrupt, what registries raise"""
    source: Source
    if place.actions is not None:
        from knarr.engine.build.caching.actions.cache import ActionsPlace  # noqa: PLC0415 - HTTP

        service = ActionsPlace(engine, place.actions)
        return [Imported(str(place), service, decode_records(raw)) for raw in service.documents()]
    if place.kind == LOCAL:
        source, descriptor = _directory(place)
    else:
        from knarr.engine.image.places.registry import RegistrySource  # noqa: PLC0415 - HTTP

        assert place.reference is not None
        source = RegistrySource(engine.registries.connect(place.reference))
        descriptor = source.resolve(str(place.reference.digest or place.reference.tag))
    return [Imported(str(place), source, each) for each in _read(source, descriptor, platforms)]


def _directory(place: CachePlace) -> tuple[Source, Descriptor]:
    """Return the layout in a directory, and what it has under the tag or digest of the place."""
    from knarr.engine.image.places.directory import Directory  # noqa: PLC0415 - for few
    from knarr.engine.image.places.layout import LayoutSource  # noqa: PLC0415 - as above

    source = LayoutSource(Directory(place.directory))
    return source, source.find(place.tag, place.digest)


def _read(source: Source, descriptor: Descriptor, platforms: Sequence[Platform]) -> list[Records]:
    """Return the records of a cache: an artifact of its own, or in the configs of an image.

    Docker: a cache is an index that lists its blobs, or since then a manifest
    """
    found = decode_manifest(read_document(source, descriptor), descriptor.media_type)
    entries = found.manifests if isinstance(found, Index) else (found.config, *found.layers)
    configs = [each for each in entries if each.media_type == cacheconfig.MEDIA_TYPE]
    if configs:
        raw = read_document(source, configs[0])
        blobs = {
            each.digest: (each, Digest(each.annotations.get(DIFF_ID, each.digest)))
            for each in entries
        }
        return [decode_records(raw, blobs)]
    manifests = [read_manifest(source, descriptor, platform) for platform in platforms]
    return [_inline(each, decode_config(read_document(source, each.config))) for each in manifests]


def _inline(manifest: Manifest, config: ImageConfig) -> Records:
    """Return what an image says of the cache that it was built with; its layers are its own."""
    text = config.extra.get(INLINE)
    if not isinstance(text, str):
        message = f"image {config.digest} has no cache in it"
        raise NotFound(message, hint="It is built with --cache-to type=inline.")
    if len(config.diff_ids) != len(manifest.layers):
        message = f"image {config.digest} has another number of layers than its manifest"
        raise Corrupt(message)
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        message = f"the cache in image {config.digest} is not base64"
        raise Corrupt(message) from error
    return decode_inline(raw, list(zip(manifest.layers, config.diff_ids, strict=True)))
