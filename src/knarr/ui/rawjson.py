"""`--progress rawjson`: a build for programs, one JSON object a line.

Each line is a status as BuildKit sends it to its clients: `vertexes` that began or ended, `logs`
with what they printed (base64), `statuses` with what they are at, `warnings`.

Docker: client.SolveStatus of BuildKit, as buildx prints it
"""

from __future__ import annotations

import time
from base64 import b64encode

from knarr.build.events import Finished, Noted, Printed, Started, Warned
from knarr.oci.digest import digest_of
from knarr.ui.progress import Display
from knarr.util.jsontext import dumps
from knarr.util.times import render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.build.dockerfile.checks import Finding
    from knarr.build.events import Event

_HEXADECIMAL = 64


class RawJson(Display):
    """Prints every event. What a failed step printed is not repeated."""

    _vertices: dict[str, dict[str, Any]]

    def __call__(self, event: Event) -> None:
        """Take an event."""
        super().__call__(event)
        match event:
            case Started():
                self._begin(event)
            case Printed():
                self._put("logs", self._log(event))
            case Noted():
                self._put("statuses", self._status(event))
            case Finished():
                self._end(event)
            case Warned():
                self._put("warnings", _warning(event.finding, event.source))

    def _begin(self, event: Started) -> None:
        if not hasattr(self, "_vertices"):
            self._vertices = {}
        vertex: dict[str, Any] = {
            "digest": _digest(event.id),
            "name": event.name,
            "started": _now(),
        }
        if event.inputs:
            vertex["inputs"] = [_digest(each) for each in event.inputs]
        self._vertices[event.id] = vertex
        self._put("vertexes", vertex)

    def _end(self, event: Finished) -> None:
        vertex = {**self._vertices[event.id], "completed": _now()}
        if event.cached:
            vertex["cached"] = True
        if event.error:
            vertex["error"] = event.error
        self._put("vertexes", vertex)

    @staticmethod
    def _log(event: Printed) -> dict[str, Any]:
        data = b64encode(event.data).decode()
        about = {"vertex": _digest(event.id), "stream": event.stream}
        return {**about, "data": data, "timestamp": _now()}

    @staticmethod
    def _status(event: Noted) -> dict[str, Any]:
        about = {"id": event.text, "vertex": _digest(event.id), "current": 0}
        return {**about, "timestamp": _now(), "completed": _now()}

    def _put(self, kind: str, what: dict[str, Any]) -> None:
        self.write(dumps({kind: [what]}))
        self.stream.flush()

    def conclude(self) -> None:
        """Show nothing more."""
        self.stream.flush()


def _warning(finding: Finding, source: str) -> dict[str, Any]:
    short = b64encode(f"{finding.rule}: {finding.message}".encode()).decode()
    place = {"start": {"line": finding.first}, "end": {"line": finding.last}}
    return {"level": 1, "short": short, "sourceInfo": {"filename": source}, "range": [place]}


def _digest(name: str) -> str:
    """Return the digest of a vertex; other activities get one of their name."""
    is_hexadecimal = len(name) == _HEXADECIMAL and set(name) <= set("0123456789abcdef")
    return f"sha256:{name}" if is_hexadecimal else str(digest_of(name.encode()))


def _now() -> str:
    return render_rfc3339(time.time_ns())
