"""What containers use, once a second or once."""

from __future__ import annotations

import time

from knarr.api.answers import Json, JsonLines
from knarr.api.handlers.containers import find
from knarr.api.render.stats import stats as render
from knarr.engine.resources.statistics import figures, machine_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.engine.containers import Container
    from knarr.engine.resources.statistics import Figures

INTERVAL = 1.0


def stats(call: Call) -> Answer:
    """Tell what a container uses.

    Docker: a look without a stream waits for a second one, unless it is `one-shot`
    """
    container = find(call)
    if not call.flag("stream", default=True):
        return Json(_once(container, one_shot=call.flag("one-shot")))

    def work(outlet: Outlet) -> None:
        before = None
        while True:
            outlet.idle()
            now = figures(container)
            outlet.send(_document(container, now, before))
            before = now
            time.sleep(INTERVAL)

    return JsonLines(work, prompt=True)


def _once(container: Container, *, one_shot: bool) -> dict[str, Any]:
    before, now = None, figures(container)
    if now is not None and not one_shot:
        before = now
        time.sleep(INTERVAL)
        now = figures(container)
    return _document(container, now, before)


def _document(container: Container, now: Figures | None, before: Figures | None) -> dict[str, Any]:
    return render(container.id, container.name, now, before, machine_memory=machine_memory())
