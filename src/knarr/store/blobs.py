"""Blobs: bytes under their digest, in an OCI layout.

    <images>/oci-layout
    <images>/index.json
    <images>/blobs/sha256/<hex>
    <images>/incoming/<random>      being written, see `aside`

A blob is written aside, verified, synced and renamed: under its digest there is nothing or all of
it. Two writers of the same blob do not disturb each other: the second rename replaces a file by
its equal.

Spec: image-spec image-layout.md
"""

from __future__ import annotations

import os

from knarr.errors import Corrupt, NotFound
from knarr.oci.digest import Digest, digest_of, hasher
from knarr.store.aside import Aside, sweep
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO, Self

_CHUNK = 1 << 20
_MAX_DOCUMENT = 8 << 20


class Blobs:
    """The blobs below `images_dir`."""

    def __init__(self, images_dir: str) -> None:
        """Remember where; make nothing yet."""
        self.images_dir = images_dir
        self.incoming_dir = f"{images_dir}/incoming"

    def path(self, digest: Digest) -> str:
        """Return where the blob lies, or would."""
        return f"{self.images_dir}/blobs/{digest.algorithm}/{digest.hex}"

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is here."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return how many bytes the blob has.

        Raises: NotFound
        """
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def open(self, digest: Digest) -> BinaryIO:
        """Return the blob, opened for reading.

        Raises: NotFound
        """
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def read(self, digest: Digest) -> bytes:
        """Return the contents of a blob that is a document.

        Raises: NotFound, Corrupt
        """
        with self.open(digest) as file:
            data = file.read(_MAX_DOCUMENT + 1)
        if len(data) > _MAX_DOCUMENT:
            message = f"{digest} is too big for a document"
            raise Corrupt(message)
        if digest.algorithm == "sha256":
            found = digest_of(data).hex
        else:
            found = hasher(data, algorithm=digest.algorithm).hexdigest()
        if found != digest.hex:
            message = f"the file of {digest} has other contents"
            raise Corrupt(message, hint="The disk or something outside of knarr changed it.")
        return data

    def writer(self) -> BlobWriter:
        """Return a context in which a blob is written; nothing is kept without `commit`."""
        return BlobWriter(self)

    def put(self, data: bytes) -> Digest:
        """Keep `data` and return its digest."""
        digest = digest_of(data)
        if not self.has(digest):
            with self.writer() as writer:
                writer.write(data)
                writer.commit(digest)
        return digest

    def delete(self, digest: Digest) -> int:
        """Delete the blob and return how many bytes that frees; 0 if it is not here."""
        path = self.path(digest)
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return 0
        return size

    def list(self) -> list[Digest]:
        """Return the digests of all blobs."""
        found = []
        for algorithm in _entries(f"{self.images_dir}/blobs"):
            for name in _entries(f"{self.images_dir}/blobs/{algorithm}"):
                try:
                    found.append(Digest(f"{algorithm}:{name}"))
                except Corrupt:
                    continue  # not ours: a layout may hold other files
        return sorted(found)

    def sizes(self) -> dict[Digest, int]:
        """Return how many bytes each blob has."""
        found = {}
        for digest in self.list():
            try:
                found[digest] = self.size(digest)
            except NotFound:
                continue  # it was removed meanwhile
        return found

    def sweep(self) -> int:
        """Delete what killed writers left, and return how many files that were."""
        return sweep(self.incoming_dir)


class BlobWriter:
    """A blob being written. Made by `Blobs.writer`, used as a context."""

    def __init__(self, blobs: Blobs) -> None:
        """Prepare; nothing is made yet."""
        self._blobs = blobs
        self._aside = Aside(blobs.incoming_dir)
        self._hash = hasher()
        self.size = 0

    def __enter__(self) -> Self:
        """Make a file aside."""
        self._aside.__enter__()
        return self

    def write(self, data: bytes, /) -> int:
        """Add `data`."""
        self._aside.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def reader(self) -> BinaryIO:
        """Return what was written, opened for reading from its start."""
        return open(self._aside.path, "rb", buffering=0)

    def commit(self, expected_digest: Digest | None = None) -> Digest:
        """Make the blob visible under its digest, which must be `expected_digest` if given.

        Raises: Corrupt
        """
        digest = expected_digest or self.digest
        if digest.algorithm != "sha256":
            self._verify_other(digest)
        elif digest != self.digest:
            message = f"{digest} is what was promised, {self.digest} came"
            raise Corrupt(message)
        self._aside.sync()
        trace("blobs.commit:before-rename")
        self._aside.publish(self._blobs.path(digest))
        trace("blobs.commit:after-rename")
        return digest

    def _verify_other(self, digest: Digest) -> None:
        check = hasher(algorithm=digest.algorithm)
        with self.reader() as file:
            while data := file.read(_CHUNK):
                check.update(data)
        if check.hexdigest() != digest.hex:
            message = f"{digest} is what was promised, {digest.algorithm}:{check.hexdigest()} came"
            raise Corrupt(message)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete the file if it was not committed."""
        self._aside.__exit__(kind, error, traceback)


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _missing(digest: Digest) -> NotFound:
    message = f"no such blob: {digest}"
    return NotFound(message)
