"""Files on their way: written aside, and under their name only when complete.

    <images>/incoming/<random>      being written; the writer holds a flock(2) on it

A file that nobody holds was left by a process that was killed; `sweep` deletes it.
"""

from __future__ import annotations

import fcntl
import os

from knarr.util.files import make_directories, sync_directory, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Aside:
    """A new file in `directory`, for a `with` statement; gone at its end unless published."""

    def __init__(self, directory: str) -> None:
        """Remember where; make nothing yet."""
        self._directory = directory
        self.path = ""
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Make the file, locked before anyone could take it for abandoned."""
        while self._descriptor < 0:
            path = f"{self._directory}/{os.urandom(8).hex()}"
            descriptor = _create(path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                self.path, self._descriptor = path, descriptor
            else:  # swept in between
                os.close(descriptor)
        return self

    def write(self, data: bytes, /) -> None:
        """Add `data`."""
        write_all(self._descriptor, data)

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        os.fsync(self._descriptor)

    def publish(self, path: str, *, durable: bool = True) -> None:
        """Move the file, which was synced, to `path`, in the place of another one.

        Without `durable` neither was it synced nor is its name: `sync_file_system` does both.
        """
        directory = os.path.dirname(path)
        try:
            os.rename(self.path, path)
        except FileNotFoundError:
            make_directories(directory)
            os.rename(self.path, path)
        self.path = ""
        if durable:
            sync_directory(directory)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, and delete it if it was not published."""
        if self.path:
            os.unlink(self.path)
            self.path = ""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sync_file_system(directory: str) -> None:
    """Make everything beside and below `directory` survive a power cut, in one stroke."""
    from knarr.linux.files import syncfs  # noqa: PLC0415 - for who has put something there

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(descriptor)
    finally:
        os.close(descriptor)


def sweep(directory: str) -> int:
    """Delete what killed writers left in `directory`, and return how many files that were."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    return sum(_delete_abandoned(f"{directory}/{name}") for name in names)


def _create(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        return os.open(path, flags, 0o644)


def _delete_abandoned(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    return True
