"""A directory with the files of one image side by side as a place: `dir:`.

    version                     Directory Transport Version: 1.1
    manifest.json               the manifest, or the index
    <hex>.manifest.json         a manifest that the index lists
    <hex>                       everything else

Skopeo: its places of the kind "dir"
"""

from __future__ import annotations

import io
import os

from knarr.engine.image.places.directory import pour_file
from knarr.engine.image.places.place import MAX_DOCUMENT, read_document
from knarr.errors import Corrupt, InvalidArgument, NotFound, Unsupported
from knarr.oci import descriptor as d
from knarr.oci.manifest import decode_manifest
from knarr.util.files import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.image.places.place import Source, Stream
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest

_VERSION_FILE, _MANIFEST_FILE = "version", "manifest.json"
_VERSION = "Directory Transport Version: 1."


class FlatSource:
    """The image in a directory; it needs no name."""

    def __init__(self, path: str) -> None:
        """Look whether there is an image.

        Raises: NotFound, Unsupported
        """
        self._path = path
        self._documents: dict[Digest, bytes] = {}
        version = self._read(_VERSION_FILE).decode(errors="replace").strip()
        if not version.startswith(_VERSION):
            message = f"{path} is of another kind than is understood: {version[:80]!r}"
            raise Unsupported(message)

    def resolve(self, name: str) -> Descriptor:  # noqa: ARG002 - there is but one
        """Return the manifest or index.

        Raises: NotFound, Corrupt
        """
        found = decode_manifest(self._read(_MANIFEST_FILE))
        self._documents[found.digest] = found.raw
        return found.descriptor

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob, a manifest or an index.

        Raises: Corrupt
        """
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        name = _name(descriptor)
        try:
            return open(f"{self._path}/{name}", "rb", buffering=0)
        except FileNotFoundError as error:
            message = f"{self._path} has no {name}, which the image names"
            raise Corrupt(message) from error

    def _read(self, name: str) -> bytes:
        try:
            with open(f"{self._path}/{name}", "rb") as file:
                data = file.read(MAX_DOCUMENT + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            message = f"{self._path} has no {name}: it holds no image of the kind dir"
            raise NotFound(message) from error
        if len(data) > MAX_DOCUMENT:
            message = f"{self._path}/{name} has more than {MAX_DOCUMENT} bytes"
            raise Corrupt(message)
        return data


class FlatTarget:
    """A new or empty directory that an image is put into."""

    def __init__(self, path: str) -> None:
        """Make the directory if need be.

        Raises: InvalidArgument
        """
        self._path = path
        self._manifests: dict[Digest, bytes] = {}
        os.makedirs(path, exist_ok=True)
        if os.listdir(path):
            message = f"{path} is not empty"
            raise InvalidArgument(message, hint="An image of the kind dir has one for itself.")

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob was put."""
        return os.path.exists(f"{self._path}/{_name(descriptor)}")

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob; which of the manifests is the image's says `tag`.

        Raises: Corrupt, NotFound
        """
        if descriptor.media_type in d.MANIFESTS | d.INDEXES:
            self._manifests[descriptor.digest] = read_document(source, descriptor)
        pour_file(source, descriptor, f"{self._path}/{_name(descriptor)}")

    def tag(self, name: str, descriptor: Descriptor) -> None:  # noqa: ARG002 - it has no names
        """Make the manifest that of the image."""
        write_atomically(f"{self._path}/{_VERSION_FILE}", f"{_VERSION}1\n".encode())
        raw = self._manifests[descriptor.digest]
        write_atomically(f"{self._path}/{_MANIFEST_FILE}", raw)
        os.unlink(f"{self._path}/{_name(descriptor)}")


def _name(descriptor: Descriptor) -> str:
    manifest = descriptor.media_type in d.MANIFESTS | d.INDEXES
    return f"{descriptor.digest.hex}{'.manifest.json' if manifest else ''}"
