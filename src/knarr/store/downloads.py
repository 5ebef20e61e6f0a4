"""Downloads: blobs that come from afar, kept under their digest's name until somebody records them.

    <images>/downloads/<algorithm>-<hex>    a blob or its beginning; its writer holds a flock(2)

What a killed process left here is the start of the next download of the same blob, in whatever
command. Nothing here is trusted for its name: whoever goes on with a file hashes what is there.
Two processes that want the same blob take turns: the second finds all of it.

A complete, verified file leaves by a rename when its image is about to be recorded; one that is not
to be kept is deleted right after that. So recovery and
the collector of garbage, which remove blobs without a record, do not take away what a cut pull had.
"""

from __future__ import annotations

import fcntl
import os
import time

from knarr.errors import Corrupt, Unavailable
from knarr.store.aside import sync_file_system
from knarr.util.files import make_directories, sync_directory, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType
    from typing import Self

    from knarr.oci.digest import Digest

_POLL = 0.05  # seconds between two looks at a file that another process writes


class Downloads:
    """The downloads of the layout in `images_dir`."""

    def __init__(self, images_dir: str) -> None:
        """Remember where; make nothing yet."""
        self.directory = f"{images_dir}/downloads"

    def path(self, digest: Digest) -> str:
        """Return where the download of a blob lies, or would."""
        return f"{self.directory}/{digest.algorithm}-{digest.hex}"

    def take(
        self, digest: Digest, *, waiting: Callable[[], object], stopped: Callable[[], bool]
    ) -> Download:
        """Return the download of a blob, locked for us; while another process has it, wait.

        `waiting` is called once before that, `stopped` is asked whether to give up.

        Raises: Unavailable
        """
        path, told = self.path(digest), False
        os.makedirs(self.directory, 0o700, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if not told:
                    waiting()
                    told = True
                if stopped():
                    message = f"the download of {digest} was given up"
                    raise Unavailable(message) from None
                time.sleep(_POLL)
                continue
            if _same_file(descriptor, path):
                return Download(path, descriptor)
            os.close(descriptor)  # published, or swept, between the two calls

    def publish(self, targets: Mapping[Digest, str]) -> None:
        """Move complete downloads, which were verified, to where `targets` says.

        Raises: Corrupt
        """
        if not targets:
            return
        sync_file_system(self.directory)  # before they get their names
        for digest, target in targets.items():
            make_directories(os.path.dirname(target))
            try:
                os.rename(self.path(digest), target)
            except FileNotFoundError as error:
                if not os.path.exists(target):  # another process may have published it for us
                    message = f"the download of {digest} was removed before it was recorded"
                    raise Corrupt(message, hint="Pull the image again.") from error
        for directory in {os.path.dirname(target) for target in targets.values()}:
            sync_directory(directory)

    def drop(self, digests: Collection[str]) -> None:
        """Delete downloads that are of no more use here, unless another process has them."""
        for name in self._names():
            if name.replace("-", ":", 1) in digests:
                _delete(f"{self.directory}/{name}", float("inf"))

    def sweep(self, *, older_than: float = 0.0) -> int:
        """Delete what nobody writes and was not touched for so many seconds; return the bytes."""
        limit = time.time() - older_than
        return sum(_delete(f"{self.directory}/{name}", limit) for name in self._names())

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []


class Download:
    """One file, locked. Used as a context, which gives up the lock and keeps the file."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Take over `descriptor`."""
        self._path = path
        self._descriptor = descriptor
        self.size = os.lseek(descriptor, 0, os.SEEK_END)

    def write(self, data: bytes, /) -> None:
        """Add `data` at the end."""
        write_all(self._descriptor, data)
        self.size += len(data)

    def read(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes at `offset`."""
        return os.pread(self._descriptor, size, offset)

    def reopened(self) -> int:
        """Return another descriptor of the file, for reading; it is the caller's to close."""
        return os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)

    def discard(self) -> None:
        """Delete the file: what is in it is of no use."""
        os.unlink(self._path)

    def clear(self) -> None:
        """Begin anew with an empty file."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0

    def __enter__(self) -> Self:
        """Return the download."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have it."""
        os.close(self._descriptor)


def _same_file(descriptor: int, path: str) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)


def _delete(path: str, limit: float) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if status.st_mtime > limit or not _same_file(descriptor, path):
            return 0
        os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        return 0
    finally:
        os.close(descriptor)
    return status.st_size
