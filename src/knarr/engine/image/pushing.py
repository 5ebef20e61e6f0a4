"""Pushing: an image is given to a registry.

What came from elsewhere is given on under the manifest it came with, byte for byte, as long as
every blob of it is here, at the registry, or to be had again. What was made here gets a manifest
with gzipped layers: of a layer that was compressed before the digest is on record, and if the
registry has that blob nothing is compressed, nor sent (see `sending`). So a second push sends
nothing.
"""

from __future__ import annotations

import io

from knarr.engine.image.forms import Form
from knarr.engine.image.originals import Originals
from knarr.engine.image.places.intake import COMPRESSED
from knarr.engine.image.places.registry import RegistryTarget
from knarr.engine.image.places.storesource import StoreSource
from knarr.engine.image.progress import silent
from knarr.engine.image.sending import Sending
from knarr.engine.image.transfer import copy
from knarr.errors import Corrupt, NotFound
from knarr.oci.descriptor import OCI_CONFIG, Descriptor
from knarr.oci.manifest import Manifest, decode_manifest, encode_manifest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.engine.image.progress import Report
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.store.images import ImageRow


class Pushed(Value):
    """What the registry has now under a tag: digest and size of the manifest.

    `renewed` says that the image came under another manifest, whose blobs are not to be had again.
    """

    reference: Reference
    digest: Digest
    size: int
    renewed: bool = False


def push(
    engine: Engine,
    reference: Reference,
    *,
    platform: Platform | None = None,
    form: Form | None = None,
    report: Report = silent,
) -> Pushed:
    """Give the image `reference`, that for `platform`, to the registry in its name.

    Layers go in the form they came in, or in `form`.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    row = _meant(engine, reference, platform)
    source = StoreSource(engine)
    with engine.journal.begin("push", str(reference), needs=source.needs(row.id)):
        pushing = Pushing(engine, row, reference, report, form=form)
        manifest = pushing.run()
        target = pushing.target
        copy(pushing, target, row.id, as_name=reference.tag or "")
    pushing.remember()
    by_digest = reference.replace(tag=None, digest=manifest.digest)
    engine.images.set_tag(by_digest, row.id)
    engine.images.note("push", row.id, reference.familiar())
    return Pushed(reference, manifest.digest, manifest.size, pushing.renewed)


def tags_of(engine: Engine, reference: Reference) -> list[Reference]:
    """Return the tags that there are here of a repository.

    Raises: NotFound
    """
    found = [
        row.reference
        for row in engine.images.tags.all()
        if row.reference.name == reference.name and row.reference.tag
    ]
    if not found:
        raise _absent(reference)
    return found


def _absent(reference: Reference) -> NotFound:
    message = f"An image does not exist locally with the tag: {reference.familiar_name}"
    return NotFound(message)


def _meant(engine: Engine, reference: Reference, platform: Platform | None) -> ImageRow:
    row = engine.images.choose(str(reference), platform)
    if row is not None:
        return row
    if engine.images.find(str(reference)) is None:
        raise _absent(reference)
    message = f"image {reference.familiar()} is not here for the platform {platform}"
    raise NotFound(message, hint=f"knarr pull --platform {platform} gets it.")


class Pushing:
    """One image on its way to one repository; the source that `copy` reads from at the end."""

    def __init__(
        self,
        engine: Engine,
        row: ImageRow,
        reference: Reference,
        report: Report,
        *,
        named: ImageRow | None = None,
        form: Form | None = None,
    ) -> None:
        """Prepare; what is known of where the image is elsewhere is what is known of `named`."""
        named = named or row
        self._engine = engine
        self._row = row
        self._report = report
        repository = engine.registries.connect(reference)
        self.target = RegistryTarget(
            repository, mount_from=neighbours(engine, named, reference), report=self._tell
        )
        originals = Originals(engine, named.id, besides=reference)
        stack = engine.images.stack(row.id)
        self._form = form
        self._sending = Sending(engine, stack, self.target, form, originals=originals)
        self._documents: dict[Digest, bytes] = {row.id: engine.blobs.read(row.id)}
        self._manifest: Manifest | None = None
        self.renewed = False

    def _tell(self, digest: Digest, action: str, done: int, whole: int) -> None:
        if digest != self._row.id:
            self._report(self._sending.shown.get(digest, digest), action, done, whole)

    def run(self) -> Manifest:
        """Give all layers to the registry; return the manifest that names them."""
        layers = self._sending.layers
        for layer in layers:
            self._report(layer.diff_id, "Preparing", 0, 0)
        recorded = self._recorded()
        if recorded is not None:
            for layer, descriptor in zip(layers, recorded.layers, strict=True):
                if self._form is None or self._form.is_of(descriptor):
                    layer.descriptor = descriptor
        named = self._sending.run()
        if recorded is not None and self._form is None:
            self.renewed = any(
                layer.made and before.media_type in COMPRESSED
                for layer, before in zip(layers, recorded.layers, strict=True)
            )
        if recorded is None or any(layer.made for layer in layers):
            config = Descriptor(OCI_CONFIG, self._row.id, len(self._documents[self._row.id]))
            recorded = encode_manifest(config, named)
        self._documents[recorded.digest] = recorded.raw
        self._manifest = recorded
        return recorded

    def _recorded(self) -> Manifest | None:
        """Return the manifest that the image came with."""
        blobs, row = self._engine.blobs, self._row
        if row.manifest is None or not blobs.has(row.manifest):
            return None
        found = decode_manifest(blobs.read(row.manifest), row.media_type)
        if not isinstance(found, Manifest) or len(found.layers) != len(self._sending.layers):
            return None
        return found

    def remember(self) -> None:
        """Record in which forms the registry has the layers."""
        self._sending.remember()

    # the source that `copy` reads the documents from

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest, which `run` made or found."""
        if self._manifest is None:
            message = f"{name} has no manifest yet"
            raise Corrupt(message)
        return self._manifest.descriptor

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a document or a blob that is kept here."""
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        return self._engine.blobs.open(descriptor.digest)


def neighbours(engine: Engine, row: ImageRow, reference: Reference) -> list[str]:
    """Return other repositories of the registry that have, or had, this image."""
    found = {
        tag.reference.repository
        for tag in engine.images.tags.of(row.id)
        if tag.reference.digest is not None and tag.reference.registry == reference.registry
    }
    return sorted(found - {reference.repository})
