"""Images in the test registry: alone, and several under an index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support import images
from support.testregistry import INDEX

if TYPE_CHECKING:
    from support.testregistry import TestRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def offer(
    registry: TestRegistry, name: str, tag: str, layers: list[bytes], **more: Any
) -> dict[str, Any]:
    """Put an image into the registry, and return the descriptor of its manifest."""
    files = images.oci_files(layers, **more)
    (listed,) = json.loads(files["index.json"])["manifests"]
    for path, data in files.items():
        if path.startswith("blobs/"):
            registry.add_blob(name, data)
    raw = registry.blobs[name, listed["digest"]]
    registry.add_manifest(name, tag, raw, MANIFEST)
    found: dict[str, Any] = listed
    return found


def offer_index(registry: TestRegistry, name: str, tag: str) -> tuple[str, dict[str, str]]:
    """Put an index for two platforms there; return its digest and the images' IDs."""
    entries, ids = [], {}
    for architecture in ("amd64", "arm64"):
        platform = {"os": "linux", "architecture": architecture}
        layer = images.layer_tar({"for": architecture.encode()})
        config = images.config_of([layer], **platform)
        listed = offer(registry, name, "-", [layer], config=config)
        entries.append({**listed, "platform": platform})
        ids[architecture] = images.sha(config)
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return registry.add_manifest(name, tag, json.dumps(document).encode(), INDEX), ids
