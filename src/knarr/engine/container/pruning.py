"""Removing all containers that do not run."""

from __future__ import annotations

import time

from knarr.engine.filters import matches_labels, parse_filters
from knarr.errors import Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine

KNOWN = frozenset(("until", "label", "label!"))


def prune(engine: Engine, filters: Iterable[str] = ()) -> tuple[list[str], int]:
    """Remove the containers that do not run and pass `filters`; return IDs and bytes freed.

    Raises: InvalidArgument
    """
    given = parse_filters(filters, KNOWN)
    until_ns = 0
    if "until" in given:
        from knarr.util.times import parse_when  # noqa: PLC0415 - for who asks for it

        until_ns = min(parse_when(text, now_ns=time.time_ns()) for text in given["until"])
    removed, freed = [], 0
    for container in engine.containers.all():
        labels = container.options.labels
        if container.state.active or (until_ns and container.row.created_ns >= until_ns):
            continue
        if not matches_labels(given.get("label", ()), labels):
            continue
        if any(matches_labels([text], labels) for text in given.get("label!", ())):
            continue
        size = engine.layers.usage(f"{engine.paths.container(container.id)}/upper").size
        try:
            container.remove()
        except (Conflict, NotFound):  # somebody was faster
            continue
        removed.append(container.id)
        freed += size
    return removed, freed
