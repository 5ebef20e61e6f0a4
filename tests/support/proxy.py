"""A proxy on loopback: CONNECT for TLS, whole URLs for plain HTTP.

Names below `.test` lead to this machine, as they do for nobody else: who asks for one through the
proxy shows that the proxy was used. So do the names in `leads`, with their ports, to a port here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from support.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.certificates import Authority


class Proxy(Listener):
    """The proxy. `requests` are the first lines that came, `credentials` what came with them."""

    def __init__(
        self, leads: Mapping[str, int] | None = None, *, refusing: bool = False,
        authority: Authority | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._leads = leads or {}
        self._refusing = refusing
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.server_certificate, authority.server_key)
            self._listener = context.wrap_socket(
                self._listener, server_side=True, do_handshake_on_connect=False
            )
        self.requests: list[str] = []
        self.credentials: list[str] = []

    def take(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            first, _, rest = head.partition(b"\r\n")
            method, target, version = first.decode().split()
            self.requests.append(f"{method} {target}")
            for line in rest.decode(errors="replace").split("\r\n"):
                if line.lower().startswith("proxy-authorization:"):
                    self.credentials.append(line.partition(":")[2].strip())
            if self._refusing:
                client.sendall(b"HTTP/1.1 403 No way out\r\nContent-Length: 0\r\n\r\n")
                return
            if method == "CONNECT":
                server = self._reach(target)
                client.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
            else:
                url = urlsplit(target)
                server = self._reach(url.netloc)
                path = url.path + (f"?{url.query}" if url.query else "")
                server.sendall(f"{method} {path} {version}\r\n".encode() + rest)
            with server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()

    def _reach(self, target: str) -> socket.socket:
        if target in self._leads:
            return socket.create_connection(("127.0.0.1", self._leads[target]), 5)
        name, _, port = target.partition(":")
        if name != "127.0.0.1" and not name.endswith(".test"):
            message = f"no test may reach {target}"
            raise ValueError(message)
        return socket.create_connection(("127.0.0.1", int(port or 80)), 5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
