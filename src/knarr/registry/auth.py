"""Who we are, to one host: Basic credentials and Bearer tokens.

A host is first asked without credentials. Its refusal names a scheme; from then on each request
carries what that scheme wants. With Bearer that is a token for certain *scopes*
(`repository:library/debian:pull`), got from the *realm* that the refusal names:

* by GET, with user and password as Basic credentials if there are any;
* by POST (OAuth2) when the credentials are an identity token.

Tokens are kept by scopes until shortly before they expire, in memory alone. Two threads that need
the same token get it once.

Credentials go to the host they are for and to the realm it names; when the host was asked over TLS,
to a realm with TLS alone.

Spec: distribution's token specification: "Token Authentication", "OAuth2 Token Authentication"
"""

from __future__ import annotations

import threading
import time

from knarr.errors import Corrupt, Unauthorized
from knarr.oci import document
from knarr.registry.breaks import bare, host_of
from knarr.registry.challenges import Challenge, parse_challenges
from knarr.registry.wire import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from knarr.oci.document import Fields
    from knarr.registry.credentials import Login
    from knarr.registry.transfer import Reply
    from knarr.registry.wire import Answer

    class Fetch(Protocol):
        """Asks a realm: method, URL, headers, form or None."""

        def __call__(
            self, method: str, url: str, headers: dict[str, str], body: bytes | None, /
        ) -> Reply:
            """Return the answer."""

else:
    Protocol = object

CLIENT_ID = "knarr"
# What a token lives that does not say, and how much sooner we take it to be over.
DEFAULT_LIFE = 60.0
MARGIN = 5.0
MAX_TOKEN = 1 << 20


class Token:
    """What a realm gave."""

    __slots__ = ("expires", "refresh_token", "text", "uses")

    def __init__(self, text: str, expires: float, refresh_token: str) -> None:
        """Keep the token and when, on the monotonic clock, it is over."""
        self.text = text
        self.expires = expires
        self.refresh_token = refresh_token
        self.uses = 0


class Authenticator:
    """Makes the field Authorization for one host."""

    def __init__(self, host: str, fetch: Fetch, login: Login | None) -> None:
        """Identify as `login`, or as nobody; ask realms by `fetch`."""
        self.host = host
        self.login = login
        self._fetch = fetch
        self._challenge: Challenge | None = None
        self._secure = True
        self._tokens: dict[frozenset[str], Token] = {}
        self._lock = threading.Lock()

    def header(self, scopes: Iterable[str]) -> str | None:
        """Return what to send for `scopes`, None while the host asked for nothing.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        challenge = self._challenge
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            return self._basic()
        wanted = frozenset(scopes) or frozenset(challenge.parameters.get("scope", "").split())
        with self._lock:
            token = self._tokens.get(wanted)
            if token is None or token.expires <= time.monotonic():
                token = self._tokens[wanted] = self.token(challenge, wanted)
            token.uses += 1
        return f"Bearer {token.text}"

    def challenged(self, answer: Answer, *, sent: str | None) -> bool:
        """Learn from a refusal (401); tell whether it is worth asking again.

        `sent` is what was refused.
        """
        known = parse_challenges(answer.all("www-authenticate"))
        chosen = self._choose(known)
        if chosen is None:
            return False
        with self._lock:
            before, self._challenge = self._challenge, chosen
            self._secure = answer.url.startswith("https:")
            if sent is None:
                return chosen.scheme == "bearer" or self.login is not None
            if before is None or before.scheme != chosen.scheme:
                return True
            if chosen.scheme == "basic":
                return sent != self._basic()
            return self._forget(sent)

    def _forget(self, sent: str) -> bool:
        """Forget a token that was refused; tell whether another one may do better.

        It may if this one was good before: it can have been revoked, or be over by the host's
        clock. One that was refused when new has not the rights it takes.
        """
        for scopes, token in list(self._tokens.items()):
            if f"Bearer {token.text}" == sent:
                del self._tokens[scopes]
                return token.uses > 1
        return True  # another thread has a new one already

    def _choose(self, known: list[Challenge]) -> Challenge | None:
        for challenge in known:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return challenge
        for challenge in known:
            if challenge.scheme == "basic":
                return challenge
        return None

    def _basic(self) -> str | None:
        return None if self.login is None else basic(self.login.username, self.login.secret)

    def identity_token(self) -> str:
        """Return an identity token in place of the password; empty if the host gives none.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        challenge = self._challenge
        if challenge is None or challenge.scheme != "bearer" or self.login is None:
            return ""
        return self.token(challenge, (), offline=True).refresh_token

    def token(self, challenge: Challenge, scopes: Iterable[str], *, offline: bool = False) -> Token:
        """Return a new token from the realm of `challenge`.

        With `offline` an identity token is asked for too, by which later ones can be had without
        the password.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        realm = canonical(challenge.parameters["realm"])
        if self._secure and not realm.startswith("https://"):
            message = f"{self.host}: sends to {bare(realm)} for a token, which is without TLS"
            raise Unauthorized(message, hint="No credentials are sent there.")
        reply = self._ask(realm, challenge, sorted(scopes), offline=offline)
        refusal = reply.refusal
        if refusal is not None:
            if refusal.status in (401, 403) and self.login is not None:
                message = f"{self.host}: unauthorized: incorrect username or password"
                raise Unauthorized(message)
            raise refusal.error(f"{self.host}: no token from {host_of(realm)}")
        return self._decode(document.load(reply.raw, "token", limit=MAX_TOKEN))

    def _ask(self, realm: str, challenge: Challenge, scopes: list[str], *, offline: bool) -> Reply:
        from urllib.parse import urlencode  # noqa: PLC0415 - loaded by who talks HTTP anyway

        service = challenge.parameters.get("service", "")
        login = self.login
        fields = [("service", service)] if service else []
        if login is not None and login.identity_token:
            fields += [
                ("client_id", CLIENT_ID),
                ("grant_type", "refresh_token"),
                ("refresh_token", login.identity_token),
            ]
            if scopes:
                fields.append(("scope", " ".join(scopes)))
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._fetch("POST", realm, headers, urlencode(fields).encode())
        fields += [("scope", scope) for scope in scopes]
        headers = {}
        if login is not None:
            fields.append(("account", login.username))
            headers["Authorization"] = basic(login.username, login.secret)
        if offline:
            fields += [("offline_token", "true"), ("client_id", CLIENT_ID)]
        joint = "&" if "?" in realm else "?"
        return self._fetch("GET", f"{realm}{joint}{urlencode(fields)}", headers, None)

    def _decode(self, fields: Fields) -> Token:
        text = fields.text("token") or fields.text("access_token")
        if not text or not text.isascii() or not text.isprintable():
            message = f"{self.host}: the answer to the request for a token has none"
            raise Corrupt(message)
        life = max(DEFAULT_LIFE, fields.integer("expires_in"))
        return Token(text, time.monotonic() + life - MARGIN, fields.text("refresh_token"))


def basic(username: str, secret: str) -> str:
    """Return the field's value for Basic credentials."""
    from base64 import b64encode  # noqa: PLC0415 - as above

    return "Basic " + b64encode(f"{username}:{secret}".encode()).decode()
