"""Claims on work: of all builds that come to the same cache key, one at a time goes on.

A claim is a flock(2) on a file named by the key; the kernel drops it with the process. The file
goes when the claim is given up, under its lock: who waits for it notices that it has lost its name,
and makes another.
"""

from __future__ import annotations

import os

from knarr.util.files import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from knarr.engine.build.mounts import Caches


class Claim:
    """The right to do the work of one key, for a `with` statement after `acquire`.

    The caches that the work mounts may be given up with it.
    """

    def __init__(self, directory: str, key: str) -> None:
        """Prepare a claim on `key`; an empty one is everybody's."""
        self.caches: Caches | None = None
        self._lock = FileLock(f"{directory}/{key.rpartition(':')[2]}") if key else None

    def acquire(self) -> bool:
        """Take the claim; return False while another has it."""
        while self._lock is not None:
            try:
                return self._lock.acquire(wait=False)
            except FileNotFoundError:
                # No directory yet, or the file was removed between opening and locking it.
                os.makedirs(os.path.dirname(self._lock.path), 0o700, exist_ok=True)
        return True

    def __enter__(self) -> None:
        """Do nothing: the claim is held."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the claim up."""
        if self._lock is not None:
            os.unlink(self._lock.path)
            self._lock.release()
        if self.caches is not None:
            self.caches.release()
