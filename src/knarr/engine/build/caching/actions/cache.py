"""The cache service as a place of caches: blobs under their digests, a document for each branch.

A key is given once. So a blob that somebody else is just sending is taken for sent, and a document
never changes: each export writes one with the next number, and the newest counts. A number that is
reserved belongs to a build that ends at the same time, which is waited for, or to one that was
killed, which is passed over.
"""

from __future__ import annotations

import io
import threading
import time

from knarr.engine.build.caching.actions import listing
from knarr.engine.build.caching.actions.calls import Body, Caller, connect, patience_of
from knarr.engine.build.caching.actions.first import First
from knarr.engine.build.caching.actions.reading import EntryReader
from knarr.engine.build.caching.actions.second import Second
from knarr.engine.build.caching.actions.tokens import read_scopes, writable
from knarr.engine.image.places.place import MAX_DOCUMENT, open_at
from knarr.errors import Conflict, Corrupt, KnarrError, PermissionDenied
from knarr.oci.digest import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from knarr.engine.build.caching.actions.calls import Service, Slot
    from knarr.engine.build.caching.places import ActionsCache
    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source, Stream
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest

BLOB = "buildkit-blob-1-"
_PAUSE = 2.0  # seconds between two looks for a document that somebody else writes
_LOOKS = 8  # after which whoever has reserved its number is taken for dead
_MOST_DEAD = 100


class ActionsPlace:
    """What the service has of one cache; a source, a target, and what keeps its documents."""

    described = True  # the document is all there is: no manifest says what the blobs are

    def __init__(self, engine: Engine, cache: ActionsCache) -> None:
        """Read the token; ask nothing yet. Raises: InvalidArgument, Unauthorized"""
        self._engine = engine
        self._cache = cache
        self._scopes = read_scopes(cache.token)
        self._session = connect(engine.registries, cache.url, patience_of(cache.timeout))
        caller = Caller(self._session, cache.token)
        kind = First if cache.version == 1 else Second
        self._service: Service = kind(caller, cache.url)
        self._there: set[str] | None = None
        self._lock = threading.Lock()

    # documents

    def documents(self) -> Iterator[bytes]:
        """Yield the newest document of each branch that the job may read.

        Raises: NotFound, Unauthorized, PermissionDenied, Unavailable, Corrupt
        """
        for scope in self._scopes:
            found = self._service.find(f"{self._document_key(scope.name)}#")
            if found is not None:
                reply = self._session.get(found.url, limit=MAX_DOCUMENT)
                if reply.refusal is not None:
                    raise reply.refusal.error(f"reading {found.key}")
                yield reply.raw

    def keep(self, raw: bytes, layers: list[Descriptor]) -> Digest:
        """Write the document of a cache whose blobs are there.

        Raises: PermissionDenied, Unauthorized, Unavailable, Conflict, Corrupt, Failed
        """
        del layers
        save_document(self._service, self._document_key(self._writable()), raw)
        return digest_of(raw)

    def _document_key(self, scope: str) -> str:
        return f"index-{self._cache.scope}-1-{digest_of(scope.encode()).hex[:8]}"

    def _writable(self) -> str:
        """Return the branch that the job may write to. Raises: PermissionDenied"""
        scope = writable(self._scopes)
        if scope is None:
            message = "this job may only read caches of GitHub Actions"
            hint = "That of a pull request from a fork is one; ignore-error=true lets it go on."
            raise PermissionDenied(message, hint=hint)
        return scope

    # blobs

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the service has a blob."""
        key = f"{BLOB}{descriptor.digest}"
        if self._cache.github_token:
            return key in self._listed()
        found = self._service.find(key)
        return found is not None and found.key == key

    def _listed(self) -> set[str]:
        """Return the keys of all blobs, asked for once, for who may list them."""
        with self._lock:
            if self._there is None:
                self._there = self._list()
            return self._there

    def _list(self) -> set[str]:
        cache = self._cache
        session = connect(self._engine.registries, cache.api, patience_of(cache.timeout))
        return set(listing.keys_of(session, cache, self._scopes, BLOB))

    def put(self, descriptor: Descriptor, source: Source) -> None:
        """Send a blob, unless somebody else does.

        Raises: PermissionDenied, Unauthorized, Unavailable, Corrupt, Failed
        """
        self._writable()

        def reopen(offset: int) -> BinaryIO:
            return open_at(source, descriptor, offset)

        try:
            slot = self._service.reserve(f"{BLOB}{descriptor.digest}")
        except Conflict:
            return
        _fill(self._service, slot, Body(descriptor.size, reopen))

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Raise: nothing here has a name."""
        raise AssertionError(name, descriptor)

    def resolve(self, name: str) -> Descriptor:
        """Raise: nothing here has a name."""
        raise AssertionError(name)

    def open(self, descriptor: Descriptor) -> Stream:
        """Return a blob. Raises: NotFound, Unauthorized, Unavailable, Corrupt"""
        reader = EntryReader(self._session, self._service, descriptor, f"{BLOB}{descriptor.digest}")
        reader.open(0)
        return reader


def save_document(
    service: Service, key: str, raw: bytes, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Write `raw` as the newest document of the family `key`.

    Raises: Conflict, PermissionDenied, Unauthorized, Unavailable, Corrupt, Failed
    """
    body = Body(len(raw), lambda offset: io.BytesIO(raw[offset:]))
    dead = 0
    for look in range(_LOOKS + _MOST_DEAD):
        number = _newest(service, key) + 1 + dead
        try:
            slot = service.reserve(f"{key}#{number}")
        except Conflict:
            if look < _LOOKS:
                sleep(_PAUSE)
            else:
                dead += 1
        else:
            _fill(service, slot, body)
            return
    message = f"{_MOST_DEAD} numbers of {key} in the cache service are reserved, and never written"
    raise Conflict(message, hint="Another scope= has numbers of its own.")


def _newest(service: Service, key: str) -> int:
    """Return the number of the newest document, 0 if there is none. Raises: Corrupt"""
    found = service.find(f"{key}#")
    if found is None:
        return 0
    text = found.key.removeprefix(f"{key}#")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        message = f"the cache service has {found.key[:200]!r}, which has no number"
        raise Corrupt(message)
    return int(text)


def _fill(service: Service, slot: Slot, body: Body) -> None:
    """Make the entry for which a key is reserved. Raises: what the service raises"""
    service.upload(slot, body)
    try:
        service.commit(slot, body.size)
    except KnarrError:
        found = service.find(slot.key)  # if the answer to a first try was lost
        if found is None or found.key != slot.key:
            raise
