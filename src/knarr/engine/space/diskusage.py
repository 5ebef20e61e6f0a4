"""What images, containers, volumes and the build cache take on the disk, and what of it could go.

Layers are shared, so they are counted once: those of images as images, those that only the build
cache holds as build cache. Reclaimable is what `prune` with everything asked for would free: layers
that no image of a container needs, containers that do not run, volumes without a container.
"""

from __future__ import annotations

import os

from knarr.store.builds import BuildRecords
from knarr.store.layers import LayerRecords
from knarr.store.volumes import VolumeRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.images import Image
    from knarr.oci.digest import Digest
    from knarr.store.builds import BuildRow


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

    row: BuildRow
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
    layers = LayerRecords(engine.database)
    sizes = {row.chain_id: row.size for row in layers.all()}
    stacks = {
        image.row.id: engine.images.stack(image.row.id) for image in engine.images.list(every=True)
    }
    holders: dict[Digest, int] = {}
    for stack in stacks.values():
        for chain in set(stack):
            holders[chain] = holders.get(chain, 0) + 1
    containers = engine.containers.all()
    needed = {chain for one in containers for chain in layers.stack(one.row.chain)}
    return DiskUse(
        tuple(_images(engine, stacks, holders, sizes)),
        tuple(_containers(engine, containers)),
        tuple(_volumes(engine)),
        tuple(_cache(engine, holders, sizes)),
        sum(sizes[chain] for chain in holders),
        sum(sizes[chain] for chain in needed & holders.keys()),
    )


def _images(
    engine: Engine,
    stacks: dict[Digest, tuple[Digest, ...]],
    holders: dict[Digest, int],
    sizes: dict[Digest, int],
) -> Iterable[ImageUse]:
    of_image: dict[Digest | None, int] = {}
    for container in engine.containers.all():
        of_image[container.row.image] = of_image.get(container.row.image, 0) + 1
    for image in engine.images.list():
        stack = stacks.get(image.row.id, ())
        shared = sum(sizes[chain] for chain in stack if holders[chain] > 1)
        unique = sum(sizes[chain] for chain in stack if holders[chain] == 1)
        yield ImageUse(image, shared, unique, of_image.get(image.row.id, 0))


def _containers(engine: Engine, containers: Iterable[Container]) -> Iterable[ContainerUse]:
    for container in containers:
        size = _size(engine, f"{engine.paths.container(container.id)}/upper")
        yield ContainerUse(container, size, container.state.active)


def _volumes(engine: Engine) -> Iterable[VolumeUse]:
    records = VolumeRecords(engine.database)
    for row in records.all():
        size = _size(engine, f"{engine.paths.volumes_dir}/{row.name}/_data")
        yield VolumeUse(row.name, size, len(records.users(row.name)))


def _cache(
    engine: Engine, holders: dict[Digest, int], sizes: dict[Digest, int]
) -> Iterable[CacheUse]:
    seen = set(holders)
    for row in BuildRecords(engine.database).all():
        shared = row.chain is None or row.chain in seen
        size = row.size if row.chain is None else sizes.get(row.chain, row.size)
        if row.chain is not None:
            seen.add(row.chain)
        yield CacheUse(row, size, shared)


def _size(engine: Engine, directory: str) -> int:
    """Return the bytes below `directory`; it may be gone by now, with its container."""
    if not os.path.isdir(directory):
        return 0
    try:
        return engine.layers.usage(directory).size
    except FileNotFoundError:
        return 0
