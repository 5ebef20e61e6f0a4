"""Who wants to be there when a container starts, or ends: attached to it, or waiting.

Docker: `run` attaches and waits before it starts, and misses nothing of a program that ends at once

A container that does not run has no supervisor to connect to. So whoever waits leaves a FIFO in
`<run>/waiting/<id>/`, and whoever starts the container, in whatever process, wakes all of them up
when the supervisor is there and the program is not yet: it writes a byte to each FIFO, and goes on
when each of them was closed. The kernel closes those of waiters that die.

    waiter                         starter
    makes and opens the FIFO
    polls it                       supervisor: "created"
                                   opens it (nobody there: removes it), writes a byte
    connects, attaches             polls it
    closes and removes it          supervisor: "start"

Who waits for the end is there when it comes, and offers to clean up then: the supervisor need not
start a process for that.
"""

from __future__ import annotations

import os
import select
import time

from knarr.errors import Unavailable
from knarr.util.files import delete_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Self

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths
    from knarr.store.containers import ContainerRow
    from knarr.supervise.control import Client

CONDITIONS = ("not-running", "next-exit", "removed")
PATIENCE = 2.0  # seconds in which a waiter has to do what it wants to do before the start
STEP = 1.0  # seconds after which who waits for an end looks at other things
ENDED, MET = -1, -2  # numbers of the two questions of who waits
LOOK = 0.25  # seconds after which a waiter looks whether the container is still there


class Waiter:
    """A place in the queue for the next start of a container."""

    def __init__(self, engine: Engine, row: ContainerRow) -> None:
        """Take the place; from now on no start of the container is missed."""
        self._engine = engine
        self._row = row
        self._directory = engine.paths.waiting(row.id)
        self._path = f"{self._directory}/{os.urandom(8).hex()}"
        self._make()
        # Both ends, so that a starter who leaves is no hang-up.
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _make(self) -> None:
        while True:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            try:
                os.mkfifo(self._path, 0o600)
            except FileNotFoundError:  # another waiter was the last one, and removed the directory
                continue
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the place up: a start need not wait for us any more. Harmless more than once."""
        if self._descriptor < 0:
            return
        try:
            os.unlink(self._path)
            os.rmdir(self._directory)
        except OSError:  # others wait, too
            pass
        os.close(self._descriptor)
        self._descriptor = -1

    def connections(self) -> Iterator[Client | None]:
        """Yield a connection to the supervisor as soon as there is one, None while there is none.

        Connections are the caller's, who asks for the next one if that one was of no use. There
        is no next one when the container is gone. A start is held up until `close`.
        """
        from knarr.engine.container.stopping import connect  # noqa: PLC0415 - not for who starts

        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while os.path.isdir(self._engine.paths.container(self._row.id)):
            try:
                yield connect(self._engine, self._row)
            except Unavailable:
                yield None
            if poll.poll(LOOK * 1000):
                os.read(self._descriptor, 1 << 10)


def summon(paths: Paths, container_id: str) -> None:
    """Wake up all who wait for a container to start, and go on when they have what they want."""
    directory = paths.waiting(container_id)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    poll, left = select.poll(), 0
    opened = []
    for name in names:
        descriptor = _wake(f"{directory}/{name}")
        if descriptor >= 0:
            opened.append(descriptor)
            poll.register(descriptor, 0)  # its end alone
            left += 1
    deadline = time.monotonic() + PATIENCE
    while left and (seconds := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(seconds * 1000):
            poll.unregister(descriptor)
            left -= 1
    for descriptor in opened:
        os.close(descriptor)


def forget(paths: Paths, container_id: str) -> None:
    """Remove what waiters of a container that is gone left, those among them that were killed."""
    directory = paths.waiting(container_id)
    try:
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
    except OSError:  # nobody waits, or somebody comes this very moment, and finds that it is gone
        return


def _wake(path: str) -> int:
    """Wake up a waiter, and return the descriptor by which its end is seen; -1 without one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:  # it has given up
        return -1
    except OSError:  # ENXIO: it was killed
        delete_file(path)
        return -1
    try:
        os.write(descriptor, b".")
    except OSError:  # it has given up this very moment, or was woken a thousand times
        pass
    return descriptor


def watch_end(container: Container, condition: str) -> Generator[int | None, None, None]:
    """Yield the exit code when a container has ended (or ends next, or is removed).

    Until then yield None now and then. Nothing that happens after the first None is missed.
    """
    begun = state = container.state
    if condition == "not-running" and not state.active:
        yield state.exit_code
        return

    def missed() -> bool:
        nonlocal state
        state = container.state
        ended = begun.active or state.finished_ns > begun.finished_ns
        return condition != "removed" and not state.active and ended

    while os.path.isdir(container.engine.paths.container(container.id)):
        found = yield from _watch_one_end(container, condition, missed)
        if found is not None:
            yield found
            return
        if missed():
            break
    yield state.exit_code


def _watch_one_end(
    container: Container, condition: str, missed: Callable[[], bool]
) -> Generator[None, None, int | None]:
    """Yield None while nothing happens; return the exit code, None if nobody is left to tell it.

    Nobody is when the end came between the look at the state and the connection: it was `missed`.
    """
    with Waiter(container.engine, container.row) as waiter:
        for client in waiter.connections():
            if client is None:
                if missed():
                    return None
                yield None
                continue
            with client:
                try:
                    for number, wanted in ((ENDED, "next-exit"), (MET, condition)):
                        client.send({"do": "wait", "n": number, "condition": wanted})
                    owner = client.own()  # answered after it was heard that we wait
                except (Unavailable, ConnectionError):  # of a run that is over
                    continue
                waiter.close()
                yield None
                return (yield from _await_answer(container, client, owner=owner))
    return None


def _await_answer(
    container: Container, client: Client, *, owner: bool
) -> Generator[None, None, int | None]:
    """Yield None every second; return the exit code, or None when the supervisor has left."""
    from knarr.engine.container import stopping  # noqa: PLC0415 - loaded by then

    gone = False
    while not gone:
        gone = True
        for message in stopping.messages(client, STEP):
            if message is None:
                gone = False
                continue
            if message.get("n") == ENDED and owner:
                # Who restarts it has the lock for long, and what is here then is the next run's.
                patience = 0.0 if container.state.manually_stopped else PATIENCE
                stopping.clean_up_after(
                    container.engine, container.row, container.options, client, patience=patience
                )
            if message.get("n") == MET:
                code: int = message["exit_code"]
                return code
        yield None
    return None
