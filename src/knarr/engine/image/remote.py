"""What a registry says of an image that need not be here."""

from __future__ import annotations

from knarr.oci import descriptor as d
from knarr.oci.config import decode_config
from knarr.oci.digest import VerifyingReader
from knarr.oci.manifest import Index, decode_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.oci.manifest import Manifest
    from knarr.oci.reference import Reference
    from knarr.registry.client import Repository


def describe(engine: Engine, reference: Reference) -> tuple[d.Descriptor, list[d.Platform]]:
    """Return what a registry has as `reference`, and the platforms that there are images for.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    repository = engine.registries.connect(reference)
    fetched = repository.manifest(reference.digest or reference.tag or "")
    found = decode_manifest(fetched.raw, fetched.media_type)
    if isinstance(found, Index):
        return found.descriptor, [one.platform for one in found.manifests if one.platform]
    platform = platform_of(repository, found)
    return found.descriptor, [platform] if platform else []


def platform_of(repository: Repository, manifest: Manifest) -> d.Platform | None:
    """Return the platform that the config of an image names; what is no image has none.

    Raises: NotFound, Unauthorized, Unavailable, Corrupt
    """
    if manifest.config.media_type not in d.CONFIGS:
        return None
    with repository.blob(manifest.config) as stream:
        reader = VerifyingReader(stream, manifest.config.digest, manifest.config.size)
        return decode_config(reader.read()).platform
