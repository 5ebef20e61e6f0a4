"""Pulling: an image comes from a registry into the store.

Whole or not at all, like everything that comes there; but what was downloaded when a pull is cut
stays, and the next pull goes on from it (see `knarr.store.downloads`).
"""

from __future__ import annotations

from knarr.engine import settings
from knarr.engine.image.fetching import Fetcher
from knarr.engine.image.places.registry import RegistrySource
from knarr.engine.image.places.storetarget import StoreTarget
from knarr.engine.image.progress import silent
from knarr.engine.image.transfer import copy, copy_platforms
from knarr.engine.space.collect import collect, collect_all
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.engine import Engine
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

_KEPT = 7 * 86400.0  # seconds that parts of a cut pull are kept for another try


class Pulled(Value):
    """What was pulled: its ID, the digest that the registry has it under, whether it is news."""

    reference: Reference
    id: Digest
    digest: Digest
    newer: bool


def pull(
    engine: Engine,
    reference: Reference,
    *,
    platform: Platform | None = None,
    every: bool = False,
    report: Report = silent,
) -> Pulled:
    """Take in the image that a registry has as `reference`, with `every` those for all platforms.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Unsupported, Corrupt
    """
    reference = reference.with_default_tag()
    repository = engine.registries.connect(reference)
    engine.downloads.sweep(older_than=_KEPT)
    at_once = engine.settings.get(settings.DOWNLOADS)
    fetcher = Fetcher(repository, engine.blobs, engine.downloads, report=report, at_once=at_once)
    source = RegistrySource(repository, fetcher)
    wanted = str(reference.digest or reference.tag)
    digest = source.resolve(wanted).digest
    before = engine.images.tags.find(reference)
    try:
        with engine.journal.begin("pull", str(reference)) as operation:
            target = StoreTarget(engine, operation, report=report)
            take = copy_platforms if every else copy
            take(source, target, wanted, as_name=str(reference), platform=platform)
            arrival = next(one for one in target.commit() if one.references)
    except BaseException:
        fetcher.stop()
        collect_all(engine)
        raise
    fetcher.stop()
    collect(engine, blobs=target.written)
    engine.images.note("pull", arrival.id, reference.familiar())
    newer = before is None or before.image != arrival.id
    return Pulled(reference, arrival.id, digest, newer)


def pull_all(
    engine: Engine,
    reference: Reference,
    *,
    platform: Platform | None = None,
    report: Report = silent,
    before: Callable[[str], object],
    after: Callable[[Pulled], object],
) -> None:
    """Pull every tag of a repository; `before` and `after` are called around each.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Unsupported, Corrupt
    """
    for tag in engine.registries.connect(reference).tags():
        before(tag)
        tagged = reference.replace(tag=tag)
        after(pull(engine, tagged, platform=platform, report=report))
