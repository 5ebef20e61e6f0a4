"""gRPC over connections that are there already, as a server or as a client.

The protocol is grpclib's, which is asyncio's: all connections of a server are served by one loop
in a thread of its own, which begins with the first of them. The thread that took a connection over
waits until it has ended. Blocking work never runs in the loop: it is given to threads.

grpclib opens its connections itself; the two classes below give it one that is open. These and
`_Bounded` are the places where its inner parts are used (`_protocol_factory`,
`_create_connection`, `protocol.Buffer`).

Spec: gRPC over HTTP/2
"""

from __future__ import annotations

import asyncio
import threading

import grpclib.protocol
from grpclib import GRPCError
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.encoding.proto import ProtoCodec
from grpclib.server import Server

from knarr.api.buildkit.schema import STATUS, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
    from concurrent.futures import Future
    from typing import Any

    from grpclib.protocol import H2Protocol

    from knarr.api.takeover import Taken

# What a connection may have under way before the other side hears that it was received: with the
# 64 KiB that HTTP/2 begins with, files come no faster than a client can answer.
_WINDOW = 16 << 20
_CONFIGURATION = Configuration(
    http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW
)

LARGEST = 16 << 20  # bytes of a message, as with BuildKit


class _Bounded(grpclib.protocol.Buffer):
    """What has come of a stream. grpclib itself reads messages of any size into memory."""

    async def read(self, size: int) -> bytes:
        """Return `size` bytes. Raises: GRPCError"""
        if size > LARGEST:
            text = f"a message of {size} bytes, more than {LARGEST}"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
        return await super().read(size)


grpclib.protocol.Buffer = _Bounded  # type: ignore[misc] # streams look for it there

_STATUS = message(f"{STATUS}.Status")
UNARY = Cardinality.UNARY_UNARY
SERVER_STREAM = Cardinality.UNARY_STREAM
STREAM = Cardinality.STREAM_STREAM

_lock = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []


def the_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process, which runs from the first call on."""
    with _lock:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="grpc", daemon=True).start()
            _loops.append(loop)
        return _loops[0]


def begin(work: Coroutine[Any, Any, Any]) -> Future[Any]:
    """Let the loop do `work`, from any thread; the result may be waited for."""
    return asyncio.run_coroutine_threadsafe(work, the_loop())


class Details(StatusDetailsCodecBase):
    """What an error says beside its message: a list of `google.rpc.Any`, taken as it is."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        """Return the bytes of a `google.rpc.Status`."""
        whole = _STATUS(code=status.value, message=message or "", details=details)
        return bytes(whole.SerializeToString())

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        """Return the details in a `google.rpc.Status`."""
        del status, message
        return list(_STATUS.FromString(data).details)


class Method:
    """One method of a service: how many messages go each way, of which kinds, and who does it."""

    def __init__(
        self,
        package: str,
        name: str,
        request: str,
        reply: str,
        serve: Callable[[Any], Awaitable[None]],
        cardinality: Cardinality = UNARY,
    ) -> None:
        """Name the service with the method (`Control/Solve`), and the messages without package."""
        self.path = f"/{package}.{name}"
        self.handler = Handler(
            serve, cardinality, message(f"{package}.{request}"), message(f"{package}.{reply}")
        )


class Services:
    """What a server offers, in the form that grpclib asks for."""

    def __init__(self, methods: Collection[Method]) -> None:
        self._methods = methods

    def __mapping__(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {method.path: method.handler for method in self._methods}


class _OneConnection:
    """A protocol on a socket: created with what had come already, and its end awaited."""

    def __init__(self, connection: socket.socket, early: bytes) -> None:
        self._socket = connection
        self._early = early
        self.closed = asyncio.Event()

    async def attach(self, protocol: H2Protocol) -> H2Protocol:
        """Let `protocol` have the socket."""
        lost = protocol.connection_lost

        def connection_lost(exc: BaseException | None) -> None:
            lost(exc)
            self.closed.set()

        protocol.connection_lost = connection_lost  # type: ignore[method-assign]
        self._socket.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: protocol, self._socket)
        if self._early:
            protocol.data_received(self._early)
        return protocol


def serve(taken: Taken, methods: Collection[Method]) -> None:
    """Serve `methods` on a connection until its client has gone."""

    async def work() -> None:
        server = Server(
            [Services(methods)],
            codec=ProtoCodec(),
            status_details_codec=Details(),
            config=_CONFIGURATION,
        )
        connection = _OneConnection(taken.socket.dup(), taken.early)
        await connection.attach(server._protocol_factory())  # noqa: SLF001 - see above
        await connection.closed.wait()

    begin(work()).result()


class Dialled(Channel):
    """A client's side of gRPC on a connection that the other side opened."""

    def __init__(self, taken: Taken) -> None:
        """Take over the connection; to be made in the loop."""
        super().__init__(codec=ProtoCodec(), status_details_codec=Details(), config=_CONFIGURATION)
        self._connection = _OneConnection(taken.socket.dup(), taken.early)

    async def _create_connection(self) -> H2Protocol:
        return await self._connection.attach(self._protocol_factory())

    @property
    def gone(self) -> asyncio.Event:
        """Set when the connection has ended."""
        return self._connection.closed
