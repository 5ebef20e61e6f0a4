"""A bad line: a port that leads to another, whose connections break when a test says.

with BadLine("127.0.0.1:5000", cuts=[100_000, 5_000_000]) as line:
    … talk to line.host: the first connection breaks after 100,000 bytes, the second after …
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from support.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadLine(Listener):
    """The line. `cuts` says after how many bytes, both ways together, each connection breaks."""

    def __init__(self, target: str, cuts: Iterable[int] = ()) -> None:
        super().__init__()
        name, _, port = target.rpartition(":")
        self._target = (name, int(port))
        self.cuts = list(cuts)

    def take(self, client: socket.socket) -> None:
        server = socket.create_connection(self._target, 5)
        _Connection(client, server, self).run()


class _Connection:
    """One connection."""

    def __init__(self, client: socket.socket, server: socket.socket, line: BadLine) -> None:
        self._client = client
        self._server = server
        self._line = line
        self._passed = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Pass on what comes, one way in a thread of its own, until both ends are done."""
        with self._client, self._server:
            back = threading.Thread(target=self._copy, args=(self._server, self._client))
            back.start()
            self._copy(self._client, self._server)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                if self._breaks(len(data)):
                    self._break()
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _break(self) -> None:
        """End both ways with a reset, as a line that is cut does, not with an end."""
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)

    def _breaks(self, count: int) -> bool:
        with self._lock:
            self._passed += count
            cuts = self._line.cuts
            if cuts and self._passed > cuts[0]:
                cuts.pop(0)
                return True
            return False
