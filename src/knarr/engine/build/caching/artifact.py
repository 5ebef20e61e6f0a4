"""A cache as an artifact: its document and blobs are listed by a manifest, under a tag."""

from __future__ import annotations

import io

from knarr.build.cacheconfig import MEDIA_TYPE
from knarr.engine.image.transfer import put_all
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import digest_of
from knarr.oci.manifest import encode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.image.places.place import Source, Stream, Target
    from knarr.oci.digest import Digest


class Artifact:
    """A cache that is written to a registry or a layout; the source of its documents."""

    described = False  # the manifest says what the blobs are

    def __init__(self, target: Target, tag: str, *, docker: bool) -> None:
        """Write to `target`; with `docker` the manifest is of Docker's type."""
        self._target = target
        self._tag = tag
        self._media_type = d.DOCKER_MANIFEST if docker else d.OCI_MANIFEST
        self._documents: dict[Digest, bytes] = {}

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether a blob is there."""
        return self._target.has(descriptor)

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob. Raises: what the target raises"""
        self._target.put(descriptor, source)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let a name name a manifest. Raises: what the target raises"""
        self._target.tag(name, descriptor)

    def keep(self, raw: bytes, layers: list[Descriptor]) -> Digest:
        """Write the document of the cache, after its blobs, and the manifest of both.

        Raises: what the target raises
        """
        document = Descriptor(MEDIA_TYPE, self._add(raw), len(raw))
        manifest = encode_manifest(document, layers, media_type=self._media_type)
        self._add(manifest.raw)
        put_all(self, self._target, manifest)
        self.tag(self._tag, manifest.descriptor)
        return manifest.digest

    def _add(self, raw: bytes) -> Digest:
        digest = digest_of(raw)
        self._documents[digest] = raw
        return digest

    def resolve(self, name: str) -> Descriptor:
        """Raise: nothing here has a name."""
        raise AssertionError(name)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a document."""
        return io.BytesIO(self._documents[descriptor.digest])
