"""Where a copy of an image begins and ends: places by the words that people name them with.

    docker://registry/name[:tag|@digest]    a registry
    oci:DIR[:NAME]                          an OCI layout in a directory
    oci-archive:FILE[:NAME]                 an OCI layout in a tar
    docker-archive:FILE[:NAME]              what `save` writes
    docker-daemon:NAME                      the store of Docker's daemon
    dir:DIR                                 files side by side
    NAME                                    the local store

Skopeo: the words in front of the colon
"""

from __future__ import annotations

import contextlib
import os

from knarr.engine.image.family.source import FamilySource
from knarr.engine.image.places.archive import open_archive, spool_file
from knarr.engine.image.places.archivetarget import ArchiveTarget
from knarr.engine.image.places.directory import Directory, DirectoryTarget
from knarr.engine.image.places.dockerarchive import DockerArchiveSource
from knarr.engine.image.places.flat import FlatSource, FlatTarget
from knarr.engine.image.places.growth import allowed
from knarr.engine.image.places.layout import LayoutSource
from knarr.engine.image.places.registry import RegistrySource, RegistryTarget
from knarr.engine.image.places.storesource import StoreSource
from knarr.errors import InvalidArgument, NotFound
from knarr.oci.layout import INDEX_FILE, LAYOUT_FILE
from knarr.oci.reference import parse_reference
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from typing import BinaryIO

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.archive import Archive
    from knarr.engine.image.places.place import Source, Target
    from knarr.util.compression import Reader

    Several = LayoutSource | DockerArchiveSource

REGISTRY, LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE, DAEMON, FLAT, STORE = (
    "docker", "oci", "oci-archive", "docker-archive", "docker-daemon", "dir", "store",
)  # fmt: skip
# What takes an index under one name; the store takes each of its images.
TAKE_INDEXES = (REGISTRY, LAYOUT, OCI_ARCHIVE, FLAT, STORE)


class Place(Value):
    """Where an image is copied from or to: a kind, a path unless it is a registry, and a name."""

    kind: str
    path: str
    name: str


def parse_place(text: str) -> Place:
    """Return the place that `text` means.

    Raises: InvalidArgument
    """
    kind, colon, rest = text.partition(":")
    if kind == REGISTRY and rest.startswith("//"):
        return Place(REGISTRY, "", str(parse_reference(rest[2:]).with_default_tag()))
    if colon and kind in (DAEMON, FLAT):
        if not rest:
            what = "image" if kind == DAEMON else "directory"
            message = f"{text!r} names no {what}"
            raise InvalidArgument(message)
        return Place(kind, "" if kind == DAEMON else rest, rest if kind == DAEMON else "")
    if colon and kind in (LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE):
        path, _, name = rest.partition(":")
        if not path:
            message = f"{text!r} names no file"
            raise InvalidArgument(message, hint=f"It is {kind}:PATH[:NAME].")
        return Place(kind, path, name)
    return Place(STORE, "", text)


def open_source(
    engine: Engine, place: Place, closing: ExitStack, *, every: bool
) -> tuple[Source, str]:
    """Return where `place` is, and what the image is called there, until `closing` is closed.

    With `every` the store gives indexes where images came by one.

    Raises: NotFound, InvalidArgument, Corrupt, Unavailable, Unsupported
    """
    if place.kind == REGISTRY:
        reference = parse_reference(place.name)
        repository = engine.registries.connect(reference)
        return RegistrySource(repository), str(reference.digest or reference.tag)
    if place.kind == STORE:
        source = FamilySource(engine) if every else StoreSource(engine)
        needs = source.needs(place.name)
        closing.enter_context(engine.journal.begin("copy", place.name, needs=needs))
        return source, place.name
    if place.kind == FLAT:
        return FlatSource(place.path), ""
    found: Several
    if place.kind == LAYOUT:
        found = LayoutSource(Directory(place.path))
    else:
        stream = _given(place, closing)
        opened = open_archive(stream, engine.blobs.incoming_dir, growth=allowed(engine))
        archive = closing.enter_context(opened)
        found = _read(archive, place)
    return found, _chosen(found, place)


def _given(place: Place, closing: ExitStack) -> Reader:
    """Return an archive, from a file or from Docker's daemon."""
    if place.kind == DAEMON:
        from knarr.engine.image.places.daemon import Daemon  # noqa: PLC0415 - loads http.client

        return closing.enter_context(Daemon().give(place.name))
    try:
        return closing.enter_context(open(place.path, "rb"))
    except OSError as error:
        message = f"cannot open {place.path}: {(error.strerror or str(error)).lower()}"
        raise NotFound(message) from error


def _read(archive: Archive, place: Place) -> Several:
    """Return the images of an archive; a daemon gives what it can, and that is seen from it."""
    both = LAYOUT_FILE in archive and INDEX_FILE in archive
    if place.kind == OCI_ARCHIVE or (place.kind == DAEMON and both):
        return LayoutSource(archive)
    return DockerArchiveSource(archive)


def _chosen(source: Several, place: Place) -> str:
    """Return the image that a place with several means."""
    there = source.images()
    if len(there) == 1 and (not place.name or place.kind == DAEMON):
        return there[0][0]
    for name, references in there:
        if place.name and place.name in (name, *_spellings(references)):
            return name
    known = ", ".join(sorted(word for _, references in there for word in references))
    what = f"no image {place.name!r}" if place.name else "more than one image"
    message = f"{place.path or place.kind} has {what}"
    raise NotFound(message, hint=f"It has: {known}." if known else "")


def _spellings(references: list[str]) -> list[str]:
    parsed = [parse_reference(text) for text in references]
    return [
        word
        for each in parsed
        for word in (str(each), each.familiar(), each.tag or "", each.familiar_name)
    ]


@contextlib.contextmanager
def opened_target(engine: Engine, place: Place) -> Iterator[tuple[Target, str]]:
    """Lend where an image is given to, other than the store, and what it is to be called there.

    Raises: InvalidArgument, Unavailable, Failed
    """
    if place.kind == REGISTRY:
        reference = parse_reference(place.name)
        repository = engine.registries.connect(reference)
        yield RegistryTarget(repository), reference.tag or ""
    elif place.kind == LAYOUT:
        yield DirectoryTarget(place.path), place.name
    elif place.kind == FLAT:
        yield FlatTarget(place.path), ""
    else:
        name = str(parse_reference(place.name).with_default_tag()) if place.name else ""
        lend = _lent_to_daemon(engine) if place.kind == DAEMON else _new_file(place.path)
        with lend as file:
            target = ArchiveTarget(file, docker=place.kind != OCI_ARCHIVE)
            yield target, name
            target.close()


@contextlib.contextmanager
def _lent_to_daemon(engine: Engine) -> Iterator[BinaryIO]:
    """Lend a file without a name, whose contents Docker's daemon is given at the end."""
    from knarr.engine.image.places.daemon import Daemon  # noqa: PLC0415 - loads http.client

    daemon = Daemon()
    with open(spool_file(engine.blobs.incoming_dir), "w+b") as file:
        yield file
        file.flush()
        file.seek(0)
        daemon.take(file)


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[BinaryIO]:
    """Lend a new file, which goes if it does not become whole."""
    try:
        file = open(path, "xb")  # noqa: SIM115 - closed below
    except OSError as error:
        message = f"cannot make {path}: {(error.strerror or str(error)).lower()}"
        raise InvalidArgument(message) from error
    try:
        with file:
            yield file
    except BaseException:
        os.unlink(path)
        raise
