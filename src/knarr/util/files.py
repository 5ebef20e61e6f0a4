"""Small files, written so that a crash leaves the old one or the new one, never half of it."""

from __future__ import annotations

import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


def write_atomically(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace the file at `path` by `data`.

    Written aside, synced, renamed. With `durable` false nothing is synced: for files that mean
    nothing after a reboot.
    """
    aside = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_file(path: str) -> bytes:
    """Return the contents of a small file."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def delete_file(path: str) -> None:
    """Delete the file at `path`, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def delete_with_files(directory: str) -> None:
    """Delete a directory that has nothing but files in it, if it is there."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)


def sync_directory(path: str) -> None:
    """Make the names in the directory at `path` survive a power cut."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: str, mode: int = 0o755) -> None:
    """Make the directory at `path` and those above it, and let their names survive a power cut.

    fsync(2) of a directory keeps the names in it, not its own name in the one above.
    """
    missing: list[str] = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, mode)
        except FileExistsError:  # another process was faster; its name may not be synced yet
            pass
        sync_directory(os.path.dirname(directory))


class FileLock:
    """An exclusive or shared flock(2) on a file of its own; the kernel drops it with the process.

    The file is never deleted while someone may wait for it; who deletes the directory around it
    holds the lock, and a waiter notices by comparing inodes and raises FileNotFoundError.
    """

    def __init__(self, path: str) -> None:
        """Prepare a lock on `path`, which is created when first locked."""
        self.path = path
        self._descriptor = -1

    def acquire(self, *, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock; return False if it is held by another and `wait` is false."""
        flags = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, flags if wait else flags | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino != os.stat(self.path).st_ino:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock up; harmless if it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Wait for the exclusive lock."""
        if self._descriptor < 0:
            self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock up."""
        self.release()
