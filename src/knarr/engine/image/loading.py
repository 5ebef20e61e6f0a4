"""Loading archives of images, whatever wrote them: OCI layouts and those of `docker save`.

What an archive holds is taken in whole or not at all; the names of files in it, the digests of all
blobs and the layers' contents are checked before anything is recorded.
"""

from __future__ import annotations

from functools import partial

from knarr.engine.image.places.archive import Archive, open_archive
from knarr.engine.image.places.directory import Directory
from knarr.engine.image.places.dockerarchive import MANIFEST_FILE, DockerArchiveSource
from knarr.engine.image.places.growth import allowed
from knarr.engine.image.places.layout import LayoutSource
from knarr.engine.image.places.storetarget import StoreTarget
from knarr.engine.image.progress import silent
from knarr.engine.image.transfer import copy, copy_platforms
from knarr.engine.space.collect import collect, collect_all
from knarr.errors import InvalidArgument
from knarr.oci.layout import INDEX_FILE, LAYOUT_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.storetarget import Arrival
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Platform
    from knarr.oci.manifest import Manifest
    from knarr.util.compression import Reader

    Several = LayoutSource | DockerArchiveSource


def load(
    engine: Engine,
    stream: Reader,
    *,
    platform: Platform | None = None,
    platforms: Sequence[Platform] = (),
    every: bool = False,
    report: Report = silent,
) -> list[Arrival]:
    """Take in every image of the archive in `stream`: all of them, or none.

    Of one for several platforms that for `platform` comes, those for `platforms`, or `every` one.

    Raises: InvalidArgument, NotFound, Corrupt, Unsupported
    """
    take = partial(copy_platforms if every else copy, platform=platform)
    if platforms:
        take = partial(copy_platforms, only=platforms)
    with open_archive(stream, engine.blobs.incoming_dir, growth=allowed(engine)) as archive:
        return _take_in(engine, _source(archive), take, report)


def load_directory(
    engine: Engine, path: str, *, platform: Platform | None = None, every: bool = False
) -> list[Arrival]:
    """Take in every image of the OCI layout in a directory: all of them, or none.

    Raises: InvalidArgument, Corrupt, Unsupported
    """
    take = partial(copy_platforms if every else copy, platform=platform)
    return _take_in(engine, LayoutSource(Directory(path)), take, silent)


def describe_arrivals(arrivals: Iterable[Arrival]) -> Iterator[str]:
    """Yield what is said of images that came, in the words that scripts look for."""
    for arrival in arrivals:
        for reference, before in arrival.displaced:
            yield (
                f"The image {reference.familiar()} already exists, "
                f"renaming the old one with ID {before} to empty string"
            )
        for reference in arrival.references:
            yield f"Loaded image: {reference.familiar()}"
        if not arrival.references:
            yield f"Loaded image ID: {arrival.id}"


def _take_in(
    engine: Engine, source: Several, take: Callable[..., Manifest], report: Report
) -> list[Arrival]:
    images = source.images()
    key = ", ".join(reference for _, references in images for reference in references)
    try:
        with engine.journal.begin("load", key) as operation:
            target = StoreTarget(engine, operation, report=report)
            for name, references in images:
                first, *others = references or [""]
                manifest = take(source, target, name, as_name=first)
                for other in others:
                    target.tag(other, manifest.descriptor)
            arrivals = target.commit()
    except BaseException:
        collect_all(engine)
        raise
    collect(engine, blobs=target.written)
    return arrivals


def _source(archive: Archive) -> Several:
    if LAYOUT_FILE in archive and INDEX_FILE in archive:
        return LayoutSource(archive)
    if MANIFEST_FILE in archive:
        return DockerArchiveSource(archive)
    if "repositories" in archive:
        message = "the archive was made by Docker before 1.10, whose images are not understood"
        raise InvalidArgument(message, hint="Load and save it with a current Docker.")
    message = f"the archive has neither {MANIFEST_FILE} nor {INDEX_FILE}: it is no image"
    raise InvalidArgument(
        message, hint="An archive of a root file system is taken by the command import."
    )
