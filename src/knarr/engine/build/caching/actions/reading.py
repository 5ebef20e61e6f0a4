"""The bytes of an entry of the cache service: however often the connection is cut or the URL ends.

Where the bytes are is told by a URL with a signature that is good for some minutes. When it is
refused, the service is asked for another one, once for each attempt.
"""

from __future__ import annotations

from knarr.engine.build.caching.actions.calls import refused
from knarr.errors import NotFound
from knarr.registry.download import ResumingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.build.caching.actions.calls import Service
    from knarr.errors import KnarrError
    from knarr.oci.descriptor import Descriptor
    from knarr.registry.transfer import Session
    from knarr.registry.wire import Answer

_ENDED = (401, 403)


class EntryReader(ResumingReader):
    """A blob that is the entry `key`."""

    def __init__(
        self, session: Session, service: Service, descriptor: Descriptor, key: str
    ) -> None:
        """Prepare; `open` asks."""
        super().__init__([session], descriptor)
        self._service = service
        self._key = key
        self._url = ""

    def _request(self, headers: dict[str, str]) -> Answer:
        known = bool(self._url)
        answer = self._session.request("GET", self._url or self._find(), headers=headers)
        if answer.status in _ENDED and known:
            answer.drop()
            answer = self._session.request("GET", self._find(), headers=headers)
        return answer

    def _find(self) -> str:
        """Return where the bytes are now. Raises: NotFound"""
        found = self._service.find(self._key)
        if found is None or found.key != self._key:
            message = f"the cache service has no {self._key}"
            raise NotFound(message, hint="It drops what was not asked for during some days.")
        self._url = found.url
        return found.url

    def _refused(self, answer: Answer) -> KnarrError:
        return refused(answer)
