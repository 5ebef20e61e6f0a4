"""What everything takes on the disk.

Docker: API 1.52 gave each kind an object of its own, with its things only if asked for (`verbose`);
1.53 left the lists of old out, which clients that do not know better still want: here they stay
"""

from __future__ import annotations

import time

from knarr.api import versions
from knarr.api.answers import Json
from knarr.api.render import images as image_render
from knarr.api.render.space import cache_record, usage
from knarr.engine.build.usage import usage as cache_usage
from knarr.engine.container.summary import Summaries
from knarr.engine.space.diskusage import disk_use
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.engine.space.diskusage import DiskUse

    Documents = list[dict[str, Any]]

NEW = (1, 52)
# Kind as the query names it: the name of its list, and of its object.
KINDS = {
    "image": ("Images", "ImageUsage"),
    "container": ("Containers", "ContainerUsage"),
    "volume": ("Volumes", "VolumeUsage"),
    "build-cache": ("BuildCache", "BuildCacheUsage"),
}


def df(call: Call) -> Answer:
    wanted = call.texts("type") or list(KINDS)
    for kind in wanted:
        if kind not in KINDS:
            message = f"unknown object type: {kind}"
            raise InvalidArgument(message)
    use = disk_use(call.engine)
    lists = {kind: _LISTS[kind](call, use) for kind in wanted}
    found: dict[str, Any] = {KINDS[kind][0]: documents for kind, documents in lists.items()}
    if "image" in wanted:
        found["LayersSize"] = use.layers
    if call.version >= NEW:
        shares = dict(zip(KINDS, use.shares(), strict=True))
        verbose = call.flag("verbose")
        for kind, documents in lists.items():
            found[KINDS[kind][1]] = usage(shares[kind], documents if verbose else None)
    return Json(found)


def _images(call: Call, use: DiskUse) -> Documents:
    sized = [image_render.Sized(each.image, each.shared, each.containers) for each in use.images]
    changes = image_render.SUMMARY
    return [versions.take_back(image_render.summary(one), call.version, changes) for one in sized]


def _containers(call: Call, use: DiskUse) -> Documents:
    summaries = Summaries(call.engine, time.time_ns())
    return [summaries.document(each.container, size=True) for each in use.containers]


def _volumes(call: Call, use: DiskUse) -> Documents:
    sizes = {each.name: {"RefCount": each.links, "Size": each.size} for each in use.volumes}
    unknown = {"RefCount": -1, "Size": -1}
    return [
        {**volume.inspect(), "UsageData": sizes.get(volume.name, unknown)}
        for volume in call.engine.volumes.list()
    ]


def _cache(call: Call, _: DiskUse) -> Documents:
    return [cache_record(each) for each in cache_usage(call.engine, ())]


_LISTS: dict[str, Callable[[Call, DiskUse], Documents]] = {
    "image": _images,
    "container": _containers,
    "volume": _volumes,
    "build-cache": _cache,
}
