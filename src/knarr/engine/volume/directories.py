"""The directories of volumes, and how one comes under its name and goes.

    <root>/volumes/<name>/_data           what containers see
    <root>/volumes/<name>/.filling        a copy of an image's content that is not whole yet
    <root>/volumes/<name>/.was            the name before a renaming that is under way
    <root>/volumes/<name>@<snapshot>/     a snapshot: as a volume, and no container's
    <root>/volumes/.incoming-<random>/    a copy in the making, locked by who makes it
    <root>/volumes/.removed-<name>-…/     what is being deleted

Under a name there is a directory from before the volume's record is written until after it is gone.
What no record speaks of is of an operation that was cut short; `strays` are that. Of a renaming
that was cut short everything is there but the record's word for it: the directory says itself
whose it is, and `put_back` gives it its name again.

All of this happens within a transaction of the database, whose lock keeps others from seeing a
directory in between.
"""

from __future__ import annotations

import fcntl
import os

from knarr.linux import files
from knarr.util.files import delete_file
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Self

DATA = "_data"
DATA_MODE = 0o755
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_REMOVED = ".removed-"
_INCOMING = ".incoming-"
_WAS = ".was"


class Directories:
    """The directories of volumes below one."""

    __slots__ = ("top",)

    def __init__(self, top: str) -> None:
        """Work in `top`."""
        self.top = top

    def data(self, name: str) -> str:
        """Return what containers see of a volume."""
        return f"{self.top}/{name}/{DATA}"

    def make(self, name: str, *, size: int = 0) -> None:
        """Make the directory of a new volume, if an attempt that was cut short did not.

        With `size`, what is in it may not take more bytes.
        """
        os.makedirs(f"{self.top}/{name}", 0o711, exist_ok=True)
        try:
            os.mkdir(self.data(name), DATA_MODE)
            os.chmod(self.data(name), DATA_MODE)  # whatever the umask is
        except FileExistsError:
            pass
        if size:
            from knarr.engine.space.quotas import limit  # noqa: PLC0415 - for few volumes

            limit((f"{self.top}/{name}", self.data(name)), size)

    def rename(self, name: str, new_name: str) -> None:
        """Rename a directory; until `settle`, it says what it was.

        FileExistsError if there is one of the new name.
        """
        path = f"{self.top}/{name}/{_WAS}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, name.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        old, new = f"{self.top}/{name}", f"{self.top}/{new_name}"
        files.renameat2(old, new, files.RENAME_NOREPLACE)

    def settle(self, name: str) -> None:
        """Let a directory that was renamed forget what it was."""
        delete_file(f"{self.top}/{name}/{_WAS}")

    def put_back(self, name: str, known: Container[str]) -> bool:
        """Give a stray directory its name of before, if that is one in `known` that has none."""
        try:
            with open(f"{self.top}/{name}/{_WAS}", encoding="utf-8") as file:
                was = file.read()
        except OSError:
            return False
        if was not in known:
            return False
        try:
            self.take_back(name, was)
        except FileExistsError:
            return False
        return True

    def take_back(self, name: str, was: str) -> None:
        """Undo a `rename`."""
        files.renameat2(f"{self.top}/{name}", f"{self.top}/{was}", files.RENAME_NOREPLACE)
        self.settle(was)

    def set_aside(self, name: str) -> str:
        """Give a directory a name that no volume can have, and return that."""
        aside = f"{_REMOVED}{name}-{os.urandom(4).hex()}"
        try:
            os.rename(f"{self.top}/{name}", f"{self.top}/{aside}")
        except FileNotFoundError:
            pass
        return aside

    def lift(self, name: str) -> None:
        """Forget the limit of a directory that is about to be deleted."""
        from knarr.engine.space.quotas import lift  # noqa: PLC0415 - for who changes something

        lift(f"{self.top}/{name}")

    def delete(self, name: str) -> None:
        """Delete a directory that has no volume's name any more."""
        from knarr.linux.tree import remove_tree  # noqa: PLC0415 - not for who only asks

        directory = os.open(self.top, DIRECTORY)
        try:
            remove_tree(directory, name)
        finally:
            os.close(directory)

    def strays(self, known: Container[str]) -> list[str]:
        """Return the names of directories that are not in `known`, and nobody is making."""
        return [
            name
            for name in os.listdir(self.top)
            if name not in known and not (name.startswith(_INCOMING) and self._held(name))
        ]

    def take_aside(self, name: str) -> str:
        """Set a stray aside, unless it is already; return what it is called then."""
        return name if name.startswith((_REMOVED, _INCOMING)) else self.set_aside(name)

    def _held(self, name: str) -> bool:
        try:
            descriptor = os.open(f"{self.top}/{name}", DIRECTORY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def incoming(self) -> Incoming:
        """Return a place to make a copy in, for a `with` statement."""
        return Incoming(self)


class Incoming:
    """A directory with empty data in the making, deleted at the end unless it was published."""

    __slots__ = ("_descriptor", "_directories", "_name", "data_fd")

    def __init__(self, directories: Directories) -> None:
        """Prepare."""
        self._directories = directories
        self._name = ""

    def __enter__(self) -> Self:
        """Make it."""
        while True:
            self._name = f"{_INCOMING}{os.urandom(8).hex()}"
            os.mkdir(self._path, 0o711)
            try:
                self._descriptor = os.open(self._path, DIRECTORY)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                os.mkdir(DATA, DATA_MODE, dir_fd=self._descriptor)
                self.data_fd = os.open(DATA, DIRECTORY, dir_fd=self._descriptor)
            except FileNotFoundError:  # taken for a stray before it was locked
                continue
            return self

    @property
    def _path(self) -> str:
        return f"{self._directories.top}/{self._name}"

    def sync(self) -> None:
        """See to it that the copy survives a power cut, as a record will say it exists."""
        files.syncfs(self.data_fd)

    def publish(self, name: str) -> None:
        """Let it be the directory of the volume `name`; part of the transaction that records that.

        FileExistsError if there is one.
        """
        files.renameat2(self._path, f"{self._directories.top}/{name}", files.RENAME_NOREPLACE)
        trace("volumes:published")
        self._name = ""

    def limit(self, size: int) -> None:
        """Let what is copied take no more than `size` bytes."""
        from knarr.engine.space.quotas import limit  # noqa: PLC0415 - for few volumes

        limit((self._path, f"{self._path}/{DATA}"), size)

    def exchange(self, name: str) -> None:
        """Let the copy be the directory of the volume `name`, whose own is then deleted.

        With all it has: what is limited apart, XFS does not move from one directory to another.
        """
        files.renameat2(self._path, f"{self._directories.top}/{name}", files.RENAME_EXCHANGE)
        trace("volumes:exchanged")

    def __exit__(self, *_: object) -> None:
        """Delete what was not published."""
        os.close(self.data_fd)
        if self._name:
            self._directories.lift(self._name)
            self._directories.delete(self._name)
        os.close(self._descriptor)


class Locked:
    """A volume's directory, open and held with flock(2)."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        """Take the directory at `path`."""
        self._path = path

    def __enter__(self) -> int:
        """Wait for the lock, and return the descriptor."""
        self._descriptor = os.open(self._path, DIRECTORY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        """Let go."""
        os.close(self._descriptor)
