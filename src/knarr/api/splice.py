"""Joining a client's connection to a supervisor's: attached containers and execs.

    client ──input──▶ unwrap ─▶ detach keys? ─▶ frames ──▶ supervisor
    client ◀── wrap ◀── output in frames ◀── supervisor

One loop for both directions, nothing blocks: what one side does not take yet waits, and while it
does the other side is not read. Half-closing is what ends the input: the client's output goes on.
The end is the process's end, the detach keys, or the client's disappearance.
"""

from __future__ import annotations

import select
import ssl
from _socket import MSG_DONTWAIT

from knarr.engine.attach import Detacher
from knarr.supervise import frames
from knarr.supervise.messages import CONTROL, STDERR, STDIN, STDOUT
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.api.takeover import Taken
    from knarr.supervise.control import Client

RECEIVE_SIZE = 64 << 10
HIGH = 1 << 20  # bytes for a client who does not read, while the supervisor is not read
LAST_SECONDS = 30.0  # for a client to take what a process left
ENDS = ("exited", "exec-exited")


def raw(stream: int, data: bytes) -> bytes:
    """Return output as it is: of terminals, and of those who do not tell streams apart."""
    del stream
    return data


def multiplexed(stream: int, data: bytes) -> bytes:
    """Return output in Docker's frames, which are the supervisor's, too."""
    return frames.frame(stream, data)


class Manner(Value):
    """How a client is joined.

    `streams` are those it gets, `stdin` whether it gives input; with `lasting` the end of its
    input is not that of the process's, but ends the session. `unwrap` takes bytes that came, and
    returns input, or None at the client's end, and what is to be answered at once.
    """

    wrap: Callable[[int, bytes], bytes] = raw
    unwrap: Callable[[bytes], tuple[bytes | None, bytes]] | None = None
    streams: tuple[int, ...] = (STDOUT, STDERR)
    stdin: bool = True
    lasting: bool = False
    detach_keys: bytes = b""


class Splice:
    """One client at one process."""

    def __init__(self, taken: Taken, client: Client, manner: Manner) -> None:
        """Join the connection that was taken over to a supervisor's that is attached already."""
        self._socket = taken.socket
        self._early = taken.early
        self._client = client
        self._manner = manner
        self._detacher = Detacher(manner.detach_keys)
        self._poll = select.poll()
        self._out = bytearray()  # to the client
        self._in = bytearray()  # to the supervisor
        self._listening = manner.stdin
        self._done = False
        self.detached = False

    def run(self) -> None:
        """Pass everything on until the end."""
        self._socket.settimeout(0)
        self._take(self._early)
        while self._client.waiting:  # came with the answer to the attach
            self._receive()
        while not self._done:
            self._pass()
        self._finish()

    def _pass(self) -> None:
        """Wait until something can be passed on, and do it."""
        theirs, ours = self._client.fileno(), self._socket.fileno()
        self._poll.register(theirs, self._events(read=len(self._out) < HIGH, write=self._in))
        listening = self._listening and not self._in
        self._poll.register(ours, self._events(read=listening, write=self._out))
        pending = listening and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        for descriptor, events in self._poll.poll(0 if pending else None):
            if descriptor == theirs:
                self._serve_supervisor(events)
            else:
                self._serve_client(events)
        if pending:
            self._read_client()

    @staticmethod
    def _events(*, read: bool, write: bytearray) -> int:
        return (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)

    def _serve_supervisor(self, events: int) -> None:
        if events & select.POLLOUT:
            self._send_input()
        if events & ~select.POLLOUT:
            self._receive()

    def _serve_client(self, events: int) -> None:
        if events & select.POLLOUT:
            self._send_output()
        if events & select.POLLIN:
            self._read_client()
        elif events & (select.POLLHUP | select.POLLERR):
            self._out.clear()
            self._done = True

    # from the client

    def _read_client(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        self._take(data, ended=not data)

    def _take(self, data: bytes, *, ended: bool = False) -> None:
        """Take bytes of the client as input."""
        if not self._listening:
            return
        unwrap = self._manner.unwrap
        taken, reply = unwrap(data) if unwrap and not ended else (data, b"")
        self._out += reply
        if taken is None:
            ended, taken = True, b""
        taken, self.detached = self._detacher.take(taken)
        if taken:
            self._in += frames.frame(STDIN, taken)
        if self.detached:
            self._done = True
        elif ended:
            self._listening = False
            if self._manner.lasting:
                self._done = True
            else:
                self._in += frames.frame(STDIN, b"")
        if self._in:
            self._send_input()

    def _send_input(self) -> None:
        try:
            sent = self._client.connection.send(self._in, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:  # the end is found by receiving
            self._in.clear()
            self._listening = False
            return
        del self._in[:sent]

    # from the supervisor

    def _receive(self) -> None:
        arrived = self._client.read()
        if arrived is None:
            self._done = True
            return
        for stream, content in arrived:
            if stream == CONTROL:
                self._done = self._done or content.get("event") in ENDS
            elif stream in self._manner.streams:
                self._out += self._manner.wrap(stream, content)
        if self._out:
            self._send_output()

    def _send_output(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._out.clear()
            self._done = True
            return
        del self._out[:sent]

    def _finish(self) -> None:
        """Let the client have what is left for it."""
        if self._out:
            self._socket.settimeout(LAST_SECONDS)
            try:
                self._socket.sendall(self._out)
            except OSError:  # it did not want it
                pass


def is_gone(taken: Taken) -> bool:
    """Tell whether the client has hung up, not only ended its input."""
    poll = select.poll()
    poll.register(taken.socket.fileno(), 0)
    return bool(poll.poll(0))
