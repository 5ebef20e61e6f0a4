"""Annotations that a build puts into the documents around its images.

There are four places for them, BuildKit's levels:

    manifest                 in the manifest of each platform, or of one
    manifest-descriptor      where the index, or the layout, lists the manifest
    index                    in the index
    index-descriptor         where a layout lists the index

Docker: `-o type=image,annotation.KEY=VALUE`, `annotation-LEVEL[PLATFORM].KEY=VALUE`
"""

from __future__ import annotations

import re

from knarr.errors import InvalidArgument
from knarr.oci.descriptor import parse_platform
from knarr.oci.document import FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.descriptor import Platform

MANIFEST, MANIFEST_DESCRIPTOR = "manifest", "manifest-descriptor"
INDEX, INDEX_DESCRIPTOR = "index", "index-descriptor"
LEVELS = (MANIFEST, MANIFEST_DESCRIPTOR, INDEX, INDEX_DESCRIPTOR)

_KEY = re.compile(r"annotation(?:-([a-z-]+))?(?:\[([a-z0-9/_-]+)\])?\.(.+)\Z")


class Annotation(Value):
    """One annotation; without a platform it is for the manifests of all."""

    level: str
    key: str
    value: str
    platform: Platform | None = None


def parse_annotation(key: str, value: str) -> Annotation | None:
    """Return the annotation that the key of an output is for, None if it is for none.

    Raises: InvalidArgument
    """
    found = _KEY.match(key)
    if found is None:
        return None
    level, platform, name = found.groups()
    return make_annotation(level or MANIFEST, platform or "", name, value)


def make_annotation(level: str, platform: str, key: str, value: str) -> Annotation:
    """Return an annotation. Raises: InvalidArgument"""
    if level not in LEVELS:
        message = f"unknown annotation type {level}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(LEVELS)}.")
    if platform and level in (INDEX, INDEX_DESCRIPTOR):
        message = f"an annotation of the {level} is for no platform: {key}"
        raise InvalidArgument(message)
    return Annotation(level, key, value, parse_platform(platform) if platform else None)


def annotations_of(
    annotations: Iterable[Annotation], level: str, platform: Platform | None = None
) -> FrozenDict:
    """Return the annotations of one document, in the order of their keys."""
    chosen = {
        each.key: each.value
        for each in annotations
        if each.level == level and each.platform in (None, platform)
    }
    return FrozenDict(sorted(chosen.items()))
