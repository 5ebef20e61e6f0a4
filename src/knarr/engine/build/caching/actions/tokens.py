"""What the token of a job says of caches: a JSON Web Token, of which we only read the claims.

    {"exp": …, "nbf": …, "ac": "[{\"Scope\": \"refs/heads/main\", \"Permission\": 3}]"}

Whether it is genuine is the service's business, to which it is shown. No message has any of it.
"""

from __future__ import annotations

import base64
import binascii
import time

from knarr.errors import Corrupt, InvalidArgument, Unauthorized
from knarr.oci import document
from knarr.util.times import render_rfc3339
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.document import Fields

READ, WRITE = 1, 2
_HINT = "It is what a job finds in ACTIONS_RUNTIME_TOKEN; GITHUB_TOKEN is another one."


class Scope(Value):
    """A branch, or what else has caches of its own, and what may be done with them."""

    name: str
    permission: int


def read_scopes(token: str, *, now: float | None = None) -> tuple[Scope, ...]:
    """Return the scopes that a token is for, in the order in which they are to be looked into.

    Raises: InvalidArgument (no such token), Unauthorized (not yet, or no more)
    """
    try:
        claims = _claims(token)
        listed = document.load(f'{{"it": {claims.text("ac")}}}'.encode(), "token")
        scopes = [
            Scope(one.text("Scope"), one.integer("Permission")) for one in listed.children("it")
        ]
    except (Corrupt, ValueError):
        message = "the token for the cache of GitHub Actions is not one"
        raise InvalidArgument(message, hint=_HINT) from None
    moment = time.time() if now is None else now
    for key, words in (("exp", "was good until"), ("nbf", "will be good from")):
        at = claims.object.get(key)
        if isinstance(at, int | float) and (moment > at if key == "exp" else moment < at):
            message = f"the token for the cache of GitHub Actions {words} {_shown(at)}"
            raise Unauthorized(message, hint="The token of a job is good while the job runs.")
    return tuple(scopes)


def writable(scopes: tuple[Scope, ...]) -> str | None:
    """Return the scope that new entries belong to, None if nothing may be written.

    Docker: the last one with the permission, as in BuildKit
    """
    return next((one.name for one in reversed(scopes) if one.permission & WRITE), None)


def _claims(token: str) -> Fields:
    """Return the claims of a token. Raises: Corrupt, ValueError"""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError
    _, text, _ = token.split(".")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError from None
    return document.load(raw, "token")


def _shown(seconds: float) -> str:
    return render_rfc3339(int(seconds) * 10**9)
