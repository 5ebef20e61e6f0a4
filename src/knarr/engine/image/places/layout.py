"""An OCI layout as a place that images are had from: in a tar, or as a directory.

Spec: image-spec image-layout.md
"""

from __future__ import annotations

from knarr.errors import Corrupt, InvalidArgument, NotFound
from knarr.oci import layout
from knarr.oci.descriptor import IMAGE_NAME, REF_NAME
from knarr.oci.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from knarr.engine.image.places.place import Stream
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
else:
    Protocol = object


class Files(Protocol):
    """Where the files of a layout are."""

    def open(self, name: str) -> Stream:
        """Return a file, opened for reading."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the contents of a small file."""


class LayoutSource:
    """The images of a layout. A name is the digest of what the index lists."""

    def __init__(self, files: Files) -> None:
        """Read the index.

        Raises: Corrupt, Unsupported
        """
        self._files = files
        layout.parse_layout(files.read(layout.LAYOUT_FILE, layout.MAX_INDEX))
        self._index = layout.parse_index(files.read(layout.INDEX_FILE, layout.MAX_INDEX))

    def images(self) -> list[tuple[str, list[str]]]:
        """Return every image as (name, references that it has there), in order.

        Raises: InvalidArgument
        """
        found: dict[str, list[str]] = {}
        for entry in self._index.manifests:
            references = found.setdefault(entry.digest, [])
            text = entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME)
            if text:
                references.append(_reference(text))
        return list(found.items())

    def find(self, tag: str, digest: Digest | None) -> Descriptor:
        """Return what has the digest or the tag; with neither what is `latest`, or alone.

        A tag may be all of a name, or what follows its colon.

        Raises: NotFound
        """
        entries = self._index.manifests
        if digest is not None:
            return self.resolve(digest)
        if not tag and len(entries) == 1:
            return entries[0]
        wanted = tag or "latest"
        for entry in entries:
            name = entry.annotations.get(REF_NAME, "")
            if wanted in (name, name.rpartition(":")[2]):
                return entry
        message = f"the layout has nothing with the tag {wanted}"
        raise NotFound(message)

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that has the digest `name`.

        Raises: NotFound
        """
        for entry in self._index.manifests:
            if entry.digest == name:
                return entry
        message = f"the layout does not list {name}"
        raise NotFound(message)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob.

        Raises: Corrupt
        """
        try:
            return self._files.open(layout.blob_path(descriptor.digest))
        except Corrupt as error:
            error.add_note("which the image names")
            raise


def _reference(text: str) -> str:
    try:
        return str(parse_reference(text).with_default_tag())
    except InvalidArgument as error:
        message = f"{layout.INDEX_FILE} names an image {text!r}: {error}"
        raise InvalidArgument(message, hint=error.hint) from error
