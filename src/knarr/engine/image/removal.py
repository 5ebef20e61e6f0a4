"""Removing images: what is untagged, what is deleted, what is refused.

Docker: `rmi NAME` takes a name away, and the image only with its last one; `rmi ID` takes the
image, if it has one name at most. Hard conflicts (a running container, an image made from this one)
cannot be forced, soft ones (a stopped container, further names, a mount) can.
"""

from __future__ import annotations

import time

from knarr.engine.container.tasks import read_state
from knarr.engine.image import mounting
from knarr.engine.image.platforms import siblings
from knarr.engine.space.collect import collect
from knarr.errors import Conflict, NotFound
from knarr.oci.digest import Digest
from knarr.oci.reference import parse_reference
from knarr.store.containers import ContainerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.engine.engine import Engine
    from knarr.oci.reference import Reference
    from knarr.store.images import ImageRow


class Removed(Value):
    """One thing that is gone: a reference, or the ID of an image or layer."""

    untagged: str = ""
    deleted: str = ""

    def __str__(self) -> str:
        """Return it in Docker's words."""
        return f"untagged: {self.untagged}" if self.untagged else f"deleted: {self.deleted}"


def remove(engine: Engine, text: str, *, force: bool, prune: bool) -> list[Removed]:
    """Untag what `text` names, and delete the image if nothing else holds it.

    Raises: InvalidArgument, NotFound, Conflict
    """
    removal = _Removal(engine, force=force)
    return _carry_out(engine, removal, text, lambda: removal.run(text, prune=prune))


def remove_platform(engine: Engine, text: str, platform: str, *, force: bool) -> list[Removed]:
    """Delete the image that `text` means for `platform`, of those that came by the same index.

    What names it names another of them from then on, if there is one.

    Raises: InvalidArgument, NotFound, Conflict
    """
    removal = _Removal(engine, force=force)
    return _carry_out(engine, removal, text, lambda: removal.run_platform(text, platform))


def untag(engine: Engine, text: str, names: Sequence[str]) -> list[Removed]:
    """Take `names`, or all its names, from the image that `text` means; the image stays.

    Podman: "podman untag"

    Raises: InvalidArgument, NotFound
    """
    removal = _Removal(engine, force=False)
    return _carry_out(engine, removal, text, lambda: removal.run_untag(text, names))


def _carry_out(
    engine: Engine, removal: _Removal, text: str, run: Callable[[], None]
) -> list[Removed]:
    with engine.journal.begin("collect", text):
        with engine.database.transaction():
            run()
        for shown in removal.mounted:
            mounting.take_down(engine.paths, shown, force=True)
        engine.images.publish()
        if removal.deleted:
            chains = collect(engine, blobs=removal.blobs)
            removal.log += [Removed(deleted=str(chain)) for chain in chains]
    for image_id, action in removal.events:
        engine.images.note(action, image_id)
    return removal.log


def rehearse(engine: Engine, text: str) -> list[Removed]:
    """Return what `remove` would remove, but for layers; within `Database.rehearsal`.

    Raises: InvalidArgument, NotFound, Conflict
    """
    removal = _Removal(engine, force=False)
    with engine.database.transaction():
        removal.run(text, prune=True)
    return removal.log


class _Removal:
    """One request, within one transaction."""

    def __init__(self, engine: Engine, *, force: bool) -> None:
        self._engine = engine
        self._images = engine.images
        self._containers = ContainerRecords(engine.database)
        self._force = force
        self.log: list[Removed] = []
        self.events: list[tuple[Digest, str]] = []
        self.blobs: set[Digest] = set()
        self.deleted = False
        self.mounted: list[mounting.Shown] = []

    def run(self, text: str, *, prune: bool) -> None:
        row = self._images.get(text)
        if _is_id(row.id, text):
            if _single(self._references(row.id)):
                self._check(row.id, names=False, stopped=not self._force)
                self._untag_all(row.id)
            self._delete(row, prune=prune)
            return
        reference = parse_reference(text).with_default_tag()
        if not self._force and _single(self._references(row.id)):
            self._refuse_used(row.id, text)
        self._untag(reference)
        if reference.digest is None:
            self._untag_digests(row.id, reference)
        if not self._references(row.id):
            family = siblings(self._engine, row)
            self._delete(row, prune=prune, quiet=True)
            self._delete_family(family, prune=prune)

    def run_untag(self, text: str, names: Sequence[str]) -> None:
        row = self._images.get(text)
        wanted = [parse_reference(name).with_default_tag() for name in names]
        known = self._references(row.id)
        for reference in wanted:
            if reference not in known:
                message = f"image {text} has no name {reference.familiar()}"
                raise NotFound(message)
        for reference in wanted:
            self._untag(reference)
            self._untag_digests(row.id, reference)
        if not wanted:
            self._untag_all(row.id)

    def run_platform(self, text: str, platform: str) -> None:
        row = self._images.records.get(self._images.for_platform(text, platform))
        self._check(row.id, names=False, stopped=not self._force)
        heir = next(iter(siblings(self._engine, row)), None)
        if heir is not None:
            for reference in self._references(row.id):
                self._images.tags.set(reference, heir.id, time.time_ns())
        elif _single(self._references(row.id)):
            self._untag_all(row.id)
        self._delete(row, prune=False)

    def _references(self, image_id: Digest) -> list[Reference]:
        return [tag.reference for tag in self._images.tags.of(image_id)]

    def _untag(self, reference: Reference) -> None:
        if reference.digest is not None:
            reference = reference.replace(tag=None)
        tag = self._images.tags.find(reference)
        if tag is not None:
            self.events.append((tag.image, "untag"))
        self._images.tags.remove(reference)
        self.log.append(Removed(untagged=reference.familiar()))

    def _untag_all(self, image_id: Digest) -> None:
        for reference in self._references(image_id):
            self._untag(reference)

    def _untag_digests(self, image_id: Digest, removed: Reference) -> None:
        """Forget the digests of a repository of which no tag is left."""
        same = [r for r in self._references(image_id) if r.name == removed.name]
        if all(reference.digest is not None for reference in same):
            for reference in same:
                self._untag(reference)

    def _delete(self, row: ImageRow, *, prune: bool, quiet: bool = False) -> None:
        """Delete an image, and with `prune` its parent if that is left with nothing.

        With `quiet`, an image that something still needs stays without complaint.
        """
        try:
            self._check(row.id, names=not self._force, stopped=not self._force)
        except Conflict:
            if quiet:
                return
            raise
        self._untag_all(row.id)
        self.mounted += self._mounts(row.id)
        self.blobs.update(self._images.records.blobs(row.id), (row.id,))
        self._images.records.remove(row.id)
        self.log.append(Removed(deleted=str(row.id)))
        self.events.append((row.id, "delete"))
        self.deleted = True
        parent = self._images.records.find(row.parent) if prune and row.parent else None
        if parent is not None and not self._references(parent.id):
            force, self._force = self._force, False
            self._delete(parent, prune=True, quiet=True)
            self._force = force

    def _delete_family(self, family: Sequence[ImageRow], *, prune: bool) -> None:
        """Delete those that were found by the name that went, unless another name leads there."""
        if any(self._images.tags.tagged(row.id) for row in family):
            return
        for row in family:
            if not self._references(row.id):
                self._delete(row, prune=prune, quiet=True)

    def _check(self, image_id: Digest, *, names: bool, stopped: bool) -> None:
        """Raise if something forbids deleting: `names` and `stopped` containers only if asked."""
        if self._images.records.children(image_id):
            self._refuse(image_id, "image has dependent child images", hard=True)
        used = self._containers.of_image(image_id)
        states = {row.id: read_state(self._engine.paths, row.id) for row in used}
        for container_id, state in states.items():
            if state.active:
                reason = f"image is being used by running container {container_id[:12]}"
                self._refuse(image_id, reason, hard=True)
        if names and len(self._references(image_id)) > 1:
            self._refuse(image_id, "image is referenced in multiple repositories")
        if stopped and used:
            reason = f"image is being used by stopped container {used[0].id[:12]}"
            self._refuse(image_id, reason)

        mounts = self._mounts(image_id) if stopped else []
        if mounts:
            self._refuse(image_id, f"image is mounted at {mounts[0].path}")

    def _mounts(self, image_id: Digest) -> list[mounting.Shown]:
        return [shown for shown in mounting.mounts(self._engine.paths) if shown.image == image_id]

    def _refuse(self, image_id: Digest, reason: str, *, hard: bool = False) -> None:
        force = "cannot be forced" if hard else "must be forced"
        message = f"conflict: unable to delete {image_id.short} ({force}) - {reason}"
        raise Conflict(message)

    def _refuse_used(self, image_id: Digest, text: str) -> None:
        used = self._containers.of_image(image_id)
        if used:
            message = (
                f'conflict: unable to remove repository reference "{text}" (must force) - '
                f"container {used[0].id[:12]} is using its referenced image {image_id.short}"
            )
            raise Conflict(message)
        mounts = self._mounts(image_id)
        if mounts:
            message = (
                f'conflict: unable to remove repository reference "{text}" (must force) - '
                f"image {image_id.short} is mounted at {mounts[0].path}"
            )
            raise Conflict(message)


def _is_id(image_id: Digest, text: str) -> bool:
    return image_id.startswith(text) or image_id.hex.startswith(text)


def _single(references: list[Reference]) -> bool:
    """Tell whether one tag at most names the image, and all references are of its repository."""
    tags = [reference for reference in references if reference.digest is None]
    repositories = {reference.name for reference in references}
    return len(tags) <= 1 and len(repositories) <= 1
