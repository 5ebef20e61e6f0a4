"""Moving an image from one place to another: pull, push, save and load are this, between places."""

from __future__ import annotations

from knarr.engine.image.places.place import read_manifest
from knarr.oci.descriptor import host_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.image.places.place import Source, Target
    from knarr.oci.descriptor import Platform
    from knarr.oci.manifest import Manifest


def copy(
    source: Source,
    target: Target,
    name: str,
    *,
    as_name: str = "",
    platform: Platform | None = None,
) -> Manifest:
    """Copy the image that `source` calls `name` to `target`, and call it `as_name` there.

    Of an index the image for `platform` is copied, by default for this machine. What the target has
    already is not copied again.

    Raises: NotFound, Corrupt
    """
    manifest = read_manifest(source, source.resolve(name), platform or host_platform())
    for descriptor in (manifest.descriptor, manifest.config, *manifest.layers):
        if not target.has(descriptor):
            target.put(descriptor, source)
    target.tag(as_name, manifest.descriptor)
    return manifest
