"""The process of `knarr serve`: accepts clients, gives each a thread, ends when it is told to.

It keeps nothing that matters: answers that are true for a second at most (`keeping`), a supervisor
to spare (`spares`). What runs is the supervisors', what is known is on the disk, so that another
server, the command line, and the same server after SIGKILL find the same. No lock is held that
anybody else could want.

The main thread waits for a signal. SIGTERM and SIGINT: no more clients; those between two requests
are sent away, the others have a moment to end theirs, and what has no end (logs, events, attached
streams) is cut. Containers go on.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
import time
import traceback

from knarr import __version__
from knarr.api.connection import Connection
from knarr.api.keeping import Kept
from knarr.api.spares import Spare
from knarr.engine.engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.listening import Listener

MAXIMUM_CLIENTS = 4096
GRACE = 3.0  # seconds for requests under way when the server is to end
HANDSHAKE = 10.0  # seconds for TLS
STACK_SIZE = 1 << 20  # of a thread, of which a request needs a tenth
SWITCH_INTERVAL = 0.001  # seconds for which a busy thread may hold up another
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Serves one root to clients at `listeners`."""

    name = f"knarr/{__version__} (linux)"

    def __init__(
        self, root: str, run: str, listeners: Sequence[Listener], *, debug: bool = False
    ) -> None:
        self.root = root
        self.debug = debug  # also what ends with a client is worth a word
        self.run_dir = run
        self.listeners = listeners
        self.kept = Kept()
        self.spare = Spare()
        self._clients: dict[Connection, socket.socket] = {}
        self._strangers: set[socket.socket] = set()  # who they are is not known yet
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def open_engine(self) -> Engine:
        """Return an engine for one thread."""
        engine = Engine(self.root, self.run_dir)
        for notice in engine.notices:
            self.say(notice)
        return engine

    def say(self, text: str) -> None:
        """Write a line to the log of whoever runs the server."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - it has no other place

    def report(self, error: BaseException) -> None:
        """Say what must not have happened."""
        self.say("".join(traceback.format_exception(error)).rstrip())

    def serve(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        threading.stack_size(STACK_SIZE)
        sys.setswitchinterval(SWITCH_INTERVAL)
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        # The kernel may give a signal to any thread, whose interpreter then waits for the main one.
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):  # not blocked: supervisors would inherit it
            signal.signal(number, lambda *_: None)
        for listener in self.listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        os.read(told, 1)
        self._end()

    def _accept(self, listener: Listener) -> None:
        while not self._ending.is_set():
            try:
                client, _ = listener.socket.accept()
            except OSError:
                if self._ending.is_set():
                    return
                time.sleep(0.1)  # no more descriptors: some will be given back
                continue
            if len(self._clients) + len(self._strangers) >= MAXIMUM_CLIENTS:
                self._turn_away(client)
                continue
            arguments = (client, listener.tls)
            try:
                threading.Thread(target=self._serve_client, args=arguments, daemon=True).start()
            except RuntimeError:  # no more threads
                self._turn_away(client)

    @staticmethod
    def _turn_away(client: socket.socket) -> None:
        try:
            client.send(REFUSAL, socket.MSG_DONTWAIT)
        except OSError:
            pass
        client.close()

    def _serve_client(self, client: socket.socket, tls: ssl.SSLContext | None) -> None:
        known = client if tls is None else self._shake_hands(client, tls)
        if known is None:
            return
        client = known
        connection = Connection(self, client)
        with self._lock:
            self._clients[connection] = client
        try:
            connection.serve()
        except Exception as error:  # noqa: BLE001 - the end of one client, not of the server
            self.report(error)
        finally:
            with self._lock:
                del self._clients[connection]

    def _shake_hands(self, client: socket.socket, tls: ssl.SSLContext) -> socket.socket | None:
        """Return the connection under TLS, None if that is no client of ours."""
        self._strangers.add(client)
        client.settimeout(HANDSHAKE)  # for all of it
        try:
            return tls.wrap_socket(client, server_side=True)
        except OSError:  # also of ssl
            client.close()
            return None
        finally:
            self._strangers.discard(client)

    def _end(self) -> None:
        self._ending.set()
        for listener in self.listeners:
            listener.close()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            with self._lock:
                clients = dict(self._clients)
            if not clients:
                break
            for connection, client in clients.items():
                if connection.idle:
                    _cut(client)
            time.sleep(0.05)
        sys.stderr.flush()
        os._exit(0)  # what is left are streams without an end


def _cut(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has gone
        pass
