"""Digesting on another processor.

    with ThreadedHash(hasher()) as digest:
        digest.update(data)            returns before the data are digested
        …
    digest.hexdigest()                 after the end

OpenSSL digests two gigabytes a second where processors have instructions for it, half of one where
not: as much as reading or copying takes. A thread that only digests does not hold Python's lock.
It ends with the `with` statement, because a process that starts containers must have none then; it
is not even begun for data that one piece holds.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _queue import SimpleQueue
    from _thread import LockType
    from hashlib import _Hash as Hash
    from types import TracebackType
    from typing import Self

_WAITING = 16  # pieces at most that are not digested yet
_PIECE = 1 << 18
_LARGE = 1 << 22  # from here on a file is worth a thread


def digest_file(digest: Hash, descriptor: int) -> None:
    """Let `digest` see the rest of an open file."""
    large = os.fstat(descriptor).st_size >= _LARGE
    with ThreadedHash(digest, least=_PIECE if large else _PIECE + 1) as threaded:
        while piece := os.read(descriptor, _PIECE):
            threaded.update(piece)


class ThreadedHash:
    """A hash object whose work is done by a thread."""

    def __init__(self, digest: Hash, *, least: int = 1 << 17) -> None:
        """Let `digest` see what comes; pieces below `least` bytes are not worth a thread."""
        self._digest = digest
        self._least = least
        self._work: SimpleQueue[bytes] | None = None
        self._free: SimpleQueue[None]
        self._ended: LockType

    def update(self, data: bytes) -> None:
        """Digest `data`, later; waits if too much is waiting."""
        if self._work is None:
            if len(data) < self._least:
                self._digest.update(data)
                return
            self._begin()
        assert self._work is not None
        self._free.get()
        self._work.put(data)

    def _begin(self) -> None:
        from _queue import SimpleQueue  # noqa: PLC0415 - most data are small
        from _thread import allocate_lock, start_new_thread  # noqa: PLC0415 - as above

        self._work, self._free, self._ended = SimpleQueue(), SimpleQueue(), allocate_lock()
        for _ in range(_WAITING):
            self._free.put(None)
        self._ended.acquire()
        start_new_thread(self._run, (self._work,))

    def _run(self, work: SimpleQueue[bytes]) -> None:
        while data := work.get():
            self._digest.update(data)
            self._free.put(None)
        self._ended.release()

    def wait(self) -> None:
        """Wait until everything is digested; the thread has ended then."""
        work, self._work = self._work, None
        if work is not None:
            work.put(b"")
            self._ended.acquire()

    def hexdigest(self) -> str:
        """Return the digest of all that came so far."""
        self.wait()
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the thread."""
        self.wait()
