"""Requests to one endpoint, as often as needed: credentials, redirects, retries.

A `Session` sends a request until there is an answer that says something about what was asked:

* 401: the authenticator learns what the host wants, and the request is sent once more;
* 3xx: followed when reading, up to ten times. Another host gets neither our credentials nor our
  client's certificate; from TLS to plain HTTP only insecure hosts may lead;
* a connection cut or refused, 408, 429, 500, 502, 503, 504: again after a pause, which doubles each
  time and is shortened by chance, so that many who were cut together do not come back together.
  `Retry-After` makes it longer. A pause that is longer than a person would wait is an error.

What must not be sent twice is sent with `once`.

Spec: RFC 9110, sections 10.2.3 (Retry-After), 15.4 (redirects)
"""

from __future__ import annotations

import random
import threading
import time

from knarr.errors import Corrupt, PermissionDenied, Unavailable
from knarr.registry.auth import MAX_TOKEN, Authenticator
from knarr.registry.breaks import Cut, Untrusted, bare, host_of
from knarr.registry.faults import Refusal
from knarr.registry.hosts import ALWAYS, FALLBACK
from knarr.registry.wire import MAX_DOCUMENT, canonical
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Protocol

    from knarr.errors import KnarrError
    from knarr.registry.credentials import Login
    from knarr.registry.hosts import Endpoint, Hosts
    from knarr.registry.wire import Answer, Security, Stream, Wire
else:
    Protocol = object


TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
REDIRECTS = frozenset((301, 302, 303, 307, 308))
MAX_REDIRECTS = 10
MAX_CHALLENGES = 3
_NOTICED = 2.0  # seconds: a person who waits as long wants to know why


class Listener(Protocol):
    """Whom a session tells what takes its time; from any thread."""

    def passed_over(self, host: str, error: KnarrError) -> None:
        """Hear which mirror was given up for another place, and why."""

    def waits(self, error: Unavailable, seconds: float) -> None:
        """Hear that there is a pause before the next attempt."""


class Patience(Value):
    """How often and how long to try. Durations in seconds."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 20.0
    longest_asked: float = 120.0

    def pauses(self) -> Iterator[float]:
        """Yield the longest pause after each attempt but the last."""
        pause = self.first
        for _ in range(self.attempts - 1):
            yield pause
            pause = min(2 * pause, self.longest)


class Retries:
    """Counts the attempts at one thing. `progress` begins the count again."""

    def __init__(
        self,
        patience: Patience,
        sleep: Callable[[float], None] = time.sleep,
        listener: Listener | None = None,
    ) -> None:
        """Begin."""
        self._listener = listener
        self.patience = patience
        self._sleep = sleep
        self._pauses = patience.pauses()

    def progress(self) -> None:
        """Note that the last attempt was not in vain."""
        self._pauses = self.patience.pauses()

    def wait(self, error: Unavailable, *, asked: float = 0.0) -> None:
        """Pause before the next attempt, at least as long as was `asked`, or raise `error`."""
        pause = next(self._pauses, None)
        if pause is None or asked > self.patience.longest_asked:
            raise Unavailable(error.message, hint=error.hint) from None
        seconds = max(asked, pause * random.uniform(0.5, 1.0))
        if self._listener is not None and seconds >= _NOTICED:
            self._listener.waits(error, seconds)
        self._sleep(seconds)


class Reply:
    """A whole answer: `raw` is its body if the status is 200, else `refusal` says why not."""

    __slots__ = ("headers", "links", "raw", "refusal", "status", "url")

    def __init__(self, answer: Answer, limit: int) -> None:
        """Read all of `answer`, at most `limit` bytes.

        Raises: Cut, Corrupt
        """
        self.status = answer.status
        self.url = answer.url
        self.headers = answer.headers
        self.links = answer.all("link")
        self.raw = b""
        self.refusal: Refusal | None = None
        if answer.status == 200:
            self.raw = answer.body(limit)
        else:
            self.refusal = Refusal(answer)


class Session:
    """Requests to one endpoint, for any number of threads."""

    def __init__(
        self, wire: Wire, endpoint: Endpoint, hosts: Hosts, login: Login | None, *,
        patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep,
        listener: Listener | None = None,
    ) -> None:  # fmt: skip
        """Talk to `endpoint` as `login`."""
        self.endpoint = endpoint
        self.patience = patience or Patience()
        self.auth = Authenticator(endpoint.host, self._fetch, login)
        self._wire = wire
        self._hosts = hosts
        self.given_up = False  # by who has another place to ask
        self._sleep = sleep
        self._listener = listener
        self._met = False
        self._plain: bool | None = {ALWAYS: True, FALLBACK: None}.get(endpoint.plain, False)
        self._lock = threading.Lock()

    def pass_over(self, error: KnarrError) -> None:
        """Note why another place is asked; one that does not answer is not asked again."""
        self.given_up = isinstance(error, Unavailable)
        if self._listener is not None:
            self._listener.passed_over(self.endpoint.host, error)

    def path(self, rest: str) -> str:
        """Return the path of something of the repository."""
        return f"/v2/{self.endpoint.repository}/{rest}"

    @property
    def pulling(self) -> tuple[str, ...]:
        """The scopes for reading from the repository."""
        return (f"repository:{self.endpoint.repository}:pull",)

    @property
    def pushing(self) -> tuple[str, ...]:
        """The scopes for writing to the repository."""
        return (f"repository:{self.endpoint.repository}:pull,push",)

    def retries(self) -> Retries:
        """Return a count of attempts at something."""
        return Retries(self.patience, self._sleep, self._listener)

    def request(
        self, method: str, path: str, *, scopes: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], Stream] | None = None, once: bool = False,
    ) -> Answer:  # fmt: skip
        """Return the answer to `method` for `path`, which may be a whole URL.

        `body` as a function returns the same bytes each time it is called.

        Raises: Unavailable, Unauthorized, Corrupt, PermissionDenied
        """
        retries = self.retries()
        while True:
            try:
                answer = self._authorized(method, path, scopes, dict(headers or {}), body)
            except Cut as error:
                if once and not error.refused:
                    raise
                self._give_up_on_strangers(error)
                retries.wait(error)
                continue
            self._met = True
            if answer.status not in TRANSIENT or (once and answer.status != 429):
                return answer
            refusal = Refusal(answer)
            said = refusal.error(f"{self.endpoint.host}: {method}")
            retries.wait(
                Unavailable(said.message, hint=said.hint), asked=seconds_of(refusal.retry_after)
            )

    def get(
        self, path: str, *, scopes: Iterable[str] = (), headers: Mapping[str, str] | None = None,
        limit: int = MAX_DOCUMENT,
    ) -> Reply:  # fmt: skip
        """Return a whole document of at most `limit` bytes, or why there is none.

        Raises: Unavailable, Unauthorized, Corrupt, PermissionDenied
        """
        retries = self.retries()
        while True:
            answer = self.request("GET", path, scopes=scopes, headers=headers)
            try:
                return Reply(answer, limit)
            except Cut as error:
                retries.wait(error)

    def _authorized(
        self, method: str, path: str, scopes: Iterable[str], headers: dict[str, str],
        body: bytes | Callable[[], Stream] | None,
    ) -> Answer:  # fmt: skip
        """Send with what the host wants of us, finding out if need be."""
        url = self.absolute(path)
        for _ in range(MAX_CHALLENGES):
            sent = self.auth.header(scopes) if self._is_ours(url) else None
            fields = {**headers, "Authorization": sent} if sent else headers
            answer = self._follow(method, url, fields, body)
            if answer.status != 401 or not self._is_ours(answer.url):
                break
            if not self.auth.challenged(answer, sent=sent):
                break
            answer.drop()
        return answer

    def _give_up_on_strangers(self, error: Cut) -> None:
        """Raise if nobody is there who ever was: it is a wrong name rather than a bad line."""
        if error.refused and not self._met:
            raise Unavailable(error.message, hint=error.hint) from None

    def _follow(
        self, method: str, url: str, headers: dict[str, str],
        body: bytes | Callable[[], Stream] | None,
    ) -> Answer:  # fmt: skip
        for _ in range(MAX_REDIRECTS + 1):
            ours = self._is_ours(url)
            security = self.endpoint.security if ours else self._security(url)
            if not ours:
                headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
            answer = self._send(method, url, headers, body, security)
            location = answer.headers.get("location", "")
            if answer.status not in REDIRECTS or not location or method not in ("GET", "HEAD"):
                return answer
            answer.drop()
            url = self._next(url, location)
        message = f"{self.endpoint.host}: more than {MAX_REDIRECTS} redirects"
        raise Corrupt(message)

    def _next(self, url: str, location: str) -> str:
        """Return where a redirect leads, if it may."""
        target = join(url, location)
        downgrade = url.startswith("https:") and not target.startswith("https:")
        if downgrade and self.endpoint.plain != FALLBACK:
            message = f"{host_of(url)} redirects to {bare(target)}, which is without TLS"
            raise PermissionDenied(message)
        return target

    def _security(self, url: str) -> Security:
        return self._hosts.security(host_of(url))

    def _send(
        self, method: str, url: str, headers: Mapping[str, str],
        body: bytes | Callable[[], Stream] | None, security: Security,
    ) -> Answer:  # fmt: skip
        headers = {"Accept-Encoding": "identity", **headers}
        send = self._wire.send
        try:
            if callable(body):
                with body() as stream:
                    return send(method, url, headers=headers, body=stream, security=security)
            return send(method, url, headers=headers, body=body, security=security)
        except Untrusted as error:
            raise Unavailable(error.message, hint=error.hint) from None

    def _fetch(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply:
        """Ask a realm for a token. Credentials are in `headers` and `body`: no redirects."""
        retries = self.retries()
        while True:
            try:
                answer = self._send(method, url, headers, body, self._security(url))
                reply = Reply(answer, MAX_TOKEN)
            except Cut as error:
                retries.wait(error)
                continue
            refusal = reply.refusal
            if refusal is None or refusal.status not in TRANSIENT:
                return reply
            words = refusal.error(f"{host_of(url)}: no token").message
            retries.wait(Unavailable(words), asked=seconds_of(refusal.retry_after))

    def absolute(self, path: str) -> str:
        """Return the whole URL of `path`, finding out first whether the host speaks TLS."""
        if path.startswith(("https://", "http://")):
            return path
        return self.endpoint.url(plain=self.is_plain()) + path

    def is_plain(self) -> bool:
        """Tell whether the host is spoken to without TLS, and find out if settings leave it open.

        Raises: Unavailable
        """
        with self._lock:
            if self._plain is None:
                self._plain = not self._speaks_tls()
            return self._plain

    def _speaks_tls(self) -> bool:
        url = self.endpoint.url(plain=False) + "/v2/"
        try:
            self._wire.send("GET", url, headers={}, security=self.endpoint.security).drop()
        except Untrusted as error:
            if not error.plain:
                raise Unavailable(error.message, hint=error.hint) from None
            return False
        except Cut:
            return False  # whatever it is, it is told when plain HTTP does not work either
        return True

    def _is_ours(self, url: str) -> bool:
        """Tell whether our credentials may go to `url`: it is the endpoint itself."""
        base = self.endpoint.url(plain=bool(self._plain))
        return origin(url) == origin(base)


def origin(url: str) -> tuple[str, str]:
    """Return scheme and host with port of `url`, in one form."""
    scheme = url.partition("://")[0].lower()
    host = host_of(url).lower()
    port = ":443" if scheme == "https" else ":80"
    return scheme, host if host.rpartition("]")[2].count(":") else host + port


def join(url: str, location: str) -> str:
    """Return the URL that `location`, relative perhaps, means in an answer to `url`.

    Raises: Corrupt (none of HTTP)
    """
    from urllib.parse import urljoin  # noqa: PLC0415 - loaded by who talks HTTP anyway

    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    return canonical(target)


def quote(text: str) -> str:
    """Return `text` as a value in a query."""
    from urllib.parse import quote as percent  # noqa: PLC0415 - as above

    return percent(text, safe="")


def seconds_of(retry_after: str, *, now: float | None = None) -> float:
    """Return the seconds that a field Retry-After asks for, in either of its forms."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return 0.0
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a rare form

    try:
        moment = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
    return max(0.0, moment - (time.time() if now is None else now))
