"""Images in OCI layouts as bases: `--build-context NAME=oci-layout://DIR[:TAG][@DIGEST]`.

A layout's image is taken into the store as a pulled one is, and has no name there.
"""

from __future__ import annotations

from knarr.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.layout import LayoutSource
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Descriptor, Platform

LAYOUT = "oci-layout://"


def take_from_layout(engine: Engine, text: str, platform: Platform) -> Digest:
    """Take the image that `text` names into the store, and return its ID.

    Raises: NotFound, Corrupt, Unsupported
    """
    from knarr.engine.image.places.storetarget import StoreTarget  # noqa: PLC0415 - for few builds
    from knarr.engine.image.transfer import copy  # noqa: PLC0415 - as above

    source, descriptor = _open(text)
    with engine.journal.begin("load", text) as operation:
        target = StoreTarget(engine, operation)
        copy(source, target, descriptor.digest, platform=platform)
        (arrival,) = target.commit()
    return arrival.id


def config_in_layout(text: str, platform: Platform) -> ImageConfig:
    """Return the config of the image that `text` names. Raises: NotFound, Corrupt, Unsupported"""
    from knarr.engine.image.places.place import read_document, read_manifest  # noqa: PLC0415
    from knarr.oci.config import decode_config  # noqa: PLC0415 - as above

    source, descriptor = _open(text)
    manifest = read_manifest(source, descriptor, platform)
    return decode_config(read_document(source, manifest.config))


def _open(text: str) -> tuple[LayoutSource, Descriptor]:
    from knarr.engine.image.places.directory import Directory  # noqa: PLC0415 - for few builds
    from knarr.engine.image.places.layout import LayoutSource  # noqa: PLC0415 - as above

    place, _, digest = text.removeprefix(LAYOUT).partition("@")
    above, slash, last = place.rpartition("/")
    name, _, tag = last.partition(":")
    source = LayoutSource(Directory(f"{above}{slash}{name}"))
    return source, source.find(tag, Digest(digest) if digest else None)
