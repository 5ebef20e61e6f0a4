"""The archive of `docker save` before OCI layouts as a place that images are had from.

    manifest.json       [{"Config": "<file>", "RepoTags": ["name:tag"], "Layers": ["<file>", …]}]
    <file>              a config, or the tar of a layer

Files may have any names. Manifests there are none: they are made up, from the names and sizes of
the layers, which mostly are uncompressed tars, so that the config has their digests.
"""

from __future__ import annotations

import io

from knarr.engine.image.places.storesource import plain_manifest
from knarr.errors import Corrupt, InvalidArgument, Unsupported
from knarr.oci import descriptor as d
from knarr.oci import document
from knarr.oci.config import decode_config
from knarr.oci.digest import LENGTHS, Digest, digest_of, hasher
from knarr.oci.document import Fields
from knarr.oci.reference import parse_reference
from knarr.util import compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.image.places.archive import Archive
    from knarr.engine.image.places.place import Stream
    from knarr.oci.descriptor import Descriptor

MANIFEST_FILE = "manifest.json"
_MAX_DOCUMENT = 8 << 20
_MAX_IMAGES = 10_000
_CHUNK = 1 << 20
_LAYERS = {
    compression.NONE: d.OCI_LAYER,
    compression.GZIP: d.OCI_LAYER_GZIP,
    compression.ZSTD: d.OCI_LAYER_ZSTD,
}


class DockerArchiveSource:
    """The images of an archive. A name is the number of an image in `manifest.json`."""

    made_up = True  # the manifests

    def __init__(self, archive: Archive) -> None:
        """Read `manifest.json`.

        Raises: Corrupt
        """
        self._archive = archive
        self._items = _items(archive.read(MANIFEST_FILE, _MAX_DOCUMENT))
        self._documents: dict[Digest, bytes] = {}
        self._files: dict[Digest, str] = {}

    def images(self) -> list[tuple[str, list[str]]]:
        """Return every image as (name, references that it has there), in order.

        Raises: InvalidArgument
        """
        return [
            (str(number), [_reference(text) for text in item.texts("RepoTags") or ()])
            for number, item in enumerate(self._items)
        ]

    def resolve(self, name: str) -> Descriptor:
        """Return a manifest for the image of this number.

        Raises: Corrupt
        """
        item = self._items[int(name)]
        config_name = item.text("Config")
        raw = self._archive.read(config_name, _MAX_DOCUMENT)
        _check_name(config_name, digest_of(raw))
        config = decode_config(raw)
        names = item.texts("Layers") or ()
        if len(names) != len(config.diff_ids):
            message = (
                f"{config_name} names {len(config.diff_ids)} layers, {MANIFEST_FILE} {len(names)}"
            )
            raise Corrupt(message)
        layers = [self._layer(*layer) for layer in zip(names, config.diff_ids, strict=True)]
        self._documents[config.digest] = raw
        manifest = plain_manifest(d.Descriptor(d.OCI_CONFIG, config.digest, len(raw)), layers)
        self._documents[manifest.digest] = manifest.raw
        return manifest.descriptor

    def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        file = self._archive.open(name)
        kind = compression.kind_of(file.read(compression.MAGIC_SIZE))
        if kind not in _LAYERS:
            message = f"{name} is compressed with {kind}, which layers cannot be"
            raise Unsupported(message)
        digest = diff_id if kind == compression.NONE else self._hash(name)
        self._files[digest] = name
        return d.Descriptor(_LAYERS[kind], digest, self._archive.size(name))

    def _hash(self, name: str) -> Digest:
        file, digest = self._archive.open(name), hasher()
        while data := file.read(_CHUNK):
            digest.update(data)
        return Digest(f"sha256:{digest.hexdigest()}")

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob.

        Raises: Corrupt
        """
        digest = descriptor.digest
        if digest in self._documents:
            return io.BytesIO(self._documents[digest])
        return self._archive.open(self._files[digest])


def _items(raw: bytes) -> list[Fields]:
    # The only document of the field that is a list: it is read as the object around it.
    fields = document.load(b'{"images":' + raw + b"}", MANIFEST_FILE, limit=_MAX_DOCUMENT + 16)
    items = fields.children("images")
    if len(items) > _MAX_IMAGES:
        message = f"{MANIFEST_FILE} lists {len(items)} images, more than {_MAX_IMAGES}"
        raise Corrupt(message)
    return [Fields(item.object, f"{MANIFEST_FILE}: [{n}]") for n, item in enumerate(items)]


def _check_name(name: str, digest: Digest) -> None:
    """Raise if a file is named by a digest that is not its own."""
    base = name.rpartition("/")[2].removesuffix(".json")
    if len(base) == LENGTHS["sha256"] and not base.strip("0123456789abcdef") and base != digest.hex:
        message = f"{name} has the digest {digest}"
        raise Corrupt(message)


def _reference(text: str) -> str:
    try:
        return str(parse_reference(text).with_default_tag())
    except InvalidArgument as error:
        message = f"{MANIFEST_FILE} names an image {text!r}: {error}"
        raise InvalidArgument(message, hint=error.hint) from error
