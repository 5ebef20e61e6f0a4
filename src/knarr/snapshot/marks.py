"""Marks of trees that are whole but not yet durable.

A mark is a link in a directory of its own, named like the tree; its target begins with the ID of
the boot in which the tree was published. Publishing makes it before the tree has its name; `clear`,
after syncfs(2), removes it for good. So a tree whose mark names an earlier boot was published
shortly before a power cut and may lack data. Journalling file systems keep the order of the link
and the rename.

Marks are changed under a flock(2) on their directory, and looked at without.
"""

from __future__ import annotations

import fcntl
import os

from knarr.util.files import delete_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_boot_id = ""


class Marks:
    """The marks below `directory`; in a `with` statement nobody else changes them."""

    def __init__(self, directory: str) -> None:
        """Take `directory`; it is made when first locked."""
        self.directory = directory
        self._descriptor = -1

    def put(self, name: str) -> None:
        """Mark `name` as made in this boot. It has no mark yet; the lock is held."""
        os.symlink(f"{boot_id()}-{os.urandom(4).hex()}", f"{self.directory}/{name}")

    def drop(self, name: str) -> None:
        """Remove the mark of `name`, if it has one."""
        delete_file(f"{self.directory}/{name}")

    def doubtful(self, name: str) -> bool:
        """Tell whether `name` was marked in an earlier boot."""
        target = self._target(name)
        return target is not None and not target.startswith(boot_id())

    def all(self) -> dict[str, str]:
        """Return the marks: name and target."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return {}
        return {name: target for name in names if (target := self._target(name)) is not None}

    def clear(self, seen: dict[str, str]) -> None:
        """Remove marks that `all` returned, so that they stay removed. The lock is held.

        One that was put again meanwhile has another target, and its own sync still to come.
        """
        for name, target in seen.items():
            if self._target(name) == target:
                self.drop(name)
        os.fsync(self._descriptor)

    def __enter__(self) -> Self:
        """Wait for the lock."""
        try:
            os.mkdir(self.directory, 0o700)
        except FileExistsError:
            pass
        self._descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock up."""
        os.close(self._descriptor)
        self._descriptor = -1

    def _target(self, name: str) -> str | None:
        try:
            return os.readlink(f"{self.directory}/{name}")
        except FileNotFoundError:
            return None


def boot_id() -> str:
    """Return what the kernel calls this boot."""
    global _boot_id  # noqa: PLW0603 - it cannot change while this process lives
    if not _boot_id:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            _boot_id = file.read().strip()
    return _boot_id
