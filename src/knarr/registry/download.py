"""Reading a blob, however often the connection is cut.

After a cut the blob is asked for again from where it ended (`Range`). A server that knows no ranges
sends all of it, and what we have is passed over. Each byte that came begins the count of attempts
again, so that a long download over a bad line ends at some time. Where one place gives up, the next
goes on: the bytes are the same.

Spec: RFC 9110, section 14; distribution-spec, "Pulling blobs"
"""

from __future__ import annotations

from knarr.errors import Corrupt, KnarrError, NotFound, Unavailable
from knarr.registry.breaks import Cut
from knarr.registry.faults import Refusal, pull_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.reference import Reference
    from knarr.registry.transfer import Session
    from knarr.registry.wire import Answer

_CHUNK = 1 << 20


class ResumingReader:
    """The bytes of a blob, wherever it is. Used as a context; for one thread.

    What is asked for, and what a refusal means, says a subclass: `_request` and `_refused`.
    """

    def __init__(self, sessions: Sequence[Session], descriptor: Descriptor) -> None:
        """Prepare to read from the first of `sessions` that has it; `open` asks."""
        self._session, *self._others = sessions
        self._descriptor = descriptor
        self._answer: Answer | None = None
        self._retries = self._session.retries()
        self.offset = 0

    def open(self, offset: int) -> None:
        """Ask for the bytes from `offset` on.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        self.offset = offset
        if offset >= self._descriptor.size > 0:
            return
        while True:
            try:
                self._ask(offset)
            except KnarrError as error:
                self._turn_to_next(error)
            else:
                return

    def _request(self, headers: dict[str, str]) -> Answer:
        """Ask for the blob. Raises: Unauthorized, Unavailable, Corrupt"""
        raise NotImplementedError

    def _refused(self, answer: Answer) -> KnarrError:
        """Return what an answer means that is not the blob."""
        raise NotImplementedError

    def _ask(self, offset: int) -> None:
        answer = self._request({"Range": f"bytes={offset}-"} if offset else {})
        if answer.status == 206:
            self._check_range(answer)
        elif answer.status != 200:
            raise self._refused(answer)
        self._answer = answer
        skipping = offset if answer.status == 200 else 0
        self._check_length(answer, self._descriptor.size - (offset - skipping))
        try:
            _skip(answer, skipping)
        except Cut as error:
            self._reopen(error)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all with -1, none at the end of the blob.

        Never more than one byte beyond the size that was promised.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        size = min(size, self._descriptor.size + 1 - self.offset)
        while self._answer is not None and size > 0:
            try:
                data = self._answer.read(size)
            except Cut as error:
                self._reopen(error)
                continue
            if data:
                self.offset += len(data)
                self._retries.progress()
                return data
            if self.offset >= self._descriptor.size or self._answer.length is not None:
                break
            # Without an announced length a cut looks like an end.
            self._reopen(Cut(f"{self._session.endpoint.host}: the connection ended early"))
        self.close()
        return b""

    def _reopen(self, error: Cut) -> None:
        self.close()
        try:
            self._retries.wait(error)
        except Unavailable as last:
            self._turn_to_next(last)
        self.open(self.offset)

    def _turn_to_next(self, error: KnarrError) -> None:
        """Go on with the next of the places that have it, or raise `error`."""
        self.close()
        if not self._others:
            raise error
        self._session.pass_over(error)
        self._session = self._others.pop(0)
        self._retries = self._session.retries()

    def _check_range(self, answer: Answer) -> None:
        """Raise if the server sends another part than what was asked for."""
        field = answer.headers.get("content-range", "")
        first = field.removeprefix("bytes").strip().partition("-")[0]
        if first != str(self.offset):
            answer.close()
            message = f"{self._session.endpoint.host}: asked for the bytes from {self.offset} on of"
            raise Corrupt(f"{message} {self._descriptor.digest}, got others")

    def _check_length(self, answer: Answer, expected: int) -> None:
        """Raise if the length is announced and not what was promised: nothing is read then."""
        if answer.length is not None and answer.length != expected:
            answer.close()
            self._answer = None
            size = self._descriptor.size - expected + answer.length
            message = f"{self._descriptor.digest} has {size} bytes at"
            host = self._session.endpoint.host
            raise Corrupt(f"{message} {host}, not the promised {self._descriptor.size}")

    def close(self) -> None:
        """End the connection, or give it back if all was read."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def __enter__(self) -> Self:
        """Return the reader, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class BlobReader(ResumingReader):
    """The bytes of a blob of a repository."""

    def __init__(
        self, sessions: Sequence[Session], descriptor: Descriptor, reference: Reference
    ) -> None:
        """Prepare to read from the first of `sessions` that has it; `open` asks."""
        super().__init__(sessions, descriptor)
        self._reference = reference

    def _request(self, headers: dict[str, str]) -> Answer:
        path = self._session.path(f"blobs/{self._descriptor.digest}")
        return self._session.request("GET", path, scopes=self._session.pulling, headers=headers)

    def _refused(self, answer: Answer) -> KnarrError:
        refusal = Refusal(answer)
        error = pull_error(self._reference, refusal)
        if isinstance(error, NotFound) and refusal.code != "NAME_UNKNOWN":
            name, digest = self._reference.familiar_name, self._descriptor.digest
            return NotFound(f"blob {digest} of {name} not found: {refusal.words}")
        return error


def _skip(answer: Answer, count: int) -> None:
    while count > 0 and (data := answer.read(min(_CHUNK, count))):
        count -= len(data)
