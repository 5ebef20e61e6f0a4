"""Trying credentials. Nothing is kept: the client keeps what is good, and brings it along."""

from __future__ import annotations

from knarr.api.answers import Json
from knarr.api.parse.credentials import parse_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call


def auth(call: Call) -> Answer:
    server, login = parse_login(call.json())
    token = call.engine.registries.try_login(server, login)
    return Json({"Status": "Login Succeeded", "IdentityToken": token})
