"""A repository of a registry as a place: images are had from it and given to it.

A name is a tag or a digest in the repository. With a `Fetcher` layers come into the store by
themselves, several at once; without one they are read as they come.
"""

from __future__ import annotations

import io

from knarr.engine.image.places.place import MAX_DOCUMENT, open_at, read_document
from knarr.engine.image.progress import silent
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import BinaryIO

    from knarr.engine.image.fetching import Fetcher
    from knarr.engine.image.places.place import Source, Stream
    from knarr.engine.image.progress import Report
    from knarr.registry.client import Repository


class RegistrySource:
    """What a repository has."""

    distant = True  # what the store has in another form is not worth asking for

    def __init__(self, repository: Repository, fetcher: Fetcher | None = None) -> None:
        """Read from `repository`, layers by way of `fetcher`."""
        self._repository = repository
        self._fetcher = fetcher
        self._documents: dict[Digest, bytes] = {}
        self.landing = fetcher is not None

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index with the tag or digest `name`.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        wanted = Digest(name) if ":" in name else name
        fetched = self._repository.manifest(wanted)
        self._documents[fetched.digest] = fetched.raw
        return Descriptor(fetched.media_type, fetched.digest, len(fetched.raw))

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob, a manifest or an index.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        kind, digest = descriptor.media_type, descriptor.digest
        if digest not in self._documents and kind in d.MANIFESTS | d.INDEXES:
            self.resolve(digest)
        if digest in self._documents:
            return io.BytesIO(self._documents[digest])
        if kind in d.CONFIGS and descriptor.size <= MAX_DOCUMENT:
            return self._repository.blob(descriptor)
        if self._fetcher is not None:
            return self._fetcher.open(descriptor)
        return self._repository.blob(descriptor)

    def expect(self, descriptors: Iterable[Descriptor], *, there: Callable[[], bool]) -> None:
        """Begin to fetch layers that will be opened, in this order; see `Fetcher.expect`."""
        if self._fetcher is not None:
            self._fetcher.expect(descriptors, there=there)

    def publish(self, wanted: Collection[Digest]) -> list[Digest]:
        """Give those that are `wanted` of what was fetched their place in the store.

        Raises: Corrupt
        """
        return self._fetcher.publish(wanted) if self._fetcher is not None else []

    def drop(self) -> None:
        """Delete what was fetched and is not wanted: it was unpacked, and that is on record."""
        if self._fetcher is not None:
            self._fetcher.drop()


class RegistryTarget:
    """A repository that images are given to. What it has already is not sent again."""

    wants_parts = True  # the manifests of an index before the index

    def __init__(
        self, repository: Repository, *, mount_from: Iterable[str] = (), report: Report = silent
    ) -> None:
        """Write to `repository`; blobs may be taken over from the repositories `mount_from`."""
        self._repository = repository
        self._mount_from = tuple(mount_from)
        self._report = report
        self._manifests: dict[Digest, tuple[bytes, str]] = {}
        self._there: set[Digest] = set()

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the repository has the blob, or could take it over from its neighbour."""
        if descriptor.media_type in d.MANIFESTS | d.INDEXES:
            return False
        digest = descriptor.digest
        if digest in self._there:
            return True
        if self._repository.has_blob(digest):
            self._report(digest, "Layer already exists", 0, 0)
            self._there.add(digest)
            return True
        for neighbour in self._mount_from:
            if self._repository.mount_blob(digest, neighbour):
                self._report(digest, f"Mounted from {neighbour}", 0, 0)
                self._there.add(digest)
                return True
        return False

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Send a blob; a manifest is sent by `tag`, after what it names.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        if descriptor.media_type in d.MANIFESTS | d.INDEXES:
            raw = read_document(source, descriptor)
            self._manifests[descriptor.digest] = raw, descriptor.media_type
            return
        digest, size = descriptor.digest, descriptor.size

        def reopen(offset: int) -> BinaryIO:
            return open_at(source, descriptor, offset)

        def progress(sent: int) -> None:
            self._report(digest, "Pushing", sent, size)

        self._repository.upload_blob(descriptor, reopen, progress)
        self._there.add(digest)
        self._report(digest, "Pushed", 0, 0)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Send the manifest under the tag `name`, or under its digest alone.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        raw, media_type = self._manifests[descriptor.digest]
        self._repository.put_manifest(name or descriptor.digest, raw, media_type)
