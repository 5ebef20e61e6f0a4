"""The documents that make a directory an OCI layout: `oci-layout` and `index.json`.

    oci-layout              {"imageLayoutVersion":"1.0.0"}
    index.json              what can be found here, by name
    blobs/sha256/<hex>      everything else

Spec: image-spec image-layout.md
"""

from __future__ import annotations

from knarr.errors import Unsupported
from knarr.oci import document
from knarr.oci.descriptor import IMAGE_NAME, REF_NAME, Descriptor
from knarr.oci.document import FrozenDict
from knarr.oci.manifest import Index, decode_manifest, encode_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.digest import Digest

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
BLOBS_DIR = "blobs"
VERSION = "1.0.0"
MAX_INDEX = document.MAX_SIZE


def render_layout() -> bytes:
    """Return the contents of `oci-layout`."""
    return document.dump({"imageLayoutVersion": VERSION})


def parse_layout(raw: bytes) -> None:
    """Check the contents of `oci-layout`.

    Raises: Corrupt, Unsupported
    """
    version = document.load(raw, LAYOUT_FILE).text("imageLayoutVersion")
    if version.partition(".")[0] != "1":
        message = f"OCI layout is of version {version or 'unknown'}, not {VERSION}"
        raise Unsupported(message)


def parse_index(raw: bytes) -> Index:
    """Return what `index.json` lists.

    Raises: Corrupt
    """
    index = decode_manifest(raw, None)
    if not isinstance(index, Index):
        document.load(raw, INDEX_FILE).refuse("manifests", "a list of descriptors")
    return index


def render_index(named: Iterable[tuple[str, Descriptor]]) -> bytes:
    """Return an `index.json` that lists each descriptor under the full reference before it.

    An empty reference lists the descriptor without a name.
    """
    manifests = [
        descriptor.replace(annotations=annotate(descriptor.annotations, reference))
        for reference, descriptor in named
    ]
    return encode_index(manifests).raw


def annotate(annotations: FrozenDict, reference: str) -> FrozenDict:
    """Return `annotations` and the two by which readers find the name of an image.

    Docker and containerd read the whole reference in an annotation of their own, and write only
    the tag into the standard one. Tools of other origin take the standard one as the name, and
    accept the whole reference there; so that is what knarr writes.
    """
    if not reference:
        return annotations
    return FrozenDict({**annotations, IMAGE_NAME: reference, REF_NAME: reference})


def blob_path(digest: Digest) -> str:
    """Return where the blob lies, relative to the layout."""
    return f"{BLOBS_DIR}/{digest.algorithm}/{digest.hex}"
