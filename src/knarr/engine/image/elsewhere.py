"""What can be said of an image that is somewhere else, without taking it in.

The documents are read, no layer is. So sizes are those of what would be sent.
"""

from __future__ import annotations

import contextlib

from knarr.engine.image.documents import describe_config, root_fs
from knarr.engine.image.ends import REGISTRY, STORE, open_source, parse_place
from knarr.engine.image.places.place import read_document, read_manifest
from knarr.errors import InvalidArgument, Unsupported
from knarr.oci.config import decode_config
from knarr.oci.descriptor import CONFIGS, encode_descriptor, host_platform
from knarr.oci.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.image.ends import Place
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest


def find_place(engine: Engine, text: str) -> Place | None:
    """Return the place that `text` means, None if it means an image in the local store."""
    place = parse_place(text)
    if place.kind == STORE:
        return None
    if place.kind != REGISTRY:
        with contextlib.suppress(InvalidArgument):  # what names a place need be no reference
            if engine.images.find(text) is not None:
                return None
    return place


def document(engine: Engine, place: Place, platform: Platform | None) -> dict[str, Any]:
    """Return what is known of an image that is at `place`, of an index of that for `platform`.

    Raises: NotFound, Unauthorized, Unavailable, Corrupt, Unsupported
    """
    with contextlib.ExitStack() as closing:
        source, name = open_source(engine, place, closing, every=False)
        top = source.resolve(name)
        manifest = read_manifest(source, top, platform or host_platform())
        if manifest.config.media_type not in CONFIGS:
            message = f"{place.name or place.path} is an artifact, not an image"
            hint = f"knarr manifest inspect {place.name}" if place.kind == REGISTRY else ""
            raise Unsupported(message, hint=hint)
        config = decode_config(read_document(source, manifest.config))
    tags, digests = _names(place, top.digest)
    return {
        "Id": str(manifest.config.digest),
        "RepoTags": tags,
        "RepoDigests": digests,
        **describe_config(config),
        "Size": manifest.size + manifest.config.size + sum(x.size for x in manifest.layers),
        "RootFS": root_fs(config),
        "Descriptor": encode_descriptor(manifest.descriptor),
        "Layers": [encode_descriptor(layer) for layer in manifest.layers],
    }


def _names(place: Place, digest: Digest) -> tuple[list[str], list[str]]:
    if place.kind != REGISTRY:
        return [], []
    reference = parse_reference(place.name)
    tags = [reference.replace(digest=None).familiar()] if reference.tag else []
    return tags, [reference.replace(tag=None, digest=digest).familiar()]
