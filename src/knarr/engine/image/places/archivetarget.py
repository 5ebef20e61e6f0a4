"""An archive as a place that images are given to: a tar that is written from front to back.

It is an OCI layout; with `docker` it has a `manifest.json` as well, and so is at once what
`docker load`, and every tool that reads its archives, takes.

    blobs/sha256/<hex>      once each, in the order they come
    manifest.json
    index.json
    oci-layout

Equal images give equal bytes: no times but 1970, no names but numbers.

Docker: "docker save" writes the same files since version 25
"""

from __future__ import annotations

from knarr.engine.image.places.place import pour, read_document
from knarr.oci import descriptor as d
from knarr.oci import document, layout
from knarr.oci.manifest import Manifest, decode_manifest
from knarr.oci.reference import parse_reference
from knarr.util import tar
from knarr.util.tarwriter import Writer as TarWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.image.places.place import Source
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Index
    from knarr.util.compression import Writer


class ArchiveTarget:
    """An archive that is written to `out`; whole only after `close`."""

    def __init__(self, out: Writer, *, docker: bool) -> None:
        """Begin; with `docker` Docker's own manifest is written as well."""
        self._tar = TarWriter(out)
        self._docker = docker
        self._written: set[Digest] = set()
        self._manifests: dict[Digest, Manifest | Index] = {}
        self._names: dict[Digest, list[str]] = {}
        self._listed: dict[Digest, Descriptor] = {}
        self._directory("blobs")
        self._directory("blobs/sha256")

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob was written."""
        return descriptor.digest in self._written

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob.

        Raises: Corrupt, NotFound
        """
        digest = descriptor.digest
        if descriptor.media_type in d.MANIFESTS | d.INDEXES:
            raw = read_document(source, descriptor)
            self._manifests[digest] = decode_manifest(raw, descriptor.media_type)
        if digest.algorithm != "sha256":
            self._directory(f"blobs/{digest.algorithm}")
        self._tar.begin(_entry(layout.blob_path(digest), descriptor.size))
        pour(source, descriptor, self._tar)
        self._tar.end()
        self._written.add(digest)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` name the manifest."""
        names = self._names.setdefault(descriptor.digest, [])
        self._listed[descriptor.digest] = descriptor
        if name:
            names.append(name)

    def close(self) -> None:
        """Write what lists the images."""
        if self._docker:
            self._file("manifest.json", document.dump(self._docker_manifest()))
        named = [
            (name, self._listed[digest])
            for digest, names in self._names.items()
            for name in names or [""]
        ]
        self._file(layout.INDEX_FILE, layout.render_index(named))
        self._file(layout.LAYOUT_FILE, layout.render_layout())
        self._tar.close()

    def _docker_manifest(self) -> list[dict[str, Any]]:
        found = []
        for digest, names in self._names.items():
            manifest = self._manifests[digest]
            if not isinstance(manifest, Manifest):
                continue  # Docker's own list has no place for an index
            found.append(
                {
                    "Config": layout.blob_path(manifest.config.digest),
                    "RepoTags": [parse_reference(name).familiar() for name in names] or None,
                    "Layers": [layout.blob_path(layer.digest) for layer in manifest.layers],
                }
            )
        return found

    def _file(self, name: str, data: bytes) -> None:
        self._tar.add(_entry(name, len(data)), data)

    def _directory(self, name: str) -> None:
        entry = tar.Entry(f"{name}/".encode(), tar.DIRECTORY)
        entry.mode = 0o755
        self._tar.add(entry)


def _entry(name: str, size: int) -> tar.Entry:
    return tar.Entry(name.encode(), tar.REGULAR, size=size)
