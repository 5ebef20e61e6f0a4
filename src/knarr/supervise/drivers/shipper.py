"""What drivers that send messages elsewhere have in common: lines, a queue, a socket.

    output ─▶ lines of at most 16 KiB ─▶ the driver's `encode` ─▶ queue ─▶ socket, without blocking

A receiver that is slow is waited for as a client that reads slowly is (`streams`): while the queue
is over its limit, the container's output is not read, for `PATIENCE` seconds at most. Then, and at
once with `mode=non-blocking`, the oldest messages are dropped. A connection that breaks is made
again every second; what the kernel had taken before is lost.

The beginning is strict: a receiver that cannot be reached at all fails the start of the container.
"""

from __future__ import annotations

import _socket
import os
import select

from knarr.errors import Failed
from knarr.supervise.jsonfile import LINE_LIMIT
from knarr.supervise.loop import WRITE
from knarr.supervise.messages import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.messages import LogOptions

    # stream, line without its line feed, whether it goes on, time → datagrams, or bytes of a stream
    Encode = Callable[[int, bytes, bool, int], list[bytes]]

PATIENCE = 30.0
CONNECTING = 5.0  # seconds at the start
LEAVING = 1.0  # seconds that the end of the container is delayed for what is queued
AGAIN = 1.0
_PARTIAL = True
DATAGRAMS = ("udp", "unixgram")
_FAMILIES = {"unix": _socket.AF_UNIX, "unixgram": _socket.AF_UNIX}


class Address:
    """Where messages go: `udp://host:port`, `tcp://host:port`, `unix:///path`, `unixgram:///path`."""

    __slots__ = ("kind", "place", "text")

    def __init__(self, text: str, port: int) -> None:
        """Take an address apart, whose port is `port` if it names none."""
        self.text = text
        self.kind, _, rest = text.partition("://")
        self.place: Any = rest
        if self.kind in ("udp", "tcp"):
            host, colon, number = rest.rpartition(":")
            if not colon or rest.endswith("]"):
                host, number = rest, str(port)
            self.place = (host.strip("[]"), int(number))

    def open(self) -> _socket.socket:
        """Return a socket on its way to be connected, without blocking but for a name's lookup."""
        kind = _socket.SOCK_DGRAM if self.kind in DATAGRAMS else _socket.SOCK_STREAM
        family, place = _FAMILIES.get(self.kind), self.place
        if family is None:
            found = _socket.getaddrinfo(place[0] or "localhost", place[1], 0, kind)
            family, place = found[0][0], found[0][4]
        connection = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
        connection.settimeout(0)
        try:
            connection.connect(place)
        except BlockingIOError:
            pass
        except BaseException:
            connection.close()
            raise
        return connection


class Lines:
    """Cuts one stream of output into lines."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Return (line, whether it goes on) for what `data` completes."""
        *whole, rest = (self.rest + data).split(b"\n")
        found = []
        for line in whole:
            while len(line) > LINE_LIMIT:
                found.append((line[:LINE_LIMIT], True))
                line = line[LINE_LIMIT:]
            found.append((line, False))
        while len(rest) > LINE_LIMIT:
            found.append((rest[:LINE_LIMIT], True))
            rest = rest[LINE_LIMIT:]
        self.rest = rest
        return found


class Shipper:
    """A log that sends messages."""

    def __init__(self, options: LogOptions, loop: Loop, address: Address, encode: Encode) -> None:
        self.on_room: Callable[[], None] | None = None
        self._loop = loop
        self._address = address
        self._encode = encode
        self._limit = options.buffer_size or 1 << 20
        self._waits = not options.nonblocking
        self._impatient = False
        self._timer: Timer | None = None
        self._lines = {STDOUT: Lines(), STDERR: Lines()}
        self._socket: _socket.socket | None = None
        self._watching = False
        self._queue: list[bytes] = []
        self._queued = 0

    def begin(self) -> None:
        """Connect.

        Raises: Failed
        """
        try:
            self._socket = self._address.open()
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLOUT)
            if not poll.poll(CONNECTING * 1000):
                raise TimeoutError(0, "timed out")
            number = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"failed to initialize logging driver: dial {self._address.text}: {reason}"
            raise Failed(message) from error

    # streams.Log

    @property
    def full(self) -> bool:
        """Tell whether output had better wait."""
        return self._waits and not self._impatient and self._queued > self._limit

    def write(self, stream: int, data: bytes) -> None:
        import time  # noqa: PLC0415 - loaded by then

        now_ns = time.time_ns()
        for line, partial in self._lines[stream].feed(data):
            self._put(self._encode(stream, line, partial, now_ns))
        self._send()
        if self.full and self._timer is None:
            self._timer = self._loop.later(PATIENCE, self._lose_patience)

    def pending(self) -> bool:
        return any(lines.rest for lines in self._lines.values())

    def flush(self) -> None:
        import time  # noqa: PLC0415 - loaded by then

        for stream, lines in self._lines.items():
            rest, lines.rest = lines.rest, b""
            if rest:
                self._put(self._encode(stream, rest, _PARTIAL, time.time_ns()))
        self._send()

    def close(self) -> None:
        self.flush()
        if self._queue and self._socket is not None:
            self._watch(on=False)
            self._socket.settimeout(LEAVING)
            try:
                for message in self._queue:
                    self._socket.sendall(message)
            except OSError:  # nobody takes it
                pass
        self._disconnect()

    # the queue

    def _put(self, messages: list[bytes]) -> None:
        self._queue += messages
        self._queued += sum(map(len, messages))
        while self._queued > self._limit and not self.full and len(self._queue) > 1:
            self._queued -= len(self._queue.pop(1))  # the first may be half sent

    def _lose_patience(self) -> None:
        self._timer = None
        if self.full:
            self._impatient = True
            self._room()

    def _room(self) -> None:
        if self.on_room and not self.full:
            self.on_room()

    def _send(self, _: int = 0) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            while self._queue:
                message = self._queue[0]
                sent = connection.send(message)
                self._queued -= sent
                if sent < len(message):
                    self._queue[0] = message[sent:]
                else:
                    del self._queue[0]
        except BlockingIOError:
            self._watch(on=True)
            self._room()
            return
        except OSError:
            self._lost()
            return
        self._impatient = False
        self._watch(on=False)
        self._room()

    def _lost(self) -> None:
        """Connect again in a while; a datagram that nobody took is gone."""
        if self._address.kind in DATAGRAMS and self._queue:
            self._queued -= len(self._queue.pop(0))
        self._disconnect()
        self._loop.later(AGAIN, self._connect_again)

    def _connect_again(self) -> None:
        try:
            self._socket = self._address.open()
        except OSError:
            self._loop.later(AGAIN, self._connect_again)
            return
        self._watch(on=True)

    def _watch(self, *, on: bool) -> None:
        if self._socket is None or on == self._watching:
            return
        self._watching = on
        if on:
            self._loop.watch(self._socket.fileno(), WRITE, self._send)
        else:
            self._loop.forget(self._socket.fileno())

    def _disconnect(self) -> None:
        self._watch(on=False)
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Both:
    """A log that sends messages, and keeps them here for `logs` to read."""

    def __init__(self, remote: Shipper, kept: Any) -> None:
        self.remote = remote
        self._kept = kept

    def begin(self) -> None:
        """Open both.

        Raises: KnarrError
        """
        self.remote.begin()

    @property
    def full(self) -> bool:
        return self.remote.full

    def write(self, stream: int, data: bytes) -> None:
        self._kept.write(stream, data)
        self.remote.write(stream, data)

    def pending(self) -> bool:
        return self._kept.pending() or self.remote.pending()

    def flush(self) -> None:
        self._kept.flush()
        self.remote.flush()

    def close(self) -> None:
        self._kept.close()
        self.remote.close()
