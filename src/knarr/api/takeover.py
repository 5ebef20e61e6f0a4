"""A connection that stopped being HTTP and belongs to a handler now, until it returns."""

from __future__ import annotations

import fcntl
import socket
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine

READING = 0.1  # seconds for a client to read the head of its answer
_PAUSE = 0.0002


class Taken:
    """The socket, and what of its bytes was read with the request already (`early`).

    `upgraded` is the protocol that was agreed on, empty if the client did not ask for one. `head`
    holds the headers of the request. The engine is the connection's.
    """

    __slots__ = ("early", "engine", "head", "socket", "upgraded")

    def __init__(
        self,
        connection: socket.socket,
        engine: Engine,
        *,
        early: bytes = b"",
        upgraded: str = "",
        head: dict[str, str] | None = None,
    ) -> None:
        self.socket = connection
        self.engine = engine
        self.early = early
        self.upgraded = upgraded
        self.head = head or {}


def let_read(connection: socket.socket) -> None:
    """Wait until the client has read what it was sent, for a moment at most.

    docker-py takes the socket out from under the buffer that it read the head of the answer with.
    Output that comes with the head would stay in that buffer, and an exec is quick enough for it.
    TCP does not tell what was read; nor does it deliver at once.
    """
    if connection.family != socket.AF_UNIX:
        return
    deadline = time.monotonic() + READING
    while _unread(connection) and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _unread(connection: socket.socket) -> int:
    """Return how much the other end of a unix socket has not read yet. Man: unix(7), SIOCOUTQ"""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, "little")
