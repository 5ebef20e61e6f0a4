"""Descriptors: media type, digest and size of a blob; and platforms.

Spec: image-spec descriptor.md, media-types.md
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.oci.digest import Digest
from knarr.oci.document import EMPTY, FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.oci.document import Fields

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
OCI_LAYER_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

INDEXES = frozenset((OCI_INDEX, DOCKER_LIST))
MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))

REF_NAME = "org.opencontainers.image.ref.name"
# What containerd and Docker write beside it: the whole reference, where ref.name may be a tag only.
IMAGE_NAME = "io.containerd.image.name"

# How the kernel names machines, how Go does.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv8l": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
    "mips64": ("mips64", ""),
}
# What people write, and what it is called.
_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_KNOWN_OS = frozenset(("linux", "windows", "darwin", "freebsd", "wasip1", "js"))
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
# What a word alone may mean; behind an operating system others are taken as well.
_ARCHITECTURES = """
    386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm
"""
_KNOWN_ARCHITECTURES = frozenset(_ARCHITECTURES.split())


class Platform(Value):
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return `os/architecture[/variant]`."""
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text

    def matches(self, wanted: Platform) -> bool:
        """Tell whether an image for this platform serves where `wanted` is asked for."""
        return (
            self.os == wanted.os
            and self.architecture == wanted.architecture
            and (_variant(self) == _variant(wanted) or not wanted.variant)
        )


def _variant(platform: Platform) -> str:
    # An image for arm64 says v8 or nothing, and means the same.
    default = {"arm64": "v8", "arm": "v7"}.get(platform.architecture, "")
    return platform.variant or default


def host_platform() -> Platform:
    """Return the platform of this machine."""
    import os  # noqa: PLC0415 - pure but for this

    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, "" if architecture == "arm64" else variant)


def parse_platform(text: str) -> Platform:
    """Return the platform `os/architecture[/variant]`, `os` or `architecture` that `text` names.

    Raises: InvalidArgument
    """
    parts = text.split("/")
    if len(parts) > 3 or not all(part and not part.strip(_LETTERS) for part in parts):
        message = f"{text!r} is not a platform: invalid platform"
        raise InvalidArgument(message, hint="It is os/architecture[/variant], as linux/arm64.")
    host = host_platform()
    parts = [part.lower() for part in parts]
    if len(parts) == 1:
        if parts[0] in _KNOWN_OS:
            return host.replace(os=parts[0])
        if _ALIASES.get(parts[0], parts)[0] not in _KNOWN_ARCHITECTURES:
            message = f"{text!r} is not a platform: unknown operating system or architecture"
            raise InvalidArgument(message, hint="It is os/architecture[/variant], as linux/arm64.")
        parts = [host.os, parts[0]]
    architecture, variant = _ALIASES.get(parts[1], (parts[1], ""))
    if len(parts) == 3:
        variant = parts[2] if parts[2].startswith("v") else f"v{parts[2]}"
    if (architecture, variant) == ("arm64", "v8"):
        variant = ""
    return Platform(parts[0], architecture, variant)


def decode_platform(fields: Fields) -> Platform:
    """Return the platform in a descriptor or a config."""
    return Platform(
        fields.text("os"),
        fields.text("architecture"),
        fields.text("variant"),
        fields.text("os.version"),
        fields.texts("os.features") or (),
    )


def encode_platform(platform: Platform) -> dict[str, Any]:
    """Return the JSON object of `platform`."""
    return _filled(
        {
            "os": platform.os,
            "architecture": platform.architecture,
            "variant": platform.variant,
            "os.version": platform.os_version,
            "os.features": list(platform.os_features),
        }
    )


_KNOWN = frozenset(("mediaType", "digest", "size", "annotations", "platform", "artifactType"))


class Descriptor(Value):
    """A blob as a document names it. `extra` keeps fields that knarr has no use for."""

    media_type: str
    digest: Digest
    size: int
    annotations: FrozenDict = EMPTY
    platform: Platform | None = None
    artifact_type: str = ""
    extra: FrozenDict = EMPTY


def decode_descriptor(fields: Fields) -> Descriptor:
    """Return the descriptor that `fields` hold.

    Raises: Corrupt
    """
    platform = fields.child("platform")
    return Descriptor(
        fields.text("mediaType"),
        fields.digest("digest"),
        fields.integer("size"),
        fields.mapping("annotations"),
        decode_platform(platform) if platform else None,
        fields.text("artifactType"),
        fields.rest(_KNOWN),
    )


def encode_descriptor(descriptor: Descriptor) -> dict[str, Any]:
    """Return the JSON object of `descriptor`."""
    platform = descriptor.platform
    optional = {
        "annotations": dict(descriptor.annotations),
        "platform": encode_platform(platform) if platform else None,
        "artifactType": descriptor.artifact_type,
    }
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
        **_filled(optional),
        **descriptor.extra,
    }


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}
