"""Removing everything that is unused, kind by kind: what one kind gives up, the next may not need.

With a dry run nothing is removed; but each kind is looked at as if those before it were, for which
their records are taken away and put back.
"""

from __future__ import annotations

from knarr.engine.build import pruning as build_pruning
from knarr.engine.container import pruning as container_pruning
from knarr.engine.image import pruning as image_pruning
from knarr.store.containers import ContainerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.engine import Engine
    from knarr.engine.image.pruning import Pruned

    Part = tuple[str, list[str], int]  # of what kind, what, how many bytes


class Pruning(Value):
    """What is asked for; with `every` also images that have names, and all of the build cache."""

    filters: tuple[str, ...] = ()
    every: bool = False
    volumes: bool = False

    @property
    def cache_filters(self) -> list[str] | None:
        """Those that apply to the build cache, whose entries have no labels; None to spare it."""
        until = [text for text in self.filters if text.startswith("until=")]
        return until if until or not self.filters else None


def prune(engine: Engine, wanted: Pruning, *, dry_run: bool = False) -> Iterator[Part]:
    """Remove what is unused; yield each kind with what it was and the bytes that it took.

    Raises: InvalidArgument
    """
    if dry_run:
        yield from _rehearse(engine, wanted)
        return
    containers, freed = container_pruning.prune(engine, wanted.filters)
    yield "Containers", containers, freed
    yield _networks(engine, wanted, dry_run=False)
    if wanted.volumes:
        names, freed = engine.volumes.prune(wanted.filters)
        yield "Volumes", names, freed
    yield _images(engine.images.prune(wanted.filters, every=wanted.every))
    if wanted.cache_filters is not None:
        keys, freed = build_pruning.prune(engine, wanted.cache_filters, every=wanted.every)
        yield _cache(keys, freed)


def _rehearse(engine: Engine, wanted: Pruning) -> Iterator[Part]:
    """Yield what `prune` would; sizes of trees are taken before and after the rehearsal."""
    containers = container_pruning.unused(engine, wanted.filters)
    sizes = [container_pruning.size_of(engine, container) for container in containers]
    yield "Containers", [container.id for container in containers], sum(sizes)
    yield _networks(engine, wanted, dry_run=True)
    with engine.database.rehearsal():
        for container in containers:
            ContainerRecords(engine.database).remove(container.id)
        volumes = engine.volumes.unused(wanted.filters) if wanted.volumes else []
        images = image_pruning.rehearse_all(engine, wanted.filters, every=wanted.every)
        cache: list[Part] = []
        if wanted.cache_filters is not None:
            filters, every = wanted.cache_filters, wanted.every
            cache = [_cache(*build_pruning.prune(engine, filters, every=every, dry_run=True))]
    if wanted.volumes:
        size = sum(map(engine.volumes.size_of, volumes))
        yield "Volumes", [volume.name for volume in volumes], size
    yield _images(images)
    yield from cache


def _networks(engine: Engine, wanted: Pruning, *, dry_run: bool) -> Part:
    found = engine.networks.prune(wanted.filters, dry_run=dry_run)
    return "Networks", [network.name for network in found], 0


def _images(pruned: Pruned) -> Part:
    return "Images", list(map(str, pruned.removed)), pruned.freed


def _cache(keys: list[str], freed: int) -> Part:
    return "build cache objects", [key.removeprefix("sha256:") for key in keys], freed
