"""One connection: requests come in, answers go out, until one side has enough.

HTTP/1.1 is h11's: it parses and renders, this module moves the bytes. A thread serves a connection
with blocking calls, so that a slow client is nobody else's business; how long a client may take is
limited by time-outs on the socket, how much it may send before it is known by `MAXIMUM_HEAD`.

The end of HTTP comes in two ways. A handler may ask for the connection (`answers.Hijack`): its
client gets 101 or 200, and the handler the socket with the bytes that came already. And a client
may begin with the preface of HTTP/2: it is one of BuildKit's.
"""

from __future__ import annotations

import http
import socket
import time
from urllib.parse import unquote

import h11

from knarr.api import faults, routes, versions
from knarr.api.answers import JSON, RAW, Empty, Encoded, Hijack, Json, Stream, Text
from knarr.api.call import Body, Call
from knarr.api.outlet import ClientGone, Outlet
from knarr.api.takeover import Taken, let_read
from knarr.engine.engine import Engine
from knarr.errors import Failed, InvalidArgument, KnarrError, NotFound, Unsupported
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer, Headers, JsonLines
    from knarr.api.server import Server

RECEIVE_SIZE = 64 << 10
MAXIMUM_HEAD = 256 << 10  # credentials for many registries come in one header
MAXIMUM_DRAIN = 1 << 20  # of a body that no handler wanted; more than that ends the connection
IDLE = 600.0  # seconds between two requests
HEAD = 60.0  # for the rest of a head of which a part is there
SILENCE = 300.0  # between two pieces of a body, and for a client to take what it is sent
LINGER = 2.0  # for a client whose request was refused to be done with sending it
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection:
    """Serves one client."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        """Take over `connection`."""
        self._server = server
        self._socket = connection
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAXIMUM_HEAD)
        self._engine: Engine | None = None
        self._taken = False
        self.idle = True  # between two requests: nothing is lost when it is closed

    def serve(self) -> None:
        """Serve until the end, and close everything."""
        try:
            if not self._serve_preface():
                while self._serve_one():
                    self._http.start_next_cycle()
        except (OSError, h11.ProtocolError):  # the client is gone, in the middle of something
            pass
        finally:
            self._close()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # gone already
            pass
        self._socket.close()

    @property
    def engine(self) -> Engine:
        """Return the engine of this connection, which belongs to its thread."""
        if self._engine is None:
            self._engine = self._server.open_engine()
        return self._engine

    # what comes in

    def _serve_preface(self) -> bool:
        """Serve a client that speaks HTTP/2 from the first byte; return whether this was one."""
        self._socket.settimeout(IDLE)
        data = self._socket.recv(RECEIVE_SIZE)
        while data and len(data) < len(PREFACE) and PREFACE.startswith(data):
            more = self._socket.recv(RECEIVE_SIZE)
            if not more:
                break
            data += more
        if data.startswith(PREFACE):
            from knarr.api.buildkit.control import serve  # noqa: PLC0415 - loads gRPC

            self.idle = False
            self._socket.settimeout(None)
            serve(Taken(self._socket, self.engine, early=data, upgraded="h2c"))
            return True
        self._http.receive_data(data)
        return False

    def _serve_one(self) -> bool:
        """Serve one request; return whether another may follow."""
        try:
            request = self._next_request()
            if request is None:
                return False
            self.idle = False
            call = self._make_call(request)
            answer = self._answer(call)
        except h11.RemoteProtocolError as error:
            self._refuse(error)
            return False
        except TimeoutError:
            return False
        self._give(call, answer)
        if self._taken or self._http.our_state is h11.MUST_CLOSE:
            return False
        if not call.body.drain(MAXIMUM_DRAIN):
            self._linger()
            return False
        self.idle = True
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _next_request(self) -> h11.Request | None:
        self._socket.settimeout(IDLE)
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._receive()
                self._socket.settimeout(HEAD)
            elif isinstance(event, h11.Request):
                self._socket.settimeout(SILENCE)
                return event
            else:
                return None

    def _receive(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except ConnectionResetError:
            data = b""
        self._http.receive_data(data)

    def _receive_body(self) -> bytes:
        """Return the next piece of the body, nothing at its end."""
        while self._http.their_state is h11.SEND_BODY:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                self._send(go_on)
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                try:
                    self._receive()
                except OSError as error:
                    raise ClientGone from error
            elif isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            else:
                return b""
        return b""

    def _make_call(self, request: h11.Request) -> Call:
        target, _, query = request.target.decode("ascii").partition("?")
        if "://" in target[:8]:  # the absolute form, as for proxies
            target = "/" + target.partition("://")[2].partition("/")[2]
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        call = Call(request.method.decode("ascii"), unquote(target), query, headers)
        call.body = Body(self._receive_body)
        call.version = versions.NEWEST
        return call

    # what goes out

    def _answer(self, call: Call) -> Answer:
        """Return the answer to a request, whatever happens."""
        try:
            return self._dispatch(call)
        except KnarrError as error:
            return faults.answer(error)
        except (ClientGone, h11.RemoteProtocolError):
            raise
        except OSError as error:
            return faults.answer(Failed(str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the server
            return self._bug(error)

    def _dispatch(self, call: Call) -> Answer:
        segments = call.path.split("/")
        if "\0" in call.path or ".." in segments or not call.path.startswith("/"):
            message = "invalid path"
            raise InvalidArgument(message, hint="It holds a null byte or goes upwards.")
        while "//" in call.path:  # names of containers may come with their slash
            call.path = call.path.replace("//", "/")
        call.version, call.path = versions.split(call.path)
        match = routes.find(call.method, call.path)
        if match is None or call.version < match.route.since:
            if call.method == "OPTIONS":
                return Empty(200)
            message = "page not found"
            raise NotFound(message)
        call.parameters = match.parameters
        call.server = self._server
        call.engine = self.engine
        return routes.load(match.route.handler)(call)

    def _bug(self, error: Exception) -> Json:
        self._server.report(error)
        return faults.answer(Failed(f"internal error: {error!r}"))

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is no request."""
        status = error.error_status_hint
        message = "the head of the request is too long" if status == 431 else str(error)
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._whole(faults.body(message), JSON, status, (("Connection", "close"),))
            self._linger()

    def _linger(self) -> None:
        """Let a client that still sends read our answer: closing now would take it away."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(LINGER)
        deadline = time.monotonic() + LINGER
        while time.monotonic() < deadline and self._socket.recv(RECEIVE_SIZE):
            pass

    def _give(self, call: Call, answer: Answer) -> None:
        head = call.method == "HEAD"
        if isinstance(answer, Json):
            data = jsontext.dumps(answer.document).encode("ascii") + b"\n"
            self._whole(data, JSON, answer.status, answer.headers, head=head)
        elif isinstance(answer, Encoded):
            self._whole(answer.data, JSON, answer.status, answer.headers, head=head)
        elif isinstance(answer, Text):
            kind = "text/plain; charset=utf-8"
            self._whole(answer.text.encode(), kind, answer.status, answer.headers, head=head)
        elif isinstance(answer, Empty):
            self._whole(b"", "", answer.status, answer.headers)
        elif isinstance(answer, Hijack):
            self._hijack(call, answer)
        else:
            self._stream(call, answer)

    def _head(self, kind: str, more: Headers) -> list[tuple[str, str]]:
        return [
            *(() if not kind else (("Content-Type", kind),)),
            ("Api-Version", versions.render(versions.NEWEST)),
            ("Docker-Experimental", "false"),
            ("Ostype", "linux"),
            ("Server", self._server.name),
            *more,
        ]

    def _whole(
        self, data: bytes, kind: str, status: int, headers: Headers, *, head: bool = False
    ) -> None:
        """Send an answer whose body is all there; with `head` only what goes before it."""
        lines = self._head(kind, headers)
        if status in (204, 304):
            data = b""
        else:
            lines.append(("Content-Length", str(len(data))))
        if self._http.their_state is h11.SEND_BODY and self._http.they_are_waiting_for_100_continue:
            lines.append(("Connection", "close"))  # it keeps its body
        packed = self._http.send(_response(status, lines)) or b""
        if data and not head:
            packed += self._http.send(h11.Data(data=data)) or b""
        packed += self._http.send(h11.EndOfMessage()) or b""
        self._socket.sendall(packed)

    def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._socket.sendall(data)

    def _stream(self, call: Call, answer: Stream | JsonLines) -> None:
        """Send an answer while it is made."""

        def begin() -> None:
            if self._http.our_state is h11.SEND_RESPONSE:
                lines = self._head(answer.content_type, answer.headers)
                self._send(_response(200, lines))

        def send(data: bytes) -> None:
            begin()
            self._send(h11.Data(data=data))

        outlet = Outlet(send, self._socket.fileno())
        try:
            if answer.prompt:
                begin()
            answer.work(outlet)
            outlet.flush()
            begin()
        except ClientGone:
            raise
        except Exception as error:
            fault = error if isinstance(error, KnarrError) else None
            if fault is None:
                self._server.report(error)
                fault = Failed(f"internal error: {error!r}")
            if self._http.our_state is h11.SEND_RESPONSE:
                self._give(call, faults.answer(fault))
                return
            if isinstance(answer, Stream):
                raise ClientGone from error  # a cut is the only way to tell that it is not all
            outlet.send(faults.line(fault))
        self._send(h11.EndOfMessage())

    def _hijack(self, call: Call, answer: Hijack) -> None:
        """Hand the connection to a handler."""
        call.body.drain(MAXIMUM_DRAIN)
        wanted = call.headers.get("upgrade", "").lower()
        upgraded = wanted if wanted in answer.protocols else ""
        if answer.must and not upgraded:
            message = f"this connection has to be upgraded to {' or '.join(answer.protocols)}"
            self._give(call, faults.answer(Unsupported(message)))
            return
        lines = ["HTTP/1.1 101 UPGRADED" if upgraded else "HTTP/1.1 200 OK"]
        if answer.content_type:  # Docker: only who upgrades is told whether streams are framed
            lines.append(f"Content-Type: {answer.content_type if upgraded else RAW}")
        if upgraded:
            lines += ["Connection: Upgrade", f"Upgrade: {wanted}"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += [f"Api-Version: {versions.render(versions.NEWEST)}", "", ""]
        self._taken = True
        self._socket.sendall("\r\n".join(lines).encode("ascii"))
        let_read(self._socket)
        self._socket.settimeout(None)
        early, _ = self._http.trailing_data
        head = dict(call.headers)
        taken = Taken(self._socket, self.engine, early=early, upgraded=upgraded, head=head)
        try:
            answer.serve(taken)
        except (KnarrError, OSError) as error:
            if self._server.debug:
                self._server.report(error)


def _response(status: int, headers: list[tuple[str, str]]) -> h11.Response:
    return h11.Response(status_code=status, headers=headers, reason=http.HTTPStatus(status).phrase)
