"""Which blobs a repository's caches have, from GitHub's API: one question in place of one a layer.

Docker: BuildKit does so if it is given `repository` and `ghtoken`
"""

from __future__ import annotations

from knarr.oci import document
from knarr.registry.transfer import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.build.caching.actions.tokens import Scope
    from knarr.engine.build.caching.places import ActionsCache
    from knarr.registry.transfer import Session

_PAGE = 100
_LIMIT = 4 << 20


def keys_of(
    session: Session, cache: ActionsCache, scopes: tuple[Scope, ...], prefix: str
) -> Iterator[str]:
    """Yield the keys that begin with `prefix`, of all scopes.

    Raises: Unauthorized, PermissionDenied, NotFound, Unavailable, Corrupt
    """
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {cache.github_token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    base = f"{cache.api.rstrip('/')}/repos/{cache.repository}/actions/caches"
    for scope in scopes:
        total, page = 1, 0
        while page * _PAGE < total:
            page += 1
            query = f"per_page={_PAGE}&page={page}&key={quote(prefix)}&ref={quote(scope.name)}"
            reply = session.get(f"{base}?{query}", headers=headers, limit=_LIMIT)
            if reply.refusal is not None:
                raise reply.refusal.error(f"listing the caches of {cache.repository}")
            fields = document.load(reply.raw, "list of caches", limit=_LIMIT)
            total = fields.integer("total_count")
            yield from (entry.text("key") for entry in fields.children("actions_caches"))
