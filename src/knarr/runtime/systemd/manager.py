"""Calls to systemd's manager, over the socket on which it answers root without a bus.

/run/systemd/private speaks D-Bus from peer to peer: no bus daemon has to run, no name is taken, and
the signals of jobs come unasked. A call that changes units is answered when its job is queued, so
`finish` waits for the signal that the job is done.

Man: org.freedesktop.systemd1(5)
Spec: D-Bus Specification, "Authentication Protocol"
"""

from __future__ import annotations

import os

from knarr.errors import Failed, Unsupported
from knarr.runtime.systemd import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

SOCKET = "/run/systemd/private"
_PATIENCE = 30.0  # seconds for an answer

NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"


class Refused(Failed):
    """systemd's answer was an error; `name` is its name."""

    def __init__(self, doing: str, name: str, text: str) -> None:
        """Say what was being done and what systemd says."""
        super().__init__(f"{doing}: systemd says: {text or name}")
        self.name = name


class Manager:
    """A connection to systemd."""

    def __init__(self) -> None:
        """Connect.

        Raises: Unsupported
        """
        import socket  # noqa: PLC0415 - only where systemd is asked for

        self._serial = 0
        self._jobs: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        try:
            self._socket.connect(SOCKET)
        except OSError as error:
            self._socket.close()
            reason = (error.strerror or str(error)).lower()
            message = f"--systemd-cgroup: systemd does not answer at {SOCKET}: {reason}"
            raise Unsupported(message) from error
        self._authenticate()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _authenticate(self) -> None:
        """Say who we are, which the socket proves."""
        user = str(os.geteuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {user}\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._read(1)
        if not line.startswith(b"OK "):
            message = f"systemd does not let us in: {line.decode(errors='replace').strip()}"
            raise Failed(message)
        self._socket.sendall(b"BEGIN\r\n")

    def call(self, doing: str, member: str, signature: str, values: Sequence[Any]) -> list[Any]:
        """Call a method of the manager, and return the values of the answer.

        Raises: Refused, Failed
        """
        self._serial += 1
        fields = {
            wire.PATH: "/org/freedesktop/systemd1",
            wire.INTERFACE: "org.freedesktop.systemd1.Manager",
            wire.MEMBER: member,
            wire.DESTINATION: "org.freedesktop.systemd1",
        }
        try:
            self._socket.sendall(wire.call(self._serial, fields, signature, values))
            while True:
                message = self._receive()
                if message.fields.get(wire.REPLY_SERIAL) == self._serial:
                    break
        except OSError as error:
            text = f"{doing}: systemd does not answer: {(error.strerror or str(error)).lower()}"
            raise Failed(text) from error
        if message.kind == wire.ERROR:
            text = str(message.values[0]) if message.values else ""
            raise Refused(doing, message.fields[wire.ERROR_NAME], text)
        return message.values

    def finish(self, doing: str, job: str) -> None:
        """Wait until a job is done.

        Raises: Failed
        """
        try:
            while job not in self._jobs:
                self._receive()
        except OSError as error:
            message = f"{doing}: systemd does not end the job"
            raise Failed(message) from error
        result = self._jobs.pop(job)
        if result != "done":
            message = f"{doing}: systemd's job ended as: {result}"
            raise Failed(message)

    def _receive(self) -> wire.Message:
        """Return the next message; note jobs that are done."""
        start = self._read(16)
        message = wire.Message(start + self._read(wire.size_of(start) - 16))
        if message.kind == wire.SIGNAL and message.fields.get(wire.MEMBER) == "JobRemoved":
            _, job, _, result = message.values
            self._jobs[job] = result
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data
