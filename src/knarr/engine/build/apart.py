"""A build in a process of its own: for programs with threads, which must not fork into namespaces.

    with Apart(engine.paths, options, handed=…) as build:
        build.feed(data)                # of the context, if `options.context` is `-`
        for event in build.events():           # None when there is nothing yet
            …
        built = build.result

The process is told over a socket what to build, and tells over it what happens. Both are pickles:
on either side is this program, as this user. Whatever has been begun is taken back when the build
is cancelled, which leaving the `with` does, and when whoever asked for it dies: the kernel tells.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from knarr.engine.build.export.outputs import Built
from knarr.errors import Failed, KnarrError, Unavailable
from knarr.linux import process
from knarr.util.files import write_atomically
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from typing import Any, Self

    from knarr.build.events import Event
    from knarr.engine.builds import BuildOptions
    from knarr.engine.paths import Paths
    from knarr.registry.handed import Handed

CONNECTION = 3  # its descriptor in the process
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    "from knarr.engine.build.apart import main; main()"
)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_PAUSE_MS = 200  # after which who follows a silent build hears that it is


class Order(Value):
    """What the process is to do, and who it is to registries."""

    root: str
    run: str
    options: BuildOptions
    handed: Handed | None = None


class Apart:
    """A build under way in a process of its own; `result` is there when `events` has ended."""

    def __init__(
        self,
        paths: Paths,
        options: BuildOptions,
        *,
        handed: Handed | None = None,
        name: str = "",
    ) -> None:
        """Start the process and tell it what to do; `name` is for `cancel`."""
        import socket  # noqa: PLC0415 - who has threads has it loaded

        self.result: Built
        self._ended = False
        self._connection, theirs = socket.socketpair()
        reading, self._feed = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid = _spawn(reading, theirs.fileno())
        finally:
            os.close(reading)
            theirs.close()
        self._mark = _mark(paths, name) if name else ""
        if name:
            os.makedirs(os.path.dirname(self._mark), 0o700, exist_ok=True)
            write_atomically(self._mark, f"{self.pid} {process.start_time(self.pid)}".encode())
        _send(self._connection, Order(paths.root, paths.run, options, handed))

    def feed(self, data: bytes) -> bool:
        """Give the process a piece of its standard input; tell whether it wants more."""
        try:
            while data:
                data = data[os.write(self._feed, data) :]
        except BrokenPipeError:
            return False
        return True

    def events(self) -> Iterator[Event | None]:
        """Yield what happens, and None now and then while nothing does; after all was fed.

        Raises: what the build raises, Failed
        """
        import select  # noqa: PLC0415 - as above

        self._stop_feeding()
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        while True:
            if not poller.poll(_PAUSE_MS):
                yield None
                continue
            said = _receive(self._connection)
            if said is None:
                message = "the process of the build ended without a word"
                hint = "It was killed, maybe for want of memory."
                raise Failed(message, hint=hint)
            self._ended = isinstance(said, KnarrError | Built)
            if isinstance(said, KnarrError):
                raise said
            if isinstance(said, Built):
                self.result = said
                return
            yield said

    def cancel(self) -> None:
        """Let the process take back what it does, and wait until it has ended."""
        try:
            os.kill(self.pid, signal.SIGTERM)  # it is a child that nobody has waited for
        except ProcessLookupError:
            pass

    def _stop_feeding(self) -> None:
        if self._feed >= 0:
            os.close(self._feed)
            self._feed = -1

    def __enter__(self) -> Self:
        """Return the build."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the build unless it has ended, and wait for the process."""
        self._stop_feeding()
        if not self._ended:
            self.cancel()
        os.waitpid(self.pid, 0)
        self._connection.close()
        if self._mark:
            os.unlink(self._mark)


def cancel(paths: Paths, name: str) -> bool:
    """Let the build called `name` take back what it does; tell whether there is one.

    Whoever follows it, in whichever process, hears that it ended.
    """
    try:
        with open(_mark(paths, name), encoding="ascii") as file:
            pid, started = map(int, file.read().split())
        pidfd = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    try:
        if process.start_time(pid) != started:
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(pidfd)
    return True


def _mark(paths: Paths, name: str) -> str:
    """Return the file that names the process of a build; a name may be anything."""
    import hashlib  # noqa: PLC0415 - few builds have a name

    return f"{paths.run}/building/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _spawn(stdin_fd: int, connection_fd: int) -> int:
    """Start the process with these descriptors, of which it has copies."""
    low = min(stdin_fd, connection_fd)
    assert low > CONNECTION, "a server has its standard streams and more"
    actions = [
        (os.POSIX_SPAWN_DUP2, stdin_fd, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, connection_fd, CONNECTION),
    ]
    command = [sys.executable, "-I", "-c", _PROGRAM, _PACKAGES]
    # A server has signals blocked that this process has to get.
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsigmask=())


def _send(connection: socket.socket, said: object) -> None:
    import pickle  # noqa: PLC0415 - not for who has no threads

    data = pickle.dumps(said)
    connection.sendall(len(data).to_bytes(4, "big") + data)


def _receive(connection: socket.socket) -> Any:
    """Return what the other side says, None if it has gone."""
    import pickle  # noqa: PLC0415 - as above

    head = _read(connection, 4)
    data = _read(connection, int.from_bytes(head, "big")) if head else b""
    return pickle.loads(data) if data else None  # noqa: S301 - of this program, see above


def _read(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        try:
            piece = connection.recv(size - len(pieces))
        except ConnectionResetError:
            piece = b""
        if not piece:
            return b""
        pieces += piece
    return bytes(pieces)


def main() -> None:
    """Be the process: build what the order on descriptor 3 asks for, and tell of it there."""
    import socket  # noqa: PLC0415 - this is another process

    for number in _SIGNALS:
        signal.signal(number, _stop)
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGTERM)
    connection = socket.socket(fileno=CONNECTION)
    os.set_inheritable(CONNECTION, False)  # noqa: FBT003 - as os has it
    order = _receive(connection)
    if order is None:
        return
    try:
        said: object = _carry_out(order, connection)
    except _GoneError:
        return
    except KnarrError as error:
        said = error
    except KeyboardInterrupt:
        said = Unavailable("the build was canceled")
    except Exception as error:  # noqa: BLE001 - the top of a process, and the other side waits
        said = _explained(error)
    for number in _SIGNALS:  # it is over by itself
        signal.signal(number, signal.SIG_IGN)
    with suppress(BrokenPipeError):  # who was interested has gone
        _send(connection, said)


class _GoneError(Exception):
    """Who asked for the build has gone."""


def _carry_out(order: Order, connection: socket.socket) -> Built:
    from knarr.engine.engine import Engine  # noqa: PLC0415 - this is another process

    def tell(event: Event) -> None:
        try:
            _send(connection, event)
        except BrokenPipeError:
            raise _GoneError from None

    with Engine(order.root, order.run, recover=False) as engine:
        engine.registries.act_as(order.handed)
        return engine.builds.build(order.options, tell, stdin=sys.stdin.buffer)


def _explained(error: Exception) -> Failed:
    """Return what to say of an error that is none of knarr's, and write down where it happened."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return Failed(f"{error.strerror.lower()}{place}")
    import traceback  # noqa: PLC0415 - never, as one hopes

    traceback.print_exception(error)
    message = f"internal error: {type(error).__name__}: {error}"
    hint = "This is a fault of knarr. Where it happened is in the log of the service, or on the "
    return Failed(message, hint=f"{hint}standard error of the program that asked for the build.")


def _stop(number: int, frame: object) -> None:
    del frame
    raise KeyboardInterrupt(number)
