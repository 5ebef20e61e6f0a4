"""Copying an image from one place to another without keeping it: `image copy SRC DST`.

    docker://registry/name[:tag|@digest]    a registry
    oci:DIR[:NAME]                          an OCI layout in a directory
    oci-archive:FILE[:NAME]                 an OCI layout in a tar
    docker-archive:FILE[:NAME]              what `save` writes
    NAME                                    the local store

Documents are copied byte for byte, so that digests stay; artifacts, which are no images of
containers, as well. Between archives and the store, where documents are made up, they do not.

Skopeo: the words in front of the colon
"""

from __future__ import annotations

import contextlib
import os

from knarr.engine.image.places.archive import open_archive
from knarr.engine.image.places.archivetarget import ArchiveTarget
from knarr.engine.image.places.directory import Directory, DirectoryTarget
from knarr.engine.image.places.dockerarchive import DockerArchiveSource
from knarr.engine.image.places.layout import LayoutSource
from knarr.engine.image.places.registry import RegistrySource, RegistryTarget
from knarr.engine.image.places.storesource import StoreSource
from knarr.engine.image.places.storetarget import StoreTarget
from knarr.engine.image.transfer import copy, copy_all
from knarr.engine.space.collect import collect, collect_all
from knarr.errors import InvalidArgument, NotFound
from knarr.oci.digest import Digest
from knarr.oci.reference import parse_reference
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source, Target
    from knarr.oci.descriptor import Platform
    from knarr.oci.manifest import Index, Manifest
    from knarr.oci.reference import Reference

    Several = LayoutSource | DockerArchiveSource

REGISTRY, LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE, STORE = (
    "docker", "oci", "oci-archive", "docker-archive", "store",
)  # fmt: skip


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
    if colon and kind in (LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE):
        path, _, name = rest.partition(":")
        if not path:
            message = f"{text!r} names no file"
            raise InvalidArgument(message, hint=f"It is {kind}:PATH[:NAME].")
        return Place(kind, path, name)
    return Place(STORE, "", text)


def copy_image(
    engine: Engine,
    source: Place,
    target: Place,
    *,
    platform: Platform | None = None,
    every: bool = False,
) -> Digest:
    """Copy an image, with `every` those for all platforms; return the digest it has.

    Raises: InvalidArgument, NotFound, Corrupt, Unauthorized, Unavailable, Unsupported
    """
    if every and target.kind not in (REGISTRY, LAYOUT, OCI_ARCHIVE):
        message = f"a place of the kind {target.kind} takes one image a name, not an index"
        raise InvalidArgument(message, hint="Leave out --all-platforms, or choose oci-archive.")
    with contextlib.ExitStack() as closing:
        origin, name = _source(engine, source, closing)
        if target.kind == STORE:
            return _take_in(engine, origin, name, target, platform)
        with _opened_target(engine, target) as (taking, as_name):
            found: Manifest | Index
            if every:
                found = copy_all(origin, taking, name, as_name=as_name)
            else:
                found = copy(origin, taking, name, as_name=as_name, platform=platform)
    return found.digest


def _source(engine: Engine, place: Place, closing: contextlib.ExitStack) -> tuple[Source, str]:
    """Return where `place` is, and what the image is called there."""
    if place.kind == REGISTRY:
        reference = parse_reference(place.name)
        repository = engine.registries.connect(reference)
        return RegistrySource(repository), str(reference.digest or reference.tag)
    if place.kind == STORE:
        source = StoreSource(engine)
        needs = source.needs(place.name)
        closing.enter_context(engine.journal.begin("copy", place.name, needs=needs))
        return source, place.name
    found: Several
    if place.kind == LAYOUT:
        found = LayoutSource(Directory(place.path))
    else:
        try:
            file = closing.enter_context(open(place.path, "rb"))  # noqa: SIM115 - it is one
        except OSError as error:
            message = f"cannot open {place.path}: {(error.strerror or str(error)).lower()}"
            raise NotFound(message) from error
        archive = closing.enter_context(open_archive(file, engine.blobs.incoming_dir))
        oci = place.kind == OCI_ARCHIVE
        found = LayoutSource(archive) if oci else DockerArchiveSource(archive)
    return found, _chosen(found, place)


def _chosen(source: Several, place: Place) -> str:
    """Return the image that a place with several means."""
    there = source.images()
    if not place.name and len(there) == 1:
        return there[0][0]
    for name, references in there:
        if place.name and place.name in (name, *_spellings(references)):
            return name
    known = ", ".join(sorted(word for _, references in there for word in references))
    what = f"no image {place.name!r}" if place.name else "more than one image"
    message = f"{place.path} has {what}"
    raise NotFound(message, hint=f"It has: {known}." if known else "")


def _spellings(references: list[str]) -> list[str]:
    parsed = [parse_reference(text) for text in references]
    return [
        word
        for each in parsed
        for word in (str(each), each.familiar(), each.tag or "", each.familiar_name)
    ]


@contextlib.contextmanager
def _opened_target(engine: Engine, place: Place) -> Iterator[tuple[Target, str]]:
    """Lend where an image is given to, and what it is to be called there."""
    if place.kind == REGISTRY:
        reference = parse_reference(place.name)
        repository = engine.registries.connect(reference)
        yield RegistryTarget(repository), reference.tag or ""
    elif place.kind == LAYOUT:
        yield DirectoryTarget(place.path), place.name
    else:
        name = str(parse_reference(place.name).with_default_tag()) if place.name else ""
        with _new_file(place.path) as file:
            target = ArchiveTarget(file, docker=place.kind == DOCKER_ARCHIVE)
            yield target, name
            target.close()


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


def _take_in(
    engine: Engine, source: Source, name: str, place: Place, platform: Platform | None
) -> Digest:
    reference: Reference = parse_reference(place.name).with_default_tag()
    try:
        with engine.journal.begin("copy", str(reference)) as operation:
            target = StoreTarget(engine, operation)
            manifest = copy(source, target, name, as_name=str(reference), platform=platform)
            target.commit()
    except BaseException:
        collect_all(engine)
        raise
    collect(engine, blobs=target.written)
    return manifest.digest
