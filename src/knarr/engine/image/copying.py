"""Copying an image from one place to another without keeping it: `image copy SRC DST`.

Documents are copied byte for byte, so that digests stay; artifacts, which are no images of
containers, as well. From the archives of `docker save`, where documents are made up, they do not.
Into OCI layouts Docker's manifests come as OCI's, unless digests are to be preserved: other tools
read no others there. What the places are is said in `ends`.
"""

from __future__ import annotations

import contextlib

from knarr.engine.image.ends import (
    LAYOUT,
    OCI_ARCHIVE,
    STORE,
    TAKE_INDEXES,
    open_source,
    opened_target,
)
from knarr.engine.image.family.source import FamilySource, explain
from knarr.engine.image.places.asoci import AsOci
from knarr.engine.image.places.storetarget import StoreTarget
from knarr.engine.image.transfer import copy, copy_all, copy_platforms
from knarr.engine.space.collect import collect, collect_all
from knarr.errors import InvalidArgument
from knarr.oci.digest import Digest
from knarr.oci.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.image.ends import Place
    from knarr.engine.image.places.place import Source
    from knarr.oci.descriptor import Platform
    from knarr.oci.manifest import Index, Manifest


def copy_image(
    engine: Engine,
    source: Place,
    target: Place,
    *,
    platform: Platform | None = None,
    every: bool = False,
    preserve: bool = False,
) -> Digest:
    """Copy an image, with `every` those for all platforms; return the digest it has there.

    With `preserve` that is the digest it had.

    Raises: InvalidArgument, NotFound, Corrupt, Unauthorized, Unavailable, Unsupported
    """
    if every and target.kind not in TAKE_INDEXES:
        message = f"a place of the kind {target.kind} takes one image a name, not an index"
        raise InvalidArgument(message, hint="Leave out --all-platforms, or choose oci-archive.")
    with contextlib.ExitStack() as closing:
        origin, name = open_source(engine, source, closing, every=every)
        if target.kind == STORE:
            return _take_in(engine, origin, name, target, platform=platform, every=every)
        given = AsOci(origin) if target.kind in (LAYOUT, OCI_ARCHIVE) and not preserve else origin
        with opened_target(engine, target) as (taking, as_name):
            found: Manifest | Index
            if every:
                found = copy_all(given, taking, name, as_name=as_name)
            else:
                found = copy(given, taking, name, as_name=as_name, platform=platform)
        if isinstance(origin, FamilySource) and origin.left_out:
            engine.notices.append(explain(name, origin.left_out))
    return found.digest


def _take_in(
    engine: Engine,
    source: Source,
    name: str,
    place: Place,
    *,
    platform: Platform | None,
    every: bool,
) -> Digest:
    reference = str(parse_reference(place.name).with_default_tag())
    take = copy_platforms if every else copy
    try:
        with engine.journal.begin("copy", reference) as operation:
            target = StoreTarget(engine, operation)
            manifest = take(source, target, name, as_name=reference, platform=platform)
            target.commit()
    except BaseException:
        collect_all(engine)
        raise
    collect(engine, blobs=target.written)
    return manifest.digest
