"""What images, containers, volumes and the build cache take on the disk, and what of it could go.

What is shared is counted once (see `stock`): what images have as images, what only the build cache
holds as build cache. Reclaimable is what `prune` with everything asked for would free: what no
image of a container needs, containers that do not run, volumes without a container.
"""

from __future__ import annotations

import os

from knarr.engine.build.cachemounts import cache_mounts
from knarr.engine.space.stock import TREE, take_stock
from knarr.store.buildcache import CacheRecords
from knarr.store.layers import LayerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.images import Image
    from knarr.engine.space.stock import Items, Stock
    from knarr.oci.digest import Digest
    from knarr.store.buildcache import CacheRow


class Share(Value):
    """One kind of thing: how many there are, how many are in use, and their bytes."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


class ImageUse(Value):
    """An image with the bytes it has in common with others, and those it has alone."""

    image: Image
    shared: int
    unique: int
    containers: int


class ContainerUse(Value):
    """A container with the bytes that it wrote."""

    container: Container
    size: int
    active: bool


class VolumeUse(Value):
    """A volume with its bytes, and how many containers use it."""

    name: str
    size: int
    links: int


class CacheUse(Value):
    """A result in the build cache, the bytes of its layer, and whether an image has that too."""

    row: CacheRow
    size: int
    shared: bool


class DiskUse(Value):
    """All of it."""

    images: tuple[ImageUse, ...]
    containers: tuple[ContainerUse, ...]
    volumes: tuple[VolumeUse, ...]
    cache: tuple[CacheUse, ...]
    layers: int
    needed: int

    def shares(self) -> tuple[Share, ...]:
        """Return the sums, in the order and the words of Docker's table."""
        running = [use for use in self.containers if use.active]
        written = sum(use.size for use in self.containers)
        used = [use for use in self.volumes if use.links]
        volumes = sum(use.size for use in self.volumes)
        cached = sum(use.size for use in self.cache if not use.shared)
        active = sum(1 for use in self.images if use.containers)
        return (
            Share("Images", len(self.images), active, self.layers, self.layers - self.needed),
            Share(
                "Containers", len(self.containers), len(running), written,
                written - sum(use.size for use in running),
            ),
            Share(
                "Local Volumes", len(self.volumes), len(used), volumes,
                volumes - sum(use.size for use in used),
            ),
            Share("Build Cache", len(self.cache), 0, cached, cached),
        )  # fmt: skip


def disk_use(engine: Engine) -> DiskUse:
    """Return what everything in the root of `engine` takes. Trees of containers are walked."""
    stock, records = take_stock(engine), engine.images.records
    items = {
        row.id: stock.of(records.stack(row.id), records.blobs(row.id)) for row in records.all()
    }
    containers = engine.containers.all()
    layers = LayerRecords(engine.database)
    needed: Items = {}
    for container in containers:
        needed |= stock.of(layers.stack(container.row.chain))
        needed |= items.get(container.row.image, {}) if container.row.image else {}
    held: Items = {}
    for of_image in items.values():
        held |= of_image
    return DiskUse(
        tuple(_images(engine, items)),
        tuple(_containers(engine, containers)),
        tuple(_volumes(engine)),
        tuple(_cache(engine, held, stock)),
        sum(held.values()),
        sum(size for item, size in held.items() if item in needed),
    )


def _images(engine: Engine, items: dict[Digest, Items]) -> Iterable[ImageUse]:
    holders: dict[tuple[str, Digest], int] = {}
    for of_image in items.values():
        for item in of_image:
            holders[item] = holders.get(item, 0) + 1
    users: dict[Digest | None, int] = {}
    for container in engine.containers.all():
        users[container.row.image] = users.get(container.row.image, 0) + 1
    for image in engine.images.list():
        own = items.get(image.row.id, {})
        shared = sum(size for item, size in own.items() if holders[item] > 1)
        unique = sum(own.values()) - shared
        yield ImageUse(image, shared, unique, users.get(image.row.id, 0))


def _containers(engine: Engine, containers: Iterable[Container]) -> Iterable[ContainerUse]:
    for container in containers:
        size = _size(engine, f"{engine.paths.container(container.id)}/upper")
        yield ContainerUse(container, size, container.state.active)


def _volumes(engine: Engine) -> Iterable[VolumeUse]:
    """Yield volumes and snapshots, but what is on other disks.

    Docker: those with options are left out
    """
    for volume in (*engine.volumes.list(), *engine.volumes.snapshots()):
        if not volume.options:
            size = _size(engine, volume.path)
            yield VolumeUse(volume.name, size, len(engine.volumes.users(volume.name)))


def _cache(engine: Engine, held: Items, stock: Stock) -> Iterable[CacheUse]:
    seen = set(held)
    for row in CacheRecords(engine.database).all():
        item = (TREE, row.chain) if row.chain is not None else None
        size = row.size if item is None else stock.items.get(item, row.size)
        yield CacheUse(row, size, item is None or item in seen)
        if item is not None:
            seen.add(item)
    for row in cache_mounts(engine):
        yield CacheUse(row, row.size, shared=False)


def _size(engine: Engine, directory: str) -> int:
    """Return the bytes below `directory`; it may be gone by now, with its container."""
    if not os.path.isdir(directory):
        return 0
    try:
        return engine.layers.usage(directory).size
    except FileNotFoundError:
        return 0
