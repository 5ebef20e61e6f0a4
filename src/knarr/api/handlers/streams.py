"""What flows from and to a container: its log, and its standard streams when somebody attaches."""

from __future__ import annotations

import time

from knarr.api.answers import MULTIPLEXED, RAW, Hijack, Stream
from knarr.api.handlers.containers import find
from knarr.api.splice import Manner, Splice, is_gone, multiplexed, raw
from knarr.engine import logs as log_files
from knarr.engine.attach import note_client
from knarr.engine.container import tasks
from knarr.engine.options.detachkeys import DEFAULT_DETACH_KEYS, parse_keys
from knarr.engine.waiting import Waiter
from knarr.errors import Conflict, InvalidArgument, Unavailable
from knarr.supervise.messages import STDERR, STDOUT
from knarr.util.times import parse_when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.api.takeover import Taken
    from knarr.engine.containers import Container
    from knarr.supervise.control import Client

# Seconds between head and log: docker-py loses what comes together with the head.
APART = 0.01
UNWILLING = {
    tasks.PAUSED: "unpause the container before attach",
    tasks.RESTARTING: "wait until the container is running",
}


def content_type(call: Call, *, tty: bool) -> str:
    """Return what streams are called: since 1.42 those that are framed have a name of their own."""
    return MULTIPLEXED if not tty and call.version >= (1, 42) else RAW


def wanted_streams(call: Call) -> tuple[int, ...]:
    """Return the outputs that the query asks for."""
    named = (("stdout", STDOUT), ("stderr", STDERR))
    return tuple(stream for name, stream in named if call.flag(name))


def logs(call: Call) -> Answer:
    container, streams = find(call), wanted_streams(call)
    if not streams:
        message = "Bad parameters: you must choose at least one stream"
        raise InvalidArgument(message)
    wanted = log_files.LogOptions(
        _tail(call.text("tail", "all")),
        _moment(call.text("since")) or 0,
        _moment(call.text("until")),
        call.flag("follow"),
    )
    entries = container.logs(wanted)
    renderer = log_files.Renderer(timestamps=call.flag("timestamps"), details=call.flag("details"))
    tty = container.options.streams.tty
    wrap = raw if tty else multiplexed

    def work(outlet: Outlet) -> None:
        for entry in entries:
            if entry is None:
                outlet.idle()
            elif entry.stream in streams:
                outlet.write(wrap(entry.stream, renderer.render(entry)))

    return Stream(work, content_type(call, tty=tty), prompt=wanted.follow)


def _tail(text: str) -> int | None:
    """Return a number of lines; Docker takes everything that is none for all."""
    return int(text) if text.isascii() and text.isdecimal() else None


def _moment(text: str) -> int | None:
    return parse_when(text, now_ns=time.time_ns()) if text and text != "0" else None


def attach(call: Call) -> Answer:
    container, manner = prepare_attach(call)
    tty = container.options.streams.tty
    manner = manner.replace(wrap=raw if tty else multiplexed)
    return Hijack(
        lambda taken: serve_attached(call, container, taken, manner), content_type(call, tty=tty)
    )


def prepare_attach(call: Call) -> tuple[Container, Manner]:
    """Return the container to attach to, and how.

    Raises: Conflict, InvalidArgument
    """
    container = find(call)
    status = container.status
    if status in UNWILLING:
        message = f"container {container.id} is {status}, {UNWILLING[status]}"
        raise Conflict(message)
    options = container.options.streams
    keys = parse_keys(call.text("detachKeys") or DEFAULT_DETACH_KEYS)
    return container, Manner(
        streams=wanted_streams(call) if call.flag("stream") else (),
        stdin=call.flag("stdin") and options.open_stdin and call.flag("stream"),
        lasting=not options.stdin_once or options.tty,
        detach_keys=keys if options.tty else b"",
    )


def serve_attached(call: Call, container: Container, taken: Taken, manner: Manner) -> None:
    """Give a client what the log has, if it wants that, and then join it to the container."""
    if call.flag("logs"):
        _replay(container, taken, wanted_streams(call), manner.wrap)
    if not call.flag("stream"):
        return
    client = _connect(container, taken, manner)
    if client is None:
        return
    with client:
        splice = Splice(taken, client, manner)
        splice.run()
    if splice.detached:
        note_client(container, "detach")


def _replay(
    container: Container,
    taken: Taken,
    streams: tuple[int, ...],
    wrap: Callable[[int, bytes], bytes],
) -> None:
    renderer = log_files.Renderer()
    time.sleep(APART)
    for entry in container.logs():
        if entry is not None and entry.stream in streams:
            taken.socket.sendall(wrap(entry.stream, renderer.render(entry)))


def _connect(container: Container, taken: Taken, manner: Manner) -> Client | None:
    """Return a connection that is attached, once the container runs; None without a client."""
    names = {"stdout": STDOUT in manner.streams, "stderr": STDERR in manner.streams}
    with Waiter(container.engine, container.row) as waiter:
        for client in waiter.connections():
            if client is None:
                if is_gone(taken):
                    return None
                continue
            try:
                client.attach(stdin=manner.stdin, **names)
            except (Conflict, Unavailable, ConnectionError):  # of a run that is over
                client.close()
                continue
            note_client(container, "attach")
            return client
    return None
