"""Looking for images: Docker Hub's search, and the list of repositories of any other registry.

A registry of one's own mostly has no search. Then `/v2/_catalog` is read and looked through for the
term; it says names and no more.

Docker: Engine API, "Search images"; distribution-spec, "Listing Repositories" (of the 2.0 protocol)
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.oci import document
from knarr.oci.reference import DEFAULT_REGISTRY
from knarr.registry import listing
from knarr.registry.breaks import host_of
from knarr.registry.faults import clean
from knarr.registry.transfer import Session, quote
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.document import Fields
    from knarr.registry.credentials import Keychain
    from knarr.registry.handed import Handed
    from knarr.registry.hosts import Hosts
    from knarr.registry.wire import Wire

_SEARCH_HOST = "index.docker.io"
_LIBRARY = "library/"
DEFAULT_LIMIT = 25
MAX_LIMIT = 100


class Found(Value):
    """One repository that a search found. `stars` is 0 where nobody counts."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


def search(
    wire: Wire, hosts: Hosts, credentials: Keychain | Handed | None, term: str, *,
    limit: int = DEFAULT_LIMIT,
) -> list[Found]:  # fmt: skip
    """Return what `term` finds, at most `limit`; `host/term` looks at another registry.

    Raises: Unauthorized, Unavailable, Corrupt, PermissionDenied, NotFound
    """
    registry, rest = split_term(term)
    login = credentials.find(registry) if credentials is not None else None
    endpoint = hosts.registry(registry)
    if registry == DEFAULT_REGISTRY:
        endpoint = endpoint.replace(host=_SEARCH_HOST)
        session = Session(wire, endpoint, hosts, login)
        found = _search(session, rest.removeprefix(_LIBRARY), limit)
        if found is None:
            return []
        return found
    session = Session(wire, endpoint, hosts, login)
    found = _search(session, rest, limit)
    if found is not None:
        return [one.replace(name=f"{registry}/{one.name}") for one in found]
    names = (name for name in catalog(session) if rest.lower() in name.lower())
    return [Found(f"{registry}/{name}") for name, _ in zip(names, range(limit), strict=False)]


def split_term(term: str) -> tuple[str, str]:
    """Return the registry in `term`, Docker Hub if it names none, and what to look for there."""
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (DEFAULT_REGISTRY if first == _SEARCH_HOST else first), rest
    return DEFAULT_REGISTRY, term


def catalog(session: Session) -> Iterator[str]:
    """Yield the repositories of a registry, page by page.

    Raises: Unauthorized, NotFound, Unavailable, Corrupt
    """
    host = session.endpoint.host
    for page in listing.pages(session, f"/v2/_catalog?n={listing.PAGE}", ()):
        if page.refusal is not None:
            raise page.refusal.error(f"{host}: its repositories cannot be listed")
        yield from listing.texts(page, "repositories", host)


def _search(session: Session, term: str, limit: int) -> list[Found] | None:
    """Return what a search finds, None where there is none."""
    path = f"/v1/search?q={quote(term)}&n={limit}"
    reply = session.get(path)
    is_hub = session.endpoint.host == _SEARCH_HOST
    if reply.refusal is not None:
        if reply.status in (401, 403, 404, 405) and not is_hub:
            return None
        raise reply.refusal.error(f"{session.endpoint.host}: search")
    try:
        fields = document.load(reply.raw, f"the answer of {host_of(reply.url)}")
    except Corrupt:
        if is_hub:
            raise
        return None  # a web page that answers everything
    if not is_hub and "results" not in fields.object:
        return None
    return [_decode(child) for child in fields.children("results")][:limit]


def _decode(fields: Fields) -> Found:
    return Found(
        clean(fields.text("name")),
        clean(fields.text("description")),
        fields.integer("star_count"),
        fields.boolean("is_official"),
        fields.boolean("is_automated"),
    )
