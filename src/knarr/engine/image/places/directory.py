"""An OCI layout in a directory as a place, to read from and to write to.

Spec: image-spec image-layout.md
"""

from __future__ import annotations

import os

from knarr.engine.image.places.place import pour
from knarr.errors import Corrupt
from knarr.oci import descriptor as d
from knarr.oci import layout
from knarr.oci.descriptor import REF_NAME
from knarr.oci.manifest import encode_index
from knarr.util.files import write_all, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from knarr.engine.image.places.place import Source
    from knarr.oci.descriptor import Descriptor


class Directory:
    """The files of a layout, for `LayoutSource`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self, name: str) -> BinaryIO:
        """Return a file, opened for reading.

        Raises: Corrupt
        """
        try:
            return open(f"{self._path}/{name}", "rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            message = f"{self._path} has no {name}: it is no OCI layout, or not whole"
            raise Corrupt(message) from error

    def read(self, name: str, limit: int) -> bytes:
        """Return the contents of a small file.

        Raises: Corrupt
        """
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            message = f"{self._path}/{name} has more than {limit} bytes"
            raise Corrupt(message)
        return data


class DirectoryTarget:
    """A layout that images are added to; what it had stays, but for names that move.

    Complete at every moment: a blob is written aside and renamed, and the index comes last.
    """

    def __init__(self, path: str) -> None:
        """Make the directory a layout, if it is none.

        Raises: Corrupt, Unsupported
        """
        self._path = path
        self._listed: list[Descriptor] = []
        os.makedirs(f"{path}/{layout.BLOBS_DIR}/sha256", exist_ok=True)
        if os.path.exists(f"{path}/{layout.INDEX_FILE}"):
            raw = Directory(path).read(layout.INDEX_FILE, layout.MAX_INDEX)
            self._listed += layout.parse_index(raw).manifests
        if os.path.exists(f"{path}/{layout.LAYOUT_FILE}"):
            layout.parse_layout(Directory(path).read(layout.LAYOUT_FILE, layout.MAX_INDEX))
        else:
            write_atomically(f"{path}/{layout.LAYOUT_FILE}", layout.render_layout())

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob is there."""
        if descriptor.media_type in d.MANIFESTS | d.INDEXES:
            return False
        return os.path.exists(self._blob(descriptor))

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob.

        Raises: Corrupt, NotFound
        """
        path = self._blob(descriptor)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pour_file(source, descriptor, path)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """List the manifest under `name`, and under no other what had this name before."""
        self._listed = [
            entry
            for entry in self._listed
            if entry.annotations.get(REF_NAME, "") != name or not name
        ]
        named = descriptor.replace(annotations=layout.annotate(descriptor.annotations, name))
        if named not in self._listed:
            self._listed.append(named)
        write_atomically(f"{self._path}/{layout.INDEX_FILE}", encode_index(self._listed).raw)

    def _blob(self, descriptor: Descriptor) -> str:
        return f"{self._path}/{layout.blob_path(descriptor.digest)}"


def pour_file(source: Source, descriptor: Descriptor, path: str) -> None:
    """Write a blob of `source`, verified, to a file that is there as a whole or not at all.

    Raises: Corrupt, NotFound
    """
    aside = _Aside(f"{path}.{os.getpid()}.tmp")
    try:
        pour(source, descriptor, aside)
        aside.finish(path)
    finally:
        aside.discard()


class _Aside:
    """A file that gets its name when it is complete."""

    def __init__(self, path: str) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)

    def write(self, data: bytes, /) -> None:
        write_all(self._descriptor, data)

    def finish(self, path: str) -> None:
        os.fsync(self._descriptor)
        os.rename(self._path, path)
        self._path = ""

    def discard(self) -> None:
        os.close(self._descriptor)
        if self._path:
            os.unlink(self._path)
