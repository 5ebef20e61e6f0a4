"""The directory of trees: how one comes under its name, and how it goes.

A tree is built aside, as `.incoming-<random>`, on which its maker holds a flock(2); the kernel
drops that with the process, however it ends, so `sweep` of another process can tell what nobody
will finish. `publish` renames it, never onto another; `remove` renames it back before deleting:
under a tree's name there is always a whole tree or nothing.

Whole is not yet durable: until `sync`, a published tree has a mark (see `marks`). After a power cut
a tree with a mark of an earlier boot may lack data: `has` denies it, `publish` replaces it, `sweep`
removes it. No record in the database names it, because `sync` comes before the record.
"""

from __future__ import annotations

import fcntl
import os

from knarr.snapshot.marks import Marks
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

INCOMING = ".incoming-"
REMOVED = ".removed-"
_MARKS = ".unsynced"
_EMPTY = ".empty"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Trees:
    """The trees in one directory, by name."""

    def __init__(self, directory: str) -> None:
        """Take `directory`; it is made when something is first put there."""
        self.directory = directory
        self._marks = Marks(f"{directory}/{_MARKS}")

    def path(self, name: str) -> str:
        """Return where the tree `name` is or would be."""
        return f"{self.directory}/{name}"

    def has(self, name: str) -> bool:
        """Tell whether there is a tree `name` that can be relied on."""
        return os.path.isdir(self.path(name)) and not self._marks.doubtful(name)

    def empty(self) -> str:
        """Return the path of a directory that holds nothing."""
        path = self.path(_EMPTY)
        if not os.path.isdir(path):
            os.makedirs(self.directory, 0o700, exist_ok=True)
            _make(path, 0o755)
            # What a layer says nothing about, it takes from here: the same on every host.
            os.utime(path, ns=(0, 0))
        return path

    def incoming(self) -> Incoming:
        """Return a place to build a tree in, for a `with` statement."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        return Incoming(self)

    def publish(self, path: str, name: str) -> bool:
        """Move the finished tree at `path` to its `name`; return False if that one exists already.

        In that case `path` is left for the caller to remove.
        """
        os.makedirs(self.directory, 0o700, exist_ok=True)
        if self._marks.doubtful(name):
            self.remove(name)
        with Marks(self._marks.directory) as marks:
            # Looked for and marked under one lock: a tree that was synced already must not get a
            # mark again, or a power cut would make it doubtful.
            if os.path.isdir(self.path(name)):
                return False
            marks.drop(name)
            marks.put(name)
            trace("trees.publish:before-rename")
            from knarr.linux import files  # noqa: PLC0415 - who only looks needs no system call

            files.renameat2(path, self.path(name), files.RENAME_NOREPLACE)
        return True

    def remove(self, name: str) -> None:
        """Remove the tree `name`, if there is one. Nobody may be using it."""
        self.discard(self.detach(name))

    def detach(self, name: str) -> str:
        """Take its name from a tree, and return what to `discard`; that there was none is fine."""
        aside = f"{REMOVED}{os.urandom(8).hex()}"
        with Marks(self._marks.directory) as marks:
            try:
                os.rename(self.path(name), self.path(aside))
            except FileNotFoundError:
                pass
            marks.drop(name)
        trace("trees.remove:before-delete")
        return aside

    def discard(self, aside: str) -> None:
        """Delete what `detach` left."""
        self._delete(aside)

    def sync(self) -> None:
        """Make everything published so far survive a power cut."""
        seen = self._marks.all()
        if not seen:
            return
        descriptor = os.open(self.directory, _DIRECTORY)
        try:
            from knarr.linux.files import syncfs  # noqa: PLC0415 - as above

            syncfs(descriptor)
        finally:
            os.close(descriptor)
        trace("trees.sync:before-clear")
        with Marks(self._marks.directory) as marks:
            marks.clear(seen)

    def sweep(self) -> list[str]:
        """Remove what processes that ended left unfinished, and return the names of it."""
        swept = [
            name
            for name in self.names(hidden=True)
            if name.startswith((INCOMING, REMOVED)) and self._delete(name)
        ]
        for name in self._marks.all():
            if self._marks.doubtful(name):
                self.remove(name)
                swept.append(name)
        return swept

    def names(self, *, hidden: bool = False) -> list[str]:
        """Return the names of all trees, with `hidden` also of what is not finished."""
        try:
            return [name for name in os.listdir(self.directory) if hidden or name[0] != "."]
        except FileNotFoundError:
            return []

    def _delete(self, name: str) -> bool:
        """Delete a tree that has no name any more, unless someone is at work on it."""
        try:
            descriptor = os.open(self.path(name), _DIRECTORY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.delete_held(name)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def delete_held(self, name: str) -> None:
        """Delete an unfinished tree whose lock is held."""
        directory_fd = os.open(self.directory, _DIRECTORY)
        try:
            from knarr.linux.tree import remove_tree  # noqa: PLC0415 - as above

            remove_tree(directory_fd, name)
        finally:
            os.close(directory_fd)


class Incoming:
    """A tree being built; removed when left without being published."""

    def __init__(self, trees: Trees) -> None:
        """Prepare; nothing is made yet."""
        self._trees = trees
        self._name = f"{INCOMING}{os.urandom(8).hex()}"
        self.path = trees.path(self._name)
        self.descriptor = -1

    def publish(self, name: str) -> bool:
        """Give the tree its `name`; return False if there is such a tree, which is kept."""
        return self._trees.publish(self.path, name)

    def __enter__(self) -> Self:
        """Make the directory, locked."""
        os.mkdir(self.path, 0o700)
        self.descriptor = os.open(self.path, _DIRECTORY)
        # Should a sweep have come between the calls, the directory is gone and nothing is lost.
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        os.stat(self.path)
        os.fchmod(self.descriptor, 0o700)  # takes off a setgid bit, which files would inherit
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what was not published."""
        try:
            self._trees.delete_held(self._name)
        except OSError as failure:
            if error is None:
                raise
            error.add_note(f"also failed removing {self.path}: {failure}")
        finally:
            os.close(self.descriptor)


def _make(path: str, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    os.chmod(path, mode)
