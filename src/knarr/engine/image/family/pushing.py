"""Pushing an index with all that it lists: `push --all-platforms`.

The images that are here go as each of them would go alone. What the index lists besides (those for
other platforms, attestations) is copied from where it came from, if that can be reached: so the
registry gets the index as it came. Else it gets one without what is missing, and `notices` say so.
"""

from __future__ import annotations

from knarr.engine.image.family.source import Family, FamilySource, explain
from knarr.engine.image.places.registry import RegistrySource, RegistryTarget
from knarr.engine.image.progress import silent
from knarr.engine.image.pushing import Pushed, Pushing, neighbours, push
from knarr.engine.image.transfer import copy, copy_all
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.image.forms import Form
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.registry.client import Repository
    from knarr.store.images import ImageRow


def push_family(
    engine: Engine, reference: Reference, *, form: Form | None = None, report: Report = silent
) -> Pushed:
    """Give all images that came by the same index as `reference`, and the index, to a registry.

    The layers of those that are here go in the form they came in, or in `form`.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    row = engine.images.get(str(reference))
    family = Family(engine, row)
    if family.alone:
        return push(engine, reference, form=form, report=report)
    given: dict[Digest, Descriptor] = {}
    renewed = False
    repository = engine.registries.connect(reference)
    with engine.journal.begin("push", str(reference), needs=FamilySource(engine).needs(row.id)):
        for digest, member in family.members.items():
            pushing = Pushing(engine, member, reference, report, named=row, form=form)
            given[digest] = pushing.run().descriptor
            renewed = renewed or pushing.renewed
            copy(pushing, pushing.target, member.id)
            pushing.remember()
        target = RegistryTarget(repository, mount_from=neighbours(engine, row, reference))
        for entry in _brought(family.missing, _origins(engine, row), target):
            given[entry.digest] = entry
        *inner, index = family.relist(given)
        for one in inner:
            repository.put_manifest(one.digest, one.raw, one.media_type)
        repository.put_manifest(reference.tag or index.digest, index.raw, index.media_type)
    if family.left_out:
        engine.notices.append(explain(reference.familiar(), family.left_out))
    engine.images.set_tag(reference.replace(tag=None, digest=index.digest), row.id)
    engine.images.note("push", row.id, reference.familiar())
    return Pushed(reference, index.digest, index.size, renewed)


def _origins(engine: Engine, row: ImageRow) -> list[Repository]:
    """Return the repositories that have, or had, an image."""
    found = []
    for tag in engine.images.tags.of(row.id):
        if tag.reference.digest is not None:
            try:
                found.append(engine.registries.connect(tag.reference))
            except KnarrError:  # blocked by now, say: then it is none of those
                continue
    return found


def _brought(
    missing: list[Descriptor], origins: list[Repository], target: RegistryTarget
) -> list[Descriptor]:
    """Copy what is missing from the first that has it; return what was copied."""
    found = []
    for entry in missing:
        for origin in origins:
            try:
                copy_all(RegistrySource(origin), target, entry.digest)
            except KnarrError:  # it was deleted there, or nobody answers
                continue
            found.append(entry)
            break
    return found
