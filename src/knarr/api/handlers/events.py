"""Events: those that were, and those that come."""

from __future__ import annotations

import time

from knarr.api.answers import JSON, JsonLines
from knarr.util.times import parse_when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.engine.events import Event

SEQUENCE = "application/json-seq"
# Types that a client may ask for, and the version that has them first.
TYPES = {
    "application/jsonl": (1, 53),
    "application/x-ndjson": (1, 52),
    SEQUENCE: (1, 52),
}
TWICE = {"status", "id", "from"}
RECORD_SEPARATOR = b"\x1e"  # Spec: RFC 7464


def listen(call: Call) -> Answer:
    now_ns = time.time_ns()
    moments = {
        name: parse_when(call.text(name), now_ns=now_ns) if call.text(name) else None
        for name in ("since", "until")
    }
    found = call.engine.events.read(
        since_ns=moments["since"], until_ns=moments["until"], filters=call.filters()
    )
    kind = _content_type(call)

    def work(outlet: Outlet) -> None:
        for event in found:
            if event is None:
                outlet.idle()
                continue
            if kind == SEQUENCE:
                outlet.write(RECORD_SEPARATOR)
            outlet.send(_document(event, call.version))

    return JsonLines(work, kind, prompt=True)


def _document(event: Event, version: tuple[int, int]) -> dict[str, Any]:
    """Return an event. Docker: what stood in it twice went away with 1.52"""
    document = event.document()
    return document if version < (1, 52) else {k: document[k] for k in document.keys() - TWICE}


def _content_type(call: Call) -> str:
    """Return the first type of the client's that there is, JSON by default."""
    for wanted in call.headers.get("accept", "").split(","):
        kind = wanted.partition(";")[0].strip().lower()
        if kind == JSON or call.version >= TYPES.get(kind, (9, 9)):
            return kind
    return JSON
