"""Joining a client's streams to a container's or an exec's: the loop of `run`, `attach`, `exec`.

A `Pump` reads stdin and sends it, receives output and writes it, until the process ends, the input
holds the detach keys, or the supervisor is gone. It waits for all of it at once and buffers little:
input is read only when what was read before has been sent, and output is written before more is
received, so that who reads us slowly holds up the container as in any pipeline (`supervise.streams`
says for how long).

Descriptors are the caller's; a terminal has to be in raw mode already (`cli.terminal`).
"""

from __future__ import annotations

import os
import select
from _socket import MSG_DONTWAIT

from knarr.errors import Conflict
from knarr.supervise import control, frames
from knarr.supervise.messages import CONTROL, STDIN, STDOUT
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.engine.containers import Container
    from knarr.supervise.control import Client, Exit

READ_SIZE = 256 << 10


class Outcome(Value):
    """Why a pump ended: the process did (`exit`), the user left (`detached`), or neither.

    Neither means that the supervisor was killed; what runs goes on, and can be attached to again
    when it has been adopted, with the input that is still `unsent` (frames).
    """

    exit: Exit | None = None
    detached: bool = False
    unsent: bytes = b""


def connect(container: Container) -> Client:
    """Connect to the supervisor of a container that runs; a killed one is replaced first.

    Raises: Conflict (it does not run)
    """
    from knarr.engine.container import stopping  # noqa: PLC0415 - not for who has a connection

    if not container.state.active:
        message = "You cannot attach to a stopped container, start it first"
        raise Conflict(message)
    return stopping.connect(container.engine, container.row)


def note_client(container: Container, action: str, **more: str) -> None:
    """Note that a client attached to a container, or detached from it or an exec, on purpose."""
    from knarr.engine.noting import note  # noqa: PLC0415 - not for `run`, which notes it itself

    note(container.engine.paths, container.row, action, **more)


class Detacher:
    """Finds the detach keys in input, holding back what may be the beginning of them.

    Docker: only a sequence typed without anything in between counts
    """

    __slots__ = ("_held", "_keys")

    def __init__(self, keys: bytes) -> None:
        """Look for `keys`; without any nothing is ever found."""
        self._keys = keys
        self._held = 0

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of the input can be passed on, and whether the keys are complete."""
        keys, held = self._keys, self._held
        if not keys:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == keys[held]:
                held += 1
                if held == len(keys):
                    self._held = 0
                    return bytes(passed), True
                continue
            passed += keys[:held]
            held = 1 if byte == keys[0] else 0
            if not held:
                passed.append(byte)
            elif held == len(keys):
                self._held = 0
                return bytes(passed), True
        self._held = held
        return bytes(passed), False


class Pump:
    """Joins descriptors to a connection that is attached to a container or to an exec."""

    def __init__(
        self,
        client: Client,
        *,
        stdin: int = -1,
        stdout: int = 1,
        stderr: int = 2,
        detach_keys: bytes = b"",
        unsent: bytes = b"",
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Use these descriptors, -1 for none; `on_event` is told of `skipped` and the like.

        `unsent` is what an earlier pump left.
        """
        self._client = client
        self._stdin = stdin
        self._outputs = {STDOUT: stdout}
        self._stderr = stderr
        self._detacher = Detacher(detach_keys)
        self._on_event = on_event
        self._unsent = unsent
        self._poll = select.poll()
        self._listening = False

    def run(self) -> Outcome:
        """Pass everything on until the end."""
        poll = self._poll
        connection = self._client.fileno()
        poll.register(connection, select.POLLIN)
        self._listen(on=True)
        if self._unsent:
            self._send()
        while True:
            if self._client.waiting:
                outcome = self._receive()
                if outcome is not None:
                    return outcome
                continue
            for descriptor, events in poll.poll():
                if descriptor != connection:
                    if self._take_input():
                        return Outcome(detached=True)
                    continue
                if events & select.POLLOUT:
                    self._send()
                if events & ~select.POLLOUT:
                    outcome = self._receive()
                    if outcome is not None:
                        return outcome

    def _listen(self, *, on: bool) -> None:
        """Watch stdin or not; one that is only not asked for would still tell of its hang-up."""
        if self._stdin >= 0 and on != self._listening:
            if on:
                self._poll.register(self._stdin, select.POLLIN)
            else:
                self._poll.unregister(self._stdin)
            self._listening = on

    def _take_input(self) -> bool:
        """Read and send input; return whether the user detached."""
        try:
            data = os.read(self._stdin, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the terminal is gone
            data = b""
        if not data:
            self._listen(on=False)
            self._stdin = -1
            self._unsent += frames.frame(STDIN, b"")
        else:
            data, detached = self._detacher.take(data)
            if detached:
                return True
            if data:
                self._unsent += frames.frame(STDIN, data)
        if self._unsent:
            self._send()
        return False

    def _send(self) -> None:
        """Send what is unsent as far as it goes; read no more input before all of it is gone."""
        try:
            sent = self._client.connection.send(self._unsent, MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            self._listen(on=False)  # the end is found by receiving
            return
        self._unsent = self._unsent[sent:]
        waiting = bool(self._unsent)
        events = select.POLLIN | (select.POLLOUT if waiting else 0)
        self._poll.modify(self._client.fileno(), events)
        self._listen(on=not waiting)

    def _receive(self) -> Outcome | None:
        arrived = self._client.read()
        if arrived is None:
            return Outcome(unsent=self._unsent)
        for stream, content in arrived:
            if stream != CONTROL:
                descriptor = self._outputs.get(stream, self._stderr)
                if descriptor >= 0:
                    write(descriptor, content)
            elif content.get("event") in ("exited", "exec-exited"):
                return Outcome(control.to_exit(content))
            elif self._on_event:
                self._on_event(content)
        return None


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data`, also where another process made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
