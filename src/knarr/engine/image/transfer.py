"""Moving an image from one place to another: pull, push, save and load are this, between places."""

from __future__ import annotations

from knarr.engine.image.places.place import MAX_NESTING, is_image, read_document, read_manifest
from knarr.errors import Corrupt, NotFound
from knarr.oci.descriptor import host_platform
from knarr.oci.manifest import Index, Manifest, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.engine.image.places.place import Source, Target
    from knarr.oci.descriptor import Descriptor, Platform


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
    indexes: list[Descriptor] = []
    platform = platform or host_platform()
    found = read_manifest(source, source.resolve(name), platform, way=indexes)
    if getattr(target, "takes_indexes", False):
        for index in indexes:
            target.put(index, source)
    put_all(source, target, found)
    target.tag(as_name, found.descriptor)
    return found


def copy_platforms(
    source: Source,
    target: Target,
    name: str,
    *,
    as_name: str = "",
    platform: Platform | None = None,
    only: Sequence[Platform] = (),
) -> Manifest:
    """Copy the images for all platforms of an index, each for itself; return that for `platform`.

    That one is called `as_name`; the last one is, if none is for it. Images for other kernels than
    Linux are passed over, and with `only` those for other platforms, each of which has to be there.

    Raises: NotFound, Corrupt
    """
    indexes: list[Descriptor] = []
    found = _images(source, source.resolve(name), MAX_NESTING, indexes)
    if not found:
        message = f"{name} lists no images for Linux"
        raise NotFound(message)
    if only:
        found = _chosen(found, only)
    wanted = platform or host_platform()
    fitting = [manifest for there, manifest in found if there is None or there.matches(wanted)]
    chosen = fitting[0] if fitting else found[-1][1]
    for index in indexes:
        target.put(index, source)
    for manifest in dict.fromkeys(manifest for _, manifest in found):
        put_all(source, target, manifest)
        target.tag(as_name if manifest == chosen else "", manifest.descriptor)
    return chosen


def _chosen(
    images: list[tuple[Platform | None, Manifest]], only: Sequence[Platform]
) -> list[tuple[Platform | None, Manifest]]:
    """Return the images for these platforms; one that does not say what it is for is for all."""
    chosen = []
    for platform in only:
        fitting = [image for image in images if image[0] is None or image[0].matches(platform)]
        if not fitting:
            message = f"no match for platform in manifest: {platform} not found"
            there = ", ".join(sorted(str(other) for other, _ in images if other))
            raise NotFound(message, hint=f"There is: {there}.")
        chosen.append(fitting[0])
    return chosen


def _images(
    source: Source, descriptor: Descriptor, depth: int, indexes: list[Descriptor]
) -> list[tuple[Platform | None, Manifest]]:
    """Return the images below `descriptor` with their platforms, and add the indexes on the way."""
    if not depth:
        message = f"indexes are nested more than {MAX_NESTING} deep"
        raise Corrupt(message)
    found = decode_manifest(read_document(source, descriptor), descriptor.media_type)
    if isinstance(found, Manifest):
        return [(descriptor.platform, found)]
    indexes.append(found.descriptor)
    return [
        image
        for entry in found.manifests
        if is_image(entry) and (entry.platform is None or entry.platform.os == "linux")
        for image in _images(source, entry, depth - 1, indexes)
    ]


def copy_all(source: Source, target: Target, name: str, *, as_name: str = "") -> Manifest | Index:
    """Copy what `source` calls `name` as it is: an index with all that it lists.

    Raises: NotFound, Corrupt
    """
    found = _copy_below(source, target, source.resolve(name), MAX_NESTING)
    target.tag(as_name, found.descriptor)
    return found


def _copy_below(
    source: Source, target: Target, descriptor: Descriptor, depth: int
) -> Manifest | Index:
    if not depth:
        message = f"indexes are nested more than {MAX_NESTING} deep"
        raise Corrupt(message)
    found = decode_manifest(read_document(source, descriptor), descriptor.media_type)
    if isinstance(found, Manifest):
        put_all(source, target, found)
        return found
    for entry in found.manifests:
        if is_image(entry, attestations=True):
            below = _copy_below(source, target, entry, depth - 1)
            if getattr(target, "wants_parts", False):
                target.tag("", below.descriptor)
        elif not target.has(entry):
            target.put(entry, source)
    target.put(found.descriptor, source)
    return found


def put_all(source: Source, target: Target, manifest: Manifest) -> None:
    """Put the manifest first, then what it names: as the places expect it."""
    for descriptor in (manifest.descriptor, manifest.config, *manifest.layers):
        if not target.has(descriptor):
            target.put(descriptor, source)
