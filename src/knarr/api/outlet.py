"""Where an answer without a known length is written, piece by piece.

Small pieces are collected, until there are enough of them or their writer has nothing more at the
moment (`idle`). When the client is gone, whoever writes or is idle gets `ClientGone`, and so the
work that belonged to that client ends.
"""

from __future__ import annotations

import select

from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENOUGH = 32 << 10
_POLLRDHUP = 0x2000


class ClientGone(ConnectionError):
    """Nobody is there any more who would read the answer."""


class Outlet:
    """Takes the pieces of one answer. `begun` tells whether anything was sent to the client."""

    def __init__(self, send: Callable[[bytes], None], descriptor: int) -> None:
        """Pass pieces to `send`; `descriptor` is the connection, to see whether it still is one."""
        self._send = send
        self._pieces: list[bytes] = []
        self._size = 0
        self._poll = select.poll()
        self._poll.register(descriptor, _POLLRDHUP)
        self.begun = False

    def write(self, data: bytes, /) -> None:
        """Take bytes.

        Raises: ClientGone
        """
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= ENOUGH:
            self.flush()

    def send(self, document: dict[str, Any]) -> None:
        """Take a document, one of several, and pass it on at once.

        Raises: ClientGone
        """
        self.write(jsontext.dumps(document).encode("utf-8", "replace") + b"\r\n")
        self.flush()

    def idle(self) -> None:
        """Pass on what there is, and see whether the client is still there.

        Raises: ClientGone
        """
        self.flush()
        if self._poll.poll(0):
            raise ClientGone

    def flush(self) -> None:
        """Pass on what there is.

        Raises: ClientGone
        """
        if not self._size:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.begun = True
        try:
            self._send(data)
        except OSError as error:
            raise ClientGone from error
