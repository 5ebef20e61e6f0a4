"""Manifests and indexes: an image for one platform, a list of images.

OCI's and Docker's documents (schema 2 and lists) are the same but for their media types. `raw` is
what the digest is of; knarr never writes again what it did not write.

Spec: image-spec manifest.md, image-index.md
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.oci import descriptor as d
from knarr.oci import document
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest, digest_of
from knarr.oci.document import EMPTY, FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.document import Fields

MAX_LAYERS = 1000


class Listable(Value):
    """A document that an index can list: its bytes, and what they are announced as."""

    raw: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return digest_of(self.raw)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of it."""
        return Descriptor(self.media_type, self.digest, self.size)


class Manifest(Listable):
    """One platform's image: its config and its layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: FrozenDict = EMPTY
    artifact_type: str = ""
    subject: Descriptor | None = None


class Index(Listable):
    """A list of manifests, usually one a platform."""

    manifests: tuple[Descriptor, ...]
    annotations: FrozenDict = EMPTY


def decode_manifest(raw: bytes, media_type: str | None = None) -> Manifest | Index:
    """Return the manifest or index in `raw`, which was announced as `media_type`.

    A document that says itself what it is must agree with what was announced: otherwise two
    readers could take the same bytes for different images.

    Raises: Corrupt
    """
    fields = document.load(raw, "manifest")
    own = fields.text("mediaType")
    if fields.object.get("schemaVersion") != 2:
        if fields.object.get("schemaVersion") == 1:
            message = "manifest is of schema version 1, which is obsolete and not read"
            raise Corrupt(message, hint="Have the image pushed again with a current tool.")
        fields.refuse("schemaVersion", "2")
    if own and media_type and own != media_type and media_type in d.MANIFESTS | d.INDEXES:
        message = f"manifest announced as {media_type} says it is {own}"
        raise Corrupt(message)
    kind = own or media_type or ""
    if kind not in d.MANIFESTS | d.INDEXES:
        kind = d.OCI_INDEX if "manifests" in fields.object else d.OCI_MANIFEST
    if kind in d.INDEXES:
        return _decode_index(raw, kind, fields)
    return _decode_manifest(raw, kind, fields)


def _decode_index(raw: bytes, kind: str, fields: Fields) -> Index:
    if "layers" in fields.object or "config" in fields.object:
        message = "manifest claims to be an index and has layers"
        raise Corrupt(message)
    manifests = tuple([d.decode_descriptor(child) for child in fields.children("manifests")])
    return Index(raw, kind, manifests, fields.mapping("annotations"))


def _decode_manifest(raw: bytes, kind: str, fields: Fields) -> Manifest:
    if "manifests" in fields.object:
        message = "manifest claims to be an image and lists manifests"
        raise Corrupt(message)
    config = fields.child("config")
    if config is None:
        fields.refuse("config", "a descriptor")
    layers = fields.children("layers")
    if len(layers) > MAX_LAYERS:
        fields.refuse("layers", f"of at most {MAX_LAYERS} layers")
    subject = fields.child("subject")
    return Manifest(
        raw,
        kind,
        d.decode_descriptor(config),
        tuple([d.decode_descriptor(layer) for layer in layers]),
        fields.mapping("annotations"),
        fields.text("artifactType"),
        d.decode_descriptor(subject) if subject else None,
    )


def encode_manifest(
    config: Descriptor,
    layers: Sequence[Descriptor],
    *,
    media_type: str = d.OCI_MANIFEST,
    annotations: FrozenDict = EMPTY,
) -> Manifest:
    """Return the manifest of `config` and `layers`, bottom first."""
    value = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": d.encode_descriptor(config),
        "layers": [d.encode_descriptor(layer) for layer in layers],
    }
    if annotations:
        value["annotations"] = annotations
    raw = document.dump(value)
    return Manifest(raw, media_type, config, tuple(layers), annotations)


def encode_index(
    manifests: Sequence[Descriptor],
    *,
    media_type: str = d.OCI_INDEX,
    annotations: FrozenDict = EMPTY,
) -> Index:
    """Return the index of `manifests`."""
    value = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [d.encode_descriptor(manifest) for manifest in manifests],
    }
    if annotations:
        value["annotations"] = annotations
    raw = document.dump(value)
    return Index(raw, media_type, tuple(manifests), annotations)
