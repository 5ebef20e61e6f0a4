"""What an image place is, and reading documents from one.

A *place* has blobs, and names for some of them: five methods, of which a *source* has those that
read (`resolve`, `open`) and a *target* those that write (`has`, `put`, `tag`). Whoever reads from
one verifies what comes by its digest.
"""

from __future__ import annotations

from knarr.errors import Corrupt, NotFound
from knarr.oci import descriptor as d
from knarr.oci.digest import VerifyingReader
from knarr.oci.manifest import Manifest, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Protocol

    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.manifest import Index
    from knarr.util.compression import Writer
else:
    Protocol = object

MAX_DOCUMENT = 4 << 20
MAX_NESTING = 4
_CHUNK = 1 << 20
# Attestations of BuildKit are listed as manifests for no platform.
_ATTESTATION = "vnd.docker.reference.type"


class Stream(Protocol):
    """An open blob."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""

    def close(self) -> None:
        """Give up what was needed to read."""


class Source(Protocol):
    """Where images are had from."""

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that `name` names; what a name is, the place says.

        Raises: NotFound
        """

    def open(self, descriptor: Descriptor) -> Stream:
        """Return the blob, not verified, and not necessarily of the promised size.

        Raises: NotFound
        """


class Target(Protocol):
    """Where images are given to."""

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob is here, so that it need not be put."""

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Take the blob from `source`, now or before the image is complete, and verify it.

        An image's manifest comes first, so that the place knows what to expect; then its config,
        then its layers from the bottom up.

        Raises: Corrupt
        """

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` name the manifest, all blobs of which have been put; may be empty."""


def pour(source: Source, descriptor: Descriptor, out: Writer) -> None:
    """Write a blob of `source` to `out`, and verify it.

    Raises: Corrupt
    """
    fast = getattr(source, "pour", None)
    if fast is not None:
        fast(descriptor, out)
        return
    stream = source.open(descriptor)
    try:
        reader = VerifyingReader(stream, descriptor.digest, descriptor.size)
        while data := reader.read(_CHUNK):
            out.write(data)
    finally:
        stream.close()


def open_at(source: Source, descriptor: Descriptor, offset: int) -> BinaryIO:
    """Return a blob, opened where `offset` is; it can be read and closed, no more.

    Raises: Corrupt, NotFound
    """
    stream: Any = source.open(descriptor)
    seek = getattr(stream, "seek", None)
    if seek is not None:
        seek(offset)
    while seek is None and offset > 0:
        data = stream.read(min(offset, _CHUNK))
        if not data:
            message = "a blob became shorter while it was sent"
            raise Corrupt(message)
        offset -= len(data)
    opened: BinaryIO = stream
    return opened


def read_document(source: Source, descriptor: Descriptor) -> bytes:
    """Return the contents of a small blob.

    Raises: Corrupt, NotFound
    """
    if descriptor.size > MAX_DOCUMENT:
        message = (
            f"{descriptor.digest} is to be read as a document, and has {descriptor.size} bytes"
        )
        raise Corrupt(message)
    stream = source.open(descriptor)
    try:
        return VerifyingReader(stream, descriptor.digest, descriptor.size).read()
    finally:
        stream.close()


def read_manifest(
    source: Source,
    descriptor: Descriptor,
    platform: Platform,
    *,
    way: list[Descriptor] | None = None,
) -> Manifest:
    """Return the manifest at `descriptor`, that for `platform` if it is an index.

    The indexes that led there are added to `way`.

    Raises: Corrupt, NotFound
    """
    for _ in range(MAX_NESTING):
        found = decode_manifest(read_document(source, descriptor), descriptor.media_type)
        if isinstance(found, Manifest):
            return found
        if way is not None:
            way.append(found.descriptor)
        descriptor = choose(found, platform)
    message = f"indexes are nested more than {MAX_NESTING} deep"
    raise Corrupt(message)


def is_image(entry: Descriptor, *, attestations: bool = False) -> bool:
    """Tell whether an entry of an index is a manifest or an index, and of an image."""
    if _ATTESTATION in entry.annotations and not attestations:
        return False
    return not entry.media_type or entry.media_type in d.MANIFESTS | d.INDEXES


def choose(index: Index, platform: Platform) -> Descriptor:
    """Return what an index lists for `platform`, or the only thing that it lists.

    Raises: NotFound
    """
    images = [entry for entry in index.manifests if is_image(entry)]
    for entry in images:
        if entry.platform and entry.platform.matches(platform):
            return entry
    if len(images) == 1:
        return images[0]
    there = ", ".join(sorted(str(entry.platform) for entry in images if entry.platform))
    message = f"no match for platform in manifest: {platform} not found"
    raise NotFound(message, hint=f"There is: {there}." if there else "")
