"""One look at a container's health: by a command in it, or by a connection to a port of it.

A probe is started, and calls `done` once with an exit code and what is worth keeping of what it
saw. It never blocks: a command is an exec, a connection a socket that is made in the container's
network namespace and watched by the loop. Switching the namespace for one call of socket(2) is
harmless, since the supervisor has one thread.

Docker: exit codes of probes are 0 healthy, anything else unhealthy; -1 when there is none
"""

from __future__ import annotations

import _socket
import os

from knarr.errors import KnarrError
from knarr.linux import namespaces
from knarr.supervise.loop import HANG_UP, READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any, Protocol

    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.sessions import Session, Sessions

    Done = Callable[[int, str], None]
else:
    import _signal

    Protocol = object

KEPT = 4096  # bytes of output, as Docker keeps
NO_STATUS = -1
FAILED = 1
GOOD_STATUS = range(200, 400)
_HEAD = 4096  # bytes in which an answer's first line has to end
LOCALHOST = ("127.0.0.1", "::1")


class Probe(Protocol):
    """One look."""

    def stop(self) -> None:
        """End it without a result."""


class Output:
    """Keeps the beginning of what a probe writes (`streams.Log`)."""

    full = False

    def __init__(self) -> None:
        self._data = b""
        self._cut = False

    def begin(self) -> None:
        """Do nothing."""

    def write(self, stream: int, data: bytes) -> None:
        """Keep `data` as long as there is room."""
        del stream
        room = KEPT - len(self._data)
        self._cut = self._cut or len(data) > room
        self._data += data[:room]

    def pending(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    @property
    def text(self) -> str:
        text = self._data.decode("utf-8", "replace")
        return f"{text}..." if self._cut else text


class Limited:
    """What all probes have in common: a time after which they have failed, and one result."""

    def __init__(self, loop: Loop, timeout: float, words: str, done: Done) -> None:
        self.output = Output()
        self._done: Done | None = done
        self._words = words
        self._timer: Timer = loop.later(timeout, self._too_late)

    def _too_late(self) -> None:
        said = self.output.text
        self._abandon()
        words = f"Health check exceeded timeout ({self._words})"
        self._finish(NO_STATUS, f"{words}: {said}" if said else words)

    def _finish(self, code: int, output: str) -> None:
        done, self._done = self._done, None
        self._timer.cancel()
        if done:
            done(code, output)

    def stop(self) -> None:
        """End it without a result."""
        self._done = None
        self._timer.cancel()
        self._abandon()

    def _abandon(self) -> None:
        """Let go of everything."""
        raise NotImplementedError


class CommandProbe(Limited):
    """Runs a process in the container."""

    def __init__(
        self, sessions: Sessions, process: dict[str, Any], pid: int, limited: tuple[Any, ...]
    ) -> None:
        """Start `process` in the container of `pid`; `limited` is for the base class."""
        super().__init__(*limited)
        self._session: Session | None = sessions.create(process, terminal=False, stdin=False)
        try:
            sessions.watch(self._session, pid, self.output, self._ended)
        except (KnarrError, OSError) as error:
            self._session = None
            self._finish(NO_STATUS, str(error))

    def _ended(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._finish(session.exit_code or 0, self.output.text)

    def _abandon(self) -> None:
        """Kill the process and all it started; who is reaped later is nobody's."""
        session, self._session = self._session, None
        if session is not None and session.running:
            try:
                os.killpg(session.pid, _signal.SIGKILL)  # it leads a session of its own
            except ProcessLookupError:
                pass


class PortProbe(Limited):
    """Connects to a port; with a request for HTTP, asks for an answer."""

    def __init__(self, loop: Loop, network: int, target: Target, limited: tuple[Any, ...]) -> None:
        """Connect to `target` in the network namespace of the descriptor `network`."""
        super().__init__(*limited)
        self._loop = loop
        self._network = network
        self._target = target
        self._addresses = list(target.addresses)
        self._socket: _socket.socket | None = None
        self._head = b""
        self._next("")

    def _next(self, reason: str) -> None:
        """Try the next address; without one, the probe has failed for `reason`."""
        self._abandon()
        if not self._addresses:
            self._finish(FAILED, f"cannot connect to {self._target.place}: {reason}")
            return
        address = self._addresses.pop(0)
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        try:
            connection = self._socket = _open_in(self._network, family)
            connection.settimeout(0)
            connection.connect((address, self._target.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self._next(os.strerror(error.errno or 0))
            return
        self._loop.watch(connection.fileno(), WRITE, self._connected)

    def _connected(self, _: int) -> None:
        assert self._socket is not None
        number = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if number:
            self._next(os.strerror(number))
        elif not self._target.request:
            self._conclude(0, f"connected to {self._target.place}")
        else:
            try:
                self._socket.send(self._target.request)
            except OSError as error:
                self._conclude(FAILED, f"cannot ask {self._target.place}: {error.strerror}")
                return
            self._loop.forget(self._socket.fileno())
            self._loop.watch(self._socket.fileno(), READ, self._readable)

    def _readable(self, events: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_HEAD) if events & (READ | HANG_UP) else b""
        except BlockingIOError:
            return
        except OSError as error:
            self._conclude(FAILED, f"no answer from {self._target.place}: {error.strerror}")
            return
        self._head += data
        line, ended, _ = self._head.partition(b"\n")
        if ended or not data or len(self._head) > _HEAD:
            words = line.decode("utf-8", "replace").strip()
            good = ended and is_good(words)
            self._conclude(0 if good else FAILED, words or f"no answer from {self._target.place}")

    def _conclude(self, code: int, output: str) -> None:
        self._abandon()
        self._finish(code, output)

    def _abandon(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None


class Target:
    """Where a port probe connects to, and what it asks; from a test like `("HTTP", url)`."""

    __slots__ = ("addresses", "place", "port", "request")

    def __init__(self, test: tuple[str, ...]) -> None:
        kind, text = test
        self.request = b""
        if kind == "TCP":
            host, _, port = text.rpartition(":")
            path = ""
        else:
            authority, slash, rest = text.removeprefix("http://").partition("/")
            host, _, port = authority.rpartition(":")
            path = slash + rest or "/"
        host = host.strip("[]")
        self.port = int(port)
        self.addresses = LOCALHOST if host in ("", "localhost") else (host,)
        shown = f"[{host}]" if ":" in host else host or "localhost"
        self.place = f"{shown}:{port}{path}"
        if kind == "HTTP":
            self.request = (
                f"GET {path} HTTP/1.1\r\nHost: {shown}:{port}\r\nUser-Agent: knarr-health\r\n"
                "Accept: */*\r\nConnection: close\r\n\r\n"
            ).encode()


def is_good(line: str) -> bool:
    """Tell whether the first line of an answer says that all is well."""
    words = line.split()
    return (
        len(words) > 1
        and words[0].startswith("HTTP/")
        and words[1].isdecimal()
        and int(words[1]) in GOOD_STATUS
    )


def _open_in(network: int, family: int) -> _socket.socket:
    """Return a TCP socket of another network namespace."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(network, namespaces.CLONE_NEWNET)
        try:
            return _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        finally:
            namespaces.setns(own, namespaces.CLONE_NEWNET)
    finally:
        os.close(own)
