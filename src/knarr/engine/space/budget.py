"""Staying within `images.space`: what is not needed goes, the longest unused first.

    build cache, least recently used first
    images without a name, by their last use
    images with a name, by their last use; only if `images.space_removes` is "unused"

Whoever brings something (a pull, a load, a build) looks afterwards, and stops as soon as there is
room. Nothing goes that a container has, that an operation under way has a lease on, or that came or
was used within `images.space_spares`: so nobody takes away what somebody else, or he himself, is
about to use. One process makes room at a time; the others leave it to that one.

Counted is what the store takes for trees, blobs and recipes. What a cut pull left is not: it goes
after a week by itself.
"""

from __future__ import annotations

import time

from knarr.engine import settings
from knarr.engine.build import pruning as build_pruning
from knarr.engine.build.usage import usage
from knarr.engine.image.pruning import remove_names
from knarr.engine.space.stock import take_stock
from knarr.store.containers import ContainerRecords
from knarr.store.garbage import leases
from knarr.util.files import FileLock
from knarr.util.text import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from knarr.engine.engine import Engine
    from knarr.engine.images import Image
    from knarr.oci.digest import Digest


def make_room(engine: Engine, arrived: Collection[Digest]) -> list[str]:
    """Remove what is not needed until the store is within its space; say what went.

    Images that have just `arrived` stay in any case.

    Raises: InvalidArgument, Failed (the settings)
    """
    limit = engine.settings.get(settings.SPACE)
    if not limit or _taken(engine) <= limit:
        return []
    lock = FileLock(f"{engine.paths.root}/space.lock")
    if not lock.acquire(wait=False):
        return []
    try:
        said = [
            f"removed {text} to stay within images.space"
            for text in _remove(engine, limit, arrived)
        ]
    finally:
        lock.release()
    taken = _taken(engine)
    if taken > limit:
        said.append(
            f"images and the build cache take {human_size(taken)}, where images.space allows "
            f"{human_size(limit)}: what is left is needed, was used lately, or may not be removed"
        )
    return said


def _taken(engine: Engine) -> int:
    return take_stock(engine).size


def _remove(engine: Engine, limit: int, arrived: Collection[Digest]) -> Iterator[str]:
    """Remove one thing after the other while that is needed; yield in words what it was."""
    spared_ns = engine.settings.get(settings.SPACE_SPARES)
    results, freed = _forget_results(engine, limit, spared_ns)
    if results:
        yield f"{results} results of the build cache ({human_size(freed)})"
    for image in _unneeded(engine, time.time_ns() - spared_ns):
        if image.row.id in arrived:
            continue
        before = _taken(engine)
        if before <= limit:
            return
        if remove_names(image, engine.images.remove):
            yield f"image {_name(image)} ({human_size(before - _taken(engine))})"


def _forget_results(engine: Engine, limit: int, spared_ns: int) -> tuple[int, int]:
    """Forget results of the build cache; return how many, and the bytes that this freed.

    A layer is free only when nothing stands on it any more, so that may take several turns.
    """
    count = freed = 0
    while (excess := _taken(engine) - limit) > 0:
        doomed: list[str] = []
        for result in usage(engine, [f"unused-for={spared_ns}ns", "shared=false"]):
            if excess <= 0:
                break
            doomed.append(f"id={result.id}")
            excess -= result.size
        if not doomed:
            break
        keys, size = build_pruning.prune(engine, doomed)
        count, freed = count + len(keys), freed + size
        if not keys:  # somebody else was faster
            break
    return count, freed


def _unneeded(engine: Engine, before_ns: int) -> list[Image]:
    """Return the images that may go, those without a name first, then by their last use."""
    leased = leases(engine.journal.living())
    if leased is None:
        return []
    used = {row.image for row in ContainerRecords(engine.database).all()}
    named = engine.settings.get(settings.SPACE_REMOVES) == settings.UNUSED
    found = [
        image
        for image in engine.images.list()
        if image.row.used_ns < before_ns
        and image.row.id not in used
        and (named or image.dangling)
        and not leased.intersection((image.row.id, *engine.images.stack(image.row.id)))
    ]
    return sorted(found, key=lambda image: (not image.dangling, image.row.used_ns))


def _name(image: Image) -> str:
    return image.tags[0].familiar() if image.tags else image.row.id.hex[:12]
