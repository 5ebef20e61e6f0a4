"""Deleting the images that nobody needs, at once."""

from __future__ import annotations

import time

from knarr.engine.filters import matches_labels, parse_filters
from knarr.errors import Conflict, NotFound
from knarr.store.containers import ContainerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.image.removal import Removed
    from knarr.engine.images import Image

KNOWN = frozenset(("label", "label!", "until"))


class Pruned(Value):
    """What is gone, and how many bytes that freed."""

    removed: tuple[Removed, ...]
    freed: int


def prune(engine: Engine, filters: Iterable[str], *, every: bool) -> Pruned:
    """Delete the images without a tag, with `every` all that no container uses.

    Raises: InvalidArgument
    """
    wanted = _condition(filters)
    used = {row.image for row in ContainerRecords(engine.database).all()}
    sizes = {str(row.chain_id): row.size for row in engine.images.layers.all()}
    removed: list[Removed] = []
    for image in engine.images.list():
        if image.row.id in used or (image.tags and not every) or not wanted(image):
            continue
        names = [r.familiar() for r in (*image.tags, *image.digests)] or [str(image.row.id)]
        for name in names:
            try:
                removed += engine.images.remove(name)
            except (Conflict, NotFound):  # somebody needs it now, or was faster
                continue
    freed = sum(sizes.get(one.deleted, 0) for one in removed)
    return Pruned(tuple(removed), freed)


def _condition(filters: Iterable[str]) -> Callable[[Image], bool]:
    given = parse_filters(filters, KNOWN)
    until_ns = 0
    if "until" in given:
        from knarr.util.times import parse_when  # noqa: PLC0415 - for who asks for it

        until_ns = min(parse_when(text, now_ns=time.time_ns()) for text in given["until"])

    def wanted(image: Image) -> bool:
        labels = image.row.labels
        return (
            (not until_ns or image.row.created_ns < until_ns)
            and matches_labels(given.get("label", ()), labels)
            and not any(matches_labels([text], labels) for text in given.get("label!", ()))
        )

    return wanted
