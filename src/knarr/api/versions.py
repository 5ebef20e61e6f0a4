"""Versions of the API: which there are, which one a path asks for, what older ones see.

Documents are made as the newest version wants them. `take_back` makes of them what an older one
had, by a table beside whoever renders them: version in which something changed, function that
undoes it.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Version = tuple[int, int]
    Document = dict[str, Any]
    # Version from which on a document is as it is made, and what older ones see; the newest first.
    Changes = tuple[tuple[Version, Callable[[Document], Document]], ...]

NEWEST: Version = (1, 55)
OLDEST: Version = (1, 24)
# Still answered, as by `OLDEST`: skopeo and other tools without negotiation say 1.22.
BEARABLE: Version = (1, 12)

# What `docker build` speaks by itself: 1 is POST /build, 2 would be BuildKit's gRPC.
BUILDER_VERSION = "1"


def render(version: Version) -> str:
    """Return a version as text."""
    return f"{version[0]}.{version[1]}"


def split(path: str) -> tuple[Version, str]:
    """Return the version that `path` asks for, by default the newest, and the rest of it.

    Raises: InvalidArgument
    """
    if not path.startswith("/v"):
        return NEWEST, path
    text, slash, rest = path[2:].partition("/")
    major, _, minor = text.partition(".")
    if not (slash and major.isdecimal() and minor.isdecimal() and len(text) < 10):
        return NEWEST, path
    version = (int(major), int(minor))
    if version < BEARABLE:
        message = (
            f"client version {text} is too old. Minimum supported API version is {render(OLDEST)}, "
            "please upgrade your client to a newer version"
        )
        raise InvalidArgument(message)
    if version > NEWEST:
        message = (
            f"client version {text} is too new. Maximum supported API version is {render(NEWEST)}"
        )
        raise InvalidArgument(message)
    return max(version, OLDEST), f"/{rest}"


def take_back(document: Document, version: Version, changes: Changes) -> Document:
    """Return a document as it was before those `changes` that are newer than `version`."""
    for changed, undo in changes:
        if version < changed:
            document = undo(document)
    return document
