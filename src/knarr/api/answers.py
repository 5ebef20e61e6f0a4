"""The kinds of answers that handlers return, as values. `connection` puts them into bytes.

What takes its time, or has no end, is written by a function that the answer holds, into an
`outlet.Outlet`: `Stream` writes bytes, `JsonLines` documents. It is called when the head of the
answer is settled; what it raises before it wrote anything becomes the answer instead.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.api.outlet import Outlet
    from knarr.api.takeover import Taken

Headers = tuple[tuple[str, str], ...]

JSON = "application/json"
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
TAR = "application/x-tar"


class Json(Value):
    """A document."""

    document: Any
    status: int = 200
    headers: Headers = ()


class Encoded(Value):
    """A document that is JSON already."""

    data: bytes
    status: int = 200
    headers: Headers = ()


class Empty(Value):
    """No body: done (204), already so (304), here it is (200)."""

    status: int = 204
    headers: Headers = ()


class Text(Value):
    """Plain words."""

    text: str
    status: int = 200
    headers: Headers = ()


class Stream(Value):
    """Bytes of unknown length. `prompt`: the head is sent before the first of them is there."""

    work: Callable[[Outlet], None]
    content_type: str = "application/octet-stream"
    prompt: bool = False
    headers: Headers = ()


class JsonLines(Value):
    """Documents, one a line. What goes wrong after the first one is a document, too.

    Docker: `{"errorDetail": {"message": …}, "error": …}`
    """

    work: Callable[[Outlet], None]
    content_type: str = JSON
    prompt: bool = False
    headers: Headers = ()


class Hijack(Value):
    """The connection itself, no longer HTTP: `serve` gets it, and it is closed afterwards.

    Who asks with `Upgrade` for one of `protocols` gets 101, anybody else 200 and the same bytes,
    unless one `must` ask. `headers` are for the former.
    """

    serve: Callable[[Taken], None]
    content_type: str = RAW
    protocols: tuple[str, ...] = ("tcp",)
    must: bool = False
    headers: Headers = ()


Answer = Json | Encoded | Empty | Text | Stream | JsonLines | Hijack
