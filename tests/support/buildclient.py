"""A client of BuildKit's protocols, as small as it can be: what buildx does, without buildx.

client = BuildClient(path_of_socket, directories={"context": …, "dockerfile": …}, secrets={…})
with client:
    answer = client.solve({"filename": "Dockerfile"}, exporters=[("moby", {"name": "one"})])
    client.statuses                     what was told meanwhile

What it offers in its session is given when it is made; what it is sent is in `received`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
import uuid
from typing import TYPE_CHECKING, Any

from grpclib import GRPCError
from grpclib.client import UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status

from knarr.api.buildkit import wire
from knarr.api.buildkit.schema import CONTROL, FILES, SECRETS, TREE, message
from knarr.api.takeover import Taken
from knarr.engine.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    # Types with their attributes: of exporters, and of caches.
    Asked = Sequence[tuple[str, Mapping[str, str]]]

PACKET = message(f"{TREE}.Packet")
STAT, REQ, DATA, FIN = range(4)
TIMEOUT = 60


def upgrade(path: str, target: str, headers: Mapping[str, str] | None = None) -> socket.socket:
    """Return a connection to the server at `path` that speaks HTTP/2 from here on."""
    bare = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bare.settimeout(TIMEOUT)
    bare.connect(path)
    lines = [f"POST {target} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    bare.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += bare.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return bare


def _taken(connection: socket.socket) -> Taken:
    return Taken(connection, Engine.__new__(Engine))


class BuildClient:
    """One client with a session; a `with` statement opens and closes its connections."""

    def __init__(
        self,
        path: str,
        *,
        directories: Mapping[str, Path] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        stats: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Offer `directories` and `secrets`; `stats` is told of the context."""
        self.path = path
        self.session = uuid.uuid4().hex
        self.directories = directories or {}
        self.secrets = secrets or {}
        self.stats = stats
        self.statuses: list[Any] = []
        self.received: dict[int, bytes] = {}
        self.asked_for: list[tuple[str, list[str]]] = []
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Open the session."""
        name = {"X-Docker-Expose-Session-Uuid": self.session}
        offered = upgrade(self.path, "/session", name)
        self.sockets.append(offered)
        threading.Thread(target=wire.serve, args=(_taken(offered), self._methods())).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Go away."""
        for each in self.sockets:
            each.shutdown(socket.SHUT_RDWR)
            each.close()

    def solve(
        self,
        attributes: Mapping[str, str],
        exporters: Asked = (),
        *,
        cache_from: Asked = (),
        cache_to: Asked = (),
    ) -> dict[str, str]:
        """Build. Raises: GRPCError"""
        cache = {"Imports": _entries(cache_from), "Exports": _entries(cache_to)}
        solving = self._solve(attributes, _entries(exporters), cache)
        return dict(wire.begin(solving).result(TIMEOUT).ExporterResponse)

    def call(self, name: str, **fields: Any) -> Any:
        """Call a method of Control that answers once."""
        return wire.begin(self._call(name, fields)).result(TIMEOUT)

    def listen(self, name: str, request: str, reply: str, **fields: Any) -> list[Any]:
        """Call a method of Control that answers several times."""
        return list(wire.begin(self._listen(name, request, reply, fields)).result(TIMEOUT))

    async def _solve(
        self, attributes: Mapping[str, str], exporters: list[Any], cache: Mapping[str, list[Any]]
    ) -> Any:
        reference = uuid.uuid4().hex
        following = asyncio.ensure_future(
            self._listen("Status", "StatusRequest", "StatusResponse", {"Ref": reference})
        )
        fields = {
            "Ref": reference, "Session": self.session, "Frontend": "dockerfile.v0",
            "FrontendAttrs": dict(attributes), "Exporters": exporters, "Cache": cache,
        }  # fmt: skip
        try:
            return await self._call("Solve", fields)
        finally:
            self.statuses = await following

    def _channel(self) -> wire.Dialled:
        connection = upgrade(self.path, "/grpc")
        self.sockets.append(connection)
        return wire.Dialled(_taken(connection))

    async def _call(self, name: str, fields: Mapping[str, Any]) -> Any:
        request, reply = message(f"{CONTROL}.{name}Request"), message(f"{CONTROL}.{name}Response")
        channel = self._channel()
        try:
            path = f"/{CONTROL}.Control/{name}"
            return await UnaryUnaryMethod(channel, path, request, reply)(request(**fields))
        finally:
            channel.close()

    async def _listen(
        self, name: str, request: str, reply: str, fields: Mapping[str, Any]
    ) -> list[Any]:
        asked, given = message(f"{CONTROL}.{request}"), message(f"{CONTROL}.{reply}")
        channel = self._channel()
        try:
            path = f"/{CONTROL}.Control/{name}"
            return await UnaryStreamMethod(channel, path, asked, given)(asked(**fields))
        finally:
            channel.close()

    # what is offered

    def _methods(self) -> list[wire.Method]:
        stream = wire.STREAM
        return [
            _packets("FileSync/DiffCopy", self._files),
            wire.Method(
                FILES, "FileSend/DiffCopy", "BytesMessage", "BytesMessage", self._take, stream
            ),
            wire.Method(
                FILES, "Auth/Credentials", "CredentialsRequest", "CredentialsResponse", self._login
            ),
            wire.Method(
                SECRETS, "Secrets/GetSecret", "GetSecretRequest", "GetSecretResponse", self._secret
            ),
        ]

    async def _secret(self, stream: Any) -> None:
        asked = await stream.recv_message()
        if asked.ID not in self.secrets:
            raise GRPCError(Status.NOT_FOUND, f"no such secret {asked.ID}")
        reply = message(f"{SECRETS}.GetSecretResponse")
        await stream.send_message(reply(data=self.secrets[asked.ID]))

    async def _login(self, stream: Any) -> None:
        asked = await stream.recv_message()
        raise GRPCError(Status.NOT_FOUND, f"no credentials for {asked.Host}")

    async def _take(self, stream: Any) -> None:
        number = int(stream.metadata.get("buildkit-attachable-exporter-id", "0"))
        self.received[number] = b"".join([packet.data async for packet in stream])

    async def _files(self, stream: Any) -> None:
        name = stream.metadata["dir-name"]
        follow = stream.metadata.getall("followpaths", [])
        excludes = stream.metadata.getall("exclude-patterns", [])
        self.asked_for.append((name, [*follow, *(f"-{text}" for text in excludes)]))
        if name not in self.directories:
            raise GRPCError(Status.NOT_FOUND, f"no access allowed to dir {name!r}")
        directory = str(self.directories[name])
        told = list(walk(directory, follow, excludes))
        if self.stats is not None and name == "context" and not follow:
            told = [dict(each) for each in self.stats]
        for each in told:
            await stream.send_message(PACKET(type=STAT, stat=each))
        await stream.send_message(PACKET(type=STAT))
        async for packet in stream:
            if packet.type == FIN:
                break
            with open(f"{directory}/{told[packet.ID]['path']}", "rb") as file:  # noqa: ASYNC230
                while piece := file.read(32 << 10):
                    await stream.send_message(PACKET(type=DATA, ID=packet.ID, data=piece))
            await stream.send_message(PACKET(type=DATA, ID=packet.ID))
        await stream.send_message(PACKET(type=FIN))


def _entries(asked: Asked) -> list[Any]:
    return [{"Type": kind, "Attrs": dict(given)} for kind, given in asked]


def _packets(name: str, serve: Any) -> wire.Method:
    """Return a method whose messages are of another package than its service."""
    method = wire.Method(TREE, "-", "Packet", "Packet", serve, wire.STREAM)
    method.path = f"/{FILES}.{name}"
    return method


def walk(
    directory: str, follow: Sequence[str], excludes: Sequence[str], below: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield what is told of the files in a directory; patterns are plain names here."""
    for name in sorted(os.listdir(f"{directory}/{below}")):
        path = f"{below}{name}"
        if path in excludes or (follow and path not in follow):
            continue
        status = os.lstat(f"{directory}/{path}")
        mode = status.st_mode & 0o777
        told: dict[str, Any] = {"path": path, "mode": mode, "modTime": status.st_mtime_ns}
        if stat.S_ISDIR(status.st_mode):
            yield {**told, "mode": mode | 1 << 31}
            yield from walk(directory, follow, excludes, f"{path}/")
        elif stat.S_ISLNK(status.st_mode):
            link = os.readlink(f"{directory}/{path}")
            yield {**told, "mode": mode | 1 << 27, "linkname": link}
        else:
            yield {**told, "size": status.st_size}
