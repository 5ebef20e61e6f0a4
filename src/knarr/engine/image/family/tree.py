"""Images that came by the same index, together: what `images --tree` shows.

An image that came alone, or was made here, is a family of its own. Of an index every platform that
it lists is shown, here or not.
"""

from __future__ import annotations

from knarr.engine.image.places.place import is_image
from knarr.engine.image.platforms import outermost, siblings
from knarr.oci.manifest import Index, Manifest, decode_manifest
from knarr.store.containers import ContainerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.images import Image
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.store.images import ImageRow


class Relative(Value):
    """An image of a family; one that is not here has no size, and the ID of its manifest.

    `disk` is what it takes here, `content` what others are sent of it.
    """

    id: Digest
    platform: Platform
    here: bool = False
    disk: int = 0
    content: int = 0
    used: bool = False


class Family(Value):
    """Images under one index, and the names of any of them; `id` is that of the first named."""

    id: Digest
    names: tuple[Reference, ...]
    relatives: tuple[Relative, ...]

    @property
    def disk(self) -> int:
        """What all of them take here; layers that several have count for each."""
        return sum(one.disk for one in self.relatives)

    @property
    def content(self) -> int:
        """What others are sent of them."""
        return sum(one.content for one in self.relatives)

    @property
    def used(self) -> bool:
        """Tell whether a container was made of any of them."""
        return any(one.used for one in self.relatives)


def families(engine: Engine, images: Iterable[Image]) -> list[Family]:
    """Return the families of `images`, in the order of their first ones.

    Raises: Corrupt, NotFound
    """
    groups: dict[Digest, list[Image]] = {}
    for image in images:
        groups.setdefault(outermost(engine, image.row) or image.row.id, []).append(image)
    return [_family(engine, key, members) for key, members in groups.items()]


def _family(engine: Engine, key: Digest, members: list[Image]) -> Family:
    names = [name for image in members for name in image.tags]
    first = next((image for image in members if image.tags), members[0])
    rows = {image.row.id: image.row for image in members}
    rows |= {row.id: row for row in siblings(engine, first.row)}
    relatives = [_relative(engine, row) for row in rows.values()]
    manifests = {row.manifest for row in rows.values()}
    if key != first.row.id:
        relatives += [
            Relative(entry.digest, entry.platform)
            for entry in _listed(engine, key)
            if entry.digest not in manifests and entry.platform
        ]
        relatives.sort(key=lambda one: str(one.platform))
    return Family(first.row.id, tuple(names), tuple(relatives))


def _listed(engine: Engine, digest: Digest) -> list[Descriptor]:
    """Return the images that an index lists, also by indexes in it that are here."""
    found = decode_manifest(engine.blobs.read(digest))
    entries: list[Descriptor] = []
    if isinstance(found, Index):
        for entry in found.manifests:
            if is_image(entry) and engine.blobs.has(entry.digest) and not entry.platform:
                entries += _listed(engine, entry.digest)
            elif is_image(entry):
                entries.append(entry)
    return entries


def _relative(engine: Engine, row: ImageRow) -> Relative:
    blobs, layers = engine.blobs, engine.images.layers
    own = [row.id]
    content = blobs.size(row.id)
    manifest = None
    if row.manifest is not None and blobs.has(row.manifest):
        manifest = decode_manifest(blobs.read(row.manifest), row.media_type)
    if isinstance(manifest, Manifest):
        own += [manifest.digest, *(layer.digest for layer in manifest.layers)]
        content += manifest.size + sum(layer.size for layer in manifest.layers)
    else:
        content += sum(max(layers.get(chain).tar_size, 0) for chain in engine.images.stack(row.id))
    disk = row.size + sum(blobs.size(digest) for digest in own if blobs.has(digest))
    used = bool(ContainerRecords(engine.database).of_image(row.id))
    return Relative(row.id, row.platform, here=True, disk=disk, content=content, used=used)
