"""Blobs that are not kept here, had again from the registries that have, or had, their image.

A layer that was pulled is kept as a tree, and its blob is where it came from. Who needs the very
bytes, to give the image on under the same digest, gets them there: verified, into a file without a
name. A registry that cannot be reached is not asked for the next layer.
"""

from __future__ import annotations

import os
import threading

from knarr.engine.image.places.archive import Slice, spool_file
from knarr.errors import KnarrError, Unavailable
from knarr.oci.digest import VerifyingReader
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.registry.client import Repository

_CHUNK = 1 << 18


class Originals:
    """The blobs of one image, elsewhere. Several threads may ask."""

    def __init__(self, engine: Engine, image_id: Digest, *, besides: Reference) -> None:
        """Find out whom to ask; `besides` is where they are to be brought."""
        self._spool_dir = engine.blobs.incoming_dir
        self._lock = threading.Lock()
        self._repositories: list[Repository] = []
        for tag in engine.images.tags.of(image_id):
            if tag.reference.digest is None or tag.reference.name == besides.name:
                continue
            try:
                self._repositories.append(engine.registries.connect(tag.reference))
            except KnarrError:  # blocked by now, say: then it is none of those
                continue

    def fetch(self, descriptor: Descriptor) -> Original | None:
        """Return a blob, or None if nobody gives it."""
        with self._lock:
            repositories = list(self._repositories)
        for repository in repositories:
            try:
                return Original(repository, descriptor, self._spool_dir)
            except Unavailable:
                with self._lock:
                    if repository in self._repositories:
                        self._repositories.remove(repository)
            except KnarrError:  # it was deleted there, or is not ours to read
                continue
        return None


class Original:
    """One blob, in a file without a name; the source of that blob. A context."""

    def __init__(self, repository: Repository, descriptor: Descriptor, spool_dir: str) -> None:
        """Fetch it now. Raises: NotFound, Unauthorized, Unavailable, Corrupt"""
        self._file = spool_file(spool_dir)
        try:
            with repository.blob(descriptor) as stream:
                reader = VerifyingReader(stream, descriptor.digest, descriptor.size)
                while data := reader.read(_CHUNK):
                    write_all(self._file, data)
        except BaseException:
            os.close(self._file)
            raise

    def resolve(self, name: str) -> Descriptor:
        """Raise: a blob has no name."""
        raise AssertionError(name)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return the blob, opened for reading."""
        return Slice(self._file, 0, descriptor.size)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file."""
        os.close(self._file)
