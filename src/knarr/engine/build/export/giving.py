"""Giving the images of a build to one place: a registry, an archive, a directory, the store."""

from __future__ import annotations

from knarr.build.events import Noted
from knarr.engine.build.export.composing import Packaging, compose
from knarr.engine.build.export.outputs import DOCKER
from knarr.engine.image.forms import Form
from knarr.errors import InvalidArgument
from knarr.oci.descriptor import encode_descriptor
from knarr.util import compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.build.events import Report
    from knarr.engine.build.export.composing import Composition
    from knarr.engine.build.export.outputs import Output
    from knarr.engine.build.export.parts import Part
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Target
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

_PLAIN = Packaging(Form(compression.NONE))


class Giving:
    """The images of one build, for whoever wants them; `activity` is what reports are about."""

    def __init__(
        self, engine: Engine, parts: Sequence[Part], report: Report, activity: str
    ) -> None:
        self._engine = engine
        self._parts = parts
        self._report = report
        self._activity = activity

    def give(self, output: Output) -> Mapping[str, object]:
        """Give them to `output`, and return the descriptor of what it has now.

        Raises: InvalidArgument, Corrupt, what registries raise
        """
        made = None
        if output.push:
            made = self._push(output)
        elif not output.is_store:
            made = self._archive(output)
        if output.is_store and (made is None or output.packaging is not None):
            made = self._keep(output)
        assert made is not None
        return encode_descriptor(made.root)

    def _push(self, output: Output) -> Composition:
        from knarr.engine.image.places.registry import RegistryTarget  # noqa: PLC0415 - loads HTTP

        if not output.names:
            message = "tag is needed when pushing to registry"
            raise InvalidArgument(message, hint="Give it with --tag, or name= in the output.")
        engine = self._engine
        for reference in output.names:
            repository = engine.registries.connect(reference)
            target = RegistryTarget(repository, mount_from=self._near(reference))
            self._note(f"pushing layers to {reference}")
            made = compose(engine, self._parts, output.packaging or Packaging(), target)
            made.deliver(target, [] if output.by_digest else [reference.tag or ""])
            made.remember()
            self._note(f"pushing manifest for {reference}@{made.root.digest} done")
            if output.kept:
                self._remember(reference, made.root.digest)
        return made

    def _near(self, reference: Reference) -> list[str]:
        """Return other repositories of the registry that have the images, or their bases."""
        images = self._engine.images
        lowest = {images.stack(part.image_id)[:1] for part in self._parts} - {()}
        found = {
            tag.reference.repository
            for tag in images.tags.all()
            if tag.reference.digest is not None
            and tag.reference.registry == reference.registry
            and images.stack(tag.image)[:1] in lowest
        }
        return sorted(found - {reference.repository})

    def _remember(self, reference: Reference, digest: Digest) -> None:
        """Record that a repository has the images."""
        by_digest = reference.replace(tag=None, digest=digest)
        self._engine.images.set_tag(by_digest, self._parts[0].image_id)
        for part in self._parts:
            self._engine.images.note("push", part.image_id, reference.familiar())

    def _archive(self, output: Output) -> Composition:
        from knarr.engine.image.places.archivetarget import ArchiveTarget  # noqa: PLC0415
        from knarr.engine.image.places.directory import DirectoryTarget  # noqa: PLC0415

        names = [str(name) for name in output.names]
        packaging = output.packaging or _PLAIN
        if output.open is None:
            return self._deliver(DirectoryTarget(output.directory), packaging, names)
        if output.kind == DOCKER and len(self._parts) > 1:
            message = "docker exporter does not currently support exporting manifest lists"
            raise InvalidArgument(message, hint="type=oci does.")
        if output.kind == DOCKER:  # which has no place for what is attested
            self._parts = [part.replace(attest=None) for part in self._parts]
        with output.open() as out:
            target = ArchiveTarget(out, docker=output.kind == DOCKER)
            made = self._deliver(target, packaging, names)
            target.close()
        return made

    def _deliver(self, target: Target, packaging: Packaging, names: list[str]) -> Composition:
        made = compose(self._engine, self._parts, packaging, target)
        made.deliver(target, names)
        return made

    def _keep(self, output: Output) -> Composition:
        from knarr.engine.build.export.storing import BlobsTarget, record  # noqa: PLC0415

        made = self._deliver(BlobsTarget(self._engine), output.packaging or Packaging(), [])
        record(self._engine, self._parts, made)
        self._note(f"exporting manifest {made.root.digest} done")
        return made

    def _note(self, text: str) -> None:
        self._report(Noted(self._activity, text))
