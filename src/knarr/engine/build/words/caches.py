"""`build --cache-from`, `--cache-to`: from the command line to places of caches.

No message has the text itself, in which there may be the token of a job.

Docker: a text without `=` is a reference; BUILDKIT_INLINE_CACHE=1 as a build argument is
type=inline
"""

from __future__ import annotations

import os

from knarr.engine.build.caching.places import (
    GHA,
    INLINE,
    LOCAL,
    MAX,
    MIN,
    REGISTRY,
    CachePlace,
    CacheTarget,
)
from knarr.engine.build.words.actions import KEYS, parse_actions
from knarr.engine.build.words.fields import parse_compression, parse_fields, parse_flag
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SOURCES = {REGISTRY: ("ref",), LOCAL: ("src", "tag", "digest"), GHA: KEYS}
_COMPRESSION = ("compression", "compression-level", "force-compression")
_GIVING = ("mode", "mounts", "ignore-error", *_COMPRESSION)
_ARTIFACT = ("oci-mediatypes", "image-manifest")
_TARGETS = {
    INLINE: ("mode",),
    REGISTRY: ("ref", *_GIVING, *_ARTIFACT),
    LOCAL: ("dest", "tag", *_GIVING, *_ARTIFACT),
    GHA: (*KEYS, *_GIVING),
}
_ELSEWHERE = ("s3", "azblob")


def parse_sources(texts: list[str], environ: Mapping[str, str]) -> tuple[CachePlace, ...]:
    """Read each `REF` or `type=TYPE[,KEY=VALUE…]`; a job of GitHub's has more in `environ`.

    Raises: InvalidArgument
    """
    found = []
    for text in texts:
        kind, fields = _fields(text, _SOURCES)
        if kind == LOCAL:
            from knarr.oci.digest import Digest  # noqa: PLC0415 - for few builds

            directory = os.path.abspath(_needed(kind, fields, "src"))
            digest = Digest(fields["digest"]) if fields.get("digest") else None
            tag = fields.get("tag") or "latest"
            found.append(CachePlace(LOCAL, directory=directory, tag=tag, digest=digest))
        elif kind == GHA:
            found.append(CachePlace(GHA, actions=parse_actions(fields, environ)))
        else:
            found.append(_registry(fields))
    return tuple(found)


def parse_targets(
    texts: list[str], arguments: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[CacheTarget, ...]:
    """Read each as a source is read; build arguments may ask for a cache, too.

    Raises: InvalidArgument
    """
    found = [_target(text, environ) for text in texts]
    if arguments.get("BUILDKIT_INLINE_CACHE") in ("1", "true"):
        found.append(CacheTarget(CachePlace(INLINE)))
    return tuple(found)


def _target(text: str, environ: Mapping[str, str]) -> CacheTarget:
    kind, fields = _fields(text, _TARGETS)
    mode = fields.get("mode") or MIN
    if mode not in (MIN, MAX) or (kind == INLINE and mode != MIN):
        message = f"invalid mode {mode} of a cache of type={kind}"
        raise InvalidArgument(message, hint="It is min or max; inline has the image's layers only.")
    if kind == INLINE:
        return CacheTarget(CachePlace(INLINE))
    mounts = fields.get("mounts", "")
    if mounts not in ("", "all"):
        message = f"invalid mounts {mounts} of a cache of type={kind}"
        raise InvalidArgument(message, hint="It is all.")
    if kind == LOCAL:
        directory = os.path.abspath(_needed(kind, fields, "dest"))
        place = CachePlace(LOCAL, directory=directory, tag=fields.get("tag") or "latest")
    elif kind == GHA:
        place = CachePlace(GHA, actions=parse_actions(fields, environ))
    else:
        place = _registry(fields)
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
        message = f"unknown type of cache {kind or '(none)'}"
        hint = f"It is one of {', '.join(known)}."
        if kind in _ELSEWHERE:
            hint += " Buckets of clouds are not talked to: a registry serves everywhere."
        raise InvalidArgument(message, hint=hint)
    unknown = sorted(fields.keys() - set(known[kind]))
    if unknown:
        message = f"invalid cache of type={kind}: there is no {unknown[0]}"
        raise InvalidArgument(message, hint=f"It takes {', '.join(known[kind])}.")
    return kind, fields


def _registry(fields: Mapping[str, str]) -> CachePlace:
    from knarr.oci.reference import parse_reference  # noqa: PLC0415 - for few builds

    reference = parse_reference(_needed(REGISTRY, fields, "ref")).with_default_tag()
    return CachePlace(REGISTRY, reference)


def _needed(kind: str, fields: Mapping[str, str], key: str) -> str:
    if not fields.get(key):
        message = f"a cache of type={kind} needs {key}="
        raise InvalidArgument(message)
    return fields[key]
