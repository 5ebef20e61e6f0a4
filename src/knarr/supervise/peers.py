"""Connections of clients, seen from the supervisor.

Everything is bounded. What a client sends is read in pieces of 256 KiB, and not at all while the
container does not take its input. What is sent to a client waits in a queue; `streams` sees to it
that the queue stays near its limit. A client that speaks nonsense is disconnected, one that dies is
noticed by its hang-up. Neither can raise anything but `OSError`, which ends at this module.
"""

from __future__ import annotations

import os

from knarr.supervise import frames
from knarr.supervise.loop import HANG_UP, READ, WRITE
from knarr.supervise.messages import CONTROL, STDIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from knarr.supervise.loop import Loop
else:
    Protocol = object

RECEIVE_SIZE = (256 << 10) + frames.HEADER_SIZE  # what a client sends at once
IOV_MAX = 1024


class Handler(Protocol):
    """What is done with what a client sends."""

    def on_message(self, peer: Peer, message: dict[str, Any]) -> None:
        """Answer a request."""

    def on_input(self, peer: Peer, data: bytes) -> None:
        """Take input; none means that no more will come."""

    def on_gone(self, peer: Peer) -> None:
        """Forget the client: its connection has ended."""


class Peer:
    """One client."""

    def __init__(self, loop: Loop, descriptor: int, handler: Handler) -> None:
        """Serve the client behind the socket `descriptor`, which is taken over."""
        self.queued = 0  # bytes that wait to be sent
        self.on_sent: Callable[[], None] | None = None  # called when some of them were
        self._loop = loop
        self._handler = handler
        self._descriptor = descriptor
        self._reader = frames.FrameReader()
        self._queue: list[bytes | memoryview] = []
        self._events = READ
        self._then_close = False
        os.set_blocking(descriptor, False)
        loop.watch(descriptor, READ, self._ready)

    @property
    def open(self) -> bool:
        """Tell whether the client is still there."""
        return self._descriptor >= 0

    def send(self, message: dict[str, Any]) -> None:
        """Queue a control message."""
        self.put(frames.control(message))

    def put(self, *pieces: bytes) -> None:
        """Queue pieces of frames, and send what can be sent at once."""
        if not self.open:
            return
        blocked = bool(self._queue)
        self._queue += pieces
        self.queued += sum(map(len, pieces))
        if not blocked:
            self._send()

    def listen(self, *, on: bool) -> None:
        """Read from the client, or let it wait."""
        self._wait_for(self._events & ~READ | (READ if on else 0))

    def close_when_sent(self) -> None:
        """Hang up as soon as the client has taken what is queued."""
        self._then_close = True
        if self.open and not self._queue:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self.open:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._queue.clear()
            self.queued = 0
            self._handler.on_gone(self)

    def _wait_for(self, events: int) -> None:
        if self.open and events != self._events:
            self._events = events
            self._loop.change(self._descriptor, events)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send()
        if self.open and events & READ and self._events & READ:
            self._receive(events)
        elif events & HANG_UP:
            self.close()

    def _send(self) -> None:
        try:
            sent = os.writev(self._descriptor, self._queue[:IOV_MAX])
        except BlockingIOError:
            sent = 0
        except OSError:  # gone; what is in its receive buffer may still be of interest
            self._queue.clear()
            self.queued = 0
            self._wait_for(self._events & ~WRITE)
            return
        self._drop(sent)
        self._wait_for(self._events & ~WRITE | (WRITE if self._queue else 0))
        if sent and self.on_sent:
            self.on_sent()
        if self._then_close and not self._queue:
            self.close()

    def _drop(self, sent: int) -> None:
        """Forget the first `sent` bytes of the queue."""
        self.queued -= sent
        queue = self._queue
        whole = 0
        while whole < len(queue) and len(queue[whole]) <= sent:
            sent -= len(queue[whole])
            whole += 1
        del queue[:whole]
        if sent:
            queue[0] = memoryview(queue[0])[sent:]

    def _receive(self, events: int) -> None:
        try:
            data = os.read(self._descriptor, RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._finish(events)
            return
        try:
            for stream, content in self._reader.feed(data):
                if stream == CONTROL:
                    self._handler.on_message(self, content)
                elif stream == STDIN:
                    self._handler.on_input(self, content)
                if not self.open:
                    return
        except ValueError:
            self.close()

    def _finish(self, events: int) -> None:
        """Take the end of the client's half of the connection: of its input, or of everything."""
        if events & HANG_UP:
            self.close()
        else:
            self.listen(on=False)
            self._handler.on_input(self, b"")
