"""The SSH agent of a client, as a socket here: what the builder takes for an agent on this machine.

Each connection to the socket is a call of its own to the session, whose messages carry its bytes.

Spec: BuildKit, ssh.proto
"""

from __future__ import annotations

import asyncio

from grpclib import GRPCError
from grpclib.exceptions import StreamTerminatedError

from knarr.api.buildkit.schema import SSH, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Server, StreamReader, StreamWriter
    from typing import Any

    from knarr.api.buildkit.sessions import Session

_BYTES = message(f"{SSH}.BytesMessage")
_NAME = "buildkit.ssh.id"
_PIECE = 32 << 10


async def listen(session: Session, name: str, path: str) -> Server:
    """Make the agent that the client calls `name` listen at `path`, until that is closed."""

    async def forward(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async with session.agent().open(metadata=[(_NAME, name)]) as stream:
                await _join(stream, reader, writer)
        except (GRPCError, StreamTerminatedError, OSError):  # either side is gone
            pass
        finally:
            writer.close()

    return await asyncio.start_unix_server(forward, path)


async def _join(stream: Any, reader: StreamReader, writer: StreamWriter) -> None:
    await stream.send_request()

    async def give() -> None:
        while data := await reader.read(_PIECE):
            await stream.send_message(_BYTES(data=data))
        await stream.end()

    giving = asyncio.ensure_future(give())
    try:
        async for packet in stream:
            writer.write(packet.data)
            await writer.drain()
    finally:
        giving.cancel()
