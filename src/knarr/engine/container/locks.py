"""One change of state at a time: every container has a lock, a file in its directory.

Held for as long as a state is being changed (create, start, remove), never while something is
waited for that a user may want to interrupt (`stop` waits for the program without it).
"""

from __future__ import annotations

import os

from knarr.errors import Conflict, NotFound, Unavailable
from knarr.util.files import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from knarr.engine.paths import Paths


class ContainerLock:
    """The lock of a container, held within the context.

    With `make` the container's directory is made; who waits for a container that is removed
    meanwhile learns that it is gone.
    """

    def __init__(
        self, paths: Paths, container_id: str, *, make: bool = False, wait: bool = True
    ) -> None:
        self._directory = paths.container(container_id)
        self._lock = FileLock(f"{self._directory}/lock")
        self._make = make
        self._wait = wait
        self._id = container_id

    def __enter__(self) -> None:
        """Take the lock.

        Raises: NotFound, Conflict, Unavailable (another has it, and it is not to be waited for)
        """
        if self._make:
            try:
                os.mkdir(self._directory, 0o710)
            except FileExistsError:
                message = f"there is a directory of container {self._id} already"
                raise Conflict(message) from None
        try:
            taken = self._lock.acquire(wait=self._wait)
        except FileNotFoundError:
            message = f"no such container: {self._id}"
            raise NotFound(message) from None
        if not taken:
            message = f"container {self._id} is being changed by another process"
            raise Unavailable(message)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it up."""
        self._lock.release()
