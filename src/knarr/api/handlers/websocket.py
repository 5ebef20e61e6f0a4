"""Attaching by WebSocket, for browsers: the streams as they are, in binary messages.

Docker: stdout and stderr are not told apart
"""

from __future__ import annotations

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from knarr.api.answers import Hijack
from knarr.api.handlers.streams import prepare_attach, serve_attached
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.splice import Manner
    from knarr.api.takeover import Taken
    from knarr.engine.containers import Container

NORMAL_CLOSURE = 1000


class Messages:
    """Turns output into messages, and messages into input."""

    def __init__(self) -> None:
        self._protocol = Connection(ConnectionType.SERVER)

    def wrap(self, stream: int, data: bytes) -> bytes:
        """Return output as a message."""
        del stream
        return self._protocol.send(BytesMessage(data=data))

    def unwrap(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Return the input in bytes that came, None when the client has left, and our answer."""
        found, answer = b"", b""
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, BytesMessage):
                    found += event.data
                elif isinstance(event, TextMessage):
                    found += event.data.encode()
                elif isinstance(event, Ping):
                    answer += self._protocol.send(event.response())
                elif isinstance(event, CloseConnection):
                    return None, answer
        except RemoteProtocolError:
            return None, answer
        return found, answer

    def goodbye(self) -> bytes:
        """Return the last message."""
        try:
            return self._protocol.send(CloseConnection(code=NORMAL_CLOSURE))
        except LocalProtocolError:  # the client was faster
            return b""


def attach(call: Call) -> Answer:
    container, manner = prepare_attach(call)
    key = call.headers.get("sec-websocket-key", "")
    if not key or call.headers.get("sec-websocket-version") != "13":
        message = "this is no WebSocket handshake of version 13"
        raise InvalidArgument(message)
    accepted = generate_accept_token(key.encode("ascii", "replace")).decode("ascii")
    return Hijack(
        lambda taken: _serve(call, container, taken, manner),
        "",
        ("websocket",),
        must=True,
        headers=(("Sec-WebSocket-Accept", accepted),),
    )


def _serve(call: Call, container: Container, taken: Taken, manner: Manner) -> None:
    messages = Messages()
    manner = manner.replace(wrap=messages.wrap, unwrap=messages.unwrap)
    serve_attached(call, container, taken, manner)
    taken.socket.sendall(messages.goodbye())
