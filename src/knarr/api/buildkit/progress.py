"""What happens in a build, as BuildKit's clients want to be told it: statuses of vertices.

A `Story` takes the events of a build as they come, in any thread, and gives them to everybody who
follows it, from the first one on: a client may ask for the status before the build has begun, and
another when it is done.

Spec: BuildKit, control.proto (StatusResponse)
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time

from knarr.api.buildkit.schema import CONTROL, message, timestamp
from knarr.build import events
from knarr.build.dockerfile.checks import DESCRIPTIONS
from knarr.build.outline import rule_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from knarr.build.dockerfile.checks import Finding

STATUS = message(f"{CONTROL}.StatusResponse")
_LEAST_DIGEST = "sha256:"


class Story:
    """The statuses of one build. `dockerfile` is shown with what the checks found."""

    def __init__(self) -> None:
        self.dockerfile = b""
        self.located: events.Located | None = None
        self._told: list[Any] = []
        self._begun: dict[str, tuple[str, int]] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def take(self, event: events.Event) -> None:
        """Tell of an event. To be called in the loop."""
        now = time.time_ns()
        match event:
            case events.Started():
                self._begun[event.id] = event.name, now
                self._tell(vertexes=[self._vertex(event.id)])
            case events.Finished() if event.id in self._begun:
                vertex = self._vertex(event.id)
                vertex.completed.CopyFrom(timestamp(now))
                vertex.cached = event.cached
                vertex.error = event.error
                self._tell(vertexes=[vertex])
            case events.Printed():
                log = {"vertex": _digest(event.id), "timestamp": timestamp(now)}
                self._tell(logs=[{**log, "stream": event.stream, "msg": event.data}])
            case events.Noted():
                self._tell(statuses=[_status(event, now)])
            case events.Received():
                self._tell(statuses=[_transfer(event, now)])
            case events.Warned():
                self._tell(warnings=[_warning(event.finding, event.source, self.dockerfile)])
            case events.Located():
                self.located = event
            case _:
                pass

    def source(self, name: str) -> dict[str, Any] | None:
        """Return where in the Dockerfile, called `name`, the error arose; None if unknown."""
        if self.located is None:
            return None
        lines = range(self.located.first, self.located.last + 1)
        ranges = [{"start": {"line": line}, "end": {"line": line}} for line in lines]
        data = base64.b64encode(self.dockerfile).decode()
        info = {"filename": name, "data": data, "definition": {}, "language": "Dockerfile"}
        return {"info": info, "ranges": ranges}

    def end(self) -> None:
        """Tell that nothing more will come. To be called in the loop."""
        self._ended = True
        self._wake()

    async def follow(self) -> AsyncIterator[Any]:
        """Yield every status from the first one on, until the end."""
        at = 0
        while True:
            changed = self._changed
            while at < len(self._told):
                yield self._told[at]
                at += 1
            if self._ended:
                return
            await changed.wait()

    def _vertex(self, activity: str) -> Any:
        name, begun_ns = self._begun[activity]
        return message(f"{CONTROL}.Vertex")(
            digest=_digest(activity), name=name, started=timestamp(begun_ns)
        )

    def _tell(self, **fields: Any) -> None:
        self._told.append(STATUS(**fields))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _digest(activity: str) -> str:
    """Return what a client knows an activity by: the digest of a vertex, or one of a name."""
    if activity.startswith(_LEAST_DIGEST):
        return activity
    return _LEAST_DIGEST + hashlib.sha256(activity.encode()).hexdigest()


def _status(event: events.Noted, now: int) -> dict[str, Any]:
    """Return a thing that is done: its first words are what clients show it by."""
    name = event.text.removesuffix(" done")
    done = {"completed": timestamp(now)} if name != event.text else {}
    moment = {"timestamp": timestamp(now), "started": timestamp(now), **done}
    return {"ID": name, "name": name, "vertex": _digest(event.id), **moment}


def _transfer(event: events.Received, now: int) -> dict[str, Any]:
    """Return a transfer that is done: clients show its ID, and how much it was."""
    moment = dict.fromkeys(("timestamp", "started", "completed"), timestamp(now))
    about = {"ID": f"transferring {event.name}:", "name": "transferring", "current": event.size}
    return {**about, "vertex": _digest(event.id), **moment}


def _warning(finding: Finding, source: str, dockerfile: bytes) -> dict[str, Any]:
    ranges = []
    if finding.first:
        first, last = {"line": finding.first}, {"line": finding.last}
        ranges = [{"start": first, "end": last}]
    about = DESCRIPTIONS.get(finding.rule)  # what the builder itself finds is in no list of rules
    return {
        "level": 1,
        "short": str(finding).encode(),
        "detail": [about.encode()] if about else [],
        "url": rule_url(finding.rule) if about else "",
        "info": {"filename": source, "data": dockerfile, "language": "Dockerfile"},
        "ranges": ranges,
    }
