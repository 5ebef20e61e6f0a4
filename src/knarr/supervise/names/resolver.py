"""The resolver of a container on a network that a user made: names of neighbours and of the world.

It listens inside the container's network namespace, on 127.0.0.11 (see `knarr.network.redirect`),
and asks the world from the host's, so that it reaches servers on the host's loopback too.

What it knows is in files that the engine keeps in the run directory and replaces whenever something
changes: one for the container (`names.json`: its networks, the servers to ask) and one a network
(`names/<network>`: who is in it). They are looked at before each answer, with a stat(2) each, so
that a change is seen at once and nobody has to be told.

A container with an allowlist (`names.json` says so) is told of allowed names alone, and what it is
told it may connect to: see `knarr.supervise.names.grants`.

Nothing waits: a question for the world gets a socket of its own, connected to the server, with a
port that the kernel picks at random; its answer goes back as it came. Everything is bounded: so
many questions at a time, so many seconds, the next server after a while. A container that asks more
than that gets failures, and nobody else does, for every container has a resolver of its own.
"""

from __future__ import annotations

import _socket
import os

from knarr.linux import namespaces
from knarr.network import dns
from knarr.network.redirect import ADDRESS
from knarr.supervise import places
from knarr.supervise.loop import READ, WRITE
from knarr.util.files import read_file
from knarr.util.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.names.grants import Grants


MOST_QUESTIONS = 256  # under way at the same time
MOST_CONNECTIONS = 32
PATIENCE = 2.0  # seconds until the next server is asked
TCP_PATIENCE = 10.0
_SERVER_PORT = 53
_DATAGRAM = 65535
_MOST_WAITING = 128 << 10  # bytes of answers for who asks and does not read
_AT_ONCE = 64  # questions taken before others get their turn


class Known:
    """What the files say, read again when they have changed."""

    def __init__(self, control_dir: str, run: str) -> None:
        self._settings = f"{control_dir}/{places.NAMES}"
        self._networks = f"{run}/{places.NETWORKS}"
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.book = dns.Book(())
        self.servers: tuple[str, ...] = ()
        self.egress: dict[str, Any] | None = None

    def refresh(self) -> bool:
        """Read what has changed; tell whether anything has."""
        if all(_stamp(path) == stamp for path, stamp in self._seen.items()) and self._seen:
            return False
        self._seen = {self._settings: _stamp(self._settings)}
        settings = _load(self._settings, {})
        networks = []
        for network in settings.get("networks", ()):
            path = f"{self._networks}/{network}"
            self._seen[path] = _stamp(path)
            hosts = _load(path, None)
            if hosts is not None:
                networks.append(dns.decode_hosts(hosts))
        self.book = dns.Book(networks, settings.get("links"))
        self.servers = tuple(settings.get("servers", ()))
        self.egress = settings.get("egress")
        return True


class Names:
    """Answers a container's questions."""

    def __init__(self, loop: Loop, control_dir: str, run: str) -> None:
        self._loop = loop
        self._known = Known(control_dir, run)
        self._control_dir = control_dir
        self._grants: Grants | None = None
        self._ports = f"{control_dir}/{places.NAMES_PORTS}"
        self._datagrams: _socket.socket | None = None
        self._questions: set[Question] = set()
        self._connections: set[Connection] = set()
        self.ports: tuple[int, int] = (0, 0)

    def open(self, pid: int) -> tuple[int, int]:
        """Listen in the network namespace of `pid`; return the ports for datagrams and streams.

        They are those of an earlier supervisor, if there was one.

        Raises: OSError
        """
        if self._datagrams is not None:
            return self.ports
        wanted = _load(self._ports, [0, 0])
        datagrams, listener = _listen(pid, wanted)
        self._datagrams = datagrams
        self.ports = (datagrams.getsockname()[1], listener.getsockname()[1])
        with open(self._ports, "w", encoding="ascii") as file:
            file.write(f"[{self.ports[0]}, {self.ports[1]}]")
        self._loop.watch(datagrams.fileno(), READ, lambda _: self._on_datagrams(datagrams))
        self._loop.watch(listener.fileno(), READ, lambda _: self._on_connection(listener))
        return self.ports

    def known(self, message: bytes, *, stream: bool) -> bytes | None:
        """Return the answer to a question, None if others have to be asked."""
        if self._known.refresh():
            self._confine(self._known.egress)
        query = dns.parse_query(message)
        found = self._known.book.find(query) if query else None
        if query is not None and found is not None:
            if self._grants is not None:
                self._grants.grant(query.name, found.addresses, dns.TTL)
            return dns.answer(message, query, found, room=_DATAGRAM if stream else query.room)
        if self._grants is not None and not (query and self._grants.allows(query.name)):
            return dns.failure(message, dns.NAME_ERROR)
        if not self._known.servers:
            return dns.failure(message)
        return None

    def _confine(self, egress: dict[str, Any] | None) -> None:
        """Take what the container may connect to by name, if that is not everything."""
        if egress is None:
            self._grants = None
            return
        if self._grants is None:
            from knarr.supervise.names.grants import Grants  # noqa: PLC0415 - for few

            self._grants = Grants(self._control_dir)
        self._grants.configure(egress)

    def learn(self, message: bytes) -> None:
        """Look at an answer of the world's before the container does."""
        if self._grants is not None:
            self._grants.learn(message)

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers to ask."""
        return self._known.servers

    # datagrams

    def _on_datagrams(self, socket: _socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                message, asker = socket.recvfrom(_DATAGRAM)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if len(message) >= dns.header.size:
                self._on_question(socket, message, asker)

    def _on_question(self, socket: _socket.socket, message: bytes, asker: Any) -> None:
        def reply(data: bytes) -> None:
            try:
                socket.sendto(data, asker)
            except OSError:
                pass  # the asker is gone, or takes nothing: it will ask again

        said = self.known(message, stream=False)
        if said is None and len(self._questions) >= MOST_QUESTIONS:
            said = dns.failure(message)
        if said is not None:
            reply(said)
            return

        def pass_on(data: bytes) -> None:
            self.learn(data)
            reply(data)

        one = Question(self._loop, message, self.servers, pass_on, self._questions.discard)
        self._questions.add(one)
        one.ask()

    # streams

    def _on_connection(self, listener: _socket.socket) -> None:
        try:
            descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError:
            return
        if len(self._connections) >= MOST_CONNECTIONS:
            os.close(descriptor)
            return
        self._connections.add(Connection(self._loop, descriptor, self, self._connections.discard))


class Question:
    """A datagram for the world: asked of one server after the other until one answers."""

    def __init__(
        self,
        loop: Loop,
        message: bytes,
        servers: tuple[str, ...],
        reply: Callable[[bytes], None],
        done: Callable[[Question], None],
    ) -> None:
        self._loop = loop
        self._message = message
        self._servers = list(servers)
        self._reply = reply
        self._done = done
        self._socket: _socket.socket | None = None
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Ask the next server, or give up."""
        self._close()
        while self._servers:
            server = self._servers.pop(0)
            try:
                socket = _connected(server, _socket.SOCK_DGRAM)
                socket.send(self._message)
            except OSError:
                continue
            self._socket = socket
            self._loop.watch(socket.fileno(), READ, self._on_answer)
            self._timer = self._loop.later(PATIENCE, self.ask)
            return
        self._finish(dns.failure(self._message))

    def _on_answer(self, events: int) -> None:
        del events
        assert self._socket is not None
        try:
            data = self._socket.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self.ask()
            return
        if data[:2] == self._message[:2]:
            self._close()
            self._finish(data)

    def _finish(self, data: bytes) -> None:
        self._reply(data)
        self._done(self)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None


class Connection:
    """A stream: questions one after the other, each behind its length."""

    def __init__(
        self, loop: Loop, descriptor: int, names: Names, done: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self._names = names
        self._done = done
        self._asker = Stream(loop, _socket.socket(fileno=descriptor), self._on_question, self._end)
        self._server: Stream | None = None
        self._timer = loop.later(TCP_PATIENCE, self._end)

    def _on_question(self, message: bytes) -> None:
        if len(message) < dns.header.size:
            self._end()
            return
        said = self._names.known(message, stream=True)
        if said is not None:
            self._asker.send(said)
            return
        if self._server is None:
            self._server = self._connect()
        if self._server is None:
            self._asker.send(dns.failure(message))
        else:
            self._server.send(message)

    def _connect(self) -> Stream | None:
        for server in self._names.servers:
            try:
                socket = _connected(server, _socket.SOCK_STREAM)
            except OSError:
                continue
            return Stream(self._loop, socket, self._pass_on, self._end)
        return None

    def _pass_on(self, message: bytes) -> None:
        self._names.learn(message)
        self._asker.send(message)

    def _end(self) -> None:
        self._timer.cancel()
        self._asker.close()
        if self._server is not None:
            self._server.close()
        self._done(self)


class Stream:
    """Messages behind their lengths, both ways, over a socket that never blocks."""

    def __init__(
        self,
        loop: Loop,
        socket: _socket.socket,
        on_message: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = socket
        self._on_message = on_message
        self._on_end = on_end
        self._received = b""
        self._waiting = b""
        os.set_blocking(socket.fileno(), False)
        loop.watch(socket.fileno(), READ, self._ready)

    def send(self, message: bytes) -> None:
        """Send a message, as soon as the other side takes it."""
        self._waiting += len(message).to_bytes(2, "big") + message
        self._flush()

    def close(self) -> None:
        """Hang up; harmless more than once."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._waiting) if self._waiting else 0
        except BlockingIOError:  # perhaps not even connected
            sent = 0
        except OSError:
            self._on_end()
            return
        self._waiting = self._waiting[sent:]
        reading = READ if len(self._waiting) < _MOST_WAITING else 0
        self._loop.change(self._socket.fileno(), reading | (WRITE if self._waiting else 0))

    def _ready(self, events: int) -> None:
        if events & ~READ:
            self._flush()
            self._take()
        if not events & READ or self._socket.fileno() < 0:
            return
        try:
            data = self._socket.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_end()
            return
        self._received += data
        self._take()

    def _take(self) -> None:
        """Pass on what has come, while the other side takes what it gets for it."""
        while len(self._received) >= 2 and self._socket.fileno() >= 0:
            if len(self._waiting) >= _MOST_WAITING:
                return
            length = int.from_bytes(self._received[:2], "big")
            if len(self._received) < 2 + length:
                return
            message, self._received = self._received[2 : 2 + length], self._received[2 + length :]
            self._on_message(message)


def _connected(server: str, kind: int) -> _socket.socket:
    """Return a socket that talks to a name server, for a stream perhaps not yet.

    Raises: OSError
    """
    family = _socket.AF_INET6 if ":" in server else _socket.AF_INET
    socket = _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    address, _, zone = server.partition("%")
    try:
        scope = _socket.if_nametoindex(zone) if zone else 0
        place = (address, _SERVER_PORT, 0, scope) if ":" in server else (address, _SERVER_PORT)
        socket.connect(place)
    except BlockingIOError:
        pass
    except OSError:
        socket.close()
        raise
    return socket


def _listen(pid: int, wanted: list[int]) -> tuple[_socket.socket, _socket.socket]:
    """Return sockets for datagrams and for streams in the network namespace of `pid`."""
    kinds = (_socket.SOCK_DGRAM, _socket.SOCK_STREAM)
    flags = _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with namespaces.InNetwork(there):
            datagrams, listener = (_socket.socket(_socket.AF_INET, k | flags) for k in kinds)
    finally:
        os.close(there)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    datagrams.bind((ADDRESS, wanted[0]))
    listener.bind((ADDRESS, wanted[1]))
    listener.listen(MOST_CONNECTIONS)
    return datagrams, listener


def _stamp(path: str) -> tuple[int, int, int]:
    """Return what tells a file from the one that takes its place."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _load(path: str, default: Any) -> Any:
    try:
        return loads(read_file(path).decode())
    except (FileNotFoundError, ValueError):
        return default
