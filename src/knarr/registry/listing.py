"""Lists that come in pages: tags, repositories, referrers.

The next page is where the field Link says. A registry that leads round in a circle, or to another
host, is refused.

Spec: distribution-spec, "Listing Tags"; RFC 8288
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.oci import document
from knarr.registry.transfer import join, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.registry.transfer import Reply, Session

PAGE = 1000
MAX_PAGES = 10_000


def pages(session: Session, path: str, scopes: tuple[str, ...]) -> Iterator[Reply]:
    """Yield all pages, the first of which may be a refusal.

    Raises: Corrupt, Unavailable, Unauthorized
    """
    seen: set[str] = set()
    while path:
        if path in seen or len(seen) >= MAX_PAGES:
            message = f"{session.endpoint.host}: its list leads round in a circle"
            raise Corrupt(message)
        seen.add(path)
        reply = session.get(path, scopes=scopes)
        link = next_link(reply.links)
        target = join(reply.url, link) if link else ""
        if target and origin(target) != origin(reply.url):
            message = f"{session.endpoint.host}: its list goes on at another host"
            raise Corrupt(message)
        path = target if reply.refusal is None else ""
        yield reply


def next_link(lines: list[str]) -> str:
    """Return the target of the link with the relation `next`, empty if there is none."""
    for line in lines:
        for part in line.split("<")[1:]:
            target, _, parameters = part.partition(">")
            for parameter in parameters.split(";")[1:]:
                name, _, value = parameter.partition("=")
                relations = value.strip().rstrip(",").strip().strip('"').lower().split()
                if name.strip().lower() == "rel" and "next" in relations:
                    return target
    return ""


def texts(reply: Reply, key: str, host: str) -> tuple[str, ...]:
    """Return the strings under `key` in a page."""
    return document.load(reply.raw, f"the list of {key} of {host}").texts(key) or ()
