"""Sessions: what a client offers to its builds, as long as the connection lasts.

The roles are turned round on such a connection: the client serves, and we ask it for the files of
contexts, for secrets, for the credentials of a registry, for its SSH agent, and send it what it
wants to have of the result. The request for a build names its session, which may come a moment
later than that.

A session lives where its connection does, in the process that serves it; who asks for a build
through one server has its session there, too.

Spec: BuildKit, package session
"""

from __future__ import annotations

import asyncio

from grpclib import GRPCError
from grpclib.client import StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status

from knarr.api.buildkit import wire
from knarr.api.buildkit.schema import CONTENT, CONTROL, FILES, SECRETS, SSH, TREE, message
from knarr.errors import NotFound, Unsupported
from knarr.registry.credentials import Login

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from knarr.api.takeover import Taken

_BYTES = message(f"{CONTROL}.BytesMessage")
_PIECE = 32 << 10
HEADER_ID = "x-docker-expose-session-uuid"
PATIENCE = 5.0  # seconds for a session that was named and is not there yet

_sessions: dict[str, Session] = {}
_changed: list[asyncio.Event] = []


class Session:
    """What one client offers. All methods are for the loop."""

    def __init__(self, taken: Taken) -> None:
        """Take the connection over."""
        self.id = taken.head.get(HEADER_ID, "")
        self._channel = wire.Dialled(taken)

    async def live(self) -> None:
        """Be there until the client has gone."""
        await self._channel.__connect__()
        _sessions[self.id] = self
        _tell()
        try:
            await self._channel.gone.wait()
        finally:
            if _sessions.get(self.id) is self:
                del _sessions[self.id]
            self._channel.close()

    def trees(self) -> StreamStreamMethod[Any, Any]:
        """Return the method by which the client sends a tree of files."""
        return self._stream(f"{FILES}.FileSync/DiffCopy", f"{TREE}.Packet")

    def outlet(self, kind: str) -> StreamStreamMethod[Any, Any]:
        """Return the method by which it takes a result: messages `kind` of bytes or of a tree."""
        return self._stream(f"{FILES}.FileSend/DiffCopy", kind)

    def upload(self) -> StreamStreamMethod[Any, Any]:
        """Return the method by which the client sends what it has under a URL of its own."""
        return self._stream("moby.upload.v1.Upload/Pull", f"{CONTROL}.BytesMessage")

    def reading(self) -> UnaryStreamMethod[Any, Any]:
        """Return the method by which it sends a blob of a store."""
        request, reply = (message(f"{CONTENT}.ReadContent{end}") for end in ("Request", "Response"))
        return UnaryStreamMethod(self._channel, f"/{CONTENT}.Content/Read", request, reply)

    def writing(self) -> StreamStreamMethod[Any, Any]:
        """Return the method by which it takes a blob into a store."""
        request, reply = (
            message(f"{CONTENT}.WriteContent{end}") for end in ("Request", "Response")
        )
        return StreamStreamMethod(self._channel, f"/{CONTENT}.Content/Write", request, reply)

    def agent(self) -> StreamStreamMethod[Any, Any]:
        """Return the method that is a connection to its SSH agent."""
        return self._stream(f"{SSH}.SSH/ForwardAgent", f"{SSH}.BytesMessage")

    async def has_agent(self, name: str) -> bool:
        """Tell whether it has an SSH agent of this name."""
        try:
            await self._ask(f"{SSH}.SSH/CheckAgent", f"{SSH}.CheckAgent", ID=name)
        except (NotFound, Unsupported):
            return False
        return True

    async def secret(self, name: str) -> bytes | None:
        """Return a secret, None if the client does not have it."""
        try:
            reply = await self._ask(f"{SECRETS}.Secrets/GetSecret", f"{SECRETS}.GetSecret", ID=name)
        except (NotFound, Unsupported):
            return None
        return bytes(reply.data)

    async def login(self, host: str) -> Login | None:
        """Return the credentials for a registry, None if the client has none."""
        try:
            reply = await self._ask(f"{FILES}.Auth/Credentials", f"{FILES}.Credentials", Host=host)
        except (NotFound, Unsupported):
            return None
        if not reply.Secret:
            return None
        if not reply.Username:
            return Login("", "", identity_token=reply.Secret)
        return Login(reply.Username, reply.Secret)

    async def _ask(self, path: str, kind: str, **fields: str) -> Any:
        """Ask for one thing. Raises: NotFound, Unsupported (not offered), GRPCError"""
        request, reply = message(f"{kind}Request"), message(f"{kind}Response")
        method = UnaryUnaryMethod(self._channel, f"/{path}", request, reply)
        try:
            return await method(request(**fields))
        except GRPCError as error:
            text = error.message or path
            if error.status is Status.UNIMPLEMENTED:
                raise Unsupported(text) from error
            if error.status is Status.NOT_FOUND:
                raise NotFound(text) from error
            raise

    def _stream(self, path: str, kind: str) -> StreamStreamMethod[Any, Any]:
        both = message(kind)
        return StreamStreamMethod(self._channel, f"/{path}", both, both)


def _tell() -> None:
    for event in _changed:
        event.set()


async def find(session_id: str) -> Session:
    """Return the session with this ID, waiting for it a little.

    Raises: NotFound
    """
    event = asyncio.Event()
    _changed.append(event)
    try:
        async with asyncio.timeout(PATIENCE):
            while session_id not in _sessions:
                event.clear()
                await event.wait()
    except TimeoutError:
        message_ = f"no active session for {session_id}"
        hint = "The client's connection to /session has ended, or was made to another server."
        raise NotFound(message_, hint=hint) from None
    finally:
        _changed.remove(event)
    return _sessions[session_id]


def serve(taken: Taken) -> None:
    """Have a session on a connection until its client has gone."""

    async def work() -> None:
        await Session(taken).live()

    wire.begin(work()).result()


async def serve_stream(stream: Any, taken: Taken, theirs: socket.socket) -> None:
    """Have a session whose bytes come and go in messages, as clients do that know gRPC alone.

    `theirs` is the other end of the socket in `taken`.
    """
    reader, writer = await asyncio.open_connection(sock=theirs)

    async def give() -> None:
        while data := await reader.read(_PIECE):
            await stream.send_message(_BYTES(data=data))

    async def take() -> None:
        async for packet in stream:
            writer.write(packet.data)
            await writer.drain()
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(Session(taken).live())
        giving = tasks.create_task(give())
        await take()
        await living
        await giving
