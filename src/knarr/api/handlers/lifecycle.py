"""The life of a container: start, stop, restart, kill, pause, unpause, wait, resize."""

from __future__ import annotations

from knarr.api.answers import Empty, JsonLines
from knarr.api.handlers.containers import find
from knarr.engine import waiting
from knarr.engine.container import stopping
from knarr.engine.container.tasks import RUNNING
from knarr.errors import Conflict, InvalidArgument, KnarrError, NotModified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet

CONDITIONS = {"": "not-running", **{name: name for name in waiting.CONDITIONS}}


def start(call: Call) -> Answer:
    """Start it. Docker: one that is to remove itself goes when it cannot be started, too"""
    container = find(call)
    try:
        container.start(starting=call.server.spare.take()).close()
    except NotModified:
        raise
    except KnarrError:
        if container.options.auto_remove and not container.state.active:
            container.remove(volumes=True)
        raise
    call.server.spare.prepare()
    return Empty()


def stop(call: Call) -> Answer:
    find(call).stop(timeout=_timeout(call), signal=call.text("signal"))
    return Empty()


def restart(call: Call) -> Answer:
    find(call).restart(timeout=_timeout(call), signal=call.text("signal"))
    return Empty()


def _timeout(call: Call) -> float | None:
    seconds = call.number("t")
    return None if seconds is None else float(seconds)


def kill(call: Call) -> Answer:
    find(call).kill(call.text("signal") or "KILL")
    return Empty()


def pause(call: Call) -> Answer:
    find(call).pause()
    return Empty()


def unpause(call: Call) -> Answer:
    find(call).unpause()
    return Empty()


def wait(call: Call) -> Answer:
    """Answer at once, and say how it ended when it has.

    Docker: `run` waits before it starts, and needs to know that nothing will be missed: so the
    head is sent when the place in the queue is taken
    """
    condition = call.text("condition")
    if condition not in CONDITIONS:
        message = f'invalid condition: "{condition}"'
        raise InvalidArgument(message)
    container = find(call)
    ends = waiting.watch_end(container, CONDITIONS[condition])
    first = next(ends)

    def work(outlet: Outlet) -> None:
        code = first
        try:
            while code is None:
                outlet.idle()
                code = next(ends)
        finally:
            ends.close()
        outlet.send({"StatusCode": code})

    return JsonLines(work, prompt=True)


def resize(call: Call) -> Answer:
    container = find(call)
    height, width = call.number("h"), call.number("w")
    if container.status != RUNNING:
        message = f"container {container.id} is not running"
        raise Conflict(message)
    if height and width:
        with stopping.connect(call.engine, container.row) as client:
            client.resize(height, width)
    return Empty(200)
