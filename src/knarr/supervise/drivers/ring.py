"""`mode=non-blocking`: output is taken first, and written to the log when there is time.

What waits is bounded by `max-buffer-size`; beyond it the oldest is dropped, and the log says so.
"""

from __future__ import annotations

from knarr.supervise.messages import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.logs import Log
    from knarr.supervise.loop import Loop, Timer


class Ring:
    """A log in front of which output waits."""

    def __init__(self, log: Log, size: int, loop: Loop) -> None:
        """Write to `log` what fits into `size` bytes."""
        self.full = False
        self._log = log
        self._size = size
        self._loop = loop
        self._waiting: list[tuple[int, bytes]] = []
        self._held = 0
        self._dropped = 0
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Open the log.

        Raises: KnarrError
        """
        self._log.begin()

    def write(self, stream: int, data: bytes) -> None:
        self._waiting.append((stream, data))
        self._held += len(data)
        while self._held > self._size and self._waiting:
            _, oldest = self._waiting.pop(0)
            self._held -= len(oldest)
            self._dropped += len(oldest)
        if self._timer is None:
            self._timer = self._loop.later(0, self._write_one)

    def _write_one(self) -> None:
        self._timer = None
        if self._dropped:
            text = f"knarr: {self._dropped} bytes of output are missing here: the buffer was full\n"
            self._dropped = 0
            self._log.write(STDERR, text.encode())
        if self._waiting:
            stream, data = self._waiting.pop(0)
            self._held -= len(data)
            self._log.write(stream, data)
        if self._waiting:
            self._timer = self._loop.later(0, self._write_one)

    def pending(self) -> bool:
        return self._log.pending()

    def flush(self) -> None:
        self._log.flush()

    def close(self) -> None:
        while self._waiting or self._dropped:
            self._write_one()
        if self._timer:
            self._timer.cancel()
        self._log.close()
