"""The documents around the layers of a build: manifests, attestations, an index over them.

    index                                     if there are several platforms, or attestations
    ├── manifest  linux/amd64                 config and layers
    ├── manifest  unknown/unknown             what is attested of the one above (see `parts`)
    └── …

`compose` sends the layers to a place first, since only then is it known in which forms the place
has them; `Composition.deliver` gives it the documents, and their names at last.

Docker: BuildKit's exporters make the same documents
Spec: image-spec manifest.md, image-index.md
"""

from __future__ import annotations

import io

from knarr.engine.build.export import annotations as levels
from knarr.engine.build.export.annotations import annotations_of
from knarr.engine.image.forms import Form
from knarr.engine.image.sending import Sending
from knarr.engine.image.transfer import put_all
from knarr.errors import InvalidArgument
from knarr.oci import descriptor as d
from knarr.oci import document
from knarr.oci.descriptor import Descriptor, Platform
from knarr.oci.digest import digest_of
from knarr.oci.document import EMPTY, FrozenDict
from knarr.oci.manifest import Index, Manifest, encode_index, encode_manifest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.engine.build.export.annotations import Annotation
    from knarr.engine.build.export.parts import Part, Statement
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream, Target
    from knarr.oci.digest import Digest

IN_TOTO = "application/vnd.in-toto+json"
_PREDICATE = "in-toto.io/predicate-type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"
_REFERENCE_TYPE = "vnd.docker.reference.type"
_ATTESTATION = "attestation-manifest"
_LATEST = "buildkit/rewritten-timestamp"
_NOWHERE = Platform("unknown", "unknown")
_DOCKERS = {
    d.OCI_LAYER: d.DOCKER_LAYER,
    d.OCI_LAYER_GZIP: d.DOCKER_LAYER_GZIP,
    d.OCI_LAYER_ZSTD: d.DOCKER_LAYER_ZSTD,
}


class Packaging(Value):
    """What the documents are to be like; `docker` has Docker's media types in place of OCI's."""

    form: Form = Form()
    docker: bool = False
    annotations: tuple[Annotation, ...] = ()


class Composition:
    """The documents, and a place that they and the blobs of the store are had from.

    `parts` are the manifests of the images, in the order of the platforms; `root` is what gets the
    names, with the annotations that a layout has for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.documents: dict[Digest, bytes] = {}
        self.parts: list[Manifest] = []
        self.attestations: list[Manifest] = []
        self.index: Index | None = None
        self.root = Descriptor("", digest_of(b""), 0)
        self.sendings: list[Sending] = []

    def resolve(self, name: str) -> Descriptor:  # noqa: ARG002 - there is but one
        """Return what gets the names."""
        return self.root

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a document, or a blob that the store has."""
        if descriptor.digest in self.documents:
            return io.BytesIO(self.documents[descriptor.digest])
        return self._engine.blobs.open(descriptor.digest)

    def keep(self, raw: bytes) -> Digest:
        """Have `raw` among the documents."""
        digest = digest_of(raw)
        self.documents[digest] = raw
        return digest

    def deliver(self, target: Target, names: Iterable[str]) -> None:
        """Give the documents to the place that has the layers, and name them there."""
        for manifest in (*self.parts, *self.attestations):
            put_all(self, target, manifest)
            if self.index is not None and getattr(target, "wants_parts", False):
                target.tag("", manifest.descriptor)
        if self.index is not None:
            target.put(self.index.descriptor, self)
        for name in list(names) or [""]:
            target.tag(name, self.root)

    def remember(self) -> None:
        """Record in which forms there are layers elsewhere now."""
        for sending in self.sendings:
            sending.remember()


def compose(
    engine: Engine, parts: Sequence[Part], packaging: Packaging, target: Target
) -> Composition:
    """Give `target` the layers of all parts, and make the documents for them.

    Raises: InvalidArgument, Corrupt, what the place raises
    """
    made = Composition(engine)
    at_once = 0 if getattr(target, "wants_parts", False) else 1  # a registry takes several
    for part in parts:
        sending = Sending(engine, engine.images.stack(part.image_id), target, packaging.form)
        made.sendings.append(sending)
        layers = sending.run(at_once=at_once)
        made.parts.append(_manifest(engine, made, part, packaging, layers))
    listed = [
        _listed(manifest, part, packaging) for manifest, part in zip(made.parts, parts, strict=True)
    ]
    for manifest, part in zip(made.parts, parts, strict=True):
        statements = part.attest(manifest) if part.attest else ()
        if statements:
            listed.append(_attestation(made, manifest, statements))
    _choose_root(made, listed, packaging)
    return made


def _manifest(
    engine: Engine, made: Composition, part: Part, packaging: Packaging, layers: list[Descriptor]
) -> Manifest:
    config = engine.blobs.read(part.image_id)
    kind = d.OCI_CONFIG
    if part.latest is not None:
        said = FrozenDict({_LATEST: str(part.latest)})
        ours = [layer.replace(annotations=said) for layer in layers[part.below :]]
        layers = [*layers[: part.below], *ours]
    if packaging.docker:
        kind = d.DOCKER_CONFIG
        layers = [layer.replace(media_type=_DOCKERS[layer.media_type]) for layer in layers]
    manifest = encode_manifest(
        Descriptor(kind, made.keep(config), len(config)),
        layers,
        media_type=d.DOCKER_MANIFEST if packaging.docker else d.OCI_MANIFEST,
        annotations=annotations_of(packaging.annotations, levels.MANIFEST, part.platform),
    )
    made.keep(manifest.raw)
    return manifest


def _listed(manifest: Manifest, part: Part, packaging: Packaging) -> Descriptor:
    annotations = annotations_of(packaging.annotations, levels.MANIFEST_DESCRIPTOR, part.platform)
    return manifest.descriptor.replace(platform=part.platform, annotations=annotations)


def _attestation(
    made: Composition, manifest: Manifest, statements: Sequence[Statement]
) -> Descriptor:
    """Return what lists the statements about an image, kept as BuildKit keeps them."""
    layers = [
        Descriptor(
            IN_TOTO,
            made.keep(each.raw),
            len(each.raw),
            FrozenDict({_PREDICATE: each.predicate_type}),
        )
        for each in statements
    ]
    config = document.dump(
        {
            "architecture": _NOWHERE.architecture,
            "os": _NOWHERE.os,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        }
    )
    attestation = encode_manifest(Descriptor(d.OCI_CONFIG, made.keep(config), len(config)), layers)
    made.keep(attestation.raw)
    made.attestations.append(attestation)
    about = {_REFERENCE_DIGEST: str(manifest.digest), _REFERENCE_TYPE: _ATTESTATION}
    return attestation.descriptor.replace(platform=_NOWHERE, annotations=FrozenDict(about))


def _choose_root(made: Composition, listed: list[Descriptor], packaging: Packaging) -> None:
    """Make an index if there is more than one thing to list."""
    index = annotations_of(packaging.annotations, levels.INDEX)
    above = annotations_of(packaging.annotations, levels.INDEX_DESCRIPTOR)
    if len(listed) == 1:
        if index or above:
            message = "index annotations not supported for single platform export"
            hint = "There is an index with several platforms, or with attestations."
            raise InvalidArgument(message, hint=hint)
        made.root = listed[0].replace(platform=None)
        return
    media_type = d.DOCKER_LIST if packaging.docker else d.OCI_INDEX
    made.index = encode_index(listed, media_type=media_type, annotations=index or EMPTY)
    made.keep(made.index.raw)
    made.root = made.index.descriptor.replace(annotations=above)
