"""Who a client is to registries: `X-Registry-Auth` for one, `X-Registry-Config` for several.

Both are JSON in the base64 of URLs. They stand for the credentials of the client, so nobody else's
are used: without them, and with what cannot be read, requests to registries are anonymous.

Docker: an `X-Registry-Auth` that is not valid is ignored
"""

from __future__ import annotations

from base64 import urlsafe_b64decode

from knarr.errors import InvalidArgument
from knarr.registry.credentials import Login
from knarr.registry.handed import NOBODY, Handed
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def parse_auth(headers: Mapping[str, str]) -> Handed:
    """Return the one login that a request brings, which is for whatever registry it is about."""
    given = _decode(headers.get("x-registry-auth", ""))
    login = _login(given) if isinstance(given, dict) else None
    return Handed(anywhere=login) if login else NOBODY


def parse_auths(headers: Mapping[str, str]) -> Handed:
    """Return the logins that a build brings, by registry.

    Raises: InvalidArgument
    """
    text = headers.get("x-registry-config", "")
    given = _decode(text)
    if given is None and text:
        message = "invalid X-Registry-Config header"
        raise InvalidArgument(message, hint="It is the base64 of a JSON object.")
    logins = {}
    for key, entry in (given or {}).items():
        login = _login(entry) if isinstance(entry, dict) else None
        if login:
            logins[key] = login
    return Handed(logins)


def parse_login(body: dict[str, Any]) -> tuple[str, Login]:
    """Return the registry that the body of `POST /auth` names, and the login to try there."""
    return _text(body, "serveraddress"), _login(body) or Login("", "")


def _decode(text: str) -> dict[str, Any] | None:
    try:
        found = jsontext.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _login(entry: Mapping[str, Any]) -> Login | None:
    """Return the login of an `AuthConfig`, None if it is empty."""
    username, secret = _text(entry, "username"), _text(entry, "password")
    token = _text(entry, "identitytoken")
    if auth := _text(entry, "auth"):
        try:
            pair = urlsafe_b64decode(auth + "=" * (-len(auth) % 4)).decode()
        except ValueError:
            pair = ""
        username, _, secret = pair.partition(":")
    return Login(username, secret, token) if username or secret or token else None


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
