"""Ending containers, and holding them still: stop, kill, restart, pause.

None of it holds the container's lock: who waits for a program to end must not keep off somebody
who is more in a hurry (`rm -f` during the ten seconds of a `stop`). `restart` alone keeps the lock
over its stop and start, so that the clean-up of the first run does not take the container away in
between.
"""

from __future__ import annotations

import os
import select
import time

from knarr.engine.container import tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.noting import note
from knarr.engine.options.names import parse_signal
from knarr.engine.options.values import DEFAULT_STOP_SIGNAL, DEFAULT_STOP_TIMEOUT
from knarr.errors import Conflict, Failed, NotModified, Unavailable, Unsupported
from knarr.supervise import control
from knarr.util.files import delete_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.store.containers import ContainerRow
    from knarr.supervise.control import Client, Exit

SIGKILL = 9
WAIT = -1  # the number of the one question whose answer is waited for with a limit of time
LAST_PATIENCE = 10.0  # seconds for the kernel to end what got SIGKILL, as Docker gives it
ENDING = 1.0  # seconds between the end of a process and its record


def stop(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    *,
    timeout: float | None = None,
    signal: str = "",
) -> None:
    """Ask a container to end, and kill it when `timeout` seconds have passed.

    A negative timeout waits for ever; None is the container's own, or ten seconds.

    Raises: NotModified, InvalidArgument, Conflict
    """
    number = parse_signal(signal or options.stop_signal or DEFAULT_STOP_SIGNAL)
    state = tasks.read_state(engine.paths, row.id)
    if not state.active:
        message = f"container {row.name} is not running"
        raise NotModified(message)
    if timeout is None:
        own = options.stop_timeout
        timeout = DEFAULT_STOP_TIMEOUT if own is None else own
    try:
        _stop(engine, row, options, timeout, number)
    except Unavailable:
        if not _has_ended(engine, row):
            raise


def _stop(engine: Engine, row: ContainerRow, options: Options, timeout: float, number: int) -> None:
    with connect(engine, row) as client:
        owner = client.stopping(clean=True)
        note(engine.paths, row, "kill", signal=str(number))
        _send(client, number)
        if tasks.read_state(engine.paths, row.id).status == tasks.PAUSED:
            resume(engine, row)
        if _await_exit(client, timeout) is None:
            note(engine.paths, row, "kill", signal=str(SIGKILL))
            _kill(client)
        note(engine.paths, row, "stop")
        if owner:
            _finish(engine, row, options, client)


def end(engine: Engine, row: ContainerRow, options: Options) -> None:
    """Kill a container and wait until its supervisor has left; harmless if it has ended."""
    state = tasks.read_state(engine.paths, row.id)
    if not state.active:
        return
    try:
        with connect(engine, row) as client:
            owner = client.stopping(clean=True)
            note(engine.paths, row, "kill", signal=str(SIGKILL))
            _send(client, SIGKILL)
            if state.status == tasks.PAUSED:
                resume(engine, row)
            if _await_exit(client, LAST_PATIENCE) is None:
                raise _stuck()
            if owner:
                _finish(engine, row, options, client)
            else:
                _await_end(client, LAST_PATIENCE)
    except Unavailable:  # it ended, and its supervisor after it
        return


def await_end(engine: Engine, row: ContainerRow) -> None:
    """Wait until the supervisor of a container that has ended has left, but not for ever."""
    try:
        with control.connect(engine.paths.task(row.id)) as client:
            _await_end(client, LAST_PATIENCE)
    except Unavailable:  # it has, or was killed
        return


def _finish(engine: Engine, row: ContainerRow, options: Options, client: Client) -> None:
    """Do what is to be done after the exit, and wait until the supervisor has left."""
    clean_up_after(engine, row, options, client)
    _await_end(client, LAST_PATIENCE)


def clean_up_after(
    engine: Engine, row: ContainerRow, options: Options, client: Client, *, patience: float = 0.0
) -> None:
    """Do, as the owner, what is to be done after the exit, and say so."""
    from knarr.engine.container.cleanup import clean_up  # noqa: PLC0415 - not for who sends signals alone

    removed = clean_up(engine, row.id, auto_remove=options.auto_remove, patience=patience)
    client.cleaned(removed=removed)


def kill(engine: Engine, row: ContainerRow, options: Options, signal: str = "KILL") -> None:
    """Send a signal to a container's first process.

    Docker: the signal that stops a container, and SIGKILL, also mean that it is not to be restarted

    Raises: Conflict, InvalidArgument
    """
    number = parse_signal(signal)
    message = f"cannot kill container: {row.name}: container {row.id} is not running"
    not_running = Conflict(message)
    state = tasks.read_state(engine.paths, row.id)
    if not state.active:
        raise not_running
    try:
        _signal(engine, row, options, number, paused=state.status == tasks.PAUSED)
    except Unavailable:
        if _has_ended(engine, row):
            raise not_running from None
        raise


def _signal(
    engine: Engine, row: ContainerRow, options: Options, number: int, *, paused: bool
) -> None:
    final = number in (SIGKILL, parse_signal(options.stop_signal or DEFAULT_STOP_SIGNAL))
    with connect(engine, row) as client:
        owner = final and client.stopping(clean=number == SIGKILL)
        note(engine.paths, row, "kill", signal=str(number))
        client.signal(number)
        if final and paused:
            resume(engine, row)
        if number == SIGKILL and _await_exit(client, LAST_PATIENCE) is None:
            raise _stuck()
        if owner:
            _finish(engine, row, options, client)


def _has_ended(engine: Engine, row: ContainerRow) -> bool:
    """Tell, when its supervisor went, whether the container had ended by itself."""
    return not tasks.read_state(engine.paths, row.id).active


def _send(client: Client, number: int) -> None:
    try:
        client.signal(number)
    except Conflict:  # it has ended in between: as wanted
        pass


def _kill(client: Client) -> None:
    client.wake()  # much may have happened in the time that the program was given
    _send(client, SIGKILL)
    if _await_exit(client, LAST_PATIENCE) is None:
        raise _stuck()


def _stuck() -> Failed:
    message = "tried to kill container, but did not receive an exit event"
    hint = "Its process may hang in the kernel: look at its state with `top`."
    return Failed(message, hint=hint)


def _await_exit(client: Client, timeout: float) -> Exit | None:
    """Wait until the container has ended, None if `timeout` passes before; negative is for ever."""
    client.send({"do": "wait", "n": WAIT, "condition": "not-running"})
    for message in messages(client, timeout):
        if message is None:
            return None
        if message.get("n") == WAIT:
            return control.to_exit(message)
    return control.Exit(0)  # the supervisor has ended: so has its container


def _await_end(client: Client, timeout: float) -> None:
    """Wait until the supervisor has left, or `timeout` has passed."""
    for message in messages(client, timeout):
        if message is None:
            return


def messages(client: Client, timeout: float) -> Iterator[dict[str, Any] | None]:
    """Yield what the supervisor says until it leaves; None when `timeout` has passed."""
    deadline = time.monotonic() + timeout
    poll = select.poll()
    poll.register(client.fileno(), select.POLLIN)
    while True:
        left = max(0.0, deadline - time.monotonic()) * 1000 if timeout >= 0 else None
        if not client.waiting and not poll.poll(left):
            yield None
            return
        arrived = client.read()
        if arrived is None:
            return
        yield from (content for _, content in arrived if isinstance(content, dict))


def pause(engine: Engine, row: ContainerRow) -> None:
    """Freeze all processes of a container.

    Raises: Conflict
    """
    state = tasks.read_state(engine.paths, row.id)
    if state.status == tasks.PAUSED:
        message = f"container {row.name} is already paused"
        raise Conflict(message)
    not_running = f"container {row.name} is not running"
    if state.status != tasks.RUNNING:
        raise Conflict(not_running)
    from knarr.runtime import lifecycle  # noqa: PLC0415 - for few commands

    try:
        lifecycle.pause(state.pid)
    except (Failed, Unsupported) as error:
        if _ends(engine, row):
            raise Conflict(not_running) from error  # its group is gone already
        raise
    mark = f"{engine.paths.task(row.id)}/{tasks.PAUSED_MARK}"
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    note(engine.paths, row, "pause")


def _ends(engine: Engine, row: ContainerRow) -> bool:
    """Tell whether a container's end is recorded by now, or is within a moment."""
    deadline = time.monotonic() + ENDING
    while tasks.read_state(engine.paths, row.id).status == tasks.RUNNING:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def unpause(engine: Engine, row: ContainerRow) -> None:
    """Let a container's processes go on.

    Raises: Conflict
    """
    if tasks.read_state(engine.paths, row.id).status != tasks.PAUSED:
        message = f"container {row.name} is not paused"
        raise Conflict(message)
    resume(engine, row)
    note(engine.paths, row, "unpause")


def resume(engine: Engine, row: ContainerRow) -> None:
    """Thaw a container and forget that it was paused."""
    from knarr.runtime import lifecycle  # noqa: PLC0415 - for few commands

    state = tasks.read_state(engine.paths, row.id)
    try:
        if state.pid:
            lifecycle.resume(state.pid)
    except Conflict:  # what it was sent has ended it already: nothing is left to thaw
        pass
    delete_file(f"{engine.paths.task(row.id)}/{tasks.PAUSED_MARK}")


def restart(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    *,
    timeout: float | None = None,
    signal: str = "",
) -> None:
    """Stop a container if it runs, and start it.

    Raises: Conflict, CommandFailed, other KnarrErrors
    """
    from knarr.engine.container import starting  # noqa: PLC0415 - not for who stops alone

    with ContainerLock(engine.paths, row.id):
        try:
            # Its clean-up finds the lock held, and leaves everything to the start.
            stop(engine, row, options, timeout=timeout, signal=signal)
        except NotModified:
            pass
        starting.start_locked(engine, row, options).close()
    note(engine.paths, row, "restart")


def connect(engine: Engine, row: ContainerRow) -> Client:
    """Return a connection to the container's supervisor; a killed one is replaced first."""
    control_dir = engine.paths.task(row.id)
    try:
        return control.connect(control_dir)
    except Unavailable:
        if not tasks.read_state(engine.paths, row.id).active:
            raise
    from knarr.engine import recovery  # noqa: PLC0415 - after somebody killed the supervisor

    recovery.adopt(engine, row.id)
    return control.connect(control_dir)
