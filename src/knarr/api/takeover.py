"""A connection that stopped being HTTP and belongs to a handler now, until it returns."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from knarr.engine.engine import Engine


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
