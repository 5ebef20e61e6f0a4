"""Deleting the images that nobody needs, at once."""

from __future__ import annotations

from functools import partial

from knarr.engine.filters import pruning_condition
from knarr.engine.image.removal import Removed, rehearse
from knarr.engine.noting import note_pruned
from knarr.engine.space.collect import forget_layers
from knarr.errors import Conflict, NotFound
from knarr.store.containers import ContainerRecords
from knarr.store.garbage import leases
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.images import Image


class Pruned(Value):
    """What is gone, and how many bytes that freed."""

    removed: tuple[Removed, ...]
    freed: int


def prune(engine: Engine, filters: Iterable[str], *, every: bool, dry_run: bool = False) -> Pruned:
    """Delete the images without a tag, with `every` all that no container uses.

    With `dry_run` only say which they are, and which layers would go with them.

    Raises: InvalidArgument
    """
    if dry_run:
        with engine.database.rehearsal():
            return rehearse_all(engine, filters, every=every)
    sizes = _sizes(engine)
    pruned = _pruned(_remove(engine, filters, engine.images.remove, every=every), sizes)
    note_pruned(engine.paths, "image", pruned.freed)
    return pruned


def rehearse_all(engine: Engine, filters: Iterable[str], *, every: bool) -> Pruned:
    """Take the records away that `prune` would, and say so; within `Database.rehearsal`.

    Raises: InvalidArgument
    """
    sizes = _sizes(engine)
    removed = _remove(engine, filters, partial(rehearse, engine), every=every)
    layers, _ = forget_layers(engine, leases(engine.journal.living()))
    return _pruned([*removed, *(Removed(deleted=str(chain_id)) for chain_id in layers)], sizes)


def _sizes(engine: Engine) -> dict[str, int]:
    return {str(row.chain_id): row.size for row in engine.images.layers.all()}


def _pruned(removed: Iterable[Removed], sizes: dict[str, int]) -> Pruned:
    gone = tuple(removed)
    return Pruned(gone, sum(sizes.get(one.deleted, 0) for one in gone))


def _remove(
    engine: Engine,
    filters: Iterable[str],
    remove: Callable[[str], Iterable[Removed]],
    *,
    every: bool,
) -> list[Removed]:
    wanted = pruning_condition(filters)
    used = {row.image for row in ContainerRecords(engine.database).all()}
    removed: list[Removed] = []
    for image in engine.images.list():
        if (
            image.row.id in used
            or (image.tags and not every)
            or not wanted(image.row.created_ns, image.row.labels)
        ):
            continue
        removed += remove_names(image, remove)
    return removed


def remove_names(image: Image, remove: Callable[[str], Iterable[Removed]]) -> list[Removed]:
    """Take an image all its names, and so the image, with `remove`; return what went."""
    removed: list[Removed] = []
    for name in [r.familiar() for r in (*image.tags, *image.digests)] or [str(image.row.id)]:
        try:
            removed += remove(name)
        except (Conflict, NotFound):  # somebody needs it now, or was faster
            continue
    return removed
