"""The first version of the service, which GitHub's own has given up, and others still speak.

    GET   …/_apis/artifactcache/cache?keys=…&version=…   → 200 and where it is, or 204
    POST  …/caches        {key, version}                 → the number of the upload; 409: there is
    PATCH …/caches/N      Content-Range: bytes 0-99/*      a piece
    POST  …/caches/N      {size}                           that was all

Spec: tonistiigi/go-actions-cache, api.md
"""

from __future__ import annotations

from knarr.engine.build.caching.actions.calls import VERSION, Found, Slot
from knarr.errors import Corrupt
from knarr.registry.transfer import join, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.build.caching.actions.calls import Body, Caller

_ACCEPT = "application/json;api-version=6.0-preview.1"


class First:
    """The service at one URL."""

    def __init__(self, caller: Caller, url: str) -> None:
        """Ask nothing yet."""
        self._caller = caller
        self._base = f"{url.rstrip('/')}/_apis/artifactcache"

    def find(self, key: str) -> Found | None:
        """Return the newest entry whose key begins with `key`."""
        url = f"{self._base}/cache?keys={quote(key)}&version={VERSION}"
        found = self._caller.ask("GET", url, accept=_ACCEPT)
        if found is None or not found.text("cacheKey"):
            return None
        return Found(found.text("cacheKey"), join(url, found.text("archiveLocation")))

    def reserve(self, key: str) -> Slot:
        """Reserve a key. Raises: Conflict (somebody has), Corrupt"""
        value = {"key": key, "version": VERSION}
        answer = self._caller.ask("POST", f"{self._base}/caches", value, accept=_ACCEPT)
        number = answer and (answer.integer("cacheId") or answer.integer("cacheID"))
        if not number:
            message = "the cache service gave no number to an upload"
            raise Corrupt(message)
        return Slot(key, f"{self._base}/caches/{number}")

    def upload(self, slot: Slot, body: Body) -> None:
        """Send the bytes, piece by piece."""
        for offset, size in body.pieces():
            headers = {"Content-Range": f"bytes {offset}-{offset + size - 1}/*", "Accept": _ACCEPT}
            self._caller.send_part(
                "PATCH", slot.place, body, offset, size, headers, identified=True
            )

    def commit(self, slot: Slot, size: int) -> None:
        """Let the entry be found."""
        self._caller.ask("POST", slot.place, {"size": size}, accept=_ACCEPT)
