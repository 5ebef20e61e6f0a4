"""Fetching: blobs of a repository come into the store, several at once, and are read meanwhile.

    network ──▶ <images>/downloads/<digest> ──▶ whoever unpacks, as far as it has come
           └──▶ sha256

Each download is a thread that writes what comes to a file (`knarr.store.downloads`) and hashes it.
A reader follows the file and waits where it ends; it sees the end only after digest and size were
found right. So a layer is unpacked while it is downloaded, and the next ones are downloaded while
it is unpacked; nothing is held in memory between the two.

A file that is there already, in whole or in part, is hashed and gone on with.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from knarr.errors import Corrupt, KnarrError, Unavailable
from knarr.oci.digest import hasher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.registry.client import Repository
    from knarr.store.blobs import Blobs
    from knarr.store.downloads import Download, Downloads

_CHUNK = 1 << 18
_REHASH = 1 << 20
_PATIENCE = 1.0  # seconds for a thread to notice; who waits for a dead network is left alone
_TOLD_EVERY = 1 << 19  # bytes between two reports of progress


class Fetcher:
    """Downloads from one repository during a pull. Used by one thread, works in others."""

    def __init__(
        self,
        repository: Repository,
        blobs: Blobs,
        downloads: Downloads,
        *,
        report: Report,
        at_once: int,
    ) -> None:
        """Prepare to have so many downloads `at_once`; nothing is asked for yet."""
        self._repository = repository
        self._blobs = blobs
        self._downloads = downloads
        self._report = report
        self._at_once = at_once
        self._known: dict[Digest, _Fetching] = {}
        self._queue: deque[_Fetching] = deque()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._busy = 0
        self._stopping = False

    def expect(
        self, descriptors: Iterable[Descriptor], *, there: Callable[[], bool] = lambda: False
    ) -> None:
        """Begin to download blobs, in this order.

        `there` tells whether another process has taken them in, which makes a download idle: it is
        asked, by a thread, after that process has had the download for itself.
        """
        for descriptor in descriptors:
            if descriptor.digest in self._known:
                continue
            self._known[descriptor.digest] = fetching = _Fetching(descriptor, there)
            self._report(descriptor.digest, "Waiting", 0, 0)
            with self._lock:
                self._queue.append(fetching)
        with self._lock:
            for _ in range(min(len(self._queue), self._at_once - self._busy)):
                self._busy += 1
                thread = threading.Thread(target=self._work, daemon=True)
                self._threads.append(thread)
                thread.start()

    def open(self, descriptor: Descriptor) -> Following:
        """Return a stream of a blob, which ends when all of it was verified."""
        self.expect([descriptor])
        return Following(self._known[descriptor.digest])

    def publish(self, wanted: Collection[Digest]) -> list[Digest]:
        """Give those that are `wanted` of the blobs their place, and return their digests.

        Raises: Corrupt
        """
        for fetching in self._known.values():
            fetching.wait_for_end()
        missing = [digest for digest in wanted if not self._blobs.has(digest)]
        self._downloads.publish({digest: self._blobs.path(digest) for digest in missing})
        return missing

    def drop(self) -> None:
        """Delete the downloads that were not published: what was in them is recorded otherwise."""
        self._downloads.drop(self._known)

    def stop(self) -> None:
        """Give up what is under way; what has come stays for the next time."""
        self._stopping = True
        with self._lock:
            self._queue.clear()
        for fetching in self._known.values():
            fetching.fail(Unavailable("the download was given up"))
        for thread in self._threads:
            thread.join(_PATIENCE)
        for fetching in self._known.values():
            fetching.close()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._busy -= 1
                    return
                fetching = self._queue.popleft()
            try:
                self._fetch(fetching)
            except (KnarrError, OSError) as error:
                fetching.fail(error)
            except BaseException as error:
                fetching.fail(error)
                raise

    def _fetch(self, fetching: _Fetching) -> None:
        descriptor = fetching.descriptor
        digest = descriptor.digest
        waited = False

        def waiting() -> None:
            nonlocal waited
            waited = True
            self._report(digest, "Waiting", 0, 0)

        taken = self._downloads.take(digest, waiting=waiting, stopped=lambda: self._stopping)
        with taken as download:
            if waited and not download.size and fetching.there():
                download.discard()
            elif self._blobs.has(digest):
                download.discard()
                fetching.adopt(os.open(self._blobs.path(digest), os.O_RDONLY | os.O_CLOEXEC))
                fetching.advance(descriptor.size)
            else:
                if download.size > descriptor.size:
                    download.clear()
                fetching.adopt(download.reopened())
                self._complete(fetching, download)
        fetching.finish()
        self._report(digest, "Download complete", 0, 0)

    def _complete(self, fetching: _Fetching, download: Download) -> None:
        """Download what is missing, and verify everything."""
        descriptor = fetching.descriptor
        digest, resumed = descriptor.digest, download.size
        check = hasher(algorithm=digest.algorithm)
        at = 0
        while at < resumed and (data := download.read(_REHASH, at)):
            check.update(data)
            at += len(data)
        fetching.advance(resumed)
        if resumed < descriptor.size:
            self._receive(fetching, download, check.update)
        self._report(digest, "Verifying Checksum", 0, 0)
        problem = ""
        if download.size != descriptor.size:
            problem = f"{digest} ends after {download.size} of {descriptor.size} bytes"
        elif check.hexdigest() != digest.hex:
            found = f"{digest.algorithm}:{check.hexdigest()}"
            problem = f"{digest} is what was promised, {found} came"
        if problem:
            download.discard()
            hint = "What an earlier pull had left was part of it: pull again." if resumed else ""
            raise Corrupt(problem, hint=hint)

    def _receive(
        self, fetching: _Fetching, download: Download, update: Callable[[bytes], None]
    ) -> None:
        descriptor, told = fetching.descriptor, download.size
        self._report(descriptor.digest, "Downloading", told, descriptor.size)
        with self._repository.blob(descriptor, download.size) as reader:
            while data := reader.read(_CHUNK):
                if self._stopping:
                    message = "the download was given up"
                    raise Unavailable(message)
                if download.size + len(data) > descriptor.size:
                    download.discard()
                    size = descriptor.size
                    message = f"{descriptor.digest} is longer than the promised {size} bytes"
                    raise Corrupt(message)
                download.write(data)
                update(data)
                fetching.advance(download.size)
                if download.size - told >= _TOLD_EVERY:
                    told = download.size
                    self._report(descriptor.digest, "Downloading", told, descriptor.size)


class _Fetching:
    """A blob under way: how far it is there, and whether it is whole. For several threads."""

    def __init__(self, descriptor: Descriptor, there: Callable[[], bool]) -> None:
        self.descriptor = descriptor
        self.there = there
        self._changed = threading.Condition()
        self._size = 0
        self._whole = False
        self._error: BaseException | None = None
        self._file = -1

    def adopt(self, descriptor: int) -> None:
        """Take over the descriptor that is read from."""
        self._file = descriptor

    def advance(self, size: int) -> None:
        """Note that so many bytes are there."""
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def finish(self) -> None:
        """Note that everything is there and was verified."""
        with self._changed:
            self._whole = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Note that no more will come, unless all has come."""
        with self._changed:
            if not self._whole and self._error is None:
                self._error = error
            self._changed.notify_all()

    def read(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes at `offset` as soon as there are any; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._size > offset or self._whole or self._error)
            if self._size <= offset:
                self._raise()
                return b""
            size = min(size, self._size - offset)
        return os.pread(self._file, size, offset)

    def elsewhere(self) -> bool:
        """Tell, as soon as it is known, whether nothing comes since another process has it."""
        with self._changed:
            self._changed.wait_for(lambda: self._size or self._whole or self._error)
            return self._whole and not self._size

    def wait_for_end(self) -> None:
        """Return when everything is there and was verified."""
        with self._changed:
            self._changed.wait_for(lambda: self._whole or self._error)
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the file; nobody reads any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Following:
    """A blob, read while it comes."""

    def __init__(self, fetching: _Fetching) -> None:
        """Begin at the start."""
        self._fetching = fetching
        self._offset = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises: Corrupt, NotFound, Unauthorized, Unavailable
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_REHASH), b""))
        data = self._fetching.read(size, self._offset)
        self._offset += len(data)
        return data

    def elsewhere(self) -> bool:
        """Tell whether another process has taken the blob in meanwhile: then none of it comes."""
        return self._fetching.elsewhere()

    def close(self) -> None:
        """Do nothing: the file is the download's."""
