"""What both versions of the service have in common: requests, refusals, and bodies in pieces."""

from __future__ import annotations

import itertools

from knarr.errors import Conflict, PermissionDenied, Unauthorized, Unavailable
from knarr.oci import document
from knarr.registry.breaks import host_of
from knarr.registry.faults import Refusal
from knarr.registry.hosts import ALWAYS, NEVER, Endpoint
from knarr.registry.transfer import Patience, Session
from knarr.registry.upload import Part
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO, Protocol

    from knarr.engine.registries import Registries
    from knarr.errors import KnarrError
    from knarr.oci.document import Fields
    from knarr.registry.wire import Answer, Stream
else:
    Protocol = object

# Every entry has a version besides its key: BuildKit's is the sha256 of "|go-actionscache-1.0".
VERSION = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2"
PIECE = 32 << 20
_ANSWER = 64 << 10
_OCTETS = "application/octet-stream"
_HINT = "The token of a job is good while the job runs; that of a fork may only read."
_AGAIN = "With ignore-error=true a build goes on without it. What was sent already stays."


class Found(Value):
    """An entry: its whole key, and where its bytes are, which holds for some minutes."""

    key: str
    url: str


class Slot(Value):
    """A key that is reserved: what the service knows it by, and where its bytes go."""

    key: str
    place: str


class Body(Value):
    """Bytes to be sent, of known size, that can be opened from any offset as often as needed."""

    size: int
    open: Callable[[int], BinaryIO]

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield offset and size of each piece."""
        for offset in range(0, self.size, PIECE):
            yield offset, min(PIECE, self.size - offset)


class Service(Protocol):
    """A version of the service."""

    def find(self, key: str) -> Found | None:
        """Return the newest entry whose key begins with `key`."""

    def reserve(self, key: str) -> Slot:
        """Reserve a key. Raises: Conflict (somebody has)"""

    def upload(self, slot: Slot, body: Body) -> None:
        """Send the bytes."""

    def commit(self, slot: Slot, size: int) -> None:
        """Let the entry be found, now that all is there."""


def connect(registries: Registries, url: str, patience: Patience) -> Session:
    """Return what requests to the host in `url` are sent with; nothing is sent yet."""
    host = host_of(url)
    plain = ALWAYS if url.startswith("http://") else NEVER
    endpoint = Endpoint(host, host, "", registries.hosts.security(host), plain)
    return Session(
        registries.wire, endpoint, registries.hosts, None, patience=patience, listener=registries
    )


def patience_of(timeout: float) -> Patience:
    """Return the patience to try again for `timeout` seconds, if the service lets us."""
    endless = Patience(attempts=1 << 20, longest_asked=timeout)
    pauses = itertools.accumulate(endless.pauses())
    return endless.replace(attempts=1 + sum(1 for _ in itertools.takewhile(timeout.__ge__, pauses)))


class Caller:
    """Requests to the service, and to where it has its bytes. For any number of threads."""

    def __init__(self, session: Session, token: str) -> None:
        """Send the token with what goes to the service itself."""
        self.session = session
        self._token = token

    def ask(self, method: str, url: str, value: object = None, accept: str = "") -> Fields | None:
        """Return the document that the service answers with, None if it has nothing to say.

        Raises: Conflict, Unauthorized, PermissionDenied, Unavailable, Corrupt
        """
        headers = self._headers(accept)
        body = None
        if value is not None:
            headers["Content-Type"] = "application/json"
            body = jsontext.dumps(value).encode()
        answer = self._request(method, url, headers, body)
        if answer.status not in (200, 201, 204):
            raise refused(answer)
        raw = b"" if answer.status == 204 else answer.body(_ANSWER)
        answer.close()
        return document.load(raw, "answer of the cache service") if raw.strip() else None

    def send_part(
        self, method: str, url: str, body: Body, offset: int, size: int,
        headers: Mapping[str, str], *, identified: bool = False,
    ) -> None:  # fmt: skip
        """Send `size` bytes from `offset` on. Raises: as `ask`"""
        given = self._headers() if identified else {}
        given |= {"Content-Type": _OCTETS, "Content-Length": str(size), **headers}
        source = (lambda: Part(body.open(offset), size, offset)) if size else b""
        self.send(method, url, given, source)

    def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Callable[[], Stream]
    ) -> None:
        """Send bytes to where they are kept. Raises: as `ask`"""
        answer = self._request(method, url, headers, body)
        if answer.status not in (200, 201, 202, 204):
            raise refused(answer)
        answer.drop()

    def _headers(self, accept: str = "application/json") -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Accept": accept or "application/json"}

    def _request(
        self, method: str, url: str, headers: dict[str, str],
        body: bytes | Callable[[], Stream] | None,
    ) -> Answer:  # fmt: skip
        try:
            return self.session.request(method, url, headers=headers, body=body)
        except Unavailable as error:
            raise Unavailable(error.message, hint=_AGAIN) from None


def refused(answer: Answer) -> KnarrError:
    """Return what a refusal of the service means."""
    refusal = Refusal(answer)
    if refusal.status == 409:
        return Conflict(f"the cache service has it already: {refusal.words}")
    error = refusal.error()
    if isinstance(error, Unauthorized | PermissionDenied):
        error.hint = _HINT
    return error
