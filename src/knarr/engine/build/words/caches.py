"""`build --cache-from`, `--cache-to`: from the command line to places of caches.

Docker: a text without `=` is a reference; BUILDKIT_INLINE_CACHE=1 as a build argument is
type=inline
"""

from __future__ import annotations

import os

from knarr.engine.build.caching.places import (
    INLINE,
    LOCAL,
    MAX,
    MIN,
    REGISTRY,
    CachePlace,
    CacheTarget,
)
from knarr.engine.build.words.fields import parse_compression, parse_fields, parse_flag
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SOURCES = {REGISTRY: ("ref",), LOCAL: ("src", "tag", "digest")}
_COMPRESSION = ("compression", "compression-level", "force-compression")
_GIVING = ("mode", "mounts", "ignore-error", "oci-mediatypes", "image-manifest", *_COMPRESSION)
_TARGETS = {
    INLINE: ("mode",),
    REGISTRY: ("ref", *_GIVING),
    LOCAL: ("dest", "tag", *_GIVING),
}
_ELSEWHERE = ("gha", "s3", "azblob")


def parse_sources(texts: list[str]) -> tuple[CachePlace, ...]:
    """Read each `REF`, `type=registry,ref=REF` or `type=local,src=DIR[,tag=…][,digest=…]`.

    Raises: InvalidArgument
    """
    found = []
    for text in texts:
        kind, fields = _fields(text, _SOURCES)
        if kind == LOCAL:
            from knarr.oci.digest import Digest  # noqa: PLC0415 - for few builds

            directory = os.path.abspath(_needed(text, fields, "src"))
            digest = Digest(fields["digest"]) if fields.get("digest") else None
            tag = fields.get("tag") or "latest"
            found.append(CachePlace(LOCAL, directory=directory, tag=tag, digest=digest))
        else:
            found.append(_registry(text, fields))
    return tuple(found)


def parse_targets(texts: list[str], arguments: Mapping[str, str]) -> tuple[CacheTarget, ...]:
    """Read each `type=TYPE[,KEY=VALUE…]`; build arguments may ask for a cache, too.

    Raises: InvalidArgument
    """
    found = [_target(text) for text in texts]
    if arguments.get("BUILDKIT_INLINE_CACHE") in ("1", "true"):
        found.append(CacheTarget(CachePlace(INLINE)))
    return tuple(found)


def _target(text: str) -> CacheTarget:
    kind, fields = _fields(text, _TARGETS)
    mode = fields.get("mode") or MIN
    if mode not in (MIN, MAX) or (kind == INLINE and mode != MIN):
        message = f"invalid mode {mode} of cache {text}"
        raise InvalidArgument(message, hint="It is min or max; inline has the image's layers only.")
    if kind == INLINE:
        return CacheTarget(CachePlace(INLINE))
    mounts = fields.get("mounts", "")
    if mounts not in ("", "all"):
        message = f"invalid mounts {mounts} of cache {text}"
        raise InvalidArgument(message, hint="It is all.")
    if kind == LOCAL:
        directory = os.path.abspath(_needed(text, fields, "dest"))
        place = CachePlace(LOCAL, directory=directory, tag=fields.get("tag") or "latest")
    else:
        place = _registry(text, fields)
    if not parse_flag(fields, "image-manifest", default=True):
        message = "a cache is a manifest here: image-manifest=false is not"
        hint = "Many registries refuse the older index of blobs; it is read all the same."
        raise InvalidArgument(message, hint=hint)
    return CacheTarget(
        place,
        mode,
        parse_compression(fields),
        docker=not parse_flag(fields, "oci-mediatypes", default=True),
        mounts=bool(mounts),
        ignore_error=parse_flag(fields, "ignore-error", default=False),
    )


def _fields(text: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, str]]:
    """Return the type of a cache and what else is said of it."""
    if "=" not in text:
        return REGISTRY, {"ref": text}
    fields = parse_fields(text)
    kind = fields.pop("type", "")
    if kind not in known:
        message = f"unknown type of cache {kind or 'in ' + text}"
        hint = f"It is one of {', '.join(known)}."
        if kind in _ELSEWHERE:
            hint += " Caches of clouds are not talked to: a registry serves everywhere."
        raise InvalidArgument(message, hint=hint)
    unknown = sorted(fields.keys() - set(known[kind]))
    if unknown:
        message = f"invalid cache {text}: there is no {unknown[0]}"
        raise InvalidArgument(message, hint=f"It takes {', '.join(known[kind])}.")
    return kind, fields


def _registry(text: str, fields: Mapping[str, str]) -> CachePlace:
    from knarr.oci.reference import parse_reference  # noqa: PLC0415 - for few builds

    reference = parse_reference(_needed(text, fields, "ref")).with_default_tag()
    return CachePlace(REGISTRY, reference)


def _needed(text: str, fields: Mapping[str, str], key: str) -> str:
    if not fields.get(key):
        message = f"cache {text} needs {key}="
        raise InvalidArgument(message)
    return fields[key]
