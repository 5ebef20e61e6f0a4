"""Saving images into an archive."""

from __future__ import annotations

from knarr.engine.image.family.source import FamilySource, explain
from knarr.engine.image.places.archivetarget import ArchiveTarget
from knarr.engine.image.places.asoci import AsOci
from knarr.engine.image.places.directory import DirectoryTarget
from knarr.engine.image.places.storesource import StoreSource
from knarr.engine.image.transfer import copy, copy_all
from knarr.errors import InvalidArgument
from knarr.oci.reference import looks_like_id, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source, Target
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Index, Manifest
    from knarr.util.compression import Writer

FORMS = ("docker-archive", "oci-archive")


def save(
    engine: Engine,
    names: Iterable[str],
    out: Writer,
    *,
    form: str,
    platform: Platform | None = None,
    platforms: Sequence[Platform] = (),
    every: bool = False,
) -> None:
    """Write images, those for `platform`, with `every` for all platforms, into an archive.

    With `platforms` each goes as an index of the images for these, which all have to be here.

    Raises: InvalidArgument, NotFound, Corrupt
    """
    if form not in FORMS:
        message = f"invalid format {form!r}"
        raise InvalidArgument(message, hint=f"It is {' or '.join(FORMS)}.")
    if (every or platforms) and form != "oci-archive":
        message = f"a {form} takes one image a name, not an index"
        raise InvalidArgument(message, hint="--format oci-archive or oci-dir takes all platforms.")
    chosen = _chosen(engine, names, platform)
    for image_id, references in chosen.items():
        for wanted in platforms:
            engine.images.for_platform((references or [image_id])[0], str(wanted))
    target = ArchiveTarget(out, docker=form == "docker-archive")
    source: StoreSource = StoreSource(engine)
    if every or platforms:
        source = FamilySource(engine, platforms)
    _give(engine, chosen, target, source, oci=form == "oci-archive")
    target.close()


def save_directory(
    engine: Engine,
    names: Iterable[str],
    path: str,
    *,
    platform: Platform | None = None,
    every: bool = False,
) -> None:
    """Add images to the OCI layout in a directory, which is made if need be.

    Raises: InvalidArgument, NotFound, Corrupt
    """
    chosen = _chosen(engine, names, platform)
    give(engine, chosen, DirectoryTarget(path), every=every, oci=True)


def give(
    engine: Engine,
    chosen: dict[Digest, list[str]],
    target: Target,
    *,
    every: bool = False,
    oci: bool = False,
) -> None:
    """Give images by their IDs, under these references, to a place outside of the store.

    With `every` each goes with all that came by the same index. With `oci` Docker's manifests go as
    OCI's, which is all that other tools read in a layout.
    """
    source = FamilySource(engine) if every else StoreSource(engine)
    _give(engine, chosen, target, source, oci=oci)


def _give(
    engine: Engine,
    chosen: dict[Digest, list[str]],
    target: Target,
    source: StoreSource,
    *,
    oci: bool,
) -> None:
    given_from: Source = AsOci(source) if oci else source
    needs = [digest for image_id in chosen for digest in source.needs(image_id)]
    with engine.journal.begin("save", ", ".join(chosen), needs=needs):
        for image_id, references in chosen.items():
            first, *others = references or [""]
            given: Manifest | Index
            if isinstance(source, FamilySource):
                given = copy_all(given_from, target, image_id, as_name=first)
                if source.left_out:
                    engine.notices.append(explain(first or image_id.short, source.left_out))
            else:
                given = copy(given_from, target, image_id, as_name=first)
            for other in others:
                target.tag(other, given.descriptor)
    for image_id in chosen:
        engine.images.note("save", image_id)


def _chosen(
    engine: Engine, names: Iterable[str], platform: Platform | None
) -> dict[Digest, list[str]]:
    """Return the images that `names` mean, with the references to save.

    Docker: an ID saves no name, a reference that one, a repository without a tag all its tags
    """
    found: dict[Digest, list[str]] = {}
    for name in names:
        for meant, reference in _meant(engine, name):
            image_id = meant
            if platform is not None:
                image_id = engine.images.for_platform(reference or meant, str(platform))
            references = found.setdefault(image_id, [])
            if reference and reference not in references:
                references.append(reference)
    return found


def _meant(engine: Engine, name: str) -> list[tuple[Digest, str]]:
    if not looks_like_id(name) and not name.startswith("sha256:"):
        reference = parse_reference(name)
        if reference.tag is None and reference.digest is None:
            tags = [
                (tag.image, str(tag.reference))
                for tag in engine.images.tags.all()
                if tag.reference.name == reference.name and tag.reference.tag
            ]
            if tags:
                return tags
        elif reference.tag is not None and reference.digest is None:
            tag = engine.images.tags.find(reference)
            if tag is not None:
                return [(tag.image, str(reference))]
    return [(engine.images.get(name).id, "")]
