"""The output and input of a process, between descriptors, the log, and any number of clients.

Output is read as it comes, written to the log, and given to each client. Nobody waits for a client
for ever:

* Each client has a queue of up to `HIGH` bytes. While one is longer, the process's output is not
  read, so that a pipeline does what it does without a container: nothing is lost, the writer waits.
* If after `patience` seconds (30) the client has not brought its queue down to `LOW`, it is not
  waited for any more. What it misses is counted, and when its queue is down it gets `skipped` with
  that count and takes part again. The log has everything.

The end: when the process has ended, what it left in its pipes is read until nothing is there. Pipes
that others still hold open (a process in the background, with the host's process namespace) do not
delay the end.

Input is written as far as the process takes it; while more than a piece waits, the client it came
from is not read.
"""

from __future__ import annotations

import os

from knarr.supervise import frames
from knarr.supervise.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.supervise.logs import Log
    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.peers import Peer

HIGH = 1 << 20
LOW = HIGH // 2
SMALL = 64 << 10
LARGE = 256 << 10  # for who fills the small one
HOLD = 256 << 10  # bytes of input that may wait
HOLD_BACK = 1.0  # seconds that an unfinished line is kept from the log


class Output:
    """One descriptor from which output is read, without blocking."""

    __slots__ = (
        "_deliver",
        "_descriptor",
        "_ended",
        "_ending",
        "_loop",
        "_paused",
        "_size",
        "stream",
    )

    def __init__(
        self, loop: Loop, descriptor: int, stream: int, deliver: Callable[[int, bytes], None]
    ) -> None:
        """Read `descriptor`, which is taken over, and deliver it as `stream`."""
        self.stream = stream
        self._loop = loop
        self._descriptor = descriptor
        self._deliver = deliver
        self._paused = False
        self._ending = False
        self._ended: Callable[[], None] | None = None
        self._size = SMALL
        os.set_blocking(descriptor, False)
        loop.watch(descriptor, READ, self._readable)

    def pause(self, *, on: bool) -> None:
        """Leave output where it is, or go on."""
        if self._descriptor < 0 or self._paused == on:
            return
        self._paused = on
        if on:
            self._loop.forget(self._descriptor)  # not only masked: a hang-up would still be told
        elif self._ending:
            self._read_rest()
        else:
            self._loop.watch(self._descriptor, READ, self._readable)

    def finish(self, ended: Callable[[], None]) -> None:
        """Read what is there, then close the descriptor and call `ended`."""
        self._ended = ended
        self._ending = True
        if self._descriptor < 0:
            ended()
        else:
            self._read_rest()

    def _read_rest(self) -> None:
        while self._descriptor >= 0 and not self._paused:
            if not self._read():
                self.close()

    def _readable(self, _: int) -> None:
        if not self._read():
            self._loop.forget(self._descriptor)

    def _read(self) -> bool:
        """Deliver what one read gives; return whether there may be more."""
        try:
            data = os.read(self._descriptor, self._size)
        except BlockingIOError:
            return not self._ending
        except OSError:  # EIO: nobody has the terminal open
            return False
        if not data:
            return False
        self._size = LARGE if len(data) >= SMALL else SMALL
        self._deliver(self.stream, data)
        return True

    def close(self) -> None:
        """Read no more."""
        if self._descriptor >= 0:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            if self._ended:
                self._ended()


class Input:
    """One descriptor to which input is written, without blocking."""

    __slots__ = ("_closing", "_descriptor", "_loop", "_on_taken", "_queue", "_watched", "queued")

    def __init__(self, loop: Loop, descriptor: int, on_taken: Callable[[], None]) -> None:
        """Write to `descriptor`, which is taken over; call `on_taken` when the queue is empty."""
        self.queued = 0
        self._loop = loop
        self._descriptor = descriptor
        self._on_taken = on_taken
        self._queue: list[bytes] = []
        self._watched = False
        self._closing = False
        os.set_blocking(descriptor, False)

    def write(self, data: bytes) -> None:
        """Queue `data`."""
        if self._descriptor >= 0 and not self._closing:
            self._queue.append(data)
            self.queued += len(data)
            if not self._watched:
                self._write()

    def finish(self) -> None:
        """Close the descriptor when everything is written."""
        self._closing = True
        if not self._queue:
            self.close()

    def close(self) -> None:
        """Close the descriptor now."""
        if self._descriptor >= 0:
            self._watch(on=False)
            os.close(self._descriptor)
            self._descriptor = -1
            self._queue.clear()
            self.queued = 0

    def _write(self, _: int = 0) -> None:
        try:
            while self._queue:
                data = self._queue[0]
                written = os.write(self._descriptor, data)
                self.queued -= written
                if written < len(data):
                    self._queue[0] = data[written:]
                else:
                    del self._queue[0]
        except BlockingIOError:
            self._watch(on=True)
            return
        except OSError:  # nobody reads any more
            self.close()
        self._watch(on=False)
        if self._closing:
            self.close()
        self._on_taken()

    def _watch(self, *, on: bool) -> None:
        if on and not self._watched:
            self._loop.watch(self._descriptor, WRITE, self._write)
        elif self._watched and not on:
            self._loop.forget(self._descriptor)
        self._watched = on


class Member:
    """A client that gets output: of which streams, and how it keeps up."""

    __slots__ = ("peer", "skipped", "skipping", "streams", "timer")

    def __init__(self, peer: Peer, streams: tuple[int, ...]) -> None:
        self.peer = peer
        self.streams = streams
        self.timer: Timer | None = None  # runs while the others wait for this one
        self.skipping = False
        self.skipped = 0


class Streams:
    """All of a process's output and input."""

    def __init__(self, loop: Loop, *, patience: float, log: Log | None = None) -> None:
        """Give output to `log` and to the clients that join."""
        self.input: Input | None = None
        self._loop = loop
        self._log = log
        remote: Any = getattr(log, "remote", log)
        if hasattr(remote, "on_room"):  # what sends messages may be slower than we are
            remote.on_room = self._pause
        self._flush: Timer | None = None
        self._patience = patience
        self._outputs: list[Output] = []
        self._members: dict[Peer, Member] = {}
        self._givers: list[Peer] = []  # clients that wait for their input to be taken
        self._open = 0  # outputs that have not ended
        self._ended: Callable[[], None] | None = None

    def add_output(self, descriptor: int, stream: int) -> None:
        """Read output from `descriptor`, which is taken over."""
        output = Output(self._loop, descriptor, stream, self._deliver)
        self._outputs.append(output)
        output.pause(on=self._waits())

    def set_input(self, descriptor: int) -> None:
        """Write input to `descriptor`, which is taken over."""
        self.input = Input(self._loop, descriptor, self._taken)

    # clients

    def join(self, peer: Peer, streams: tuple[int, ...]) -> None:
        """Give the output of `streams` to `peer` from now on."""
        self._members[peer] = Member(peer, streams)
        peer.on_sent = lambda: self._sent(peer)

    def leave(self, peer: Peer) -> None:
        """Forget `peer`, which may not have joined."""
        member = self._members.pop(peer, None)
        if peer in self._givers:
            self._givers.remove(peer)
        if member and member.timer:
            self._stop_waiting(member)

    @property
    def peers(self) -> list[Peer]:
        """Return the clients that joined."""
        return list(self._members)

    def give(self, peer: Peer, data: bytes) -> None:
        """Write what `peer` sent to the process's input."""
        if self.input:
            self.input.write(data)
            if self.input.queued > HOLD:
                peer.listen(on=False)
                self._givers.append(peer)

    def _taken(self) -> None:
        givers, self._givers = self._givers, []
        for peer in givers:
            peer.listen(on=True)

    # output

    def _deliver(self, stream: int, data: bytes) -> None:
        if self._log:
            self._keep(self._log, stream, data)
        head = frames.header(stream, len(data))
        for member in list(self._members.values()):
            if stream not in member.streams:
                continue
            if member.skipping:
                member.skipped += len(data)
                continue
            member.peer.put(head, data)
            if member.peer.queued > HIGH and not member.timer:
                self._wait_for(member)

    def _keep(self, log: Log, stream: int, data: bytes) -> None:
        log.write(stream, data)
        if log.full:
            self._pause()
        if log.pending() and not self._flush:
            self._flush = self._loop.later(HOLD_BACK, lambda: self._flush_log(log))

    def _flush_log(self, log: Log) -> None:
        self._flush = None
        log.flush()

    def _wait_for(self, member: Member) -> None:
        member.timer = self._loop.later(self._patience, lambda: self._lose_patience(member))
        self._pause()

    def _lose_patience(self, member: Member) -> None:
        member.skipping = True
        self._stop_waiting(member)

    def _stop_waiting(self, member: Member) -> None:
        if member.timer:
            member.timer.cancel()
            member.timer = None
        self._pause()

    def _sent(self, peer: Peer) -> None:
        member = self._members.get(peer)
        if member is None or peer.queued > LOW:
            return
        if member.timer:
            self._stop_waiting(member)
        if member.skipping:
            skipped, member.skipped, member.skipping = member.skipped, 0, False
            peer.send({"event": "skipped", "bytes": skipped})

    def _waits(self) -> bool:
        if self._log is not None and self._log.full:
            return True
        return any(member.timer for member in self._members.values())

    def _pause(self) -> None:
        on = self._waits()
        for output in list(self._outputs):
            output.pause(on=on)

    # the end

    def finish(self, ended: Callable[[], None]) -> None:
        """Deliver what the process left, then call `ended`. Input is closed at once."""
        if self.input:
            self.input.close()
            self.input = None
        outputs, self._open, self._ended = self._outputs, len(self._outputs), ended
        for output in list(outputs):
            output.finish(self._one_ended)
        if not outputs:
            ended()

    def _one_ended(self) -> None:
        self._open -= 1
        if not self._open and self._ended:
            self._outputs = []
            if self._flush and self._log:
                self._flush.cancel()
                self._flush_log(self._log)
            ended, self._ended = self._ended, None
            ended()

    def close(self) -> None:
        """Close all descriptors; nothing more is delivered."""
        self._ended = None
        for output in self._outputs:
            output.close()
        self._outputs = []
        if self.input:
            self.input.close()
            self.input = None
