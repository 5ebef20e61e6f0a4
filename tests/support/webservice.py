"""A web service of our own in a thread, which does what no good one does when a test asks.

service.on("GET", "/blobs/", cut_after(1000))           once (see support.mischief)
service.on("GET", "/blobs/", refuse(503), times=2)
…
assert service.seen("GET", "/blobs/")[1].headers["Range"] == "bytes=1000-"

What it is a service of, a subclass says: `Service` with what it holds, `Handler` with `reply`.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from support.certificates import Authority

    Act = Callable[[Any], bool]


class Seen:
    """A request that came: method, path with query, headers, length of the body."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    service: ClassVar[Any]
    body = b""
    query: dict[str, str]

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        # A client that goes away is what some tests are about.
        with contextlib.suppress(ConnectionError, ssl.SSLError, ValueError):
            super().handle_one_request()
            return
        self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        service = self.service
        acting = service.acting(self.command, self.path)
        if acting is not None and getattr(acting, "unread", False):
            service.requests.append(Seen(self.command, self.path, dict(self.headers), b""))
        else:
            self.body = self.received()
            service.requests.append(Seen(self.command, self.path, dict(self.headers), self.body))
        if acting is not None and acting(self):
            return
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.reply(unquote(parts.path))

    def received(self) -> bytes:
        """Return the body of the request, which may come in chunks."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, path: str) -> None:
        """Answer as is right."""
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str, message: str, **headers: str) -> None:
        document = {"errors": [{"code": code, "message": message}]}
        self.send(status, json.dumps(document).encode(), Content_Type="application/json", **headers)


class Server(ThreadingHTTPServer):
    """A thread for each connection, and no word about clients that go away."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


class Service:
    """The service: what was asked of it, and its habits, to be set by tests."""

    __test__ = False

    def __init__(
        self,
        handler: type[Handler],
        *,
        authority: Authority | None = None,
        client_certificates: bool = False,
    ) -> None:
        self.requests: list[Seen] = []
        self._acts: list[list[Any]] = []
        self._server = Server(("127.0.0.1", 0), type("Bound", (handler,), {"service": self}))
        self.port = self._server.server_address[1]
        self.scheme = "http"
        if authority is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.server_certificate, authority.server_key)
            if client_certificates:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(authority.certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    def on(self, method: str, part: str, act: Act, *, times: int = 1) -> None:
        """Have `act` answer the next `times` requests whose path has `part` in it.

        What it returns says whether it has answered.
        """
        self._acts.append([method, part, act, times])

    def acting(self, method: str, path: str) -> Act | None:
        for entry in self._acts:
            if entry[0] in (method, "*") and entry[1] in path and entry[3] > 0:
                entry[3] -= 1
                act: Act = entry[2]
                return act
        return None

    def seen(self, method: str, part: str) -> list[Seen]:
        """Return the requests that came, in order."""
        return [s for s in self.requests if s.method == method and part in s.path]
