"""Docker's own store, by way of its daemon, which gives and takes archives.

The daemon is reached by the socket that DOCKER_HOST names, /var/run/docker.sock without it.

Docker: Engine API, "Export an image", "Import images"
"""

from __future__ import annotations

import json
import os
import socket
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote

from knarr.errors import Failed, InvalidArgument, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPResponse
    from typing import BinaryIO

SOCKET = "/var/run/docker.sock"
_MAX_ANSWER = 1 << 20


class _Connection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class Daemon:
    """Docker's daemon. Each request has a connection of its own."""

    def __init__(self) -> None:
        """Find out where it is; nothing is asked yet.

        Raises: InvalidArgument
        """
        address = os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"
        if not address.startswith("unix://"):
            message = f"DOCKER_HOST is {address}: Docker is reached by a socket on this machine"
            raise InvalidArgument(message, hint="It is unix://PATH, or left out.")
        self._path = address.removeprefix("unix://")

    def give(self, name: str) -> HTTPResponse:
        """Return the archive of an image, to be read.

        Raises: NotFound, Unavailable, Failed
        """
        try:
            return self._request("GET", f"/images/{quote(name, safe='/:@')}/get")
        except NotFound as error:
            message = f"docker has no image {name}"
            raise NotFound(message) from error

    def take(self, archive: BinaryIO) -> None:
        """Have the images of an archive loaded.

        Raises: Unavailable, Failed
        """
        size = str(os.fstat(archive.fileno()).st_size)
        headers = {"Content-Type": "application/x-tar", "Content-Length": size}
        answer = self._request("POST", "/images/load?quiet=1", archive, headers)
        for line in answer.read(_MAX_ANSWER).splitlines():
            problem = _decoded(line).get("error")
            if problem:
                message = f"docker does not load the image: {problem}"
                raise Failed(message)

    def _request(
        self,
        method: str,
        path: str,
        body: BinaryIO | None = None,
        headers: dict[str, str] | None = None,
    ) -> HTTPResponse:
        connection = _Connection(self._path)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            message = f"cannot reach docker at {self._path}: {error}"
            raise Unavailable(message, hint="Does dockerd run? DOCKER_HOST names it.") from error
        if answer.status == 200:
            return answer
        said = str(_decoded(answer.read(_MAX_ANSWER)).get("message") or answer.reason)
        kind = NotFound if answer.status == 404 else Failed
        message = f"docker says: {said}"
        raise kind(message)


def _decoded(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
