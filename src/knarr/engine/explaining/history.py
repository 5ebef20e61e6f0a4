"""What events say of a container's last run: the signals sent to it, and how its health went."""

from __future__ import annotations

from knarr.engine.events import parse
from knarr.engine.logs import Reader
from knarr.util import eventlog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from knarr.engine.events import Event

_UNHEALTHY = "health_status: unhealthy"


def read_history(
    root: str, container_id: str, finished_ns: int, *, tail: int | None = None
) -> dict[str, Any]:
    """Return the fields of the facts that events give, the last `tail` of them or all."""
    return judge(_events(root, container_id, tail), finished_ns)


def judge(events: Iterator[Event], finished_ns: int) -> dict[str, Any]:
    """Return the same from the events of one container, the oldest first.

    `stop` notes that it stopped the container after the end; so what counts is everything from the
    last start on.
    """
    sent: list[tuple[int, float]] = []
    stopped = False
    unhealthy: float | None = None
    for event in events:
        before = (finished_ns - event.time_ns) / 1e9
        if event.action == "start":
            sent, stopped, unhealthy = [], False, None
        elif event.action == "kill":
            sent.append((int(event.attributes.get("signal") or 0), before))
        elif event.action == "stop":
            stopped = True
        elif event.action == _UNHEALTHY:
            unhealthy = before
    return {"sent": tuple(sent), "stopped": stopped, "turned_unhealthy": unhealthy}


def _events(root: str, container_id: str, tail: int | None) -> Iterator[Event]:
    """Yield the events of one container; other lines are not even parsed."""
    wanted = container_id.encode()
    reader = Reader(f"{root}/{eventlog.NAME}", tail)
    try:
        for line in reader.lines():
            event = parse(line) if wanted in line else None
            if event is not None and event.kind == "container" and event.actor == container_id:
                yield event
    finally:
        reader.close()
