"""Putting a blob into a repository.

    POST …/blobs/uploads/          → 202, Location: where this upload goes on
    PUT  Location?digest=…         all of it at once, the usual way

If the connection is cut, the registry is asked how much it has (`GET Location`), and the rest is
sent in pieces (`PATCH`), ended by an empty `PUT`. The same when the registry says that a piece is
too large (413). If it has forgotten the upload, a new one is begun: docker-registry 2.8 does so
whenever a request was cut. Getting further than ever begins the count of attempts again.

`Location` changes with every answer and may be relative, have a query, or lie on another host,
which then gets no credentials of ours.

Spec: distribution-spec, "Pushing blobs"
"""

from __future__ import annotations

from knarr.errors import Corrupt, Unavailable
from knarr.registry.breaks import Cut
from knarr.registry.faults import Refusal, push_error
from knarr.registry.transfer import TRANSIENT, join, quote, seconds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, Self

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.reference import Reference
    from knarr.registry.transfer import Session
    from knarr.registry.wire import Answer

PIECE = 16 << 20
_OCTETS = "application/octet-stream"


def _nothing(count: int) -> None:
    del count


class Upload:
    """The upload of one blob."""

    def __init__(
        self, session: Session, path: str, scopes: tuple[str, ...], reference: Reference
    ) -> None:
        """Prepare; `run` begins."""
        self._session = session
        self._path = path
        self._scopes = scopes
        self._reference = reference
        self._retries = session.retries()
        self._location = ""
        self._piece = PIECE

    def run(
        self,
        descriptor: Descriptor,
        open: Callable[[int], BinaryIO],  # noqa: A002 - as in Repository.upload_blob
        progress: Callable[[int], None] | None = None,
        *,
        location: str = "",
    ) -> None:
        """Upload all of it; `location` is an upload that was begun already.

        Raises: Unauthorized, Unavailable, Corrupt, and what `open` raises
        """
        tell = progress or _nothing
        if location:
            self._location = join(self._session.absolute(self._path), location)
        else:
            self._begin()
        whole, offset, furthest = True, 0, 0
        while True:
            try:
                if whole or offset >= descriptor.size:
                    self._put(descriptor, offset, open, tell)
                    return
                offset = self._patch(descriptor, offset, open, tell)
            except Cut as error:
                self._retries.wait(error)
                offset, whole = self._find_out(), False
            except _Again as error:
                self._retries.wait(error.error, asked=error.asked)
                offset, whole = self._find_out(), False
            if offset > furthest:  # than ever: a registry that forgets would have us go on for ever
                furthest = offset
                self._retries.progress()
            tell(offset)

    def _begin(self) -> None:
        answer = self._session.request("POST", self._path, scopes=self._scopes, body=b"")
        self._follow(answer, (202,))

    def _put(
        self, descriptor: Descriptor, offset: int, open: Callable[[int], BinaryIO],  # noqa: A002
        tell: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Send all that is missing, and end the upload."""
        joint = "&" if "?" in self._location else "?"
        url = f"{self._location}{joint}digest={quote(descriptor.digest)}"
        left = descriptor.size - offset
        headers = {"Content-Type": _OCTETS, "Content-Length": str(left)}
        body = (lambda: Part(open(offset), left, offset, tell)) if left else b""
        answer = self._session.request(
            "PUT", url, scopes=self._scopes, headers=headers, body=body, once=bool(left)
        )
        if answer.status in (200, 201, 204):
            answer.drop()
            return
        self._refuse(answer, descriptor)

    def _patch(
        self, descriptor: Descriptor, offset: int, open: Callable[[int], BinaryIO],  # noqa: A002
        tell: Callable[[int], None],
    ) -> int:  # fmt: skip
        """Send one piece and return how much the registry has then."""
        size = min(self._piece, descriptor.size - offset)
        headers = {
            "Content-Type": _OCTETS,
            "Content-Length": str(size),
            "Content-Range": f"{offset}-{offset + size - 1}",
        }
        answer = self._session.request(
            "PATCH", self._location, scopes=self._scopes, headers=headers,
            body=lambda: Part(open(offset), size, offset, tell), once=True,
        )  # fmt: skip
        if answer.status not in (202, 204):
            self._refuse(answer, descriptor)
        self._follow(answer, (answer.status,))
        return offset + size

    def _find_out(self) -> int:
        """Return how much the registry has of the upload; begin a new one if it forgot it."""
        answer = self._session.request("GET", self._location, scopes=self._scopes)
        if answer.status not in (200, 202, 204):
            answer.drop()
            self._begin()
            return 0
        got = _end_of(answer.headers.get("range", ""))
        self._follow(answer, (answer.status,))
        return got

    def _follow(self, answer: Answer, expected: tuple[int, ...]) -> None:
        """Take over where the upload goes on."""
        if answer.status not in expected:
            raise push_error(self._reference, Refusal(answer))
        location = answer.headers.get("location", "")
        least = answer.headers.get("oci-chunk-min-length", "")
        if least.isascii() and least.isdigit() and len(least) < 12:
            self._piece = max(self._piece, int(least))
        answer.drop()
        if location:
            self._location = join(answer.url, location)
        elif not self._location:
            message = f"{self._session.endpoint.host}: the answer to a new upload has no Location"
            raise Corrupt(message)

    def _refuse(self, answer: Answer, descriptor: Descriptor) -> None:
        """Raise what a refusal means, `_Again` if going on in another way may help."""
        refusal = Refusal(answer)
        error = push_error(self._reference, refusal)
        host = self._session.endpoint.host
        if refusal.code == "DIGEST_INVALID":
            message = f"{host} got other bytes than those of {descriptor.digest}: {refusal.words}"
            raise Corrupt(message)
        if refusal.status == 413 and self._piece > 1 << 20:
            self._piece //= 2
            raise _Again(Unavailable(error.message))
        if refusal.status in TRANSIENT or refusal.status in (404, 416):
            raise _Again(Unavailable(error.message), seconds_of(refusal.retry_after))
        raise error


class _Again(Exception):
    """The rest of the upload may still go through."""

    def __init__(self, error: Unavailable, asked: float = 0.0) -> None:
        """Keep the error for when it does not, and the pause that was asked for."""
        super().__init__()
        self.error = error
        self.asked = asked


class Part:
    """A part of a stream, of known size, that tells how far it was read."""

    def __init__(
        self, stream: BinaryIO, size: int, offset: int, tell: Callable[[int], None] = _nothing
    ) -> None:
        """Read `size` bytes of `stream`, which begins at `offset` of the blob."""
        self._stream = stream
        self._left = size
        self._at = offset
        self._tell = tell

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""
        size = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(size) if size else b""
        self._left -= len(data)
        self._at += len(data)
        self._tell(self._at)
        return data

    def __enter__(self) -> Self:
        """Return the part, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self._stream.close()


def _end_of(field: str) -> int:
    """Return how many bytes `Range: 0-99` speaks of. `0-0` is one or none: taken as none."""
    last = field.removeprefix("bytes=").strip().partition("-")[2]
    if not last.isascii() or not last.isdigit() or last == "0":
        return 0
    return int(last) + 1
