"""Events: what is noted of containers, images, networks and volumes, and reading it again.

Noting is `util.eventlog`, which supervisors use, too, and `noting`. Reading follows the file by
inotify(7) and survives its rotation (`logs.Reader`, `logs.Watch`).

Docker: events of API 1.50, their actions and attributes
"""

from __future__ import annotations

import os
import time

from knarr.engine.filters import matches_labels, parse_filters
from knarr.util import eventlog, jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.logs import Watch

FILTERS = frozenset((
    "container", "daemon", "event", "image", "label", "network", "scope", "type", "volume",
))  # fmt: skip
_OBJECTS = ("container", "daemon", "network", "volume")


class Event(Value):
    """One event. `actor` is the ID of what it happened to, for a volume its name."""

    time_ns: int
    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return Docker's object."""
        found: dict[str, Any] = {}
        if self.kind in ("container", "image"):
            found = {"status": self.action, "id": self.actor}
            if self.kind == "container" and "image" in self.attributes:
                found["from"] = self.attributes["image"]
        return {
            **found,
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.actor, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.time_ns // 10**9,
            "timeNano": self.time_ns,
        }


class Events:
    """The events of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._root = engine.paths.root

    def read(
        self,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        filters: Iterable[str] = (),
    ) -> Iterator[Event | None]:
        """Yield events from `since_ns` on, or from now, until `until_ns` or for ever.

        Yields None before waiting for more of them.

        Raises: InvalidArgument
        """
        given = parse_filters(filters, FILTERS)
        begin = time.time_ns() if since_ns is None else since_ns
        return _read(self._root, begin, until_ns, given)


def parse(line: bytes) -> Event | None:
    """Return the event that a line of the file is, None if it is none."""
    try:
        fields = jsontext.loads(line)
        return Event(*fields) if len(fields) == len(Event._fields) else None
    except (ValueError, TypeError):
        return None


def passes(event: Event, given: Mapping[str, list[str]]) -> bool:
    """Tell whether an event meets one condition of each name in `given`."""
    return all(_meets(event, name, values) for name, values in given.items())


def _meets(event: Event, name: str, values: list[str]) -> bool:
    own = event.attributes.get("name", "")
    if name == "event":
        words = {event.action, event.action.partition(":")[0]}
        return bool(words & set(values))
    if name == "type":
        return event.kind in values
    if name == "scope":
        return "local" in values
    if name == "label":
        return matches_labels(values, event.attributes)
    if name == "image":
        names = {event.attributes.get("image", ""), own if event.kind == "image" else ""}
        names |= {one.rpartition(":")[0] for one in names if ":" in one.rpartition("/")[2]}
        if event.kind == "image":
            names.add(event.actor)
        return bool(names & set(values))
    if name in _OBJECTS and event.kind == name:
        return any(event.actor.startswith(text) or own.startswith(text) for text in values)
    return name == "container" and any(
        event.attributes.get("container", "\0").startswith(text) for text in values
    )


def _read(
    root: str, since_ns: int, until_ns: int | None, given: Mapping[str, list[str]]
) -> Iterator[Event | None]:
    from knarr.engine.logs import Reader, Watch  # noqa: PLC0415 - not for who notes

    path = f"{root}/{eventlog.NAME}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
    watch = Watch()
    reader = Reader(path, None)
    try:
        while True:
            _renew(watch, path)
            last = until_ns is not None and time.time_ns() >= until_ns
            for line in reader.lines():
                event = parse(line)
                if event is None or event.time_ns < since_ns:
                    continue
                if until_ns is not None and event.time_ns > until_ns:
                    return
                if passes(event, given):
                    yield event
            if last:
                return
            yield None
            watch.wait(until_ns)
    finally:
        reader.close()
        watch.close()


def _renew(watch: Watch, path: str) -> None:
    """Watch the file that has the name `path` now."""
    from knarr.linux import files  # noqa: PLC0415 - not for who notes

    try:
        watch.add(path, files.IN_MODIFY | files.IN_MOVE_SELF)
    except FileNotFoundError:  # in the middle of a rotation: looked at again soon
        pass
