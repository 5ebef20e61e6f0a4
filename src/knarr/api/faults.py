"""The engine's errors as answers: a status for each class, and Docker's words.

Clients look for some texts of Docker's (`No such container`): the engine says the same in knarr's
style, and `_WORDS` is what differs. A hint is a field of its own, which Docker does not have.
"""

from __future__ import annotations

import re

from knarr import errors
from knarr.api.answers import Json
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATUS = {
    errors.KnarrError: 500,
    errors.InvalidArgument: 400,
    errors.SyntaxFault: 400,
    errors.Unauthorized: 401,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.Unsupported: 501,
    errors.Unavailable: 503,
    errors.Corrupt: 500,
    errors.Failed: 500,
    errors.CommandFailed: 400,
}

# What a message begins with, and what Docker says instead.
_WORDS = (
    (re.compile(r"no such (container|image|exec instance)\b"), r"No such \1"),
    (re.compile(r"no such volume: (.*)"), r"get \1: no such volume"),
    (
        re.compile(r"(create .* invalid characters for a local volume name, .*)"),
        r"\1. If you intended to pass a host directory, use absolute path",
    ),
)


def status(error: errors.KnarrError) -> int:
    """Return the status of the answer to an error."""
    return STATUS[type(error)]


def words(error: errors.KnarrError) -> str:
    """Return the message of an error in Docker's words."""
    text = error.message
    for pattern, instead in _WORDS:
        text = pattern.sub(instead, text, count=1) if pattern.match(text) else text
    return text


def answer(error: errors.KnarrError) -> Json:
    """Return the answer to an error. Docker: `{"message": …}`"""
    document: dict[str, Any] = {"message": words(error)}
    if error.hint:
        document["hint"] = error.hint
    return Json(document, status(error))


def line(error: errors.KnarrError) -> dict[str, Any]:
    """Return the document that ends a stream of documents after an error."""
    detail: dict[str, Any] = {"message": words(error)}
    if isinstance(error, errors.CommandFailed):
        detail["code"] = error.status
    return {"errorDetail": detail, "error": words(error)}


def body(message: str) -> bytes:
    """Return the body of an answer that says no more than `message`."""
    return jsontext.dumps({"message": message}).encode() + b"\n"
